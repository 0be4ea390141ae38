"""Readers have other releases than those locked: the oldest that are admitted, the newest, and what Colab has."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import releases

import seqlab.ops
from seqlab.ops.backends import has_triton

ROOT = Path(__file__).parent.parent
OPS = Path(seqlab.ops.__file__).parent
KERNELS = {file.relative_to(OPS).parts[0] for file in OPS.rglob("kernel.py")}
CHANGING = ("triton", "numpy", "scipy", "ipywidgets", "ipython")


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.skipif(not has_triton(), reason="Triton exists for Linux only")
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "briefly") for name in ("oldest", "newest") if name in releases.releases()),
        # The locked release, beside another NumPy, is in between.
        *(pytest.param(name, "thoroughly", marks=pytest.mark.thorough) for name in releases.releases()),
    ],
)
def test_kernels_explorers_and_training_work_with(name, how):
    folder = releases.FOLDER / name
    if not (folder / "packages.txt").exists():
        pytest.fail(f"{folder} is missing: run python scripts/releases.py, which make test does.")
    child = [sys.executable, str(ROOT / "tests" / "with_releases.py"), *CHANGING, how]
    path = os.pathsep.join(map(str, (folder, ROOT)))
    run = subprocess.run(child, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert run.returncode == 0, run.stderr[-3000:]
    ran = json.loads(run.stdout.splitlines()[-1])

    wanted = dict(each.split("==") for each in releases.releases()[name] if "==" in each)
    for package in CHANGING:
        assert ran["versions"][package].startswith(wanted.get(package, "")), package
    assert ran["over"] == []
    assert {kernel.split(".")[2] for kernel in ran["kernels"]} - {
        "device"
    } == KERNELS  # device: shared by ops
    for explorer, kinds in ran["shown"].items():
        assert {"application/vnd.jupyter.widget-view+json", "text/html"} <= set(kinds), explorer
    assert ran["trained"] == 0


def test_the_page_about_running_it_names_the_oldest_and_the_newest():
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", SETUP, re.M)
    tried = {name: {"python": p, "torch": t, "triton": tr, "numpy": n} for name, p, t, tr, n in rows}
    floors = releases.floors()
    assert all(version.startswith(floors.get(name, "")) for name, version in tried["oldest"].items())
    assert tried["newest"]["triton"] == releases.NEWEST_TRITON


SETUP = (ROOT / "book" / "setup.md").read_text("utf8")
