"""The benchmark: measurements of the right thing, absences with their reasons, JSON with its provenance."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab import benchmark as benchmarking
from seqlab.__main__ import main
from seqlab.benchmark import (
    Absent,
    Implementation,
    _call,
    arithmetic_rate,
    benchmark,
    milliseconds,
    table,
)
from seqlab.catalogue import PAIRINGS, sizes

ROOT = Path(seqlab.__file__).parent.parent
PAIRING = PAIRINGS["linear_scan"]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def quick_and_small(monkeypatch):
    """Time briefly, at a small size, on the CPU wherever this runs, with the peers' adapters importable."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(benchmarking, "copy_bandwidth", lambda device: 1e10)
    monkeypatch.setattr(benchmarking, "arithmetic_rate", lambda device: 1e11)
    monkeypatch.setattr(
        benchmarking, "milliseconds", lambda calls, device: milliseconds(calls, device, budget=0.001)
    )
    small = dataclasses.replace(PAIRING, workload_sizes={"cpu": (sizes(2, 6, 3), sizes(1, 4, 2))})
    monkeypatch.setattr(benchmarking, "PAIRINGS", {"linear_scan": small})


def peers(monkeypatch, *implementations):
    monkeypatch.setattr("benchmarks.peers.PEERS", list(implementations))


def test_rows_follow_the_schema_and_cover_everything():
    result = benchmark()
    assert set(result) == {
        "device", "driver", "torch", "triton", "python", "commit", "date",
        "copy_bandwidth_bytes_per_s", "arithmetic_rate_operations_per_s", "rows",
    }  # fmt: skip
    assert json.loads(json.dumps(result)) == result
    for row in result["rows"]:
        assert set(row) == {
            "op", "variant", "shape", "dtype", "pass", "implementation", "milliseconds", "absent",
            "fewest_bytes", "fewest_operations", "floor_milliseconds", "floor",
            "peak_memory_bytes", "relative_error",
        }  # fmt: skip
        assert (row["absent"] is None) == (row["milliseconds"] is not None)
    measured = [row for row in result["rows"] if row["absent"] is None]
    assert {row["implementation"] for row in measured} == {"seqlab, portable", "python loop"}
    seen = {(row["variant"], row["dtype"], row["pass"], row["shape"]["length"]) for row in measured}
    kinds = [("real", d) for d in ("float32", "bfloat16")] + [("complex", "complex64")]
    assert seen == {
        (f"{kind} {change}", dtype, pass_, length)
        for kind, dtype in kinds
        for change in ("varying", "fixed")
        for pass_ in benchmarking.PASSES
        for length in (6, 4)
    }
    for row in measured:
        if row["implementation"].startswith("seqlab") and row["dtype"] != "bfloat16":
            assert row["relative_error"] < 1e-5


def test_floor_is_fewest_bytes_over_bandwidth():
    rows = [row for row in benchmark(quick=True)["rows"] if row["variant"] == "real fixed"]
    elements = 2 * 6 * 3
    for row in rows:
        assert row["fewest_bytes"] == elements * 4 * (2 if row["pass"] == "forward" else 5)
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_bytes"] / 1e10)
        assert row["floor"] == "bytes"


def test_floor_is_the_arithmetic_where_that_takes_longer(monkeypatch):
    monkeypatch.setattr(benchmarking, "arithmetic_rate", lambda device: 1e8)
    result = benchmark(quick=True)
    rows = [row for row in result["rows"] if row["variant"] == "real fixed"]
    elements = 2 * 6 * 3
    for row in rows:
        assert row["fewest_operations"] == elements * (2 if row["pass"] == "forward" else 2 + 4)
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_operations"] / 1e8)
        assert row["floor"] == "arithmetic"
    assert "at least 0.001 ms (arithmetic)" in table(result)


def test_one_floor_holds_for_the_implementations_of_all_processes(monkeypatch):
    """Each process measures the limits for itself, and never finds quite the same."""
    bandwidths = iter((1e10, 2e10))

    def in_a_process(command, **_):
        name, out = command[command.index("--only") + 1], command[command.index("--out") + 1]
        Path(out).write_text(json.dumps(benchmark(quick=True, only=name)))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(benchmarking, "copy_bandwidth", lambda device: next(bandwidths))
    ours = benchmarking.implementations("linear_scan", CPU)[:2]
    monkeypatch.setattr(benchmarking, "implementations", lambda op, device: ours)
    monkeypatch.setattr(benchmarking, "provenance", lambda device: {})  # it runs git
    monkeypatch.setattr(benchmarking.subprocess, "run", in_a_process)
    first, result = benchmarking._isolated(["linear_scan"], quick=True)
    assert {row["implementation"] for row in first["rows"]} == {"seqlab, portable"}
    assert result["copy_bandwidth_bytes_per_s"] == 1e10
    assert {row["implementation"] for row in result["rows"]} == {"seqlab, portable", "python loop"}
    for row in result["rows"]:
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_bytes"] / 1e10)


