"""The state-space model of S5, one state for all channels, as a PyTorch op: a product, a
linear scan, a product."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    boolean,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.linear_scan import portable
from seqlab.ops.registration import register
from seqlab.ops.ssm.op import DTYPES, check_decay

KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def ssm_mimo(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None = None,
    reverse: bool = False,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The state-space model x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t) with many
    inputs and outputs: N modes for each batch entry, which all channels feed and read.

    Differentiable in ``A_bar``, ``B_bar``, ``C``, ``u``, ``state`` and through both
    results. All states (B, L, N) are kept in memory. A model that looks both ways adds a
    run in ``reverse``, with a C of its own:

        y = ssm_mimo(A_bar, B_bar, C, u)[0] + ssm_mimo(A_bar, B_bar, D, u, reverse=True)[0]

    Args:
        A_bar: decay of each mode, (N,), real or complex; of u's precision, but float32 or
            complex64 for float16 and bfloat16.
        B_bar: gains of the inputs, (N, D), of A_bar's dtype.
        C: weights of the modes in the outputs, (D, N), of A_bar's dtype.
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        state: x before the first step, (B, N), of A_bar's dtype; zeros if None.
        reverse: run from the last time to the first.
        backend: of the linear scan, as for :func:`linear_scan`.

    Returns:
        y, (B, L, D), of u's dtype, and the state after the last step, (B, N), of A_bar's
            dtype.

    Raises:
        TypeError: an argument is of another type or dtype than listed.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Smith, Warrington and Linderman, "Simplified State Space Layers for Sequence
    Modeling" (2023), section 3.
    """
    _check("u", u, "batch, length, channels", A_bar, B_bar, C, state)
    reverse = boolean("reverse", reverse)
    name = choose_backend(backend, u, KERNEL_DTYPES)
    y, last, _ = _ssm_mimo(u, A_bar, B_bar, C, state, reverse, name)
    return y, last


def ssm_mimo_step(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u_t: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`ssm_mimo`, for generation.

    Args:
        A_bar, B_bar, C: as for :func:`ssm_mimo`.
        u_t: input, (B, D).
        state: x of the step before, (B, N).

    Returns:
        y_t, (B, D), of u_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`ssm_mimo`.
    """
    check_tensor("state", state)
    _check("u_t", u_t, "batch, channels", A_bar, B_bar, C, state)
    name = choose_backend(None, u_t, KERNEL_DTYPES)
    y, last, _ = _ssm_mimo(u_t[:, None], A_bar, B_bar, C, state, False, name)
    return y[:, 0], last


def _numbers(x: Tensor) -> Tensor:
    """(..., N) as a matrix of real numbers, a row for all N: of complex ones both parts,
    side by side, so that products of matrices are real."""
    N = x.shape[-1]
    if x.is_complex():
        return torch.view_as_real(x.resolve_conj()).reshape(-1, 2 * N)
    return x.reshape(-1, N)


def _modes(numbers: Tensor, shape: Sequence[int], like: Tensor) -> Tensor:
    """The other way round."""
    if like.is_complex():
        return torch.view_as_complex(numbers.view(*shape, 2))
    return numbers.view(shape)


def _forward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and every state."""
    scan = (kernel_of("linear_scan") if backend == "triton" else portable).scan
    rows = _numbers(u).to(A_bar.dtype.to_real())
    into = _numbers(B_bar.mT)
    driven = _modes(matmul(rows, into), (*u.shape[:2], len(A_bar)), A_bar)
    x, last = scan(A_bar, driven, state, reverse)
    y = matmul(_numbers(x), _numbers(torch.conj_physical(C)).mT)
    return y.view(u.shape).to(u.dtype), last, x


def _backward(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    x: Tensor,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_x: Tensor | None,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    of = kernel_of("linear_scan") if backend == "triton" else portable
    real = A_bar.dtype.to_real()
    dy = torch.zeros_like(u) if grad_y is None else grad_y
    rows, dy = _numbers(u).to(real), _numbers(dy).to(real)
    grad_x = matmul(dy, _numbers(torch.conj_physical(C)))
    grad_A, g, grad_state = of.gradients(
        A_bar, x, state, _modes(grad_x, x.shape, A_bar), grad_last, reverse
    )
    g, x = _numbers(g), _numbers(x)
    grad_B = _modes(matmul(rows.mT, g), C.shape, C).mT.contiguous()
    grad_C = _modes(matmul(dy.mT, x), C.shape, C).conj_physical_()
    grad_u = matmul(g, _numbers(B_bar.mT).mT).view(u.shape).to(u.dtype)
    return grad_u, grad_A, grad_B, grad_C, grad_state


def _save(arguments, outputs):
    return *arguments[:5], outputs[2]


def _fake(u, A_bar, B_bar, C, state, reverse, backend):
    batch, length, _ = u.shape
    x = A_bar.new_empty((batch, length, len(A_bar)))
    return u.new_empty(u.shape), x.new_empty((batch, len(A_bar))), x


def _fake_backward(
    u, A_bar, B_bar, C, state, x, grad_y, grad_last, grad_x, reverse, backend
):
    grad_state = None if state is None else state.new_empty(state.shape)
    return *(x.new_empty(x.shape) for x in (u, A_bar, B_bar, C)), grad_state


_ssm_mimo = register("ssm_mimo", _forward, _backward, _save, _fake, _fake_backward)


def _check(
    name: str,
    u: Tensor,
    axes: str,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
) -> None:
    check_tensor(name, u)
    check_dtype(name, u, DTYPES)
    check_shape(name, u, axes)
    check_not_empty(name, u)
    check_decay(A_bar, "N", (None,), name, u)
    (N,), D = A_bar.shape, u.shape[-1]
    check_like("B_bar", B_bar, "A_bar", A_bar, "N, channels", (N, D))
    check_like("C", C, "A_bar", A_bar, "channels, N", (D, N))
    if state is not None:
        check_like("state", state, "A_bar", A_bar, "batch, N", (u.shape[0], N))
