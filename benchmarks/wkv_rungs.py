"""What each idea of the WKV kernel brings, on one GPU: the rungs of chapter 8.

``python -m benchmarks.wkv_rungs --out benchmarks/results/wkv_rungs_DEVICE.json``

Forward, float32, queued. The first rungs are PyTorch's own operations, then comes the kernel that the chapter prints,
taken from its notebook; the last one is the op. Every rung is held to float64, on some channels, before it is timed.
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
from seqlab.ops.wkv import portable, reference

SIZES = {"batch": 8, "length": 1024, "channels": 2048}
TINY = {"batch": 2, "length": 19, "channels": 3}
CHECKED = 2  # channels
ERROR = 1e-4

Step = Callable[[], Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    layer = inputs(sizes, device_here())
    truth, _ = reference.wkv(*(x[..., :CHECKED].cpu().double().numpy() for x in layer))

    def error(made: Tensor) -> float:
        return relative_error(made[..., :CHECKED], truth)

    moved = 3 * layer[2].nbytes  # eq. 8.21
    record_rungs(arguments.out, sizes, moved, rungs(*layer), error, ERROR)


def inputs(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """w from the slowest to the fastest rate of RWKV-4's start; u, k and v normal."""
    batch, length, channels = sizes.values()
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    w = torch.exp(torch.linspace(-5, 3, channels, device=device))
    return w, normal(channels), normal(batch, length, channels), normal(batch, length, channels)


def rungs(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "PyTorch, step by step", lambda: steps(w, u, k, v)
    yield "PyTorch, all chunks together", lambda: portable.scan(w, u, k, v, None)[0]
    yield "the chapter's kernel: a lane walks through time", lambda: first(w, u, k, v)
    yield "chunks of time: the package", lambda: ops.wkv(w, u, k, v, backend="triton")[0]


def steps(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As one would write it: every step a dozen operations."""
    past, y = portable.first_sums(v[:, 0], None), []
    for k_t, v_t in zip(k.unbind(1), v.unbind(1), strict=True):
        y.append(portable.average(past, u, k_t, v_t)[0])
        past = portable.join(past, w, portable.token(k_t, v_t))
    return torch.stack(y, dim=1)


def first(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    kernel = first_kernel("08_rwkv").wkv_walk
    batch, length, channels = k.shape
    y = torch.empty_like(v)
    block = 64 if k.is_cuda else 4
    launch = runner(kernel, k)[triton.cdiv(channels, block), batch]
    launch(k, v, w, u, y, length, channels, BLOCK=block)
    return y


if __name__ == "__main__":
    main()
