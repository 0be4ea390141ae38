"""Host time: every workload of an op beside a product, with what it may cost."""

import json
import sys
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.catalogue import PAIRINGS


@pytest.fixture
def host_time(monkeypatch):
    """The script, which measures for a moment and compiles nothing."""
    monkeypatch.syspath_prepend(Path(seqlab.__file__).parent.parent)
    from benchmarks import host_time

    for name, value in {"ROUNDS": 1, "CALLS": 1, "WARM_UP": 1}.items():
        monkeypatch.setattr(host_time, name, value)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return host_time


def test_what_a_call_may_cost_grows_with_its_gradients(host_time):
    assert host_time.most("forward", 3) == 5
    assert [host_time.most("forward+backward", count) for count in (1, 2, 3, 4)] == [2.5, 2.5, 3, 3.5]


def test_tiny_is_tiny_for_every_op(host_time):
    for pairing in PAIRINGS.values():
        sizes = host_time.tiny(pairing)
        assert sizes.keys() == pairing.workload_sizes["cuda"][0].keys()
        assert max(sizes.values()) <= 64


@pytest.mark.parametrize("op", PAIRINGS)
def test_every_workload_has_a_row_for_each_pass(op, host_time):
    rows = list(host_time.rows(op, torch.device("cpu")))
    names = [workload.name for workload in PAIRINGS[op].workloads]
    assert [(row["variant"], row["pass"]) for row in rows] == [
        (name, pass_) for name in names for pass_ in ("forward", "forward+backward")
    ]
    for row in rows:
        assert row["times_product"] == pytest.approx(row["microseconds"] / row["product_microseconds"])
        assert row["gradients"] >= 1
        assert (row["compiled_microseconds"] is not None) == (row["variant"] == names[0])
        assert "times a * b" in host_time.said(row)


def test_the_record_is_written(host_time, monkeypatch, tmp_path, capsys):
    file = tmp_path / "host_time.json"
    monkeypatch.setattr(sys, "argv", ["host_time", "--ops", "linear_scan", "--out", str(file)])
    host_time.main()
    rows = json.loads(file.read_text())["host_times"]
    assert (
        len(rows) == 2 * len(PAIRINGS["linear_scan"].workloads) == len(capsys.readouterr().out.splitlines())
    )
