"""Discretization in plain PyTorch: dense matrices, and the diagonal form with its
gradients, both in float64 inside.

Dense goes through operations that autograd knows. Diagonal is elementwise and its
gradients are written out (equation 5.14), so that nothing but the arguments is kept for
them. There z = dt A decides how phi_k(z) is computed: by its series where |z| < 1, by
recursion elsewhere, each where the other one loses digits.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad


def dense(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar, S + (N, N), and B_bar, S + B.shape, of A's dtype and of the common one; foh
    stacks two B_bar in front.

    ``method`` is gbt, zoh or foh: the others are gbt with an alpha of their own.
    """
    common = torch.promote_types(A.dtype, B.dtype)
    columns = (B if B.ndim == 2 else B[:, None]).to(_wide(common))
    step = dt.to(torch.float64)[..., None, None]
    z = step * A.to(_wide(A.dtype))
    if method == "gbt":
        A_bar, B_bar = _transform(z, step * columns, alpha)
    elif method == "zoh":
        A_bar, phi = _phi_of_matrix(z, order=1)
        B_bar = phi.to(columns.dtype) @ (step * columns)  # eq. 5.8
    else:
        A_bar, first, second = _phi_of_matrix(z, order=2)
        weights = torch.stack([first - second, second]).to(columns.dtype)
        B_bar = weights @ (step * columns)  # eq. 5.10
    B_bar = B_bar if B.ndim == 2 else B_bar[..., 0]
    return A_bar.to(A.dtype), B_bar.to(common)


