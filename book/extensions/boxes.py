"""Results in a box, and the scalar case beside them.

Notebooks stay plain: a paragraph that begins with **Result.**, with the formulas right below it, becomes a box,
and one that begins with **Scalar case.** a note in the margin's color. So do longer openings, such as
**Result: zero-order hold.**
"""

from docutils import nodes
from docutils.transforms import Transform
from references import begins_with
from sphinx.application import Sphinx

KINDS = {"Result": "result", "Scalar case": "scalar-case"}


class DrawBoxes(Transform):
    """Move what belongs to a box into a container of its own."""

    default_priority = 425

    def apply(self) -> None:
        for paragraph in list(self.document.findall(nodes.paragraph)):
            for words, kind in KINDS.items():
                if begins_with(paragraph, words):
                    enclose(paragraph, kind)


def enclose(paragraph: nodes.paragraph, kind: str) -> None:
    """Wrap the paragraph and the formulas right below it."""
    parent = paragraph.parent
    start = parent.index(paragraph)
    end = start + 1
    while end < len(parent) and isinstance(parent[end], nodes.math_block):
        end += 1
    box = nodes.container("", *parent.children[start:end], classes=[kind])
    parent.children[start:end] = [box]
    box.parent = parent


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(DrawBoxes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
