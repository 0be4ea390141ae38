"""The recurrence of a diagonal state-space model as a PyTorch op: argument checks, choice
of backend, registration."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    Shape,
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    dtype_names,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.ssm import portable

# Of the input, and which ones the parameters and the state then have.
PARAMETER_DTYPES = {
    torch.float16: (torch.float32, torch.complex64),
    torch.bfloat16: (torch.float32, torch.complex64),
    torch.float32: (torch.float32, torch.complex64),
    torch.float64: (torch.float64, torch.complex128),
}
DTYPES = tuple(PARAMETER_DTYPES)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def ssm_scan(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The diagonal state-space model x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t) as a
    recurrence: N modes for each batch entry and channel, of which y sums the real parts. A
    layer that keeps one mode of each conjugate pair doubles C itself.

    Differentiable in ``A_bar``, ``B_bar``, ``C``, ``u``, ``state`` and through both
    results; complex gradients follow PyTorch's convention. |A_bar| is meant to be at most
    about 1: products of it are formed over stretches of time. In the portable form with a
    fixed A_bar these are matrix products, in which what is not finite may spread to
    earlier times of its channel.

    Where A_bar is fixed, :func:`ssm_convolution` computes the same by matrix products.

    Args:
        A_bar: decay of each mode, (D, N), or (B, L, D, N) where it changes in time. Real
            or complex; of u's precision, but float32 or complex64 for float16 and
            bfloat16.
        B_bar: gain of the input, of A_bar's shape and dtype.
        C: weight of each mode in the output, (D, N), of A_bar's dtype.
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        state: x before the first step, (B, D, N), of A_bar's dtype; zeros if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form for
            all else.

    Returns:
        y, (B, L, D), of u's dtype, and the state after the last step, (B, D, N), of
            A_bar's dtype.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Gu et al., "On the Parameterization and Initialization of Diagonal State Space
    Models" (2022), section 2.
    """
    check("u", u, "batch, length, channels", A_bar, B_bar, C, state)
    name = choose_backend(backend, u, KERNEL_DTYPES)
    y, last, _ = _ssm_scan(u, A_bar, B_bar, C, state, name)
    return y, last


def ssm_scan_step(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u_t: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`ssm_scan` and of :func:`ssm_convolution`, for generation.

    Args:
        A_bar: decay, (D, N) or (B, D, N).
        B_bar: gain of the input, of A_bar's shape and dtype.
        C: weight of each mode in the output, (D, N).
        u_t: input, (B, D).
        state: x of the step before, (B, D, N).

    Returns:
        y_t, (B, D), of u_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`ssm_scan`.
    """
    check_tensor("state", state)
    check("u_t", u_t, "batch, channels", A_bar, B_bar, C, state)
    wide = u_t.to(accumulation_dtype(u_t.dtype))
    x = A_bar * state + B_bar * wide[..., None]
    product = C * x
    y = (product.real if product.is_complex() else product).sum(-1)
    return y.to(u_t.dtype), x


def check(
    name: str,
    u: Tensor,
    axes: str,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    fixed: bool = False,
) -> None:
    """Raise TypeError or ValueError unless these are arguments of one diagonal system.
    ``axes`` are those of the input ``u``, called ``name``; ``fixed`` says that A_bar may
    not change in time."""
    check_tensor(name, u)
    check_dtype(name, u, DTYPES)
    check_shape(name, u, axes)
    check_not_empty(name, u)
    check_tensor("A_bar", A_bar)
    shape: Shape
    channels = u.shape[-1]
    if A_bar.ndim == 2 or fixed:
        shape, letters = (channels, None), "channels, N"
    else:
        shape, letters = (*u.shape, None), f"{axes}, N"
    check_decay(A_bar, letters, shape, name, u)
    N = A_bar.shape[-1]
    check_like("B_bar", B_bar, "A_bar", A_bar, letters, A_bar.shape)
    check_like("C", C, "A_bar", A_bar, "channels, N", (channels, N))
    if state is not None:
        shape = (u.shape[0], channels, N)
        check_like("state", state, "A_bar", A_bar, "batch, channels, N", shape)


def check_decay(
    A_bar: Tensor, letters: str, shape: Shape, name: str, u: Tensor
) -> None:
    """Raise TypeError or ValueError unless ``A_bar`` is a tensor of this shape that goes
    with the input ``u``, called ``name``."""
    check_tensor("A_bar", A_bar)
    dtypes = PARAMETER_DTYPES[u.dtype]
    if A_bar.dtype not in dtypes:
        raise TypeError(
            f"A_bar: expected one of {dtype_names(dtypes)} for a {name} of {u.dtype}, "
            f"got {A_bar.dtype}"
        )
    check_shape("A_bar", A_bar, letters, shape, name)
    check_not_empty("A_bar", A_bar)
    if A_bar.device != u.device:
        raise ValueError(
            f"A_bar: expected device {u.device} like {name}, got {A_bar.device}"
        )


def _forward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and what the kernel keeps: the states between chunks."""
    if backend == "triton":
        kernel = kernel_of("ssm")
        y, last, between = kernel.scan(u, A_bar, B_bar, C, state)
        if between is None:
            between = kernel.room_for_states(u, A_bar)
        return y, last, between
    y, last = portable.scan(A_bar, B_bar, C, u, state)
    return y, last, u.new_empty(0, dtype=torch.float32)


def _backward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    between: Tensor,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_between: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y
    if backend == "triton":
        gradients = kernel_of("ssm").gradients
        return gradients(u, A_bar, B_bar, C, state, between, grad_y, grad_last)
    grad_A, grad_B, grad_C, grad_u, grad_state = portable.gradients(
        A_bar, B_bar, C, u, state, grad_y, grad_last
    )
    return grad_u, grad_A, grad_B, grad_C, grad_state


def _save(arguments, outputs):
    return *arguments[:5], outputs[2]


def _fake(u, A_bar, B_bar, C, state, backend):
    batch, _, channels = u.shape
    last = A_bar.new_empty((batch, channels, A_bar.shape[-1]))
    kept = (0,)
    if backend == "triton":
        kept = kernel_of("ssm").kept_shape(
            u.shape, A_bar.shape[-1], A_bar.is_complex(), u.is_cuda, A_bar.ndim == 2
        )
    return u.new_empty(u.shape), last, u.new_empty(kept, dtype=torch.float32)


def _fake_backward(
    u, A_bar, B_bar, C, state, between, grad_y, grad_last, grad_between, backend
):
    last = A_bar.new_empty((u.shape[0], u.shape[2], A_bar.shape[-1]))
    return tuple(x.new_empty(x.shape) for x in (u, A_bar, B_bar, C, last))


_ssm_scan = register("ssm_scan", _forward, _backward, _save, _fake, _fake_backward)