def _transform(z: Tensor, B: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """(I - alpha z)^-1 applied to I + (1 - alpha) z and to B; inf or nan where there is no
    inverse."""
    identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    if alpha == 0:  # nothing to solve, and a NaN stays where it is
        return identity + z, B
    left = identity - alpha * z
    A_bar, _ = torch.linalg.solve_ex(left, identity + (1 - alpha) * z)  # eq. 5.7
    B_bar, _ = torch.linalg.solve_ex(left.to(B.dtype), B)
    return A_bar, B_bar


def _phi_of_matrix(z: Tensor, order: int) -> tuple[Tensor, ...]:
    """e^z, phi_1(z), ..., phi_order(z): the top row of one exponential, (5.11) with the
    identity as B.

    So a NaN in B does not get into A_bar. And no matrix is small, of which
    torch.matrix_exp loses digits when it is alone (pytorch issue 196592).
    """
    states = z.shape[-1]
    later = order * states
    chain = torch.diag(z.new_ones(later), states)
    generator = torch.nn.functional.pad(z, (0, later, 0, later)) + chain
    row = _exponential(generator)[..., :states, :]  # eq. 5.11
    return row.split(states, dim=-1)


def _exponential(x: Tensor) -> Tensor:
    """e^x of matrices."""
    if not torch.compiler.is_compiling() and forward_ad._current_level >= 0:
        return torch.linalg.matrix_exp(x)
    return _Exponential.apply(x)


class _Exponential(torch.autograd.Function):
    """e^x with a gradient that is linear in the one that arrives.

    PyTorch's own puts x and that gradient into one matrix, and squares its exponential as
    often as the larger of the two takes: a gradient of 1e12 costs half the digits of
    float64, one of 1e18 all. Here it is brought to a size of 1 before.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.linalg.matrix_exp(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """The corner of the exponential of [[x*, gradient], [0, x*]]."""
        x = ctx.saved_tensors[0].mH
        size = gradient.detach().abs().amax((-2, -1), keepdim=True)
        unit = torch.exp2(torch.frexp(size).exponent.to(size.dtype) - 1)
        top = torch.cat([x, gradient / unit], dim=-1)
        bottom = torch.cat([torch.zeros_like(x), x], dim=-1)
        both = torch.linalg.matrix_exp(torch.cat([top, bottom], dim=-2))
        return both[..., : x.shape[-1], x.shape[-1] :] * unit


def diagonal(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar of the shape of dt A; foh stacks two B_bar in front.

    A (..., N), B (..., N or 1) and dt (...) are broadcast; B is no wider than dt A, and of
    A's dtype.
    """
    wide_A, wide_B, wide_dt = _widen(A, B, dt)
    form = _form(wide_dt * wide_A, method, alpha)
    B_bar = [wide_dt * weight * wide_B * form.scale for weight, _ in form.weights]
    whole = B_bar[0] if len(B_bar) == 1 else torch.stack(B_bar)
    return (form.A_bar * form.scale).to(A.dtype), whole.to(A.dtype)


def diagonal_gradients(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    grad_A_bar: Tensor,
    grad_B_bar: Tensor,
    method: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to A, B and dt, summed over the axes that these lack."""
    wide_A, wide_B, wide_dt = _widen(A, B, dt)
    form = _form(wide_dt * wide_A, method, alpha)
    grads = grad_B_bar.reshape(len(form.weights), *grad_A_bar.shape)
    grad_z = grad_A_bar * form.scale * torch.conj_physical(form.slope)
    grad_B, grad_dt = torch.zeros_like(grad_z), torch.zeros_like(grad_z)
    for (weight, slope), grad in zip(form.weights, grads, strict=True):
        grad = grad * form.scale
        if slope is not None:
            grad_z = grad_z + wide_dt * torch.conj_physical(slope * wide_B) * grad
        grad_B = grad_B + wide_dt * torch.conj_physical(weight) * grad
        grad_dt = grad_dt + torch.conj_physical(weight * wide_B) * grad
    grad_dt = grad_dt + torch.conj_physical(wide_A) * grad_z  # eq. 5.14
    return (
        (wide_dt * grad_z).sum_to_size(A.shape).to(A.dtype),
        grad_B.sum_to_size(B.shape).to(B.dtype),
        grad_dt.real.sum(-1).sum_to_size(dt.shape).to(dt.dtype),
    )


def _widen(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """In float64 and complex128: an angle of 1000 has only four digits after the point in
    float32, and e^90 is none of its numbers, though dt (e^90 - 1) / 90 may be."""
    return A.to(_wide(A.dtype)), B.to(_wide(B.dtype)), dt.to(torch.float64)[..., None]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float64)


class _Form(NamedTuple):
    """What a method makes of z, each but for the factor ``scale``, and the derivatives."""

    A_bar: Tensor
    slope: Tensor
    weights: Sequence[tuple[Tensor, Tensor | None]]
    """w of each B_bar = dt w(z) B, and w'; None for a w that does not depend on z."""
    scale: Tensor | float = 1.0


def _form(z: Tensor, method: str, alpha: float) -> _Form:
    if method == "gbt":
        return _transform_of(z, alpha)
    phi = _phi(z)
    if method == "zoh":
        weights = [(phi.first, phi.first_slope)]  # eq. 5.8
    else:  # eq. 5.10: phi_1 - phi_2 is phi_1'
        weights = [
            (phi.first_slope, phi.first_curvature),
            (phi.second, phi.second_slope),
        ]
    return _Form(phi.exp, phi.exp, weights, phi.scale)


def _transform_of(z: Tensor, alpha: float) -> _Form:
    """Without the terms that a weight of 0 or 1 takes out of the equation, as 0 times an
    infinity or a NaN is no 0."""
    if alpha == 0:
        one = torch.ones_like(z)
        return _Form(1 + z, one, [(one, None)])  # eq. 5.4
    inverse = 1 / (1 - alpha * z)
    square = inverse * inverse
    A_bar = inverse if alpha == 1 else (1 + (1 - alpha) * z) * inverse  # eq. 5.7
    return _Form(A_bar, square, [(inverse, alpha * square)])


class _Phi(NamedTuple):
    """e^z, and what first-order hold and the gradients need of phi_1 and phi_2, each but
    for the factor ``scale``."""

    scale: Tensor
    exp: Tensor
    first: Tensor
    first_slope: Tensor
    first_curvature: Tensor
    second: Tensor
    second_slope: Tensor


TERMS = 17  # of the series: those that follow are below float64's precision
HUGE, SHIFT = 600.0, 64.0


def _phi(z: Tensor) -> _Phi:
    small = z.abs() < 1
    near = torch.where(small, z, 0)
    third = torch.zeros_like(near)
    for j in reversed(range(3, 3 + TERMS)):
        third = third * near + 1 / math.factorial(j)
    second = third * near + 1 / 2  # eq. 5.9, upwards
    first = second * near + 1
    first_slope, second_slope = first - second, second - 2 * third  # eq. 5.13
    series = (first, first_slope, first_slope - second_slope, second, second_slope)

    # Where float64 has no room for e^z, it may have for dt phi(z) B: all in units of e^64.
    # Beside the rest of e^z the 1 of equation 5.9 is nothing.
    huge = z.real > HUGE
    scale = torch.where(huge, math.exp(SHIFT), torch.ones_like(z.real))
    exp = torch.exp(torch.where(huge, z - SHIFT, z))
    away = torch.where(small, 1, z)
    first = torch.where(huge, exp, torch.expm1(away)) / away
    second = (first - 1) / away  # eq. 5.9
    first_slope = (exp - first) / away  # its derivatives
    first_curvature = (exp - 2 * first_slope) / away
    second_slope = (first_slope - second) / away
    closed = (first, first_slope, first_curvature, second, second_slope)
    each = (torch.where(small, x, y) for x, y in zip(series, closed, strict=True))
    return _Phi(scale, exp, *each)
