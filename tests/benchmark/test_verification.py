"""The record of verification: every comparison in the order of the catalogue, whichever process ends first."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import seqlab
from seqlab.catalogue import PAIRINGS
from seqlab.verify import comparisons

OPS = ["shift_ssm", "decayed_logsumexp"]


@pytest.fixture
def verification(monkeypatch):
    """The module, which lies beside the package and is not installed with it, on ordinary inputs in a thread."""
    monkeypatch.syspath_prepend(Path(seqlab.__file__).parent.parent)
    from benchmarks import verification

    monkeypatch.setattr(verification, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(verification, "comparisons", partial(comparisons, quick=True))
    monkeypatch.setenv(
        "OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1")
    )  # put back when the test ends
    return verification


def test_every_comparison_is_recorded_in_its_order(verification, monkeypatch, tmp_path, capsys):
    out = tmp_path / "record.json"
    words = ["--backends", "portable", "--ops", *OPS, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["verification", *words])
    assert verification.main() == 0
    record = json.loads(out.read_text())
    assert record["left"] == 0
    assert all(row["passed"] for row in record["comparisons"])
    wanted = [
        (each.op, each.backend or "(truth)", PAIRINGS[each.op].samples[each.sample].name)
        for each in comparisons(OPS, ["portable"], quick=True)
    ]
    assert [(row["op"], row["backend"], row["sample"]) for row in record["comparisons"]] == wanted
    assert f"{len(wanted)} of {len(wanted)} comparisons are within their bounds" in capsys.readouterr().out
