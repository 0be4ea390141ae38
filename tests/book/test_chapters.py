"""The chapters as they are stored: plain notebooks, one shape, their equations and code in step."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from seqlab import address
from seqlab.catalogue import PAIRINGS
from seqlab.chapters import CHAPTERS

ROOT = Path(__file__).parents[2]
EQUATION = re.compile(r"\\tag\{(\d+)\.(\d+)\}")
CODE_TAG = re.compile(r"\beq\. (\d+\.\d+)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(")
LONGEST_CELL = 40
LABEL = re.compile(r'\blabel="(\d+\.\d+)"')
CAPTION = re.compile(r"^\*\*Figure (\d+\.\d+)\.\*\*", re.MULTILINE)
FIGURE = re.compile(r"(?<!\*\*)Figure (\d+\.\d+)")
# Code that only plots or reads records.
BEHIND = re.compile(r"\bfigures\.(style|display)\(|\bplt\.|\brecorded\(|\bread_records?\(")

# The sections that every chapter has, in this order, others between them, and what each of these holds.
PATH = {
    "The question": ["**Try this.**", "**Figure "],
    "Derivation": ["**Result", "**Scalar case.**", "| symbol | meaning |"],
    "As (NumPy|code)": ["seqlab.show"],
    "As a kernel": ["# first-kernel", "**In the package.**"],
    "Do they agree\\?": ["assert", "**Answer.**"],
    "Explore": ["* "],
    "Train it live": ["figures.display("],
    "What the papers? reports?, what we measured": [],
    "Exercises": ["**Exercise "],
    "Further reading": ["* ["],
}
GLANCE = ["| The question |", "| You need |", "| Time |", "| Afterwards |"]
SOMEWHERE = ["seqlab.show_tabs(", "Explorer("]

# Equations that the package implements. A line here goes when its equation goes, and not before.
IMPLEMENTED = {
    *("1.1", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"),
    *("2.1", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9"),
    *("2.11", "2.12", "2.13", "2.14", "2.15", "2.16", "2.17", "2.18"),
    *("3.1", "3.2", "3.3", "3.4", "3.5", "3.7", "3.8", "3.9", "3.10"),
    *("4.2", "4.5", "4.6", "4.7", "4.8", "4.9", "4.10", "4.11", "4.12", "4.13", "4.14", "4.15", "4.18"),
    *("4.19", "4.20", "4.21", "4.22", "4.23"),
    *("5.4", "5.5", "5.6", "5.7", "5.8", "5.9", "5.10", "5.11", "5.12", "5.13", "5.14"),
    *("6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "6.8", "6.11", "6.12", "6.13", "6.14", "6.15", "6.16"),
    "6.17",
    *("7.1", "7.2", "7.3", "7.4", "7.7", "7.8", "7.9", "7.10", "7.11", "7.12", "7.14", "7.16", "7.17"),
    *(
        "8.2",
        "8.4",
        "8.5",
        "8.6",
        "8.8",
        "8.9",
        "8.10",
        "8.11",
        "8.12",
        "8.13",
        "8.14",
        "8.15",
        "8.16",
        "8.17",
        "8.18",
    ),
    *("8.19", "8.20"),
    *("9.2", "9.3", "9.4", "9.6", "9.8", "9.9", "9.11", "9.12"),
}


@pytest.fixture(params=CHAPTERS, ids=CHAPTERS.get)
def chapter(request):
    """A chapter's number and notebook."""
    path = ROOT / "notebooks" / f"{CHAPTERS[request.param]}.ipynb"
    return request.param, nbformat.read(path, as_version=4)


