"""The causal convolution in plain PyTorch: one product a tap for short kernels, Fourier
transforms for all others.

A transform keeps its error at about 1e-7 (in float32) of the norms of a channel's input
and kernel, multiplied, not of each output: far smaller outputs are noise. A sum of
products has no such floor.
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

SHORT = 16
"""Up to so many taps, products are faster."""


def convolve(u: Tensor, K: Tensor, short: int = SHORT) -> Tensor:
    """y (B, L, D), of u's dtype, for a K of the dtype that it is computed in."""
    taps = min(u.shape[1], K.shape[1])
    wide, K = u.to(K.dtype), K[:, :taps]
    return (_sum(wide, K) if taps <= short else _transform(wide, K)).to(u.dtype)


def gradients(
    u: Tensor, K: Tensor, grad_y: Tensor, short: int = SHORT
) -> tuple[Tensor, Tensor]:
    """Gradients to u and K; taps beyond the length of u have none."""
    taps = min(u.shape[1], K.shape[1])
    grad_K = torch.zeros_like(K, memory_format=torch.contiguous_format)
    form = _sum_gradients if taps <= short else _transform_gradients
    wide, grad_y = u.to(K.dtype), grad_y.to(K.dtype)
    grad_u, grad_K[:, :taps] = form(wide, K[:, :taps], grad_y)
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


def _transform(u: Tensor, K: Tensor) -> Tensor:
    n = points(u.shape[1] + K.shape[1] - 1)
    y = irfft(rfft(u, n, dim=1) * rfft(K, n).mT, n, dim=1)
    return y[:, : u.shape[1]].clone(memory_format=torch.contiguous_format)


def _transform_gradients(u: Tensor, K: Tensor, grad_y: Tensor) -> tuple[Tensor, Tensor]:
    length, taps = u.shape[1], K.shape[1]
    n = points(length + taps - 1)
    spectrum = rfft(grad_y, n, dim=1)
    grad_u = irfft(spectrum * torch.conj_physical(rfft(K, n).mT), n, dim=1)[:, :length]
    grad_u = grad_u.clone(memory_format=torch.contiguous_format)
    of_K = (spectrum * torch.conj_physical(rfft(u, n, dim=1))).sum(0)
    return grad_u, irfft(of_K, n, dim=0)[:taps].mT


def points(least: int) -> int:
    """The number of points of a transform: the least from ``least`` up that has a power of
    two in it and a factor of 1, 3, 5, 9 or 15, which are fast."""
    return min(m << (-(-least // m) - 1).bit_length() for m in (1, 3, 5, 9, 15))
