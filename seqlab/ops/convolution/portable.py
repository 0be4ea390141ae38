"""The causal convolution in plain PyTorch: one product a tap for short kernels, Fourier
transforms for all others, which may go on from the inputs before.

A transform keeps its error at about 1e-7 (in float32) of the norms of a channel's input
and kernel, multiplied, not of each output: far smaller outputs are noise. A sum of
products has no such floor.

Transforms have n points, n at least L + M - 1. They convolve in a circle. On it the
sequence is written from the first place on, and the inputs before it where the circle
ends, so that every output finds them behind itself:

    place   0 ... L - 1         ...   n - M + 1 ... n - 1
            u_0 ... u_{L-1}     0     state, the oldest first

So a state costs no further point, and one of zeros is the same as none, to the bit. Time
is the last axis of what is transformed: along another one PyTorch copies its argument
before each transform, on a GPU up to three times.
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

SHORT = 16
"""Up to so many taps, products are faster."""


def convolve(u: Tensor, K: Tensor, short: int = SHORT) -> Tensor:
    """y (B, L, D), of u's dtype, for a K of the dtype that it is computed in."""
    K = K[:, : u.shape[1]]
    if K.shape[1] > short:
        return convolve_by_transforms(u, K)
    return _sum(u.to(K.dtype), K).to(u.dtype)


def gradients(
    u: Tensor, K: Tensor, grad_y: Tensor, short: int = SHORT
) -> tuple[Tensor, Tensor]:
    """Gradients to u and K; taps beyond the length of u have none."""
    taps = min(u.shape[1], K.shape[1])
    grad_K = torch.zeros_like(K, memory_format=torch.contiguous_format)
    if taps > short:
        grad_u, grad_K[:, :taps], _ = gradients_by_transforms(
            u, K[:, :taps], None, grad_y, u.dtype
        )
        return grad_u, grad_K
    wide, grad_y = u.to(K.dtype), grad_y.to(K.dtype)
    grad_u, grad_K[:, :taps] = _sum_gradients(wide, K[:, :taps], grad_y)
    return grad_u.to(u.dtype), grad_K


def _sum(u: Tensor, K: Tensor) -> Tensor:
    y = u * K[:, 0]
    for j in range(1, K.shape[1]):
        y[:, j:].addcmul_(u[:, :-j], K[:, j])
    return y


def _sum_gradients(u: Tensor, K: Tensor, grad_y: Tensor) -> tuple[Tensor, Tensor]:
    length = u.shape[1]
    grad_u = _sum(grad_y.flip(1), K).flip(1)
    of_taps = [
        (grad_y[:, j:] * u[:, : length - j]).sum((0, 1)) for j in range(K.shape[1])
    ]
    return grad_u, torch.stack(of_taps, dim=1)


def convolve_by_transforms(u: Tensor, K: Tensor, state: Tensor | None = None) -> Tensor:
    """y (B, L, D), of u's dtype, for taps (D, M), all of which take part, and the M - 1
    inputs before, (B, M - 1, D), or none."""
    length, taps = u.shape[1], K.shape[1]
    n = points(length + taps - 1)
    spectrum = rfft(_rows(u, state, n, K.dtype))
    spectrum *= rfft(K, n, norm="forward")  # the factor 1 / n, where it is least work
    y = irfft(spectrum, n, norm="forward")
    return _columns(y[..., :length], u.dtype)


def gradients_by_transforms(
    u: Tensor, K: Tensor, state: Tensor | None, grad_y: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients to u, in ``dtype``, to K, and to the state, in ``dtype`` too, if there is
    one."""
    length, taps = u.shape[1], K.shape[1]
    n = points(length + taps - 1)
    flow = rfft(_rows(grad_y, None, n, K.dtype))
    of_K = rfft(_rows(u, state, n, K.dtype)).conj_physical_().mul_(flow).sum(0)
    flow *= torch.conj_physical(rfft(K, n, norm="forward"))
    circle = irfft(flow, n, norm="forward")
    grad_u = _columns(circle[..., :length], dtype)
    grad_state = None if state is None else _columns(circle[..., n - taps + 1 :], dtype)
    grad_K = irfft(of_K, n)[:, :taps].clone(memory_format=torch.contiguous_format)
    return grad_u, grad_K, grad_state


def _rows(u: Tensor, state: Tensor | None, n: int, dtype: torch.dtype) -> Tensor:
    """The inputs at their places, (B, D, n)."""
    rows = u.new_zeros((u.shape[0], u.shape[2], n), dtype=dtype)
    # On a CPU, PyTorch's copy from float16 to float32 forgets what waits to be negated.
    rows[..., : u.shape[1]] = u.resolve_neg().mT
    if state is not None:
        rows[..., n - state.shape[1] :] = state.resolve_neg().mT
    return rows


def _columns(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows (B, D, L) as (B, L, D), in memory of their own."""
    return rows.mT.to(dtype, copy=True, memory_format=torch.contiguous_format)


def points(least: int) -> int:
    """The number of points of a transform: the least from ``least`` up that has a power of
    two in it and a factor of 1, 3, 5, 9 or 15, which are fast."""
    return min(m << (-(-least // m) - 1).bit_length() for m in (1, 3, 5, 9, 15))
