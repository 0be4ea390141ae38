"""Write what a reader starts an exercise from, the stub, out of its solution: run it as ``make stubs``.

A solution is a cell of code that ends in ``seqlab.check("5.8", ...)``. The lines that the reader writes stand
between ``# BEGIN SOLUTION: what to write`` and ``# END SOLUTION``; the stub is the same cell without them.
"""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"^( *)# BEGIN SOLUTION(.*)\n(?:.*\n)*?\1# END SOLUTION$", re.MULTILINE)
CHECK = re.compile(r'^seqlab\.check\("(\d+\.\d+)", ', re.MULTILINE)


def stub(solution: str) -> str:
    """The cell with ``NotImplementedError`` raised in the place of the lines between the marks.

    Raises:
        ValueError: a mark without its other one.
    """
    text = MARKED.sub(r"\1# YOUR CODE HERE\2\n\1raise NotImplementedError", solution)
    if text == solution or "SOLUTION" in text:
        raise ValueError("solution: expected # BEGIN SOLUTION and # END SOLUTION in turn, equally indented")
    return text


def number_of(cell: nbformat.NotebookNode) -> str:
    """The number of the exercise that a cell checks; raises ``ValueError`` where it checks none or two."""
    found = CHECK.findall(cell.source)
    if len(found) != 1:
        raise ValueError(f'solution: expected one line seqlab.check("...", ...), got {len(found)}')
    return found[0]


def solutions(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """The cells with a solution, by the number of the exercise."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {number_of(cell): cell for cell in code if "# BEGIN SOLUTION" in cell.source}


def write_stubs(notebook: nbformat.NotebookNode) -> None:
    """Put the stub of each solution in front of the paragraph that opens the solution."""
    notebook.cells = [cell for cell in notebook.cells if "stub" not in cell.metadata.get("tags", [])]
    for number, solution in solutions(notebook).items():
        cell = nbformat.v4.new_code_cell(stub(solution.source), metadata={"tags": ["stub"]})
        cell.id = f"stub-{number.replace('.', '-')}"
        before = notebook.cells[: notebook.cells.index(solution)]
        place = max(at for at, each in enumerate(before) if each.source.startswith("**Solution."))
        notebook.cells.insert(place, cell)


if __name__ == "__main__":
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        write_stubs(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", "utf8")
