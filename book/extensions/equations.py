r"""Numbered equations: ``\tag{2.3}`` in a displayed formula is an anchor, ``(2.3)`` in prose a link to it.

A formula tagged ``\tag{C.n}`` gets the anchor ``eq-C-n`` on its page. In the prose of any page, ``(C.n)``
links to it; so does a tag in a view of source code, which ``seqlab.show`` writes. Two equations with one
number, and a reference to an equation missing from a chapter that numbers its equations, are warnings.
"""

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.transforms import Transform
from references import LinkReferences, Numbered
from sphinx.application import Sphinx

TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")


class Equations(Numbered):
    """Which page shows which equation."""

    name = "equation"
    label = "Equation"
    initial_data: ClassVar[dict[str, Any]] = {"pages": {}, "formulas": {}}
    data_version = 2

    @property
    def formulas(self) -> dict[str, str]:
        """Number to the formula that has it, in TeX and without numbers."""
        return self.data["formulas"]

    def shown(self) -> dict[str, str]:
        """The formulas of the numbers that pages show now."""
        return {number: self.formulas[number] for number in self.pages}

    def merge_domaindata(self, docnames: set[str], otherdata: dict[str, Any]) -> None:
        super().merge_domaindata(docnames, otherdata)
        self.formulas.update(otherdata["formulas"])

    @classmethod
    def spelled(cls, number: str) -> str:
        return f"({number})"

    @classmethod
    def anchor(cls, number: str) -> str:
        return "eq-" + number.replace(".", "-")


class NumberFormulas(Transform):
    r"""Give every displayed formula the form that MathJax takes, and one with a ``\tag`` its anchor."""

    default_priority = 400

    def apply(self) -> None:
        domain = self.document.settings.env.get_domain(Equations.name)
        for formula in self.document.findall(nodes.math_block):
            text = formula.astext()
            numbers = TAG.findall(text)
            for number in numbers:
                domain.note(number, formula)
                domain.formulas[number] = tag_outside(TAG.sub("", text), [])
                formula["ids"].append(Equations.anchor(number))
            formula.children = [nodes.Text(tag_outside(text, numbers))]


def tag_outside(text: str, numbers: list[str]) -> str:
    """The formula with its one tag after all else; several tags stay, each on its line of ``align``."""
    if len(numbers) > 1:
        return text.strip()
    body = TAG.sub("", text).strip()
    if r"\\" in body and r"\begin{" not in body:
        body = rf"\begin{{aligned}}{body}\end{{aligned}}"
    return body + "".join(rf" \tag{{{number}}}" for number in numbers)


class LinkEquations(LinkReferences):
    """``(2.3)`` in prose."""

    pattern = re.compile(r"\((\d+\.\d+)\)")
    domain = Equations


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the domain and both transforms."""
    app.add_domain(Equations)
    app.add_transform(NumberFormulas)
    app.add_transform(LinkEquations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
