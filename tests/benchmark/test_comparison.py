"""Comparisons: measurements of the right thing, absences with their reasons, floors."""

import dataclasses
import json

import pytest
import torch

from seqlab.benchmark import Absent, Implementation, benchmark, measurement, plain_call, table
from seqlab.benchmark.comparison import with_rows
from seqlab.benchmark.implementation import implementations
from seqlab.catalogue import PAIRINGS, sizes

pytestmark = pytest.mark.usefixtures("brief")

SCAN = ["linear_scan"]
ELEMENTS = 2 * 6 * 3  # of the first size


def peer(name, forward, op="linear_scan"):
    return Implementation(name, op, lambda arguments: plain_call(op, forward, arguments))


def test_rows_follow_the_schema_and_cover_everything():
    result = benchmark(SCAN)
    assert set(result) == {
        "device", "copy_bandwidth_bytes_per_s", "arithmetic_rate_operations_per_s",
        "smallest_called_milliseconds", "smallest_queued_milliseconds", "rows",
    }  # fmt: skip
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for row in result["rows"]:
        assert set(row) == {
            "op", "variant", "shape", "dtype", "pass", "implementation", "called_milliseconds",
            "queued_milliseconds", "absent", "fewest_bytes", "fewest_operations", "floor_milliseconds", "floor",
            "peak_memory_bytes", "relative_error",
        }  # fmt: skip
        assert row["called_milliseconds"] > 0
        assert row["queued_milliseconds"] == row["called_milliseconds"]  # nothing is queued on a CPU
    assert {row["implementation"] for row in result["rows"]} == {"seqlab, portable", "python loop"}
    seen = {(row["variant"], row["dtype"], row["pass"], row["shape"]["length"]) for row in result["rows"]}
    kinds = [("real", d) for d in ("float32", "bfloat16")] + [("complex", "complex64")]
    assert seen == {
        (f"{kind} {change}", dtype, pass_, length)
        for kind, dtype in kinds
        for change in ("varying", "fixed")
        for pass_ in measurement.PASSES
        for length in (6, 4)
    }
    for row in result["rows"]:
        if row["implementation"].startswith("seqlab") and row["dtype"] != "bfloat16":
            assert row["relative_error"] < 1e-5


def test_the_result_is_handed_out_as_it_grows():
    lengths = []
    result = benchmark(SCAN, quick=True, keep=lambda result: lengths.append(len(result["rows"])))
    assert lengths == [4, 8, 12, 16]  # a problem at a time: two passes of two implementations
    assert lengths[-1] == len(result["rows"])


def test_on_a_gpu_calls_are_timed_in_both_ways(monkeypatch):
    """The clocks are handed the same calls, and what each of them says stands in its own column."""
    monkeypatch.setattr(measurement, "called_milliseconds", lambda calls, device, wait: 3.0)
    monkeypatch.setattr(measurement, "queued_milliseconds", lambda calls, device, wait: 2.0)
    monkeypatch.setattr(measurement, "peak_memory", lambda call, device: 5)

    class Gpu:
        type = "cuda"

    (ours,) = implementations("linear_scan", torch.device("cpu"), ())[:1]
    sets = [PAIRINGS["linear_scan"].workloads[0].draw(torch.Generator(), sizes(1, 4, 2), torch.float32)]
    truth = torch.ones(1, 4, 2), {key: torch.ones(1, 4, 2) for key in ("output", "a", "b")}
    found = measurement._measure(ours, sets, lambda: truth, Gpu())
    for pass_ in measurement.PASSES:
        assert found[pass_]["called_milliseconds"] == 3.0
        assert found[pass_]["queued_milliseconds"] == 2.0
        assert found[pass_]["peak_memory_bytes"] == 5


def test_peak_memory_counts_what_ops_keep(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 1000)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 1700)
    monkeypatch.setattr(measurement.ops, "cache_bytes", lambda device: 40)
    assert measurement.peak_memory(lambda: None, torch.device("cuda")) == 700 + 40
    assert measurement.peak_memory(lambda: None, torch.device("cpu")) is None


def test_floor_is_fewest_bytes_over_bandwidth():
    rows = [row for row in benchmark(SCAN, quick=True)["rows"] if row["variant"] == "real fixed"]
    assert rows
    for row in rows:
        assert row["fewest_bytes"] == ELEMENTS * 4 * (2 if row["pass"] == "forward" else 5)
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_bytes"] / 1e10)
        assert row["floor"] == "bytes"


def test_floor_is_the_arithmetic_where_that_takes_longer():
    measured = benchmark(SCAN, quick=True)
    result = with_rows({**measured, "arithmetic_rate_operations_per_s": 1e8}, [])
    rows = [row for row in result["rows"] if row["variant"] == "real fixed"]
    assert rows
    for row in rows:
        assert row["fewest_operations"] == ELEMENTS * (2 if row["pass"] == "forward" else 2 + 4)
        assert row["floor_milliseconds"] == pytest.approx(1e3 * row["fewest_operations"] / 1e8)
        assert row["floor"] == "arithmetic"
    assert "at least 0.001 ms (arithmetic)" in table(result)


