"""A new chapter starts as a notebook that runs, entered wherever chapters are listed."""

import shutil
from pathlib import Path

import nbformat
import new_chapter
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
READ = (
    "README.md",
    "_toc.yml",
    "book/index.md",
    "book/notation.md",
    "seqlab/chapters.py",
    "seqlab/address.py",
)


@pytest.fixture
def copy(tmp_path):
    """The files that a chapter is entered into."""
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_skeleton_runs(copy, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook, *_ = new_chapter.add(copy, 97, "moving_average")
    chapter = nbformat.read(notebook, as_version=4)
    nbformat.validate(chapter)
    assert chapter.cells[0].source.startswith("# Moving average\n")
    NotebookClient(chapter, timeout=120).execute()
    printed = [
        output.text for cell in chapter.cells for output in cell.get("outputs", []) if "text" in output
    ]
    assert any("the op against (97.1): " in text for text in printed)


@pytest.mark.parametrize("name", READ[:-1])
def test_a_chapter_is_entered_in_every_list_and_nothing_else_changes(copy, name):
    new_chapter.add(copy, 97, "moving_average")
    before, after = ((root / name).read_text("utf8") for root in (ROOT, copy))
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert any("97_moving_average" in line or "(chapter 97)" in line for line in added)
    left = iter(after.splitlines())
    assert all(line in left for line in before.splitlines()), "a line of before is gone, or has moved"


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        (2, "again", "CHAPTER: expected a number that is free, got 2"),
        (0, "zero", "CHAPTER: expected a number that is free, got 0"),
        (97, "Moving average", "NAME: expected small letters, digits and underscores, got 'Moving average'"),
    ],
)
def test_a_number_or_name_that_cannot_be_is_refused(copy, number, name, message):
    with pytest.raises(ValueError, match=message):
        new_chapter.add(copy, number, name)
    assert not list((copy / "notebooks").iterdir())
