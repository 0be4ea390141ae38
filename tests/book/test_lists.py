"""Whatever has to be entered somewhere is: chapters where the book lists them, ops where the package does."""

import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from check_pages import named_pages

import seqlab.catalogue
from seqlab import ops
from seqlab.catalogue import PAIRINGS, Pairing
from seqlab.chapters import CHAPTERS

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent.name for path in (ROOT / "seqlab" / "ops").glob("*/reference.py"))
CATALOGUE = sorted(path.stem for path in (ROOT / "seqlab" / "catalogue").glob("*.py"))
every_chapter = pytest.mark.parametrize("number", CHAPTERS)
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def text(name):
    return (ROOT / name).read_text("utf8")


def title(number):
    notebook = nbformat.read(ROOT / "notebooks" / f"{CHAPTERS[number]}.ipynb", as_version=4)
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


@every_chapter
def test_a_chapter_is_a_notebook(number):
    stem = CHAPTERS[number]
    assert stem.startswith(f"{number:02}_"), f"seqlab/chapters.py: chapter {number} is called {stem}"
    assert (ROOT / "notebooks" / f"{stem}.ipynb").is_file(), f"chapter {number}: no notebooks/{stem}.ipynb"


def test_chapters_are_in_the_table_of_contents_in_their_order():
    listed = [page.removeprefix("notebooks/") for page in named_pages() if page.startswith("notebooks/")]
    assert listed == [CHAPTERS[n] for n in sorted(CHAPTERS)], "_toc.yml and seqlab/chapters.py disagree"


@every_chapter
def test_the_readme_lists_a_chapter_by_its_title(number):
    line = re.search(
        rf"^{number}\. \[(.*)\]\(notebooks/{CHAPTERS[number]}\.ipynb\): \S", text("README.md"), re.M
    )
    assert line, f"README.md: chapter {number} has no line `{number}. [title](notebooks/...): what it shows.`"
    assert title(number).startswith(line[1]), f"README.md calls chapter {number} {line[1]}"


def test_the_pictures_of_the_readme_are_there_said_in_words_and_small():
    pictures = re.findall(r"!\[(.*)\]\((book/.*)\)", text("README.md"))
    assert pictures
    assert all(alt for alt, _ in pictures)
    sizes = {path: (ROOT / path).stat().st_size for _, path in pictures}
    assert {path: size for path, size in sizes.items() if size >= 150_000} == {}


@every_chapter
def test_the_landing_page_has_a_card_of_a_chapter(number):
    card = re.search(
        rf"grid-item-card\}} {number}\. (.*)\n:link: /notebooks/{CHAPTERS[number]}\n:link-type: doc\n\n\S",
        text("book/index.md"),
    )
    assert card, f"book/index.md: chapter {number} has no card that links to /notebooks/{CHAPTERS[number]}"
    assert title(number).startswith(card[1]), f"book/index.md calls chapter {number} {card[1]}"


@every_chapter
def test_the_notation_has_a_section_of_a_chapter(number):
    section = re.search(rf"^## .*\(chapter {number}\)\n(.*?)(^## |\Z)", text("book/notation.md"), re.M | re.S)
    assert section, f"book/notation.md: no heading ends in (chapter {number})"
    assert section[1].count("\n| ") > 1, f"book/notation.md: the table of chapter {number} has no row"


@pytest.mark.parametrize(
    "place",
    ["README.md", "book/index.md", "book/notation.md", *(f"notebooks/{c}.ipynb" for c in CHAPTERS.values())],
)
def test_nothing_of_the_skeleton_is_left(place):
    left = re.findall(r"to write: [^\n\"]{0,60}", text(place), re.IGNORECASE)
    assert not left, f"{place}: {'; '.join(left)}"


@every_folder
def test_an_op_is_in_the_catalogue(folder):
    paired = {pairing.reference.__module__.split(".")[-2] for pairing in PAIRINGS.values()}
    assert folder in paired, f"seqlab/ops/{folder} has no pairing in PAIRINGS of seqlab/catalogue/__init__.py"


@pytest.mark.parametrize("module", CATALOGUE)
def test_a_pairing_is_in_the_list_of_them(module):
    within = import_module(f"{seqlab.catalogue.__name__}.{module}")
    listed = list(PAIRINGS.values())
    missing = [n for n, thing in vars(within).items() if isinstance(thing, Pairing) and thing not in listed]
    assert missing == [], f"seqlab/catalogue/{module}.py: not in PAIRINGS of seqlab/catalogue/__init__.py"


@every_folder
def test_what_an_op_exports_is_exported_by_the_package(folder):
    own = import_module(f"seqlab.ops.{folder}")
    assert own.__all__, f"seqlab/ops/{folder}/__init__.py: __all__ is empty"
    missing = sorted(name for name in own.__all__ if getattr(ops, name, None) is not getattr(own, name))
    assert missing == [], f"seqlab/ops/__init__.py does not import them from seqlab.ops.{folder}"
    assert set(own.__all__) <= set(ops.__all__), "seqlab/ops/__init__.py: not in __all__"


@every_folder
def test_an_op_has_tests_of_its_own(folder):
    found = list((ROOT / "tests" / "ops" / folder).glob("test_*.py"))
    assert found, f"tests/ops/{folder}: no test_*.py"
