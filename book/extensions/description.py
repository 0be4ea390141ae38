"""What a search engine, or a message with a link, says of a page: a chapter's question, else its first paragraph."""

from html import escape
from typing import Any

from docutils import nodes
from search_index import words
from sphinx.application import Sphinx

LONGEST = 300  # characters
QUESTION = "The question"  # as "At a glance" has it


def description(page: nodes.document) -> str:
    """The chapter's question, from its table "At a glance"; of a page without one, its first paragraph."""
    for row in page.findall(nodes.row):
        title, *rest = (" ".join(words(cell).split()) for cell in row.findall(nodes.entry))
        if title == QUESTION:
            return shortened(" ".join(rest))
    first = page.next_node(nodes.paragraph)
    return shortened(" ".join(words(first).split())) if first else ""


def shortened(text: str) -> str:
    """As many whole sentences as fit, at least one, or as many words."""
    if len(text) <= LONGEST:
        return text
    end = max(text.rfind(mark, 0, LONGEST) for mark in (". ", "? ", "! "))
    return text[: end + 1] if end > 0 else text[:LONGEST].rpartition(" ")[0] + "…"


def describe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the description, and what a link to the page shows in a message, into its head."""
    if doctree is None:
        return
    said = {"description": description(doctree)}
    shown = {
        "title": app.env.titles[pagename].astext(),
        **said,
        "type": "article",
        "site_name": app.config.project,
    }
    tags = [f'<meta name="{name}" content="{escape(text)}">' for name, text in said.items()]
    tags += [f'<meta property="og:{name}" content="{escape(text)}">' for name, text in shown.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags) + "\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Describe each page when it is written."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
