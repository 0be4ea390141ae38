"""What each idea of the selective scan's kernel brings, on one GPU: the rungs of chapter 10.

``python -m benchmarks.selective_scan_rungs --out benchmarks/results/selective_scan_rungs_DEVICE.json``

Forward, float32, queued, the scan alone: steps as they are, no gate. The first rung is PyTorch's form, then comes the
kernel that the chapter prints, taken from its notebook; the last one is the op. Every rung is held to float64, on some
channels, before it is timed.
"""

from collections.abc import Callable, Iterator

import torch
import triton
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import out_and_quick, record_rungs, relative_error
from seqlab import ops
from seqlab.benchmark.comparison import device_here
from seqlab.ops.interpreter import runner
from seqlab.ops.selective_scan import reference

SIZES = {"batch": 8, "length": 2048, "channels": 2048, "modes": 16}
TINY = {"batch": 2, "length": 9, "channels": 5, "modes": 4}
CHECKED = 2  # channels
ERROR = 1e-5

Layer = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    layer = inputs(sizes, device_here())
    u, delta, A, B, C = (x.cpu().double().numpy() for x in layer)
    own = slice(CHECKED)
    truth, _ = reference.selective_scan(u[..., own], delta[..., own], A[own], B, C)

    def error(made: Tensor) -> float:
        return relative_error(made[..., own], truth)

    moved = 3 * layer[0].nbytes + 2 * layer[3].nbytes  # eq. 10.13 without a gate
    record_rungs(arguments.out, sizes, moved, rungs(layer), error, ERROR)


def inputs(sizes: dict[str, int], device: torch.device) -> Layer:
    """Steps from 0.001 to 0.1 and Mamba's rates -1, ..., -N; the rest normal."""
    batch, length, channels, modes = sizes.values()
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    u, raw = (
        normal(batch, length, channels),
        torch.rand(batch, length, channels, generator=generator, device=device),
    )
    A = -torch.arange(1.0, modes + 1, device=device).repeat(channels, 1)
    return u, 10 ** (2 * raw - 3), A, normal(batch, length, modes), normal(batch, length, modes)


def rungs(layer: Layer) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "PyTorch, a block of steps at a time", lambda: ops.selective_scan(*layer, backend="portable")[0]
    yield "the chapter's kernel: states in registers", lambda: first(*layer)
    yield (
        "groups of steps, each warp for itself: the package",
        lambda: ops.selective_scan(*layer, backend="triton")[0],
    )


def first(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    kernel = first_kernel("10_mamba").scan_forward
    batch, length, channels = u.shape
    y = torch.empty_like(u)
    block = 32 if u.is_cuda else 4
    launch = runner(kernel, u)[triton.cdiv(channels, block), batch]
    launch(u, delta, A, B, C, y, length, channels, N=A.shape[1], BLOCK=block)
    return y


if __name__ == "__main__":
    main()