def test_quick_takes_one_size_and_one_dtype():
    rows = benchmark(SCAN, quick=True)["rows"]
    assert {row["shape"]["length"] for row in rows} == {6}
    assert {row["dtype"] for row in rows} == {"float32", "complex64"}


def test_several_ops_are_timed_in_one_result(monkeypatch):
    small = {"cpu": (sizes(1, 4, 1, order=2),)}
    hippo = dataclasses.replace(PAIRINGS["hippo_project"], workload_sizes=small)
    monkeypatch.setitem(PAIRINGS, "hippo_project", hippo)
    rows = benchmark(["linear_scan", "hippo_project"], quick=True)["rows"]
    assert list(dict.fromkeys(row["op"] for row in rows)) == ["linear_scan", "hippo_project"]


def test_absent_peers_are_named_with_their_reasons():
    def not_installed(arguments):
        import a_library_nobody_has  # noqa: F401

    def does_not_do_this(arguments):
        raise Absent("computes quaternions only")

    peers = [
        Implementation("missing", "linear_scan", not_installed),
        Implementation("narrow", "linear_scan", does_not_do_this),
        peer("broken", lambda **_: 1 / 0),
        peer("of no numbers", lambda a, b: (b * float("nan") * a,)),
        peer("of another op", lambda **_: 1 / 0, op="wkv"),
    ]
    result = benchmark(SCAN, quick=True, peers=peers)
    reasons = {row["implementation"]: row["absent"] for row in result["rows"] if row["absent"]}
    assert reasons == {
        "missing": "cannot be imported: No module named 'a_library_nobody_has'",
        "narrow": "computes quaternions only",
        "broken": "failed: ZeroDivisionError: division by zero",
        "of no numbers": "failed: ArithmeticError: its results are not finite",
    }
    assert "absent (computes quaternions only): narrow" in table(result)


def test_nothing_is_computed_for_peers_that_are_all_absent(monkeypatch):
    def does_not_do_this(arguments):
        raise Absent("computes quaternions only")

    monkeypatch.setattr(measurement, "truth", lambda *_: pytest.fail("nobody needs the truth"))
    peers = [Implementation("narrow", "linear_scan", does_not_do_this)]
    rows = benchmark(SCAN, quick=True, peers=peers, only="narrow")["rows"]
    assert {row["absent"] for row in rows} == {"computes quaternions only"}


def test_a_wrong_peer_shows_its_error_and_ours_may_not_break(monkeypatch, brief):
    wrong = peer("wrong", lambda a, b: (brief.loop(a, b)[0] * 1.5,))
    rows = [
        row for row in benchmark(SCAN, quick=True, peers=[wrong])["rows"] if row["implementation"] == "wrong"
    ]
    assert rows
    for row in rows:
        assert row["relative_error"] == pytest.approx(0.5, rel=1e-3)

    def broken(backend=None, **arguments):
        if backend is not None and arguments["b"].dtype == torch.float32:
            raise RuntimeError("our own failure")
        return brief.op(**arguments)

    monkeypatch.setitem(PAIRINGS, "linear_scan", dataclasses.replace(brief, op=broken))
    with pytest.raises(RuntimeError, match="our own failure"):
        benchmark(SCAN, quick=True)


def test_the_portable_form_is_timed_beside_a_kernel_where_there_are_no_peers(monkeypatch):
    monkeypatch.setattr("seqlab.benchmark.implementation.has_triton", lambda: True)
    gpu = torch.device("cuda")

    def names(op, *peers):
        return [each.name for each in implementations(op, gpu, peers)]

    other = peer("other", None)
    assert names("linear_scan") == ["seqlab, triton", "seqlab, portable"]
    assert names("linear_scan", other) == ["seqlab, triton", "other"]
    assert names("discretize_dense", other) == ["seqlab, portable"]


def test_the_adapters_say_that_they_need_a_gpu(brief):
    from benchmarks.peers import PEERS

    arguments = brief.workloads[0].draw(torch.Generator().manual_seed(0), sizes(1, 4, 2), torch.float32)
    kernels = [each for each in PEERS if each.op == "linear_scan"]
    assert len(kernels) >= 4
    for each in kernels:
        with pytest.raises(Absent, match="needs a CUDA GPU"):
            each.prepare(arguments)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"names: expected some of linear_scan, .*, got 'scam'"):
        benchmark(["scam"])
    with pytest.raises(ValueError, match="only: expected one of seqlab, portable; python loop, got 'x'"):
        benchmark(SCAN, only="x")
