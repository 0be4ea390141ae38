"""What does a call cost whose tensors are tiny, so that Python and the launches are all there is to wait for?

``python -m benchmarks.host_time --out benchmarks/results/host_time_DEVICE.json``

Every op of the catalogue, on a tiny input of each of its workloads, beside PyTorch's own ``a * b`` on the same
machine: forward, forward and backward, and both under ``torch.compile`` for the first workload of each op, again
beside ``a * b``, as calling a compiled function is itself most of a tiny call. Many calls follow one another and only
the last is waited for: the microseconds are the median of some such rounds, over the number of calls. Half a minute on
a GPU; without one the portable ops are measured, which says little.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark import plain_call, provenance
from seqlab.benchmark.implementation import tensors
from seqlab.benchmark.measurement import PASSES
from seqlab.catalogue import PAIRINGS, Pairing, Sizes

TINY = {"batch": 2, "length": 64, "channels": 32}
TINY_STATES = 16  # of whatever else a size has: an order, a state size
ROUNDS, CALLS, WARM_UP = 5, 60, 30

# What a call may cost, in times of a * b in the same pass, and compiled in times of itself.
MOST_FORWARD = 5.0
MOST_BOTH = 2.5  # for two gradients, as a * b has them
MOST_BOTH_MORE = 0.5  # for each further gradient
MOST_COMPILED = 1.5

Row = dict[str, Any]


def most(pass_: str, gradients: int) -> float:
    """How many times a * b, in the same pass, a call may take."""
    if pass_ == "forward":
        return MOST_FORWARD
    return MOST_BOTH + MOST_BOTH_MORE * max(0, gradients - 2)


def tiny(pairing: Pairing) -> Sizes:
    """The sizes of a call that is all overhead."""
    sizes = pairing.workload_sizes["cpu"][0]
    return {name: min(size, TINY.get(name, TINY_STATES)) for name, size in sizes.items()}


def microseconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call among many that follow one another."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(WARM_UP):
        call()
    took = []
    for _ in range(ROUNDS):
        wait()
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        wait()
        took.append(1e6 * (time.perf_counter() - started) / CALLS)
    return statistics.median(took)


def both_passes(
    forward: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor], device: torch.device
) -> dict[str, float]:
    """Microseconds of each pass of a function of tensors."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    gradients = [torch.randn_like(x) for x in forward(*inputs)]
    return {
        "forward": microseconds(lambda: forward(*inputs), device),
        "forward+backward": microseconds(
            lambda: torch.autograd.grad(forward(*leaves), leaves, gradients), device
        ),
    }


def product(device: torch.device, compiled: bool = False) -> dict[str, float]:
    """PyTorch's own a * b, on tensors of the tiny size."""
    a, b = (torch.randn(*TINY.values(), device=device) for _ in range(2))

    def multiplied(a: Tensor, b: Tensor) -> tuple[Tensor]:
        return (a * b,)

    return both_passes(torch.compile(multiplied) if compiled else multiplied, (a, b), device)


def rows(op: str, device: torch.device) -> Iterator[Row]:
    """A row for each workload and pass of an op, ``a * b`` measured beside each workload."""
    pairing = PAIRINGS[op]
    for number, workload in enumerate(pairing.workloads):
        generator = torch.Generator(device).manual_seed(0)
        arguments = workload.draw(generator, tiny(pairing), workload.dtypes[0])
        call = plain_call(op, pairing.op, arguments)
        beside = product(device)
        took = both_passes(call.forward, call.leaves, device)
        compiled, beside_compiled = {}, {}
        if number == 0:
            compiled = both_passes(torch.compile(call.forward), call.leaves, device)
            beside_compiled = product(device, compiled=True)
        for pass_ in PASSES:
            found = compiled.get(pass_)
            yield {
                "op": op,
                "variant": workload.name,
                "dtype": str(workload.dtypes[0]).removeprefix("torch."),
                "shape": dict(tiny(pairing)),
                "pass": pass_,
                "gradients": len(tensors(arguments)),
                "microseconds": took[pass_],
                "product_microseconds": beside[pass_],
                "times_product": took[pass_] / beside[pass_],
                "most_times_product": most(pass_, len(tensors(arguments))),
                "compiled_microseconds": found,
                "compiled_product_microseconds": beside_compiled.get(pass_),
                "compiled_times_eager": None if found is None else found / took[pass_],
                "most_compiled_times_eager": MOST_COMPILED,
            }


def main() -> None:
    """Measure every op, print each row, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--ops", nargs="+", choices=PAIRINGS, default=list(PAIRINGS), metavar="OP")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record: dict[str, Any] = {**provenance(device), "host_times": []}
    for op in arguments.ops:
        for row in rows(op, device):
            record["host_times"].append(row)
            print(said(row), flush=True)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def said(row: Row) -> str:
    """One row as a line."""
    line = (
        f"{row['op']}, {row['variant']}, {row['pass']}: {row['microseconds']:.0f} µs, "
        f"{row['times_product']:.1f} times a * b (at most {row['most_times_product']:g})"
    )
    if row["compiled_microseconds"] is not None:
        line += (
            f"; compiled {row['compiled_microseconds']:.0f} µs, {row['compiled_times_eager']:.1f} times eager "
            f"(at most {row['most_compiled_times_eager']:g}), where a * b compiled takes "
            f"{row['compiled_product_microseconds']:.0f} µs"
        )
    return line


if __name__ == "__main__":
    main()
