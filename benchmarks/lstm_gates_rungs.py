"""What fusing the gates of an LSTM brings, on one GPU: the rungs of chapter 1.

``python -m benchmarks.lstm_gates_rungs --out benchmarks/results/lstm_gates_rungs_DEVICE.json``

The part of a step after its matrix products, forward, float32, queued: from the pre-activations of the four gates and
the old cell to the new cell and the state. The first rungs are PyTorch's own operations, then comes the kernel that the
chapter prints, taken from its notebook. Every rung is held to float64, on some sequences, before it is timed.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import triton
from scipy.special import expit
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import out_and_quick, record_rungs, relative_error
from seqlab.benchmark.comparison import device_here
from seqlab.ops.interpreter import runner

SIZES = {"batch": 4096, "channels": 1024}
TINY = {"batch": 3, "channels": 5}
CHECKED = 16  # sequences
ERROR = 1e-6

Made = tuple[Tensor, Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    x, c = inputs(sizes, device_here())
    truth = in_float64(*(each[:CHECKED].cpu().double().numpy() for each in (x, c)))

    def error(made: Made) -> float:
        """The larger of the errors of the cell and of the state."""
        return max(relative_error(y[:CHECKED], true) for y, true in zip(made, truth, strict=True))

    moved = x.nbytes + 3 * c.nbytes  # 4 + 1 + 2 numbers an entry
    record_rungs(arguments.out, sizes, moved, rungs(x, c), error, ERROR)


def inputs(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Normal pre-activations (B, 4 D), of i, f, g and o in a row, and cells (B, D)."""
    batch, channels = sizes.values()
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(batch, 4 * channels, generator=generator, device=device)
    return x, torch.randn(batch, channels, generator=generator, device=device)


def in_float64(x: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, f, g, o = np.split(x, 4, axis=-1)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return c, expit(o) * np.tanh(c)


def rungs(x: Tensor, c: Tensor) -> Iterator[tuple[str, Callable[[], Made]]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "PyTorch, one operation after another", lambda: in_pytorch(x, c)
    if x.is_cuda:
        compiled = torch.compile(in_pytorch)
        yield "PyTorch, compiled", lambda: compiled(x, c)
    yield "the chapter's kernel: the gates in one launch", lambda: fused(x, c)


def in_pytorch(x: Tensor, c: Tensor) -> Made:
    """As one would write it: every line an operation or more."""
    i, f, g, o = x.chunk(4, dim=-1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)  # eq. 1.4
    c = f * c + i * g  # eq. 1.5
    return c, o * torch.tanh(c)  # eq. 1.6


def fused(x: Tensor, c: Tensor) -> Made:
    kernel = first_kernel("01_why_recurrence_came_back").lstm_gates
    made = torch.empty_like(c), torch.empty_like(c)
    count, block = c.numel(), 1024 if c.is_cuda else 8
    launch = runner(kernel, c)[(triton.cdiv(count, block),)]
    launch(x, c, *made, count, c.shape[-1], BLOCK=block)
    return made


if __name__ == "__main__":
    main()