def test_arithmetic_rate_leaves_the_precision_as_it_was(monkeypatch):
    seen = []

    def take_a_millisecond(calls, device):
        seen.append(torch.get_float32_matmul_precision())
        calls[0]()
        return 1.0

    monkeypatch.setattr(benchmarking, "milliseconds", take_a_millisecond)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert arithmetic_rate(CPU) == pytest.approx(2 * 1024**3 / 1e-3)
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_quick_takes_one_size_and_one_dtype():
    rows = benchmark(quick=True)["rows"]
    assert {row["shape"]["length"] for row in rows} == {6}
    assert {row["dtype"] for row in rows} == {"float32", "complex64"}


def test_absent_peers_are_named_with_their_reasons(monkeypatch):
    def not_installed(arguments):
        import a_library_nobody_has  # noqa: F401

    def does_not_do_this(arguments):
        raise Absent("computes quaternions only")

    def breaks(arguments):
        return _call("linear_scan", lambda **_: 1 / 0, arguments)

    peers(
        monkeypatch,
        Implementation("missing", "linear_scan", not_installed),
        Implementation("narrow", "linear_scan", does_not_do_this),
        Implementation("broken", "linear_scan", breaks),
        Implementation("of another op", "wkv", breaks),
    )
    result = benchmark(quick=True)
    reasons = {row["implementation"]: row["absent"] for row in result["rows"] if row["absent"]}
    assert reasons == {
        "missing": "cannot be imported: No module named 'a_library_nobody_has'",
        "narrow": "computes quaternions only",
        "broken": "failed: ZeroDivisionError: division by zero",
    }
    assert "absent (computes quaternions only): narrow" in table(result)


def test_a_wrong_peer_shows_its_error_and_ours_may_not_break(monkeypatch):
    def half_wrong(arguments):
        return _call("linear_scan", lambda a, b: (PAIRING.loop(a, b)[0] * 1.5,), arguments)

    peers(monkeypatch, Implementation("wrong", "linear_scan", half_wrong))
    wrong = [row for row in benchmark(quick=True)["rows"] if row["implementation"] == "wrong"]
    assert wrong
    for row in wrong:
        assert row["relative_error"] == pytest.approx(0.5, rel=1e-3)

    def broken(**arguments):
        raise RuntimeError("our own failure")

    broken_pairing = dataclasses.replace(benchmarking.PAIRINGS["linear_scan"], op=broken)
    monkeypatch.setitem(benchmarking.PAIRINGS, "linear_scan", broken_pairing)
    with pytest.raises(RuntimeError, match="our own failure"):
        benchmark(quick=True)


def test_peers_say_that_they_need_a_gpu():
    from benchmarks.peers import PEERS

    arguments = PAIRING.workloads[0].draw(torch.Generator().manual_seed(0), sizes(1, 4, 2), torch.float32)
    assert len(PEERS) >= 4
    for peer in PEERS:
        with pytest.raises(Absent, match="needs a CUDA GPU"):
            peer.prepare(arguments)


def test_unknown_op_is_refused():
    with pytest.raises(ValueError, match="names: expected some of linear_scan, got 'scam'"):
        benchmark(["scam"])


@pytest.mark.timing
def test_milliseconds_is_the_median_over_all_calls():
    import time

    took = milliseconds([lambda: time.sleep(0.002), lambda: time.sleep(0.002)], CPU, budget=0.02)
    assert 2 <= took < 20


def test_command_writes_the_result(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert main(["bench", "--quick", "--ops", "linear_scan", "--out", str(file)]) == 0
    assert json.loads(file.read_text())["rows"]
    printed = capsys.readouterr().out
    assert "There is no CUDA GPU here" in printed
    assert "python loop" in printed


def test_commit_is_the_one_of_this_copy_or_the_one_it_was_told(monkeypatch):
    monkeypatch.setenv("SEQLAB_COMMIT", "abc")
    assert benchmarking.provenance(CPU)["commit"] == "abc"
    monkeypatch.delenv("SEQLAB_COMMIT")
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:
        assert benchmarking.provenance(CPU)["commit"].startswith(head.stdout.strip())
