"""Discretization in plain PyTorch: dense matrices, and the diagonal form with its
gradients.

Dense goes through operations that autograd knows, in float64: the exponential of a
float32 matrix would lose digits. Diagonal is elementwise and its gradients are written
out (equation 5.14), so that nothing but the arguments is kept for them. There z = dt A
decides how phi_k(z) is computed: by its series where |z| < 1, by recursion elsewhere,
each where the other one loses digits.
"""

from math import factorial
from typing import NamedTuple

import torch
from torch import Tensor


def dense(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar, S + (N, N), and B_bar, S + B.shape, of A's dtype and of the common one; foh
    stacks two B_bar in front.

    ``method`` is gbt, zoh or foh: the others are gbt with an alpha of their own.
    """
    common = torch.promote_types(A.dtype, B.dtype)
    wide = torch.promote_types(common, torch.float64)
    columns = (B if B.ndim == 2 else B[:, None]).to(wide)
    step = dt.to(torch.float64)[..., None, None]
    if method == "gbt":
        A_bar, B_bar = _transform(A.to(wide), columns, step, alpha)
    elif method == "zoh":
        A_bar, B_bar = _exponentials(A.to(wide), columns, step, order=1)  # eq. 5.8
    else:
        A_bar, first, second = _exponentials(A.to(wide), columns, step, order=2)
        B_bar = torch.stack([first - second, second])  # eq. 5.10
    A_bar = A_bar if A.is_complex() or not A_bar.is_complex() else A_bar.real
    B_bar = B_bar if B.ndim == 2 else B_bar[..., 0]
    return A_bar.to(A.dtype), B_bar.to(common)


def _transform(A: Tensor, B: Tensor, dt: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """(I - alpha dt A)^-1 applied to I + (1 - alpha) dt A and to dt B; inf or nan where
    there is no inverse."""
    z = dt * A
    identity = torch.eye(len(A), dtype=A.dtype, device=A.device)
    right = torch.cat(
        [identity + (1 - alpha) * z, (dt * B).expand(*z.shape[:-1], -1)], dim=-1
    )
    solved, _ = torch.linalg.solve_ex(identity - alpha * z, right)  # eq. 5.7
    return solved[..., : len(A)], solved[..., len(A) :]


def _exponentials(A: Tensor, B: Tensor, dt: Tensor, order: int) -> tuple[Tensor, ...]:
    """e^{dt A}, dt phi_1(dt A) B, ..., dt phi_order(dt A) B: the top row of one
    exponential."""
    states, inputs = B.shape
    later = (order - 1) * inputs
    top = torch.cat([dt * A, dt * B], dim=-1)
    chain = torch.diag(
        A.new_ones(later), inputs
    )  # u' = v, v' = 0: a hold of that order
    bottom = torch.cat([A.new_zeros(order * inputs, states), chain], dim=-1)
    generator = torch.cat(
        [
            torch.nn.functional.pad(top, (0, later)),
            bottom.expand(*top.shape[:-2], *bottom.shape),
        ],
        dim=-2,
    )
    row = torch.linalg.matrix_exp(generator)[..., :states, :]  # eq. 5.11
    return row.split([states, *order * [inputs]], dim=-1)


def diagonal(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float
) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar, (T, D, N); foh stacks two B_bar in front.

    A and B are (T, D, N), dt is (T, D, 1); any T or D may be 1 where it does not vary.
    """
    wide_A, wide_B, wide_dt = _widen(A, B, dt)
    A_bar, weights = _steps(wide_dt * wide_A, method, alpha)
    B_bar = [wide_dt * weight * wide_B for weight in weights]
    return A_bar.to(A.dtype), _stack(B_bar).to(B.dtype)


def diagonal_gradients(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    grad_A_bar: Tensor,
    grad_B_bar: Tensor,
    method: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to A, B and dt, summed over the axes where these do not vary."""
    wide_A, wide_B, wide_dt = _widen(A, B, dt)
    slope_A, pairs = _slopes(wide_dt * wide_A, method, alpha)
    grad_z = grad_A_bar.to(slope_A.dtype) * torch.conj_physical(slope_A)
    grad_B, grad_dt = torch.zeros_like(grad_z), torch.zeros_like(grad_z)
    grads = grad_B_bar.to(grad_z.dtype).reshape(-1, *grad_z.shape)
    for (weight, slope), grad in zip(pairs, grads, strict=True):
        grad_z = grad_z + wide_dt * torch.conj_physical(slope * wide_B) * grad
        grad_B = grad_B + wide_dt * torch.conj_physical(weight) * grad
        grad_dt = grad_dt + torch.conj_physical(weight * wide_B) * grad
    grad_dt = grad_dt + torch.conj_physical(wide_A) * grad_z  # eq. 5.14
    return (
        (wide_dt * grad_z).sum_to_size(A.shape).to(A.dtype),
        grad_B.sum_to_size(B.shape).to(B.dtype),
        grad_dt.real.sum_to_size(dt.shape).to(dt.dtype),
    )


def _widen(*arguments: Tensor) -> list[Tensor]:
    """Half precision as float32; complex numbers in double, for the phase of e^z: an
    angle of 1000 has but four digits behind the point in float32."""
    imaginary = arguments[0].is_complex()
    least = torch.float64 if imaginary else torch.float32
    return [x.to(torch.promote_types(x.dtype, least)) for x in arguments]


def _stack(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.stack(tensors)


def _steps(z: Tensor, method: str, alpha: float) -> tuple[Tensor, list[Tensor]]:
    """A_bar, and the weight w(z) of each B_bar = dt w(z) B."""
    if method == "gbt":
        inverse = 1 / (1 - alpha * z)
        return (1 + (1 - alpha) * z) * inverse, [inverse]  # eq. 5.7
    phi = _phi(z)
    if method == "zoh":
        return phi.exp, [phi.first]  # eq. 5.8
    return phi.exp, [phi.first_slope, phi.second]  # eq. 5.10: phi_1 - phi_2 is phi_1'


def _slopes(
    z: Tensor, method: str, alpha: float
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The derivative of A_bar to z, and each weight with its own."""
    if method == "gbt":
        inverse = 1 / (1 - alpha * z)
        square = inverse * inverse
        return square, [(inverse, alpha * square)]
    phi = _phi(z)
    if method == "zoh":
        return phi.exp, [(phi.first, phi.first_slope)]
    before = (phi.first_slope, phi.first_curvature)
    return phi.exp, [before, (phi.second, phi.second_slope)]


class _Phi(NamedTuple):
    """e^z, and what first-order hold and the gradients need of phi_1 and phi_2."""

    exp: Tensor
    first: Tensor
    first_slope: Tensor
    first_curvature: Tensor
    second: Tensor
    second_slope: Tensor


def _phi(z: Tensor) -> _Phi:
    exp = torch.exp(z)
    small = z.abs() < 1

    near = torch.where(small, z, 0)
    terms = 17 if z.dtype in (torch.float64, torch.complex128) else 9
    third = torch.zeros_like(near)
    for j in reversed(range(3, 3 + terms)):
        third = third * near + 1 / factorial(j)
    second = third * near + 1 / 2  # eq. 5.9, upwards
    first = second * near + 1
    first_slope, second_slope = first - second, second - 2 * third  # eq. 5.13
    series = (first, first_slope, first_slope - second_slope, second, second_slope)

    away = torch.where(small, 1, z)
    first = torch.expm1(away) / away
    second = (first - 1) / away  # eq. 5.9
    first_slope = (exp - first) / away  # its derivatives
    first_curvature = (exp - 2 * first_slope) / away
    second_slope = (first_slope - second) / away
    closed = (first, first_slope, first_curvature, second, second_slope)
    return _Phi(
        exp, *(torch.where(small, x, y) for x, y in zip(series, closed, strict=True))
    )
