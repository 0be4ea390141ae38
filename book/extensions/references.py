"""What is numbered as ``C.n`` is an anchor on its page, and its name in prose, on any page, a link to it.

``equations`` and ``numbered_figures`` say what is numbered and how prose names it; captions, boxes and solutions
are paragraphs that begin with some words in bold.
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.transforms import Transform
from sphinx.addnodes import pending_xref
from sphinx.builders import Builder
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)

ALREADY_SPECIAL = (
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.reference,
    nodes.title,
    pending_xref,
)


class Numbered(Domain):
    """Remembers which page shows what of its kind, and turns references into links."""

    initial_data: ClassVar[dict[str, Any]] = {"pages": {}}
    data_version = 1

    @classmethod
    def spelled(cls, number: str) -> str:
        """How a sentence names the one with this number."""
        raise NotImplementedError

    @classmethod
    def anchor(cls, number: str) -> str:
        """Its anchor on its page."""
        raise NotImplementedError

    @property
    def pages(self) -> dict[str, str]:
        """Number to the page that shows it."""
        return self.data["pages"]

    def note(self, number: str, node: nodes.Node) -> None:
        """Remember that the current page shows it."""
        if number in self.pages:
            name = f"{self.name} {self.spelled(number)}"
            logger.warning("%s is already on page %s", name, self.pages[number], location=node)
        self.pages[number] = self.env.docname

    def clear_doc(self, docname: str) -> None:
        self.data["pages"] = {number: page for number, page in self.pages.items() if page != docname}

    def merge_domaindata(self, docnames: set[str], otherdata: dict[str, Any]) -> None:
        self.pages.update({n: page for n, page in otherdata["pages"].items() if page in docnames})

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        page = self.pages.get(target)
        if page is not None:
            return make_refnode(builder, fromdocname, page, self.anchor(target), contnode)
        chapters = {number.partition(".")[0] for number in self.pages}
        if target.partition(".")[0] in chapters:
            logger.warning("there is no %s %s", self.name, self.spelled(target), location=node)
        return None

    def resolve_any_xref(self, *args: Any) -> list[Any]:
        return []


class LinkReferences(Transform):
    """Turn each match of ``pattern`` in prose into a reference; its group is the number."""

    pattern: ClassVar[re.Pattern[str]]
    domain: ClassVar[type[Numbered]]
    default_priority = 410

    def apply(self) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if self.pattern.search(text) and self.is_prose(text):
                text.parent.replace(text, list(self.pieces(text.astext())))

    def is_prose(self, text: nodes.Node) -> bool:
        return not inside_special(text)

    def pieces(self, text: str) -> Iterator[nodes.Node]:
        end = 0
        for found in self.pattern.finditer(text):
            yield nodes.Text(text[end : found.start()])
            reference = pending_xref(
                "",
                nodes.inline("", found[0]),
                refdomain=self.domain.name,
                reftype="ref",
                reftarget=found[1],
            )
            reference.source, reference.line = self.document.current_source, self.document.current_line
            yield reference
            end = found.end()
        yield nodes.Text(text[end:])


def inside_special(text: nodes.Node) -> bool:
    """Whether ``text`` is part of something that is no prose: code, mathematics, a title, a link."""
    node = text.parent
    while node is not None:
        if isinstance(node, ALREADY_SPECIAL):
            return True
        node = node.parent
    return False


def begins_with(node: nodes.Node, *words: str) -> bool:
    """Whether ``node`` is a paragraph that opens with one of ``words`` in bold."""
    if not isinstance(node, nodes.paragraph):
        return False
    opening = next((child for child in node if child.astext()), None)
    return isinstance(opening, nodes.strong) and opening.astext().startswith(words)
