"""The rungs of a chapter's kernel: all of them compute the same, and the record says how long each took."""

import json
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter

import pytest
import torch

import seqlab
from seqlab.benchmark import rungs, tabulate

ROOT = Path(seqlab.__file__).parent.parent


def once(calls, device):
    """The time of one call, as interpreted kernels are slow; tests/benchmark has tests of the clock."""
    start = perf_counter()
    calls[0]()
    return 1e3 * (perf_counter() - start)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lstm_gates_rungs", 2),
        ("linear_scan_rungs", 6),
        ("hippo_rungs", 4),
        ("discretize_rungs", 4),
        ("ssm_kernel_rungs", 4),
        ("wkv_rungs", 4),
        ("mlstm_rungs", 4),
        ("h3_rungs", 3),
        ("selective_scan_rungs", 3),
    ],
)
def test_every_rung_is_held_to_the_truth_and_timed(name, count, monkeypatch, tmp_path, capsys):
    pytest.importorskip("triton", reason="Triton exists for Linux only")
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / f"{name}_here.json"
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--out", str(file)])
    module = import_module(f"benchmarks.{name}")
    for each in (module, import_module("benchmarks.timed_rungs")):
        monkeypatch.setattr(each, "queued_milliseconds", once, raising=False)
        monkeypatch.setattr(each, "copy_bandwidth", lambda device: 1e10, raising=False)
    module.main()
    record = json.loads(file.read_text())
    assert len(record["rungs"]) == count
    assert all(rung["milliseconds"] > 0 for rung in record["rungs"])
    assert capsys.readouterr().out.count("\n") == count
    (table,) = tabulate(name, rungs, tmp_path).tables
    assert [line[0] for line in table.lines] == [rung["name"] for rung in record["rungs"]]
