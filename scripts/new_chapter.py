"""Write a chapter's skeleton and enter it wherever chapters are listed.

Run it as ``make new-chapter CHAPTER=6 NAME=state_spaces``. What is left to do is marked "To write:" in the
notebook, and a test names each place that still is.
"""

import re
import runpy
import sys
from pathlib import Path

import jupytext  # type: ignore[import-untyped]
import nbformat

ROOT = Path(__file__).parent.parent
SKELETON = Path(__file__).parent / "skeletons" / "chapter.md"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CARD = """::::{{grid-item-card}} {number}. {title}
:link: /notebooks/{stem}
:link-type: doc

To write: what the chapter shows, in two lines.
::::

"""
NOTATION = """## {title} (chapter {number})

| symbol | meaning | in code |
|---|---|---|
| $\\lambda$ | To write: a row for each symbol that is new here | `decay` |

"""


def skeleton(number: int, title: str, setup: str) -> str:
    """The notebook, as it is stored."""
    text = SKELETON.read_text("utf8").replace("CHAPTER", str(number)).replace("TITLE", title)
    notebook = jupytext.reads(text.replace("SETUP", setup), fmt="md:myst")
    notebook.metadata = nbformat.from_dict(METADATA)
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position}"
    return nbformat.writes(notebook) + "\n"


def after_last(pattern: str, text: str, line: str) -> str:
    """The text with a line behind the last one that the pattern matches."""
    *_, last = re.finditer(pattern, text, re.MULTILINE)
    return f"{text[: last.end()]}\n{line}{text[last.end() :]}"


def entries(root: Path, number: int, stem: str, title: str) -> dict[Path, str]:
    """Every list of chapters with the new one in its place: file and text."""

    def read(name: str) -> str:
        return (root / name).read_text("utf8")

    card = CARD.format(number=number, title=title, stem=stem)
    section = NOTATION.format(number=number, title=title)
    last_card, letters = "::::{grid-item-card} How fast is it?", "## One letter, several meanings"
    item = f"{number}. [{title}](notebooks/{stem}.ipynb): to write: what the chapter shows, in half a line."
    return {
        root / "seqlab/chapters.py": after_last(
            r"^    \d+: .*$", read("seqlab/chapters.py"), f'    {number}: "{stem}",'
        ),
        root / "_toc.yml": after_last(
            r"^      - file: notebooks/.*$", read("_toc.yml"), f"      - file: notebooks/{stem}"
        ),
        root / "README.md": after_last(r"^\d+\. \[.*$", read("README.md"), item),
        root / "book/index.md": read("book/index.md").replace(last_card, card + last_card),
        root / "book/notation.md": read("book/notation.md").replace(letters, section + letters),
    }


def add(root: Path, number: int, name: str) -> list[Path]:
    """Write the skeleton and the entries under ``root``; returns the files that changed.

    Raises:
        ValueError: the number is taken, or the name is not one that a file can have.
    """
    chapters = runpy.run_path(str(root / "seqlab/chapters.py"))["CHAPTERS"]
    if number in chapters or number < 1:
        raise ValueError(f"CHAPTER: expected a number that is free, got {number}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"NAME: expected small letters, digits and underscores, got {name!r}")
    stem, title = f"{number:02}_{name}", name.replace("_", " ").capitalize()
    setup = runpy.run_path(str(root / "seqlab/address.py"))["setup_cell"]()
    notebook = root / "notebooks" / f"{stem}.ipynb"
    files = {notebook: skeleton(number, title, setup), **entries(root, number, stem, title)}
    for path, text in files.items():
        path.write_text(text, "utf8")
    return list(files)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].isdecimal():
        sys.exit("expected a number and a name: make new-chapter CHAPTER=6 NAME=state_spaces")
    try:
        for path in add(ROOT, int(sys.argv[1]), sys.argv[2]):
            print(f"wrote {path.relative_to(ROOT)}")
    except ValueError as error:
        sys.exit(str(error))
