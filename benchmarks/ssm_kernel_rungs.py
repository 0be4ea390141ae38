"""What each idea of the kernel of a diagonal state-space model brings, on one GPU: the rungs of chapter 6.

``python -m benchmarks.ssm_kernel_rungs --out benchmarks/results/ssm_kernel_rungs_DEVICE.json``

K_j = Re(C A_bar^j B_bar), complex, forward, queued. The first rungs are PyTorch's own operations, then comes the
kernel that the chapter prints, taken from its notebook; the last one is the op. Every rung is held to float64, on some
channels and its first lags, before it is timed.
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
from seqlab.ops.vandermonde import portable, reference

SIZES = {"length": 8192, "channels": 1024, "states": 64}
TINY = {"length": 37, "channels": 3, "states": 4}
CHECKED = (2, 1000)  # channels, lags: later ones lose digits in the chapter's kernel
ERROR = 1e-4

Step = Callable[[], Tensor]


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes = TINY if arguments.quick else SIZES
    length, channels, states = sizes.values()
    system = inputs(channels, states, device_here())
    few, lags = CHECKED
    A_bar, B_bar, C = (x[:few].cpu().numpy().astype(complex) for x in system)
    truth = reference.ssm_kernel(A_bar, B_bar, C, min(lags, length))

    def error(made: Tensor) -> float:
        return relative_error(made[:few, :lags], truth)

    moved = 4 * (channels * length + 6 * channels * states)  # eq. 6.18
    record_rungs(arguments.out, sizes, moved, rungs(system, length), error, ERROR)


def inputs(channels: int, states: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """A_bar between radius 0.99 and 1, B_bar and C normal, (D, N)."""
    generator = torch.Generator(device).manual_seed(0)

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(channels, states, generator=generator, device=device)
        return low + (high - low) * drawn

    normal = [
        torch.randn(channels, states, dtype=torch.complex64, generator=generator, device=device)
        for _ in range(2)
    ]
    return torch.polar(uniform(0.99, 0.9999), uniform(0, 3)), normal[0], normal[1]


def rungs(system: tuple[Tensor, Tensor, Tensor], length: int) -> Iterator[tuple[str, Step]]:
    """The rungs with their names, each to be called before the next one is asked for."""
    yield "PyTorch, all powers, then the sum", lambda: all_powers(*system, length)
    yield "PyTorch, rows times columns", lambda: portable.kernel(*system, length)
    yield "the chapter's kernel: exp, sin, cos", lambda: first(*system, length)
    yield "powers in tiles: the package", lambda: ops.ssm_kernel(*system, length, backend="triton")


def all_powers(A_bar: Tensor, B_bar: Tensor, C: Tensor, length: int) -> Tensor:
    """As one would write it: (D, N, L) numbers."""
    lags = torch.arange(length, device=A_bar.device)
    return ((C * B_bar)[..., None] * torch.exp(torch.log(A_bar)[..., None] * lags)).sum(1).real


def first(A_bar: Tensor, B_bar: Tensor, C: Tensor, length: int) -> Tensor:
    kernel = first_kernel("06_convolution_or_recurrence").vandermonde_product
    log, weight = torch.log(A_bar), C * B_bar
    modes = torch.stack([log.real, log.imag, weight.real, weight.imag], dim=-1)
    channels, states = A_bar.shape
    K = torch.empty(channels, length, device=A_bar.device)
    block = 1024 if A_bar.is_cuda else 16
    launch = runner(kernel, A_bar)[channels, triton.cdiv(length, block)]
    launch(modes, K, states, length, BLOCK=block)
    return K


if __name__ == "__main__":
    main()
