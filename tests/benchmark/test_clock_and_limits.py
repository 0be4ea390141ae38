"""Times and limits: medians of what was asked for, a precision that is left as it was."""

import time

import pytest
import torch

from seqlab.benchmark import arithmetic_rate, called_milliseconds, limits, queued_milliseconds
from seqlab.benchmark.limits import limits as measured_limits

CPU = torch.device("cpu")


@pytest.mark.timing
@pytest.mark.parametrize("clock", [called_milliseconds, queued_milliseconds])
def test_the_median_over_all_calls(clock):
    took = clock([lambda: time.sleep(0.002), lambda: time.sleep(0.002)], CPU, budget=0.02)
    assert 2 <= took < 20


def test_every_call_has_its_turn():
    seen = []
    called_milliseconds([lambda: seen.append(0), lambda: seen.append(1)], CPU, budget=10.0)
    warm_up, estimate, turns = seen[:2], seen[2:5], seen[5:]
    assert warm_up == [0, 1]
    assert estimate == [0, 0, 0]
    assert turns == [0, 1] * 100


class Device:
    """A GPU that works for 2 ms on each of the calls that are launched ahead of it."""

    type = "cuda"

    def __init__(self):
        self.free, self.waits = time.perf_counter(), 0

    def launch(self):
        self.free = max(self.free, time.perf_counter()) + 0.002
        return self.free

    def wait(self, result):
        self.waits += 1
        time.sleep(max(result - time.perf_counter(), 0))


@pytest.mark.timing
@pytest.mark.parametrize("clock", [called_milliseconds, queued_milliseconds])
def test_another_framework_is_waited_for(clock):
    """Its calls are over before PyTorch knows of them: the host times them, by the wait that it is given."""
    device = Device()
    took = clock([device.launch], device, budget=0.1, wait=device.wait)
    assert 2 <= took < 20
    called = clock is called_milliseconds  # 50 calls at the most, one by one, or 20 at a time
    assert (5 <= device.waits - 1 - 3 <= 50) if called else (1 <= device.waits - 1 - 1 <= 3)


@pytest.mark.timing
def test_slow_calls_are_not_warmed_up_one_by_one():
    seen = []
    calls = [lambda number=number: (seen.append(number), time.sleep(0.02)) for number in range(9)]
    called_milliseconds(calls, CPU, budget=0.001)
    assert seen == [0, 0, 0, 0, 0, 1, 2, 3, 4]  # warm-up, estimate, turns


def test_arithmetic_rate_leaves_the_precision_as_it_was(monkeypatch):
    seen = []

    def take_a_millisecond(calls, device):
        seen.append(torch.get_float32_matmul_precision())
        calls[0]()
        return 1.0

    monkeypatch.setattr(limits, "queued_milliseconds", take_a_millisecond)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert arithmetic_rate(CPU) == pytest.approx(2 * 1024**3 / 1e-3)
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_limits_say_what_the_smallest_operation_takes(monkeypatch):
    monkeypatch.setattr(limits, "copy_bandwidth", lambda device: 1.0)
    monkeypatch.setattr(limits, "arithmetic_rate", lambda device: 2.0)
    monkeypatch.setattr(limits, "called_milliseconds", lambda calls, device: calls[0]() and 3.0)
    monkeypatch.setattr(limits, "queued_milliseconds", lambda calls, device: calls[0]() and 4.0)
    assert list(measured_limits(CPU).values()) == [1.0, 2.0, 3.0, 4.0]