def notebooks():
    return {path: nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def equations(notebook):
    """Numbers of the displayed equations, in the order in which they are displayed."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [(int(chapter), int(number)) for chapter, number in EQUATION.findall(prose)]


def all_equations():
    return {f"{c}.{n}" for notebook in notebooks().values() for c, n in equations(notebook)}


def tags(folder):
    """Every equation tag in the package below ``folder``, with the file that has it."""
    files = sorted((ROOT / "seqlab" / folder).rglob("*.py"))
    return [(tag, path.name) for path in files for tag in CODE_TAG.findall(path.read_text("utf8"))]


def test_every_notebook_is_a_chapter():
    assert [path.stem for path in notebooks()] == sorted(CHAPTERS.values())


def test_stored_plainly(chapter):
    _, notebook = chapter
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    assert all(
        not cell.outputs and cell.execution_count is None for cell in notebook.cells if "outputs" in cell
    )


def test_opens_with_its_title_and_the_setup_cell(chapter):
    _, notebook = chapter
    title, setup = notebook.cells[:2]
    assert title.cell_type == "markdown"
    assert title.source.startswith("# ")
    assert setup.cell_type == "code"
    assert setup.source == address.setup_cell()
    assert "setup" in setup.metadata.tags


def test_minutes_on_a_gpu_are_recorded(chapter):
    number, notebook = chapter
    minutes = re.search(r"^\| Time \| (.*) \|$", notebook.cells[0].source, re.MULTILINE)[1]
    records = [json.loads(file.read_text()) for file in (ROOT / "benchmarks/results").glob("chapters_*.json")]
    recorded = {
        (run["chapter"], record["device"].split()[1]) for record in records for run in record["chapters"]
    }
    named = re.findall(r"an (H\d+)", minutes)
    assert {(CHAPTERS[number], device) for device in named} <= recorded


def sections(notebook):
    """Everything below each heading of the second level, tags in front of their cells, by the heading, in order."""
    found, heading = {}, "At a glance"
    for cell in notebook.cells:
        text = "\n".join([*(f"# {tag}" for tag in cell.metadata.get("tags", [])), cell.source])
        pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE) if cell.cell_type == "markdown" else [text]
        found.setdefault(heading, []).append(pieces[0])
        for heading, piece in zip(pieces[1::2], pieces[2::2], strict=True):
            found[heading] = [piece]
    return {heading: "\n".join(pieces) for heading, pieces in found.items()}


def test_takes_the_path_of_every_chapter(chapter):
    number, notebook = chapter
    found = sections(notebook)
    headings = iter(found)
    for expected, parts in PATH.items():
        here = next((heading for heading in headings if re.fullmatch(expected, heading)), None)
        assert here, f"chapter {number}: no section {expected!r}, or not in its place"
        missing = [part for part in parts if part not in found[here]]
        assert not missing, f"chapter {number}: its section {here!r} lacks {missing}"
    missing = [row for row in GLANCE if row not in found["At a glance"]]
    assert not missing, f"chapter {number}: At a glance lacks {missing}"
    whole = "\n".join(found.values())
    missing = [part for part in SOMEWHERE if part not in whole]
    assert not missing, f"chapter {number} lacks {missing}"


def test_no_cell_of_code_is_long(chapter):
    _, notebook = chapter
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert [source[:60] for source in code if len(source.splitlines()) > LONGEST_CELL] == []


def test_equations_count_up(chapter):
    number, notebook = chapter
    found = equations(notebook)
    assert found
    assert {c for c, _ in found} == {number}
    assert [n for _, n in found] == sorted({n for _, n in found})


def test_code_names_existing_equations():
    known = all_equations()
    in_package = [(tag, place) for tag, place in tags(".") if tag not in known]
    in_chapters = [
        (tag, path.name)
        for path, notebook in notebooks().items()
        for cell in notebook.cells
        if cell.cell_type == "code"
        for tag in CODE_TAG.findall(cell.source)
        if tag not in known
    ]
    assert in_package + in_chapters == []


def test_implemented_equations_still_have_code():
    assert {tag for tag, _ in tags(".")} >= IMPLEMENTED


@pytest.mark.parametrize("name", PAIRINGS)
def test_references_name_equations_of_their_chapter(name):
    folder = PAIRINGS[name].reference.__module__.split(".")[-2]
    own = [tag for tag, place in tags(f"ops/{folder}") if place == "reference.py"]
    assert any(tag.startswith(f"{PAIRINGS[name].chapter}.") for tag in own)


def test_pictures_in_prose_are_described(chapter):
    _, notebook = chapter
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [source[:80] for source in prose for alt in PICTURE.findall(source) if not alt.strip()] == []


def test_every_figure_has_a_number_and_a_sentence_that_refers_to_it(chapter):
    number, notebook = chapter
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    captions = CAPTION.findall(prose)
    labels = LABEL.findall(code)
    unlabelled = code.count("figures.display(") - len(labels)
    assert unlabelled == 0, f"chapter {number}: {unlabelled} figures have no label="
    found = sorted([*labels, *captions], key=lambda label: int(label.partition(".")[2]))
    assert found == [f"{number}.{n}" for n in range(1, len(found) + 1)], "figures count up from 1"
    referred = FIGURE.findall(prose)
    assert [label for label in found if label not in referred] == [], "no sentence refers to these"


def test_figures_that_are_referred_to_exist():
    cells = [cell for notebook in notebooks().values() for cell in notebook.cells]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert set(FIGURE.findall(prose)) - {*LABEL.findall(code), *CAPTION.findall(prose)} == set()


def test_code_that_only_plots_or_reads_records_is_folded(chapter):
    number, notebook = chapter
    folded = {"hide-input", "hide-cell"}
    unfolded = [
        cell.source[:60]
        for cell in notebook.cells
        if cell.cell_type == "code"
        and BEHIND.search(cell.source)
        and not folded & set(cell.metadata.get("tags", []))
    ]
    assert unfolded == [], f"chapter {number}: these cells lack the tag hide-input"


def test_exercises_have_solutions_that_run(chapter):
    _, notebook = chapter
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    exercises = prose.count("**Exercise")
    assert exercises > 0
    assert prose.count("**Solution") == exercises
    assert any("hide-cell" in cell.metadata.get("tags", []) for cell in notebook.cells)
