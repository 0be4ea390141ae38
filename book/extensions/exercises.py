"""What starts folded on the site: solutions, answers, proofs, what a package adds, and the code of the set-up cell.

Notebooks stay plain: a Markdown paragraph that begins with **Solution.**, **Answer.**, **Proof.** or **In the
package.** opens a fold of that name, which reaches to the next **Exercise** or the end of its section. A cell tagged
``setup`` shows its output and folds its code.
"""

from docutils import nodes
from docutils.transforms import Transform
from references import begins_with
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

FOLDED = ("Solution", "Answer", "Proof", "In the package")


class solution(nodes.container):
    """A ``<details>`` element that starts closed, with its attribute ``words`` as the summary."""


class FoldSolutions(Transform):
    """Move each solution, and whatever else starts folded, into a node of its own."""

    default_priority = 420

    def apply(self) -> None:
        for section in list(self.document.findall(nodes.section)):
            for child in list(section.children):
                for words in FOLDED:
                    if begins_with(child, words):
                        fold(section, child, words)


class FoldSetup(Transform):
    """Fold the code of the set-up cell, whose output is what a reader wants to see."""

    default_priority = 420

    def apply(self) -> None:
        for cell in self.document.findall(nodes.container):
            if "tag_setup" in cell["classes"]:
                cell["hide_mode"] = "input"
                cell["prompt_show"] = "Show the set-up code"
                cell["prompt_hide"] = "Hide the set-up code"


def fold(section: nodes.section, first: nodes.Node, words: str) -> None:
    """Wrap ``first`` and what follows it, up to the next exercise or section."""
    start = section.index(first)
    end = start + 1
    while end < len(section) and not ends_solution(section[end]):
        end += 1
    folded = solution("", *section.children[start:end], words=words)
    for cell in folded.findall(nodes.container):
        cell.attributes.pop("hide_mode", None)  # folded with the solution, not once more inside it
    section.children[start:end] = [folded]
    folded.parent = section
    leave_out(first, f"{words}.")


def leave_out(paragraph: nodes.Element, words: str) -> None:
    """Take these words away where the paragraph begins with them: the summary says them already."""
    bold, *rest = (child for child in paragraph if child.astext())
    if bold.astext() == words:
        paragraph.remove(bold)
        if rest and isinstance(rest[0], nodes.Text):
            paragraph.replace(rest[0], nodes.Text(rest[0].lstrip()))


def ends_solution(node: nodes.Node) -> bool:
    """Whether a solution stops before ``node``."""
    return isinstance(node, nodes.section) or begins_with(node, "Exercise", *FOLDED)


def open_details(self: HTML5Translator, node: solution) -> None:
    """Begin the element and say what it holds."""
    self.body.append(f'<details class="solution"><summary>{node["words"]}</summary>\n')


def close_details(self: HTML5Translator, node: solution) -> None:
    """End the element."""
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the node and both transforms."""
    app.add_node(solution, html=(open_details, close_details))
    app.add_transform(FoldSolutions)
    app.add_transform(FoldSetup)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
