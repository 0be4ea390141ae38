"""The causal convolution as a PyTorch op: argument checks, choice of backend,
registration."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.convolution import portable
from seqlab.ops.registration import register

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def causal_convolution(u: Tensor, K: Tensor, backend: str | None = None) -> Tensor:
    """The causal convolution y_t = sum over j <= t of K_j u_{t-j}, a kernel for each
    channel.

    Short kernels are summed tap by tap, longer ones by Fourier transforms, from which
    nothing wraps around into an output: any length works, odd ones too. Sums are formed
    in K's dtype. A transform's error is relative to the norms of a channel's input and
    kernel, not to each output, and it spreads what is not finite over all times of a
    channel. Differentiable in ``u`` and ``K``; each gradient is a correlation with the
    other argument.

    Args:
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        K: kernel, (D, M) for any M: taps beyond L have no effect. Of u's dtype, but
            float32 for float16 and bfloat16.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form
            for all else. Fourier transforms are PyTorch's in each.

    Returns:
        y, (B, L, D), of u's dtype.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces"
    (2022), section 2.4.
    """
    check_tensor("u", u)
    check_dtype("u", u, DTYPES)
    check_shape("u", u, "batch, length, channels")
    check_not_empty("u", u)
    wide = accumulation_dtype(u.dtype)
    check_like("K", K, "u", u, "channels, taps", (u.shape[2], None), wide)
    check_not_empty("K", K)
    name = choose_backend(backend, u, KERNEL_DTYPES)
    return _causal_convolution(u, K, name)[0]


def _forward(u: Tensor, K: Tensor, backend: str) -> tuple[Tensor]:
    if backend == "triton":
        return (kernel_of("convolution").convolve(u, K),)
    return (portable.convolve(u, K),)


def _backward(
    u: Tensor, K: Tensor, grad_y: Tensor, backend: str
) -> tuple[Tensor, Tensor]:
    form = kernel_of("convolution") if backend == "triton" else portable
    return form.gradients(u, K, grad_y)


def _save(arguments, outputs):
    return arguments[:2]


def _fake(u, K, backend):
    return (u.new_empty(u.shape),)


def _fake_backward(u, K, grad_y, backend):
    return u.new_empty(u.shape), K.new_empty(K.shape)


_causal_convolution = register(
    "causal_convolution", _forward, _backward, _save, _fake, _fake_backward
)
