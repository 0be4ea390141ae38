"""Punctuation stays with its formula: no line begins with a comma, and none ends with an opening parenthesis."""

from docutils import nodes
from docutils.transforms import Transform
from sphinx.application import Sphinx

OPENING = "([“‘"
CLOSING = ".,;:!?)’”"


class KeepPunctuation(Transform):
    """Tie an inline formula to the punctuation right before and after it."""

    default_priority = 430

    def apply(self) -> None:
        for formula in list(self.document.findall(nodes.math)):
            parent, place = formula.parent, formula.parent.index(formula)
            before, after = parent[:place][-1:], parent[place + 1 :][:1]
            opened = trailing(before[0]) if before and isinstance(before[0], nodes.Text) else ""
            closed = leading(after[0]) if after and isinstance(after[0], nodes.Text) else ""
            if not opened and not closed:
                continue
            tied = nodes.inline("", "", classes=["tied"])
            # By its place: a text is found as the first that equals it, which may stand elsewhere.
            parent[place] = tied
            if opened:
                parent[place - 1] = nodes.Text(before[0][: -len(opened)])
                tied += nodes.Text(opened)
            tied += formula
            if closed:
                parent[place + 1] = nodes.Text(after[0][len(closed) :])
                tied += nodes.Text(closed)


def trailing(text: str) -> str:
    """The opening punctuation that ``text`` ends with."""
    return text[len(text.rstrip(OPENING)) :]


def leading(text: str) -> str:
    """The closing punctuation that ``text`` begins with."""
    return text[: len(text) - len(text.lstrip(CLOSING))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(KeepPunctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
