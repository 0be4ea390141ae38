"""What an explorer needs and could be forgotten: each step of "How to add an explorer" in CONTRIBUTING.md."""

import re
from pathlib import Path

import pytest
import test_controls
import test_every_page
import test_jupyterlab
from hands import CLASSES, EXPLORERS

from seqlab.explorers.explorer import Explorer
from seqlab.explorers.single_file import FOLDER

TESTS = Path(__file__).parent
MODULES = sorted(FOLDER.rglob("*.mjs"))
MOST_LINES = 500
TABLES = {
    "OPENED in test_controls.py, with what a chapter might open it at": test_controls.OPENED,
    "KEYBOARD in test_every_page.py, with the names of its controls in their order": test_every_page.KEYBOARD,
    "LARGEST in test_every_page.py, with what makes it wide": test_every_page.LARGEST,
    "CELLS in test_jupyterlab.py, with a notebook": test_jupyterlab.CELLS,
    "POINTS in test_jupyterlab.py, with how many points its notebook shows": test_jupyterlab.POINTS,
}
every_explorer = pytest.mark.parametrize("name", EXPLORERS)


@every_explorer
def test_an_explorer_has_a_class_for_notebooks(name):
    assert (FOLDER / name / "__init__.py").is_file(), (
        f"seqlab/explorers/{name}: no __init__.py with its class"
    )
    assert name in CLASSES, f"seqlab/explorers/__init__.py: no class whose name is {name!r} in __all__"
    own = CLASSES[name].__dict__
    for what in ("name", "heights", "_esm", "parameters", "still", "__doc__"):
        assert own.get(what), f"seqlab/explorers/{name}/__init__.py: the class has no {what} of its own"
    assert issubclass(CLASSES[name], Explorer)


def test_a_class_has_a_module_for_pages():
    missing = sorted(set(CLASSES) - set(EXPLORERS))
    assert missing == [], "seqlab/explorers/<name>/explorer.mjs: none for them"


@every_explorer
def test_heights_begin_at_the_narrowest(name):
    assert 0 in CLASSES[name].heights, f"{name}: heights expected an entry for width 0"
    assert sorted(CLASSES[name].heights) == list(CLASSES[name].heights), (
        f"{name}: heights are not in order of width"
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_module_is_short(path):
    lines = path.read_text("utf8").count("\n")
    assert lines <= MOST_LINES, f"{path.relative_to(FOLDER)} has {lines} lines: it holds more than one idea"


@every_explorer
def test_mathematics_are_apart_from_drawing(name):
    path = FOLDER / name / "mathematics.mjs"
    assert path.is_file(), f"seqlab/explorers/{name}: no mathematics.mjs, whose functions tests hold to NumPy"
    drawing = re.findall(
        r"\b(?:document|window|canvas|svg|panel)\b", re.sub(r"//.*", "", path.read_text("utf8"))
    )
    assert drawing == [], f"seqlab/explorers/{name}/mathematics.mjs draws: it names {drawing[0]}"


@every_explorer
def test_golden_vectors_hold_what_the_mathematics_export(name):
    golden = TESTS / f"test_{name}_golden.py"
    assert golden.is_file(), f"tests/explorers: no test_{name}_golden.py that holds its mathematics to NumPy"
    source = (FOLDER / name / "mathematics.mjs").read_text("utf8")
    exported = re.findall(r"^export (?:const|function) (\w+)", source, re.M)
    called = golden.read_text("utf8")
    within = {
        each for each in exported if len(re.findall(rf"\b{each}\b", source)) > 1
    }  # held by what calls it
    unheld = [each for each in exported if f'"{each}"' not in called and each not in within]
    assert unheld == [], f"tests/explorers/test_{name}_golden.py calls no {', '.join(unheld)}"


@every_explorer
@pytest.mark.parametrize("kind", ["page", "widget"])
def test_an_explorer_has_tests_of_its_own(name, kind):
    assert (TESTS / f"test_{name}_{kind}.py").is_file(), f"tests/explorers: no test_{name}_{kind}.py"


@every_explorer
@pytest.mark.parametrize("table", TABLES)
def test_the_tests_over_all_explorers_know_it(name, table):
    assert name in TABLES[table], f"tests/explorers: {name} has no entry in {table}"
