"""One chapter built alone: whether it went well is said by the exit code, as it is of the whole book."""

import subprocess

import build_page
import pytest

PAGE = "notebooks/06_a_chapter"


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A builder that leaves what Jupyter Book leaves, with a report where ``built.raises`` says what a cell raised."""
    monkeypatch.setattr(build_page, "OUTPUT", tmp_path)

    def run(command, env):
        tree = tmp_path / "_build" / ".doctrees" / f"{PAGE}.doctree"
        if not tree.exists():  # else nothing has changed, and Sphinx reads nothing
            report = tmp_path / "_build" / "html" / "reports" / f"{PAGE}.err.log"
            for file in (tree, report, (tmp_path / "_build" / "html" / PAGE).with_suffix(".html")):
                file.parent.mkdir(parents=True, exist_ok=True)
                if file is not report:
                    file.write_text("the page")
            if run.raises:
                report.write_text(run.raises)
        return subprocess.CompletedProcess(command, 0)

    run.raises = ""
    monkeypatch.setattr(build_page.subprocess, "run", run)
    return run


def test_a_page_whose_cells_run_is_built_again_and_again(built, tmp_path):
    for _ in range(2):
        assert build_page.build(PAGE) == tmp_path / "_build" / "html" / f"{PAGE}.html"


def test_a_cell_that_raises_stops_the_build_until_it_does_not(built):
    built.raises = "ZeroDivisionError: division by zero"
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"(?s)ZeroDivisionError.*06_a_chapter: a cell raised"):
            build_page.build(PAGE)
    built.raises = ""
    build_page.build(PAGE)
