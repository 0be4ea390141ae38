"""The kernel of a diagonal state-space model as a PyTorch op: argument checks, choice of
backend, registration."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    positive_integer,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.vandermonde import portable

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
KERNEL_DTYPES = (torch.float32, torch.complex64)


def ssm_kernel(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, L: int, backend: str | None = None
) -> Tensor:
    """The convolution kernel K_j = Re(C A_bar^j B_bar), summed over modes, of the diagonal
    state-space model x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t).

    So y is the causal convolution of u with K. It is the plain real part of a sum over
    the N modes given: a caller that keeps one of each conjugate pair doubles ``C``.
    Powers are formed in float64, so that they keep their phase whatever L is, and are
    never held for all of D, N and L. Differentiable in ``A_bar`` (also where it is 0),
    ``B_bar`` and ``C``; |A_bar| is meant to be at most about 1. A NaN in ``A_bar``
    leaves K_0.

    Args:
        A_bar: discrete eigenvalues, (D, N): float32, float64, complex64 or complex128.
        B_bar, C: what enters and leaves each mode, (D, N), of A_bar's dtype.
        L: length of the kernel, at least 1.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits a real number
            and the portable form for all else.

    Returns:
        K, (D, L), real.

    Raises:
        TypeError: an argument is not of the type or dtype described.
        ValueError: a shape, a device, ``L`` or ``backend`` is not as described, or D or N
            is 0.

    Source: Gu et al., "On the Parameterization and Initialization of Diagonal State Space
    Models" (2022), section 3.3; Gupta et al., "Diagonal State Spaces are as Effective as
    Structured State Spaces" (2022), proposition 1.
    """
    check_tensor("A_bar", A_bar)
    check_dtype("A_bar", A_bar, DTYPES)
    check_shape("A_bar", A_bar, "channels, modes")
    check_not_empty("A_bar", A_bar)
    for name, x in (("B_bar", B_bar), ("C", C)):
        check_like(name, x, "A_bar", A_bar, "channels, modes", A_bar.shape)
    length = positive_integer("L", L)
    name = choose_backend(backend, A_bar, KERNEL_DTYPES)
    return _ssm_kernel(A_bar, B_bar, C, length, name)[0]


def _forward(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, length: int, backend: str
) -> tuple[Tensor]:
    if backend == "triton":
        return (kernel_of("vandermonde").kernel(A_bar, B_bar, C, length),)
    return (portable.kernel(A_bar, B_bar, C, length),)


def _backward(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, grad_K: Tensor, length: int, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    form = kernel_of("vandermonde") if backend == "triton" else portable
    return form.gradients(A_bar, B_bar, C, grad_K)


def _save(arguments, outputs):
    return arguments[:3]


def _fake(A_bar, B_bar, C, length, backend):
    return (A_bar.new_empty((A_bar.shape[0], length), dtype=A_bar.dtype.to_real()),)


def _fake_backward(A_bar, B_bar, C, grad_K, length, backend):
    return tuple(x.new_empty(x.shape) for x in (A_bar, B_bar, C))


_ssm_kernel = register("ssm_kernel", _forward, _backward, _save, _fake, _fake_backward)
