"""Numbered figures: ``Figure 2.3`` in prose, on any page, is a link to the figure of that number.

A figure is numbered by ``seqlab.figures.display(figure, label="2.3", ...)``; one that is no output of that
function, such as an explorer or a drawing in text, by a paragraph below it that begins with ``**Figure 2.3.**``
and is its caption. Two figures with one number, and a reference to one that a chapter lacks, are warnings.
"""

import re

from docutils import nodes
from docutils.transforms import Transform
from references import LinkReferences, Numbered, begins_with
from sphinx.application import Sphinx

SHOWN = re.compile(r'<figure id="figure-(\d+)-(\d+)"')
CAPTION = re.compile(r"Figure (\d+\.\d+)\.")


class Figures(Numbered):
    """Which page shows which figure."""

    name = "figure"
    label = "Figure"

    @classmethod
    def spelled(cls, number: str) -> str:
        return number

    @classmethod
    def anchor(cls, number: str) -> str:
        return "figure-" + number.replace(".", "-")


class NumberFigures(Transform):
    """Find the figures in outputs, and give captions in prose their anchors."""

    default_priority = 400

    def apply(self) -> None:
        domain = self.document.settings.env.get_domain(Figures.name)
        for output in self.document.findall(nodes.raw):
            for shown in SHOWN.finditer(output.astext()):
                domain.note(f"{shown[1]}.{shown[2]}", output)
        for paragraph in self.document.findall(nodes.paragraph):
            begins = CAPTION.match(paragraph.astext())
            if begins and begins_with(paragraph, begins[0]):
                domain.note(begins[1], paragraph)
                paragraph["ids"].append(Figures.anchor(begins[1]))
                paragraph["classes"].append("figure-caption")


class LinkFigures(LinkReferences):
    """``Figure 2.3`` in prose, but for the words that open a caption."""

    pattern = re.compile(r"Figure (\d+\.\d+)")
    domain = Figures

    def is_prose(self, text: nodes.Node) -> bool:
        opens_caption = isinstance(text.parent, nodes.strong) and CAPTION.fullmatch(text.astext())
        return super().is_prose(text) and not opens_caption


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the domain and both transforms."""
    app.add_domain(Figures)
    app.add_transform(NumberFigures)
    app.add_transform(LinkFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
