"""Peers in processes of their own: one failure costs no other measurement, and what was measured before it counts."""

import json
import subprocess
from pathlib import Path

import pytest

from seqlab.benchmark import Implementation, benchmark, plain_call, processes
from seqlab.benchmark.command import load_peers
from seqlab.benchmark.comparison import entrants
from seqlab.benchmark.implementation import PATIENCE
from seqlab.benchmark.processes import compare_isolated


@pytest.fixture
def isolated(monkeypatch, brief):
    """isolated(trouble) is the result where the process of each peer runs here, as far as ``trouble`` lets it."""
    peers = [
        Implementation(
            name, "linear_scan", lambda arguments: plain_call("linear_scan", brief.loop, arguments)
        )
        for name in ("good", "bad")
    ]

    def run(trouble, keep=lambda result: None):
        def in_a_process(command, **options):
            name, out = (command[command.index(option) + 1] for option in ("--only", "--out"))
            assert command[command.index("--peers") + 1] == "some.peers"
            assert command[command.index("--ops") + 1 : command.index("--out")] == ["linear_scan", "--quick"]
            rows = benchmark(["linear_scan"], quick=True, peers=peers, only=name)["rows"]
            if name == "good":
                Path(out).write_text(json.dumps({"rows": rows}))
                return subprocess.CompletedProcess(command, 0)
            Path(out).write_text(json.dumps({"rows": rows[:2]}))
            return trouble(command)

        monkeypatch.setattr(processes.subprocess, "run", in_a_process)
        everything = entrants(["linear_scan"], peers)
        return compare_isolated(everything, True, "some.peers", peers, keep)

    return run


def reasons(result, name):
    return [row["absent"] for row in result["rows"] if row["implementation"] == name]


def test_what_a_peer_measured_before_it_failed_counts(isolated):
    def fail(command):
        said = "warning\nRuntimeError: CUDA error: an illegal memory access\nhint"
        return subprocess.CompletedProcess(command, 1, stderr=said)

    result = isolated(fail)
    assert set(reasons(result, "good")) == {None}
    failed = "its process failed: RuntimeError: CUDA error: an illegal memory access"
    assert reasons(result, "bad") == [None, None] + [failed] * 6
    names = ["seqlab, portable", "python loop", "good", "bad"]
    assert [row["implementation"] for row in result["rows"]] == names * 8
    for row in result["rows"]:  # one floor holds for the rows of all processes
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_bytes"] / 1e10)


def test_a_peer_that_takes_too_long_is_left(isolated):
    def be_slow(command):
        raise subprocess.TimeoutExpired(command, PATIENCE)

    result = isolated(be_slow)
    late = f"its process was not done after {PATIENCE} s"
    assert reasons(result, "bad") == [None, None] + [late] * 6


def test_a_peer_that_compiles_for_long_has_the_time_and_comes_last(monkeypatch, brief):
    ran = []

    def in_a_process(command, timeout, **options):
        ran.append((command[command.index("--only") + 1], timeout))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(processes.subprocess, "run", in_a_process)
    peers = [
        Implementation(name, "linear_scan", lambda arguments: plain_call("linear_scan", brief.loop, arguments), *more)
        for name, *more in (("slow", 500), ("slow",), ("brisk",))
    ]  # fmt: skip
    compare_isolated(entrants(["linear_scan"], peers), True, "some.peers", peers, None)
    assert ran == [("brisk", PATIENCE), ("slow", 500)]


def test_an_interruption_loses_nothing(isolated):
    def interrupt(command):
        raise KeyboardInterrupt

    kept = []
    with pytest.raises(KeyboardInterrupt):
        isolated(interrupt, kept.append)
    assert reasons(kept[-1], "bad") == [None, None] + ["its process was interrupted"] * 6
    assert set(reasons(kept[-1], "good")) == {None}


CRASHES = """
import dataclasses, os
from seqlab.benchmark import Implementation, plain_call
from seqlab.catalogue import PAIRINGS, sizes

small = {"cpu": (sizes(2, 6, 3),)}  # in this process and in those of peers
PAIRINGS["linear_scan"] = dataclasses.replace(PAIRINGS["linear_scan"], workload_sizes=small)

def prepare(die):
    def forward(a, b):
        if die and b.is_complex():
            os.abort()
        return (a * b,)  # wrong, but soon done
    return lambda arguments: plain_call("linear_scan", forward, arguments)

PEERS = [Implementation("dies", "linear_scan", prepare(True)), Implementation("lives", "linear_scan", prepare(False))]
"""


@pytest.mark.slow
def test_a_peer_that_dies_takes_nobody_with_it(tmp_path, monkeypatch, brief):
    """In real processes: one of them is aborted in its third problem of four, the other measures all."""
    (tmp_path / "peers_that_crash.py").write_text(CRASHES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{processes.Path(processes.__file__).parents[2]}")
    peers = load_peers("peers_that_crash")
    result = compare_isolated(entrants(["linear_scan"], peers), True, "peers_that_crash", peers, None)
    assert [reason is None for reason in reasons(result, "dies")] == [True] * 4 + [False] * 4
    assert set(reasons(result, "lives")) == {None}
