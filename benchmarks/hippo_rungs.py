"""What each idea of the LegS kernel brings, on one GPU: the rungs of chapter 4.

``python -m benchmarks.hippo_rungs --out benchmarks/results/hippo_rungs_DEVICE.json``

All coefficients forward, queued, at one size. The first rung is the kernel that the chapter prints, taken from its
notebook; the last one is the op. Between them are the package's launches without what later rungs add. Every rung is
held to the last one before it is timed.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.first_kernel import first_kernel, load
from benchmarks.timed_rungs import out_and_quick
from seqlab import ops
from seqlab.benchmark import provenance, queued_milliseconds
from seqlab.benchmark.comparison import device_here
from seqlab.ops.hippo import kernel, legs
from seqlab.ops.interpreter import runner

SIZES = {"batch": 64, "length": 4096, "order": 64}
TINY = {"batch": 2, "length": 9, "order": 5}


def main() -> None:
    arguments = out_and_quick(__doc__)
    device = device_here()
    sizes = TINY if arguments.quick else SIZES
    record: dict[str, Any] = {**provenance(device), "shape": sizes, "rungs": []}
    f = torch.randn(sizes["batch"], sizes["length"], 1, device=device)
    truth, _ = ops.hippo_project(f, sizes["order"], backend="triton")
    for name, call in rungs(f, sizes["order"]):
        error = ((call() - truth).norm() / truth.norm()).item()
        assert error < 1e-5, (name, error)
        milliseconds = queued_milliseconds([call], device)
        record["rungs"].append({"name": name, "milliseconds": milliseconds})
        print(f"{milliseconds:9.3f} ms  {name}")
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def rungs(f: Tensor, order: int) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """The rungs with their names, each to be called before the next one is asked for."""

    def op() -> Tensor:
        return ops.hippo_project(f, order, backend="triton")[0]

    yield "the simplest kernel: one program a signal, step after step", lambda: simplest(f, order)
    with TemporaryDirectory() as folder:
        with rows_at_most(1), never_late(Path(folder)):
            yield "time in chunks, one row a program", op
        with never_late(Path(folder)):
            yield "several rows a program", op
    yield "late steps by a running sum: the package", op


def simplest(f: Tensor, order: int) -> Tensor:
    batch, length, _ = f.shape
    c = f.new_empty((batch, length, 1, order))
    lanes = triton.next_power_of_2(order)
    launch = runner(first_kernel("04_hippo").legs_kernel, f)
    launch[(batch,)](f, c, length, order, ORDER=lanes, num_warps=1)
    return c


@contextmanager
def rows_at_most(most: int) -> Iterator[None]:
    plan = legs.plan
    legs.plan = lambda *shape: replace(plan(*shape), most=most)  # type: ignore[assignment]
    try:
        yield
    finally:
        legs.plan = plan


@contextmanager
def never_late(folder: Path) -> Iterator[None]:
    """The kernel module once more, with every step a scan."""
    file = folder / "early_kernel.py"
    text = Path(kernel.__file__).read_text()
    late = "return (a * order < 0.5) & (a * order * order < 32.0)"
    assert text.count(late) == 1
    file.write_text(text.replace(late, "return a < 0.0"))
    before = legs.recurrence_kernel
    legs.recurrence_kernel = load(file).recurrence_kernel
    try:
        yield
    finally:
        legs.recurrence_kernel = before


if __name__ == "__main__":
    main()
