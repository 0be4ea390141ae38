"""The long convolution that goes on from the inputs before, in plain PyTorch, by Fourier
transforms of n points, n at least L + M - 1.

They convolve in a circle. On it the sequence is written from the first place on, and the
inputs before it where the circle ends, so that every output finds them behind itself:

    place   0 ... L - 1         ...   n - M + 1 ... n - 1
            u_0 ... u_{L-1}     0     state, the oldest first

So a state costs no further point, and one of zeros is the same as none, to the bit.
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from seqlab.ops.convolution.portable import points


def convolve(u: Tensor, K: Tensor, state: Tensor | None) -> Tensor:
    """y (B, L, D), of u's dtype, for a K of the dtype that it is computed in."""
    length, taps = u.shape[1], K.shape[1]
    n = points(length + taps - 1)
    spectrum = rfft(_circle(u, state, n, K.dtype), dim=1) * rfft(K, n).mT
    y = irfft(spectrum, n, dim=1)[:, :length]
    return y.to(u.dtype, copy=True, memory_format=torch.contiguous_format)


def gradients(
    u: Tensor, K: Tensor, state: Tensor | None, grad_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients to u, behind those to the M - 1 inputs before where there is a state, and
    to K, all in K's dtype."""
    length, taps = u.shape[1], K.shape[1]
    n = points(length + taps - 1)
    spectrum = rfft(grad_y.to(K.dtype), n, dim=1)
    circle = irfft(spectrum * torch.conj_physical(rfft(K, n).mT), n, dim=1)
    before = circle[:, n - taps + 1 :] if state is not None else circle[:, :0]
    of_inputs = torch.cat([before, circle[:, :length]], dim=1)
    inputs = rfft(_circle(u, state, n, K.dtype), dim=1)
    of_K = (spectrum * torch.conj_physical(inputs)).sum(0)
    return of_inputs, irfft(of_K, n, dim=0)[:taps].mT.contiguous()


def _circle(u: Tensor, state: Tensor | None, n: int, dtype: torch.dtype) -> Tensor:
    """The inputs at their places, (B, n, D)."""
    circle = u.new_zeros((u.shape[0], n, u.shape[2]), dtype=dtype)
    circle[:, : u.shape[1]] = u
    if state is not None:
        circle[:, n - state.shape[1] :] = state
    return circle
