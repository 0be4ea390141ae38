"""The diagonal state-space model as a chunked convolution, a PyTorch op."""

import torch
from torch import Tensor

from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.ssm import portable
from seqlab.ops.ssm.op import KERNEL_DTYPES, check


def ssm_convolution(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The diagonal state-space model x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t) as a
    convolution with K_j = Re(C A_bar^j B_bar) that is cut into chunks: within a chunk the
    product by a Toeplitz matrix, between chunks the state. It takes O(L) operations, is
    exact at any length and starts and stops anywhere.

    Differentiable in ``A_bar``, ``B_bar``, ``C``, ``u``, ``state`` and through both
    results; complex gradients follow PyTorch's convention. As these are matrix products,
    what is not finite in u may spread to earlier times of its channel, and come out
    as NaN where it would be infinite.

    Args:
        A_bar: decay of each mode, (D, N), of a modulus of at most about 1. Real or
            complex; of u's precision, but float32 or complex64 for float16 and bfloat16.
        B_bar: gain of the input, (D, N), of A_bar's dtype.
        C: weight of each mode in the output, (D, N), of A_bar's dtype.
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        state: x before the first step, (B, D, N), of A_bar's dtype; zeros if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form for
            all else.

    Returns:
        y, (B, L, D), of u's dtype, and the state after the last step, (B, D, N), of
            A_bar's dtype. One step is :func:`ssm_scan_step`.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Fu et al., "Hungry Hungry Hippos" (2023), section 4.2, with the exponents that
    belong to x_t = A_bar x_{t-1} + B_bar u_t.
    """
    check("u", u, "batch, length, channels", A_bar, B_bar, C, state, fixed=True)
    name = choose_backend(backend, u, KERNEL_DTYPES)
    y, last, _, _ = _ssm_convolution(u, A_bar, B_bar, C, state, name)
    return y, last


def _forward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y, the last state, and what the kernel keeps: the states between tiles, and that
    before the last few steps."""
    if backend == "triton":
        return kernel_of("ssm.convolution").convolve(u, A_bar, B_bar, C, state)
    y, last = portable.scan(A_bar, B_bar, C, u, state)
    return y, last, u.new_empty(0, dtype=torch.float32), last.new_empty(0)


def _backward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    between: Tensor,
    middle: Tensor,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_between: Tensor | None,
    grad_middle: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y
    if backend == "triton":
        gradients = kernel_of("ssm.convolution").gradients
        return gradients(u, A_bar, B_bar, C, state, between, middle, grad_y, grad_last)
    grad_A, grad_B, grad_C, grad_u, grad_state = portable.gradients(
        A_bar, B_bar, C, u, state, grad_y, grad_last
    )
    return grad_u, grad_A, grad_B, grad_C, grad_state


def _save(arguments, outputs):
    return *arguments[:5], *outputs[2:]


def _fake(u, A_bar, B_bar, C, state, backend):
    batch, _, channels = u.shape
    last = A_bar.new_empty((batch, channels, A_bar.shape[-1]))
    kept, middle = (0,), (0,)
    if backend == "triton":
        kept, middle = kernel_of("ssm.convolution", "plan").kept_shapes(
            u.shape, A_bar.shape[-1], A_bar.is_complex(), u.is_cuda
        )
    between = u.new_empty(kept, dtype=torch.float32)
    return u.new_empty(u.shape), last, between, last.new_empty(middle)


def _fake_backward(u, A_bar, B_bar, C, *others):
    last = A_bar.new_empty((u.shape[0], u.shape[2], A_bar.shape[-1]))
    return tuple(x.new_empty(x.shape) for x in (u, A_bar, B_bar, C, last))


_ssm_convolution = register(
    "ssm_convolution", _forward, _backward, _save, _fake, _fake_backward
)
