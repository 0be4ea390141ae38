"""The finished page: nothing in it without a use, markup that a screen reader reads."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

CODE = re.compile(r'(?<=<span class="pre">)[^<]*/[^<]*(?=</span>)')
NAME = re.compile(r'(?<=<span class="pre">)\w{20,}(?=</span>)')
SLASH = re.compile(r"(?<=\w)/(?=\w)")
LISTING = re.compile(r"<pre>(?=(.*?)</pre>)", re.DOTALL)
LONG = 24  # lines from which a listing may be parted on paper
PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')


def lighten(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out what this page has no use for: the state of widgets (no kernel here), the script that keeps tabs
    of several sets in step (which would move what is being read), the styles of cards and tabs."""
    if "body" in context:
        context["body"] = long_listings(breakable_names(breakable_paths(plain_words(context["body"]))))
    unneeded = ["widget-state", "design-tabs"]
    if not any(kind in context.get("body", "") for kind in ("sd-card", "sd-tab-set")):
        unneeded.append("sphinx-design")
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context[kind] if not any(name in told(file) for name in unneeded)]


def plain_words(body: str) -> str:
    """Listings without the elements around names, punctuation and blanks, which have the color of the text anyway:
    a sixth of a chapter's page."""
    return PLAIN.sub(r"\1", body)


def breakable_paths(body: str) -> str:
    """A path in the text may end a line behind each of its slashes: whole, it takes the room of a table's sentences,
    and a phone breaks it within a name."""
    return CODE.sub(lambda path: SLASH.sub("/<wbr>", path[0]), body)


def breakable_names(body: str) -> str:
    """A long name in the text may end a line behind each of its underscores where the page is narrow: whole, it takes
    the room of the words beside it."""
    return NAME.sub(lambda name: name[0].replace("_", '_<wbr class="name">'), body)


def long_listings(body: str) -> str:
    """Listings, each long one named so: whole on paper, they would leave half of the sheet before them empty."""
    return LISTING.sub(lambda found: '<pre class="long">' if found[1].count("\n") >= LONG else found[0], body)


def told(file: Any) -> str:
    """Whatever a style sheet or script says of itself: its name and its attributes."""
    return f"{file.filename} {file.attributes}"


def open_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """An entry of the bibliography, without the role that docutils gives it, which is deprecated."""
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def close_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """The end of the entry."""
    self.body.append("</div>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Finish each page after everyone else."""
    app.connect("html-page-context", lighten, priority=900)
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
