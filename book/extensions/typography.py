"""Punctuation stays with the formula before it: no line begins with a comma."""

from docutils import nodes
from docutils.transforms import Transform
from sphinx.application import Sphinx

CLOSING = ".,;:!?)’”"


class KeepPunctuation(Transform):
    """Tie an inline formula to the punctuation that follows it."""

    default_priority = 430

    def apply(self) -> None:
        for formula in list(self.document.findall(nodes.math)):
            after = formula.next_node(descend=False, siblings=True)
            if not isinstance(after, nodes.Text) or not after.startswith(tuple(CLOSING)):
                continue
            rest = after.lstrip(CLOSING)
            tied = nodes.inline("", "", classes=["tied"])
            # By its place: a text is found as the first that equals it, which may stand elsewhere.
            formula.parent[formula.parent.index(formula) + 1] = nodes.Text(rest)
            formula.replace_self(tied)
            tied += [formula, nodes.Text(after[: len(after) - len(rest)])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(KeepPunctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
