"""What tests of the benchmark share: brief timings of a small problem, on the CPU wherever this runs."""

import dataclasses
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.benchmark import comparison, measurement
from seqlab.benchmark.clock import called_milliseconds
from seqlab.catalogue import PAIRINGS, sizes

ROOT = Path(seqlab.__file__).parent.parent
LIMITS = {
    "copy_bandwidth_bytes_per_s": 1e10,
    "arithmetic_rate_operations_per_s": 1e11,
    "smallest_called_milliseconds": 0.01,
    "smallest_queued_milliseconds": 0.005,
}


@pytest.fixture
def brief(monkeypatch):
    """linear_scan at two small sizes, timed for a moment, beside limits that are known."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(comparison, "limits", lambda device: LIMITS)
    monkeypatch.setattr(comparison, "provenance", lambda device: {"device": "a CPU"})
    monkeypatch.setattr(
        measurement,
        "called_milliseconds",
        lambda calls, device, wait: called_milliseconds(calls, device, 0.001, wait),
    )
    small = {"cpu": (sizes(2, 6, 3), sizes(1, 4, 2))}
    pairing = dataclasses.replace(PAIRINGS["linear_scan"], workload_sizes=small)
    monkeypatch.setitem(PAIRINGS, "linear_scan", pairing)
    return pairing


@pytest.fixture
def row():
    """row(implementation, called, queued, **more) is a row of a recorded result."""

    def make(implementation, called, queued, **more):
        return {
            "op": "linear_scan", "variant": "real varying", "shape": {"batch": 1, "length": 2}, "dtype": "float32",
            "pass": "forward", "implementation": implementation, "called_milliseconds": called,
            "queued_milliseconds": queued, "peak_memory_bytes": None, "relative_error": 1e-7, "absent": None,
            "floor_milliseconds": 1.0, "floor": "bytes", **more,
        }  # fmt: skip

    return make


@pytest.fixture
def record():
    """record(*rows) is a recorded result."""

    def make(*rows):
        origin = {"device": "a GPU", "driver": None, "torch": "2", "triton": None, "python": "3"}
        return {**origin, "commit": "0123456789abcdef", "date": "2026-01-01", **LIMITS, "rows": list(rows)}

    return make
