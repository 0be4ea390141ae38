"""What each idea of a kernel of H3 brings, on one GPU: the rungs of chapter 7.

``python -m benchmarks.h3_rungs --out benchmarks/results/h3_rungs_DEVICE.json``

One sequence, real modes, forward, queued. The first rung is made of PyTorch's Fourier transforms, then comes the kernel
that the chapter prints, taken from its notebook; the last one is the op. Every rung is held to float64, on a few
channels, before it is timed.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.first_kernel import first_kernel
from benchmarks.timed_rungs import out_and_quick, record_rungs, relative_error
from seqlab import ops
from seqlab.benchmark.comparison import device_here
from seqlab.ops.h3 import reference
from seqlab.ops.interpreter import runner

SIZES = {"length": 8192, "channels": 1024, "taps": 4, "states": 64}
TINY = {"length": 20, "channels": 3, "taps": 4, "states": 5}
CHANNELS = 2  # that are checked
ERROR = 1e-4

Step = Callable[[], Tensor]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    length, channels, taps, states = sizes.values()
    tensors = inputs(length, channels, taps, states, device_here())
    few = [x.cpu().double().numpy() for x in tensors]
    q, k, v, *system = (x[..., :CHANNELS] if x.ndim == 3 else x[:CHANNELS] for x in few)
    truth, _ = reference.h3_convolution(q, k, v, *system)

    def error(made: Tensor) -> float:
        return relative_error(made[..., :CHANNELS], truth)

    moved = 4 * channels * (4 * length + taps + 3 * states)  # eq. 7.18
    record_rungs(arguments.out, sizes, moved, rungs(tensors), error, ERROR)


def inputs(length: int, channels: int, taps: int, states: int, device: torch.device) -> Inputs:
    """q, k, v (1, L, D), taps (D, M), A_bar between 0.9 and 0.999, B_bar and C normal (D, N)."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    q, k, v = (normal(1, length, channels) for _ in range(3))
    A_bar = 0.9 + 0.099 * torch.rand(channels, states, generator=generator, device=device)
    return q, k, v, normal(channels, taps), A_bar, normal(channels, states), normal(channels, states)


def rungs(tensors: Inputs) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "two convolutions by FFT, two products", lambda: by_fft(*tensors)
    yield "the chapter's kernel: a walk over time", lambda: first(*tensors)
    yield "windows and chunks: the package", lambda: ops.h3(*tensors, backend="triton")[0]


def by_fft(q: Tensor, k: Tensor, v: Tensor, shift: Tensor, A_bar: Tensor, B_bar: Tensor, C: Tensor) -> Tensor:
    length = q.shape[1]
    K = ops.ssm_kernel(A_bar, B_bar, C, length)
    return q * convolved(v * convolved(k, shift), K)


def convolved(u: Tensor, K: Tensor) -> Tensor:
    n = 2 * u.shape[1]  # along the last axis, as PyTorch copies what it transforms along another
    spectrum = torch.fft.rfft(u.mT, n) * torch.fft.rfft(K, n)
    return torch.fft.irfft(spectrum, n)[..., : u.shape[1]].mT


def first(q: Tensor, k: Tensor, v: Tensor, shift: Tensor, A_bar: Tensor, B_bar: Tensor, C: Tensor) -> Tensor:
    kernel = first_kernel("07_hungry_hungry_hippos").h3_walk
    (_, length, channels), taps, states = q.shape, shift.shape[1], A_bar.shape[1]
    y = torch.empty_like(q)
    modes = 1 << (states - 1).bit_length()
    launch = runner(kernel, q)[(channels,)]
    launch(q, k, v, shift, A_bar, B_bar, C, y, channels, taps, states, length, TAPS=4, MODES=modes)
    return y


if __name__ == "__main__":
    main()
