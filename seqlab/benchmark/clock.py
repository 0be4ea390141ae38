"""How long a call takes: for who waits for it, and for the GPU alone."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence

import torch

QUEUED = 20  # calls that are launched ahead of the GPU
CYCLES_PER_SECOND = 2e9  # about what a GPU's clock does
MOST_REPEATS = 200

Calls = Sequence[Callable[[], object]]
Wait = Callable[[object], object]
"""Returns when the result of a call is there, and so all that was asked for before."""


def called_milliseconds(
    calls: Calls, device: torch.device, budget: float = 0.3, wait: Wait | None = None
) -> float:
    """Median time of one call whose caller waits until the device has done it, taken in
    turn from ``calls``, after a warm-up; ``budget`` seconds in all. ``wait`` is that of
    another framework, None for PyTorch's."""
    done = _wait_for(device) if wait is None else wait

    def times(chosen: Calls) -> list[float]:
        found = []
        for call in chosen:
            started = time.perf_counter()
            done(call())
            found.append(1e3 * (time.perf_counter() - started))
        return found

    return _median(times, calls, budget, done)


def queued_milliseconds(
    calls: Calls, device: torch.device, budget: float = 0.3, wait: Wait | None = None
) -> float:
    """Median time that the GPU takes for one call, many of them launched ahead of it;
    on a CPU, where nothing is queued, the same as ``called_milliseconds``. Where another
    framework has to ``wait``, whose streams PyTorch's events do not see, it is the time
    from the first of them to the end of the last, divided: launches count where they
    take longer than the GPU."""
    if device.type == "cpu":
        return called_milliseconds(calls, device, budget, wait)
    if wait is None:
        return _median(_queued_times, calls, budget, _wait_for(device))
    return _median(functools.partial(_queued_times_of_host, wait), calls, budget, wait)


def _wait_for(device: torch.device) -> Wait:
    def wait(result: object) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return wait


def _median(
    times: Callable[[Calls], list[float]], calls: Calls, budget: float, wait: Wait
) -> float:
    started = time.perf_counter()
    for call in calls:
        result = call()
        if time.perf_counter() - started > budget:
            break
    wait(result)
    estimate = statistics.median(times([calls[0]] * 3))
    repeats = min(max(5, round(budget * 1e3 / max(estimate, 1e-3))), MOST_REPEATS)
    return statistics.median(times([calls[i % len(calls)] for i in range(repeats)]))


def _queued_times(calls: Calls) -> list[float]:
    torch.cuda.synchronize()
    started = time.perf_counter()
    calls[0]()
    launch = time.perf_counter() - started
    times = []
    for first in range(0, len(calls), QUEUED):
        batch = calls[first : first + QUEUED]
        events = [
            [torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in batch
        ]
        # The GPU idles while launches queue up behind it, which stay out of the times.
        torch.cuda._sleep(int(1.5 * launch * len(batch) * CYCLES_PER_SECOND))
        for call, (start, end) in zip(batch, events, strict=True):
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        times += [start.elapsed_time(end) for start, end in events]
    return times


def _queued_times_of_host(wait: Wait, calls: Calls) -> list[float]:
    times = []
    for first in range(0, len(calls), QUEUED):
        batch = calls[first : first + QUEUED]
        started = time.perf_counter()
        for call in batch:
            result = call()
        wait(result)
        taken = 1e3 * (time.perf_counter() - started)
        times += [taken / len(batch)] * len(batch)
    return times
