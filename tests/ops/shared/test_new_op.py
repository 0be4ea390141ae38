"""A new op starts as a whole one: exported, in the catalogue, with tests that pass."""

import shutil
import subprocess
import sys
from pathlib import Path

import new_op
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copy(tmp_path):
    """As much of the project as an op consists of."""
    for name in ("seqlab", "tests/ops", "tests/conftest.py", "pyproject.toml", "scripts"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.mark.slow
def test_a_new_op_passes_its_tests(copy):
    new_op.add(copy, "my_scan")
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ops/my_scan")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


def test_a_new_op_is_exported_and_in_the_catalogue(copy):
    new_op.add(copy, "my_scan")
    code = (
        "from seqlab import ops\n"
        "from seqlab.catalogue import PAIRINGS\n"
        "assert PAIRINGS['my_scan'].op is ops.my_scan\n"
        "assert PAIRINGS['my_scan'].step is ops.my_scan_step\n"
        "assert {'my_scan', 'my_scan_step'} <= set(ops.__all__)\n"
        "import torch; torch.ops.seqlab.my_scan"
    )
    done = run(copy, "-c", code)
    assert done.returncode == 0, done.stderr


def run(place, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=place, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linear_scan", "NAME: expected one that is free, but there is seqlab/ops/linear_scan"),
        ("My scan", "NAME: expected small letters, digits and underscores, got 'My scan'"),
        ("lambda", "NAME: expected small letters, digits and underscores, got 'lambda'"),
        ("", "NAME: expected small letters, digits and underscores, got ''"),
    ],
)
def test_a_name_that_cannot_be_is_refused(copy, name, message):
    before = sorted(copy.rglob("*"))
    with pytest.raises(ValueError, match=message):
        new_op.add(copy, name)
    assert sorted(copy.rglob("*")) == before
