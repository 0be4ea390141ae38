"""One problem, measured: the error, both times and the peak memory of every
implementation, or the reason why there are none."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab import ops
from seqlab.benchmark.clock import called_milliseconds, queued_milliseconds
from seqlab.benchmark.implementation import Absent, Call, Implementation, Leaves
from seqlab.benchmark.limits import Row
from seqlab.benchmark.problem import Problem, truth
from seqlab.catalogue import Arguments

PASSES = ("forward", "forward+backward")
MEASURED = (
    "called_milliseconds",
    "queued_milliseconds",
    "peak_memory_bytes",
    "relative_error",
)

Result = tuple[Leaves, Leaves]
Truth = tuple[Tensor, dict[str, Tensor]]


def measure(
    problem: Problem, implementations: Sequence[Implementation], device: torch.device
) -> list[Row]:
    """A row for each pass and implementation."""
    generator = torch.Generator(device).manual_seed(0)
    sets = problem.draw(generator)
    # Computed where it is first asked for: where every peer is absent, nobody does.
    true = functools.cache(lambda: truth(problem.pairing, sets[0], generator))
    needs = []  # bytes and operations, of each pass
    for count in (problem.pairing.fewest_bytes, problem.pairing.operations):
        forward, backward = count(sets[0])
        needs.append((forward, forward + backward))
    measured = [_measure(each, sets, true, device) for each in implementations]
    return [
        {
            **problem.description,
            "pass": pass_,
            "implementation": implementation.name,
            **{key: found[pass_].get(key) for key in (*MEASURED, "absent")},
            "fewest_bytes": fewest_bytes,
            "fewest_operations": fewest_operations,
        }
        for pass_, fewest_bytes, fewest_operations in zip(PASSES, *needs, strict=True)
        for implementation, found in zip(implementations, measured, strict=True)
    ]


def absent_row(row: Row, name: str, reason: str) -> Row:
    """The row of an implementation that was not measured beside that of another."""
    return {
        **row,
        **dict.fromkeys(MEASURED),
        "implementation": name,
        "absent": reason,
    }


def _measure(
    implementation: Implementation,
    sets: list[Arguments],
    true: Callable[[], Truth],
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """What was found of each pass, or why there is nothing to find."""
    ops.clear_cache()  # what is kept afterwards, was kept for this
    found: dict[str, dict[str, Any]] = {}
    for pass_ in PASSES:
        try:
            calls = [implementation.prepare(arguments) for arguments in sets]
            cotangent, expected = true()
            runs = [_pass(call, call.cotangents(cotangent), pass_) for call in calls]
            error = _error(calls[0], runs[0](), expected)
            framework = calls[0].framework
            wait = None if framework is None else framework.wait
            called = called_milliseconds(runs, device, wait=wait)
            queues = device.type == "cuda"
            found[pass_] = {
                "relative_error": error,
                "called_milliseconds": called,
                "queued_milliseconds": queued_milliseconds(runs, device, wait=wait)
                if queues
                else called,
                "peak_memory_bytes": peak_memory(runs[0], device)
                if framework is None
                else framework.memory(pass_, calls[0].cotangents(cotangent)),
            }
        except (Absent, ImportError) as failure:
            found[pass_] = {"absent": why_absent(failure)}
        except Exception as failure:
            # A peer that breaks is a finding to record; ours must not break.
            if implementation.is_ours:
                raise
            found[pass_] = {"absent": why_absent(failure)}
    return found


def why_absent(failure: Exception) -> str:
    """What a record says of an implementation that has not come to an end."""
    if isinstance(failure, Absent):
        return str(failure)
    if isinstance(failure, ImportError):
        return f"cannot be imported: {failure}"
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return f"failed: {type(failure).__name__}: {[*lines, 'no message'][0][:200]}"


def _pass(call: Call, cotangents: Leaves, pass_: str) -> Callable[[], Result]:
    """One pass as a function without arguments, returning the outputs and the gradients
    of the leaves."""

    def forward() -> Result:
        with torch.no_grad():
            return call.forward(*call.leaves), ()

    def forward_and_backward() -> Result:
        outputs = call.forward(*leaves)
        return outputs, torch.autograd.grad(outputs, leaves, cotangents)

    if pass_ == "forward":
        return forward
    if call.framework is not None:
        both, given = call.framework.both, call.leaves
        return lambda: both(given, cotangents)
    leaves = [leaf.detach().requires_grad_() for leaf in call.leaves]
    return forward_and_backward


@torch.no_grad()
def _error(call: Call, result: Result, expected: dict[str, Tensor]) -> float:
    """The largest relative error among the output and, where they were asked for, the
    gradients; raises ``ArithmeticError`` where there is a result that is no number."""
    outputs, gradients = result
    found = {"output": call.output(outputs)}
    if gradients:
        found |= call.gradients(gradients)
    errors = [
        (x.to(expected[key].dtype) - expected[key]).norm() / expected[key].norm()
        for key, x in found.items()
    ]
    error = float(torch.stack(errors).max())
    if not math.isfinite(error):
        raise ArithmeticError("its results are not finite")
    return error


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that a call allocates beyond what was there, and those that ops keep for
    the next one; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before + ops.cache_bytes(device)
