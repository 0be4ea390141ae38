"""One notation: the page of symbols knows the letters of every chapter, and a bar is never a conjugate."""

import re
from pathlib import Path

import nbformat
import pytest

from seqlab.chapters import CHAPTERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "notation.md").read_text("utf8")
EVERYWHERE = ("Sizes", "Sequences and states")
TABLE = re.compile(r"^\| symbol \| meaning \|.*\n\|[-|]+\n((?:\|.*\n?)+)", re.MULTILINE)
MATHEMATICS = re.compile(r"\$([^$]+)\$")
# What is written over, under or around a letter, and the names of functions.
AROUND = re.compile(
    r"\\(?:bar|hat|tilde|dot|mathcal|mathbb|lvert|rvert|left|right|odot|circ|cdot|top|max|min|log|arg)\b|[_^](?:\{[^{}]*\}|\\[A-Za-z]+|\S)"
)
LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
BARRED = re.compile(r"\\bar\s*\{?\s*\\lambda|\\overline|λ̄")
PROSE = [
    *(ROOT / "book").glob("*.md"),
    *(ROOT / "notebooks").glob("*.ipynb"),
    *(ROOT / "seqlab").rglob("*.py"),
]


def letters(cell):
    """The letters that a row of a table of symbols is about; of an equation, those on its left."""
    written = [AROUND.sub(" ", formula.partition("=")[0]) for formula in MATHEMATICS.findall(cell)]
    return {letter for formula in written for letter in LETTER.findall(formula)}


def first_cells(section):
    return [
        row.split("|")[1] for row in section.splitlines() if row.startswith("| $") or row.startswith("| \\$")
    ]


def known(number):
    """The letters that the page explains for a chapter."""
    found = set()
    for heading, section in re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL):
        if heading in EVERYWHERE or heading.endswith(f"(chapter {number})"):
            found |= {letter for cell in first_cells(section) for letter in letters(cell)}
        if heading == "One letter, several meanings":
            for row in section.splitlines():
                spans = re.findall(r"\b(\d+)(?: to (\d+))?", " ".join(re.findall(r"\([^)]*\)", row)))
                if any(int(first) <= number <= int(last or first) for first, last in spans):
                    found |= letters(row.split("|")[1])
    return found


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_page_explains_every_letter_of_a_chapters_table_of_symbols(number):
    notebook = nbformat.read(ROOT / "notebooks" / f"{CHAPTERS[number]}.ipynb", as_version=4)
    prose = "\n".join(cell.source + "\n" for cell in notebook.cells if cell.cell_type == "markdown")
    used = {
        letter for table in TABLE.findall(prose) for cell in first_cells(table) for letter in letters(cell)
    }
    missing = sorted(used - known(number))
    assert missing == [], f"book/notation.md says nothing of these letters of chapter {number}"


def test_a_bar_is_never_a_conjugate():
    barred = {str(path.relative_to(ROOT)): BARRED.findall(path.read_text("utf8")) for path in PROSE}
    assert {name: found for name, found in barred.items() if found} == {}
