r"""Numbered equations: ``\tag{2.3}`` in a displayed formula is an anchor, ``(2.3)`` in prose a link to it.

A formula tagged ``\tag{C.n}`` gets the anchor ``eq-C-n`` on its page. In the prose of any page, ``(C.n)``
links to it; so does a tag in a view of source code, which ``seqlab.show`` writes. Two equations with one
number, and a reference to an equation missing from a chapter that numbers its equations, are warnings.
"""

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.transforms import Transform
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)

TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")
REFERENCE = re.compile(r"\((\d+\.\d+)\)")
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


def anchor(number: str) -> str:
    """Anchor of equation ``number``: ``eq-2-3`` for ``2.3``."""
    return "eq-" + number.replace(".", "-")


class Equations(Domain):
    """Remembers which page shows which equation, and turns references into links."""

    name = "equation"
    label = "Equation"
    initial_data: ClassVar[dict[str, Any]] = {"pages": {}}
    data_version = 1

    @property
    def pages(self) -> dict[str, str]:
        """Equation number to the page that shows it."""
        return self.data["pages"]

    def note(self, number: str, node: nodes.Node) -> None:
        """Remember that the current page shows equation ``number``."""
        if number in self.pages:
            logger.warning("equation (%s) is already on page %s", number, self.pages[number], location=node)
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
            return make_refnode(builder, fromdocname, page, anchor(target), contnode, f"Equation ({target})")
        chapters = {number.partition(".")[0] for number in self.pages}
        if target.partition(".")[0] in chapters:
            logger.warning("there is no equation (%s)", target, location=node)
        return None

    def resolve_any_xref(self, *args: Any) -> list[Any]:
        return []


class NumberFormulas(Transform):
    r"""Give every displayed formula with a ``\tag`` its anchor, in the form MathJax takes tags in."""

    default_priority = 400

    def apply(self) -> None:
        domain = self.document.settings.env.get_domain("equation")
        for formula in self.document.findall(nodes.math_block):
            text = formula.astext()
            numbers = TAG.findall(text)
            for number in numbers:
                domain.note(number, formula)
                formula["ids"].append(anchor(number))
            if numbers:
                # Sphinx would wrap a formula of several lines in `split`, where MathJax refuses a tag.
                formula["nowrap"] = True
                formula.children = [nodes.Text(f"\\[{tag_outside(text, numbers)}\\]")]


def tag_outside(text: str, numbers: list[str]) -> str:
    """The formula with its one tag after all else; several tags stay, each on its line of ``align``."""
    if len(numbers) > 1:
        return text.strip()
    body = TAG.sub("", text).strip()
    if r"\\" in body and r"\begin{" not in body:
        body = rf"\begin{{aligned}}{body}\end{{aligned}}"
    return rf"{body} \tag{{{numbers[0]}}}"


class LinkReferences(Transform):
    """Turn every ``(C.n)`` in prose into a reference to equation C.n."""

    default_priority = 410

    def apply(self) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if REFERENCE.search(text) and not inside_special(text):
                text.parent.replace(text, list(self.pieces(text.astext())))

    def pieces(self, text: str) -> Any:
        end = 0
        for found in REFERENCE.finditer(text):
            yield nodes.Text(text[end : found.start()])
            reference = pending_xref(
                "", nodes.inline("", found[0]), refdomain="equation", reftype="ref", reftarget=found[1]
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the domain and both transforms."""
    app.add_domain(Equations)
    app.add_transform(NumberFormulas)
    app.add_transform(LinkReferences)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
