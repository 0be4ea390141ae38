"""The record of the tests that need a GPU says what a test raised, and nothing of the machine."""

import seqlab


def test_what_was_raised_is_kept_without_paths(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.gpu_tests import raised

    report = """seqlab/ops/kept.py:67: in keep
    value = make()
>       raise RuntimeError("no room\\nat all")
E       RuntimeError: no room
E       at all

/somewhere/torch/cuda/streams.py:108: RuntimeError"""
    assert raised(report) == "RuntimeError: no room\nat all"
