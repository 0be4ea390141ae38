"""What each idea of the kernel of discretization brings, on one GPU: the rungs of chapter 5.

``python -m benchmarks.discretize_rungs --out benchmarks/results/discretize_rungs_DEVICE.json``

Zero-order hold, real, forward, queued, at Mamba's size. The first rungs are PyTorch's own operations, then comes the
kernel that the chapter prints, taken from its notebook; the last one is the op. Every rung is held to float64, on a
part of the steps, before it is timed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import triton
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import launched_with, out_and_quick, record_rungs, relative_error
from seqlab import ops
from seqlab.benchmark.comparison import device_here
from seqlab.ops.discretize import plan, reference
from seqlab.ops.interpreter import runner

SIZES = {"batch": 8, "length": 2048, "channels": 1024, "states": 16}
TINY = {"batch": 2, "length": 3, "channels": 5, "states": 4}
CHECKED = 16  # steps of each sequence

Step = Callable[[], tuple[Tensor, Tensor]]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    A, B, dt = inputs(sizes, device_here())
    truth = in_float64(A, B, dt)

    def error(made: tuple[Tensor, Tensor]) -> float:
        """The larger of the errors of A_bar and B_bar."""
        return max(relative_error(x[:, :CHECKED], y) for x, y in zip(made, truth, strict=True))

    moved = A.element_size() * (  # eq. 5.17
        2 * dt.numel() * sizes["states"] + A.numel() + B.numel() + dt.numel()
    )
    record_rungs(arguments.out, sizes, moved, rungs(A, B, dt), error, 1e-6)


def inputs(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Mamba's: A (D, N), B (B, L, 1, N) and steps dt (B, L, D) between 0.001 and 0.1."""
    batch, length, channels, states = sizes.values()
    generator = torch.Generator(device).manual_seed(0)
    A = -torch.arange(1.0, states + 1, device=device).repeat(channels, 1)
    B = torch.randn(batch, length, 1, states, generator=generator, device=device)
    exponent = torch.rand(batch, length, channels, generator=generator, device=device)
    return A, B, 10 ** (2 * exponent - 3)


def in_float64(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Any, Any]:
    A, B, dt = (x.cpu().double() for x in (A, B[:, :CHECKED], dt[:, :CHECKED]))
    return reference.discretize(A.numpy(), B.numpy(), dt.numpy(), "zoh", diagonal=True)


def rungs(A: Tensor, B: Tensor, dt: Tensor) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""

    def op() -> tuple[Tensor, Tensor]:
        return ops.discretize(A, B, dt, "zoh", diagonal=True, backend="triton")

    yield "PyTorch, one operation after another", lambda: in_pytorch(A, B, dt)
    if A.is_cuda:
        compiled = torch.compile(in_pytorch)
        yield "PyTorch, compiled", lambda: compiled(A, B, dt)
    yield "the chapter's kernel: outputs in a row", lambda: in_a_row(A, B, dt)
    with launched_with(plan, FORWARD=plan.FORWARD._replace(longest_span=1)):
        yield "the package's tiles, one time a program", op
    yield "several times a program: the package", op


def in_pytorch(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Zero-order hold as one would write it, where no z is 0."""
    z = dt[..., None] * A
    return torch.exp(z), dt[..., None] * (torch.expm1(z) / z) * B


def in_a_row(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    kernel = first_kernel("05_discretization").zero_order_hold
    channels, states = A.shape
    made = A.new_empty((*dt.shape, states)), A.new_empty((*dt.shape, states))
    count, block = made[0].numel(), 1024 if A.is_cuda else 16
    launch = runner(kernel, A)[(triton.cdiv(count, block),)]
    launch(A, B, dt, *made, count, channels, states, BLOCK=block)
    return made


if __name__ == "__main__":
    main()
