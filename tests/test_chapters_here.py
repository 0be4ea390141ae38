"""Running the chapters on one machine: what ran, how long it took, and where it stopped."""

import nbformat
import pytest

import seqlab.benchmark


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(*cells) executes a notebook with these cells."""
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.chapters import run_notebook

    def execute(*cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        path = tmp_path / "01_short.ipynb"
        nbformat.write(notebook, path)
        return run_notebook(path)

    return execute


def test_a_chapter_that_runs_to_its_end(run, monkeypatch):
    monkeypatch.setattr("benchmarks.chapters.SLOW", 0.5)
    outcome = run("import time", "time.sleep(0.6)  # wait", "")
    assert (outcome.chapter, outcome.cells, outcome.cells_run, outcome.failure) == ("01_short", 2, 2, None)
    assert list(outcome.slow) == ["time.sleep(0.6)  # wait"]
    assert 0.6 <= outcome.slow["time.sleep(0.6)  # wait"] < outcome.seconds


def test_a_chapter_that_fails_says_where(run):
    outcome = run("x = 1", "x / 0", "x = 2")
    assert (outcome.cells, outcome.cells_run) == (3, 2)
    assert "ZeroDivisionError" in outcome.failure


def test_a_cell_that_takes_too_long_is_a_failure(run, monkeypatch):
    monkeypatch.setattr("benchmarks.chapters.CELL_SECONDS", 2)
    outcome = run("import time; time.sleep(60)")
    assert "timed out" in outcome.failure
    assert outcome.seconds < 30
