"""What each idea of the linear scan's kernel brings, on one GPU: the rungs of chapter 2.

``python -m benchmarks.linear_scan_rungs --out benchmarks/results/linear_scan_rungs_DEVICE.json``

Real, with a decay that varies in time, forward, float32, queued. The first rungs are PyTorch's own operations, then
come the two kernels that the chapter prints, taken from its notebook; the last one is the op. Every rung is held to
float64, on some channels, before it is timed.
"""

from collections.abc import Callable, Iterator

import torch
import triton
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import launched_with, out_and_quick, record_rungs, relative_error
from seqlab import ops
from seqlab.benchmark.comparison import device_here
from seqlab.ops.interpreter import runner
from seqlab.ops.linear_scan import kernel, portable, reference

SIZES = {"batch": 8, "length": 4096, "channels": 1024}
TINY = {"batch": 1, "length": 9, "channels": 3}
CHECKED = 2  # channels
ERROR = 1e-5

Step = Callable[[], Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    a, b = inputs(sizes, device_here())
    truth, _ = reference.linear_scan(*(x[..., :CHECKED].cpu().double().numpy() for x in (a, b)))

    def error(made: Tensor) -> float:
        return relative_error(made[..., :CHECKED], truth)

    moved = 3 * b.nbytes  # eq. 2.10
    record_rungs(arguments.out, sizes, moved, rungs(a, b), error, ERROR)


def inputs(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Decays between 0.9 and 1, and normal inputs, (B, L, D)."""
    generator = torch.Generator(device).manual_seed(0)
    shape = tuple(sizes.values())
    a = 0.9 + 0.1 * torch.rand(shape, generator=generator, device=device)
    return a, torch.randn(shape, generator=generator, device=device)


def rungs(a: Tensor, b: Tensor) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""

    def op() -> Tensor:
        return ops.linear_scan(a, b, backend="triton")[0]

    yield "PyTorch, step by step", lambda: steps(a, b)
    yield "PyTorch, all chunks together", lambda: portable.scan(a, b, None, False)[0]
    yield "the chapter's first kernel: a lane walks", lambda: first("walk", a, b, 128)
    yield "its second: tiles of time, scanned", lambda: first("scan_tiles", a, b, 32, STEPS=64)
    tiling = (1, 64, 32, 8, 8) if b.is_cuda else (1, 4, 2, 2, 4)  # STEPS, RUNS, PAIRS, ENTRIES, warps
    with launched_with(kernel, TILINGS={0: 4 * (tiling,)}, INTERPRETED=tiling):
        yield "a program for every tile: the package, no runs", op
    yield "runs of steps in registers: the package", op


def steps(a: Tensor, b: Tensor) -> Tensor:
    """As one would write it: every step two operations."""
    h_t, h = torch.zeros_like(b[:, 0]), []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        h_t = a_t * h_t + b_t  # eq. 2.1
        h.append(h_t)
    return torch.stack(h, dim=1)


def first(name: str, a: Tensor, b: Tensor, block: int, **constants: int) -> Tensor:
    """h by a kernel of the chapter's notebook, with blocks of so many channels."""
    kernel = getattr(first_kernel("02_linear_scan"), name)
    batch, length, channels = b.shape
    h, state = torch.empty_like(b), torch.zeros_like(b[:, 0])
    if not b.is_cuda:
        block, constants = 4, dict.fromkeys(constants, 4)
    launch = runner(kernel, b)[triton.cdiv(channels, block), batch]
    launch(a, b, state, h, torch.empty_like(state), length, channels, BLOCK=block, **constants)
    return h


if __name__ == "__main__":
    main()
