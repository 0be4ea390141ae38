"""The HiPPO projection beside NumPy: both compute the same, and the record says what was timed."""

import json
import sys
from pathlib import Path

import pytest
import torch

import seqlab


@pytest.fixture
def against(monkeypatch):
    """The module, which lies beside the package and is not installed with it, on the CPU wherever this runs."""
    monkeypatch.syspath_prepend(Path(seqlab.__file__).parent.parent)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from benchmarks import hippo_against_numpy

    return hippo_against_numpy


def test_the_record_says_what_was_timed(against, monkeypatch, tmp_path, capsys):
    file = tmp_path / "result.json"
    monkeypatch.setattr(sys, "argv", ["hippo_against_numpy", "--quick", "--out", str(file)])
    against.main()
    record = json.loads(file.read_text())
    assert {"device", "date", "numpy", "processor", "cores"} <= set(record)
    assert capsys.readouterr().out.count("\n") == len(record["projections"]) == len(against.QUICK)
    for asked, found in zip(against.QUICK, record["projections"], strict=True):
        assert set(found) == {
            "measure", "shape", "coefficients", "reference_length", "reference_seconds",
            "reference_seconds_for_all", "first_call_seconds", "later_call_seconds",
            "relative_error_to_reference", "relative_error_to_float64",
        }  # fmt: skip
        assert found["shape"]["length"] == asked.length
        assert found["reference_length"] == asked.reference_length
        ratio = asked.length / asked.reference_length
        assert found["reference_seconds_for_all"] == pytest.approx(ratio * found["reference_seconds"])
        assert 0 < found["relative_error_to_reference"] < 1e-5
        assert 0 < found["relative_error_to_float64"] < 1e-5


def test_a_wrong_result_shows_in_the_errors(against, monkeypatch):
    right = against.ops.hippo_project

    def wrong(f, **options):
        c, state = right(f, **options)
        return (1.5 * c if f.dtype == torch.float32 else c), state

    monkeypatch.setattr(against.ops, "hippo_project", wrong)
    found = against.compare(against.QUICK[1], torch.device("cpu"))
    assert found["relative_error_to_reference"] == pytest.approx(0.5, rel=1e-3)
    assert found["relative_error_to_float64"] == pytest.approx(0.5, rel=1e-3)
