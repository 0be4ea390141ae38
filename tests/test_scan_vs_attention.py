"""The scan against attention: both layers, both passes, at every length."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import seqlab


@pytest.fixture
def race(monkeypatch):
    monkeypatch.syspath_prepend(Path(seqlab.__file__).parent.parent)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return import_module("benchmarks.scan_vs_attention")


def test_the_record_has_what_was_raced(race, monkeypatch, tmp_path, capsys):
    def once(calls, device, budget):
        calls[0]()
        return 1.0

    for module in (race, import_module("benchmarks.attention_vs_recurrence")):
        monkeypatch.setattr(module, "queued_milliseconds", once)
    file = tmp_path / "scan_vs_attention_here.json"
    monkeypatch.setattr(sys, "argv", ["scan_vs_attention", "--quick", "--out", str(file)])
    race.main()
    record = json.loads(file.read_text())
    assert {name: record[name] for name in race.TINY} == race.TINY
    seen = [(row["length"], row["layer"], row["pass"]) for row in record["rows"]]
    passes = ("forward", "forward+backward")
    assert seen == [
        (length, layer, which)
        for length in (16, 32, 64)
        for layer in ("scan", "attention")
        for which in passes
    ]
    assert capsys.readouterr().out.count("\n") == len(seen)


def test_a_pass_gives_what_it_is_named_after(race):
    inputs = torch.randn(3), torch.randn(3)
    (first, forward), (second, both) = race.passes(lambda a, b: a * b, inputs)
    assert (first, second) == ("forward", "forward+backward")
    y = forward()
    assert torch.equal(y, inputs[0] * inputs[1])
    assert not y.requires_grad
    of_a, of_b = both()
    torch.testing.assert_close(
        of_a * inputs[0], of_b * inputs[1]
    )  # of a product: both are the gradient times it
