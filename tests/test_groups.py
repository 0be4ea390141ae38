"""How tests are shared among processes."""

import subprocess
import sys

TESTS = """
import os
from pathlib import Path
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_it_notes_its_process(number):
    with Path(__file__).with_name("processes.txt").open("a") as notes:
        notes.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_a_group_of_tests_stays_in_one_process(tmp_path):
    """Tests of a file share a page or a notebook, and what an earlier one did there; versions of pytest and its plugin
    that do not go together spread them without a word."""
    (tmp_path / "test_group.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "--rootdir",
        str(tmp_path),
    ]
    subprocess.run([*command, str(tmp_path)], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    processes = (tmp_path / "processes.txt").read_text().split()
    assert len(processes) == 6
    assert len(set(processes)) == 1
