"""Search by section: every section is a document of its own, which opens at its heading.

When the pages are written, Pagefind puts the index into the site's folder ``pagefind``, and ``js/search.mjs`` asks it;
Sphinx's own search, by whole pages, is switched off. Of a section its prose and captions are found and quoted, no
cells, listings, outputs or displayed formulas; an entry of the reference is a section, too, and counts less.
"""

import asyncio
import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from mathematics import FormulaError, typeset
from pagefind.index import IndexConfig, PagefindIndex
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

DEEPEST = 3  # a heading below h3 belongs to the section around it
ASIDE = 0.5  # how much less a word counts in what is rarely looked for first
ASIDES = ("Exercises", "Further reading")
NO_PROSE = (
    nodes.literal_block,
    nodes.math_block,
    nodes.comment,
    nodes.title,
    nodes.image,
    addnodes.toctree,
    addnodes.desc_signature,
)
CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
ELEMENT = re.compile(r"<[^>]*>")
MATHML = re.compile(r"<math.*?</math>", re.DOTALL)
BEYOND_A_LINE = re.compile(r"<m(?!(?:ath|row|style|over|i|n|o|text|space)\b)")


class Document(NamedTuple):
    """What the search knows of a section: where it is, its heading, its prose, and how much a word of it counts."""

    anchor: str
    title: str
    text: str
    weight: float


def documents(page: nodes.document) -> list[Document]:
    """The sections of a page in their order; the first, without an anchor, is what stands above all others."""
    found = list(sections(page, depth=0))
    return [found[0]._replace(anchor=""), *found[1:]] if found else []


def sections(around: nodes.Element, depth: int) -> Iterator[Document]:
    """The documents inside a node: sections, and what the reference describes."""
    for child in around.children:
        if isinstance(child, nodes.section):
            if depth < DEEPEST:
                title = child.next_node(nodes.title)
                yield document(child, words(title) if title else "", depth + 1)
                yield from sections(child, depth + 1)
        elif isinstance(child, addnodes.desc):
            signature = child.next_node(addnodes.desc_signature)
            # The NumPy form of an op has the op's name, and stands below it on the same page: one of them is enough.
            if signature is not None and signature["ids"] and ".reference." not in signature["ids"][0]:
                entry = document(child, signature["fullname"].rpartition(".")[2], DEEPEST)
                yield entry._replace(anchor=signature["ids"][0], weight=ASIDE)
        elif isinstance(child, nodes.Element) and not isinstance(child, nodes.TextElement):
            yield from sections(child, depth)


def document(node: nodes.Element, title: str, depth: int) -> Document:
    """A section without the sections in it."""
    text = " ".join("".join(prose(node, depth)).split())
    return Document("".join(node["ids"][:1]), title, text, ASIDE if title in ASIDES else 1)


def prose(node: nodes.Element, depth: int) -> Iterator[str]:
    """The text of a node, less what is no prose and what is a document of its own."""
    for child in node.children:
        if isinstance(child, nodes.raw):
            yield from (
                unescape(ELEMENT.sub("", caption)) + " " for caption in CAPTION.findall(child.astext())
            )
        elif not isinstance(child, nodes.Element) or isinstance(child, NO_PROSE) or is_apart(child, depth):
            continue
        elif isinstance(child, nodes.TextElement):
            yield words(child) + " "
        else:
            yield from prose(child, depth)


def is_apart(node: nodes.Element, depth: int) -> bool:
    """Whether a node is a document of its own, or the set-up."""
    if isinstance(node, nodes.section):
        return depth < DEEPEST
    if isinstance(node, addnodes.desc):
        return not isinstance(node.parent, addnodes.desc_content)
    return "tag_setup" in node["classes"]


def words(node: nodes.Node) -> str:
    """The text of a paragraph or a title, formulas in it as they are read."""
    if isinstance(node, nodes.math):
        return spoken(node.astext())
    if isinstance(node, nodes.Text):
        return node.astext()
    return "".join(map(words, node.children))


def spoken(tex: str) -> str:
    """A formula as text, if it can be written on one line, as in "N = 1"; otherwise an ellipsis."""
    try:
        (formula,) = MATHML.findall(typeset(tex.strip(), False))
    except FormulaError:
        return "…"  # its page has the warning
    return "…" if BEYOND_A_LINE.search(formula) else unescape(ELEMENT.sub("", formula))


def page_title(env: BuildEnvironment, name: str) -> str:
    """The title of a page, with its chapter's number."""
    number = env.toc_secnumbers.get(name, {}).get("", ())
    return "".join(f"{part}. " for part in number) + words(env.titles[name])


def as_html(found: Document, page: str) -> str:
    """A document in the form that Pagefind reads.

    Its filters come with a result and are no text in which words are found. Its title is, and counts more; that of
    what stands aside is a part of its text.
    """
    title, text = escape(found.title), escape(found.text or found.title)
    head = f'<meta data-pagefind-filter="title[content]" content="{title}">'
    head += f'<meta data-pagefind-filter="page[content]" content="{escape(page)}">'
    if found.weight == 1:
        head += f'<meta data-pagefind-meta="title[content]" content="{title}">'
    else:
        text = f"{title}. {text}"
    body = f'<p data-pagefind-weight="{found.weight}">{text}</p>'
    return f'<html lang="en"><head>{head}</head><body>{body}</body></html>'


async def write_index(app: Sphinx) -> None:
    """Put the index of all pages beside them."""
    config = IndexConfig(output_path=str(Path(app.outdir) / "pagefind"))
    async with PagefindIndex(config) as index:
        for name in sorted(app.env.found_docs):
            page = page_title(app.env, name)
            for found in documents(app.env.get_doctree(name)):
                url = f"{name}.html" + (f"#{found.anchor}" if found.anchor else "")
                await index.add_html_file(content=as_html(found, page), url=url)


def finish(app: Sphinx, failure: Exception | None) -> None:
    """Write the index once the pages are there."""
    if failure is None and app.builder.format == "html":
        asyncio.run(write_index(app))


def switch_off_pages(app: Sphinx) -> None:
    """Let Sphinx write no index of its own; the page ``search.html`` is ours."""
    app.builder.search = False


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the index after everything else."""
    app.connect("builder-inited", switch_off_pages)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
