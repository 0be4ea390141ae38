"""What S4's kernel needs beside its Cauchy products, in PyTorch: the weights of these
products, and the dense matrix whose power ends the kernel.

All of it is in float64. A_bar^L comes by repeated squaring of matrices (D, 2N, 2N), of
which float32 would keep few digits where memory is long. A real system of 2 N states has
the two parts of each mode side by side, as complex numbers have them in memory. Gradients
are written out, and what they share with the way forward is computed again: a dozen small
operations cost less than a node of autograd for each.
"""

import torch
from torch import Tensor

from seqlab.ops.registration import register

Steps = list[tuple[Tensor, Tensor | None]]
"""Of repeated squaring: each power, and the row that it multiplied, if it did."""


def weights(
    length: int, Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the four Cauchy products (with ~C = C (I - A_bar^L): ~C B / 2, ~C P / 2, P* B, P*
    P), complex128 (4, D, N), and A_bar."""
    A_bar = dense_of(Lambda, P, dt)
    row = output_row(C)
    ended = complex_of(row - times_power(row, A_bar, length)[0])
    left, right = _factors(ended, P, B)
    return (left[:, None] * right).flatten(0, 1), A_bar


def _factors(ended: Tensor, P: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """~C / 2 and P*, from the conjugate of ~C, and B and P, (2, D, N) each."""
    P = wide(P)
    left = torch.conj_physical(torch.stack([ended / 2, P]))
    return left, torch.stack([wide(B), P])


def gradients_of_weights(
    length: int,
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    A_bar: Tensor,
    grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to the system, complex128, and to dt, float64."""
    row = output_row(C)
    power, steps = times_power(row, A_bar, length)
    left, right = _factors(complex_of(row - power), P, B)
    g = grad.view(2, 2, *grad.shape[1:])
    # The left factors are conjugates: of ended / 2 and P.
    of_ended, of_left_P = (torch.conj_physical(g) * right).sum(1).unbind()
    of_B, of_right_P = (torch.conj_physical(left)[:, None] * g).sum(0).unbind()
    of_row = numbers(of_ended / 2)[:, None]
    of_first, of_A = power_gradients(steps, -of_row)
    of_C = torch.conj_physical(complex_of(of_row + of_first))
    of_Lambda, of_P, of_dt = dense_gradients(Lambda, P, dt, of_A)
    return of_Lambda, of_P + of_left_P + of_right_P, of_B, of_C, of_dt


def dense_of(Lambda: Tensor, P: Tensor, dt: Tensor) -> Tensor:
    """A_bar = 2 (I - h A)^-1 - I with h = dt / 2, float64 (D, 2N, 2N): a complex diagonal,
    2 R - 1, less a product of vectors."""
    P, h = wide(P), dt.double()[:, None] / 2
    R = 1 / (1 - h * wide(Lambda))
    r, before, after = 2 * R - 1, R * P, torch.conj_physical(R) * P
    scale = 4 * h / (1 + 2 * h * gain(P, before))
    D, N = r.shape
    A_bar = h.new_zeros((D, N, 2, N, 2))
    # A complex number is a matrix, whose columns are what it makes of 1 and of i.
    columns = torch.view_as_real(torch.stack([r, 1j * r], dim=-1))
    A_bar.diagonal(dim1=1, dim2=3).copy_(columns.permute(0, 3, 2, 1))
    left, right = numbers(scale * before)[:, :, None], numbers(after)[:, None]
    return A_bar.view(D, 2 * N, 2 * N).baddbmm_(left, right, alpha=-1)


def gain(P: Tensor, before: Tensor) -> Tensor:
    """The sum over modes of Re(P* R P), (D, 1), where ``before`` is R P."""
    return (numbers(P) * numbers(before)).sum(-1, keepdim=True)


def dense_gradients(
    Lambda: Tensor, P: Tensor, dt: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to Lambda, P and dt from that to A_bar."""
    Lambda, P, h = wide(Lambda), wide(P), dt.double()[:, None] / 2
    R = 1 / (1 - h * Lambda)
    turned_R, turned_P = torch.conj_physical(R), torch.conj_physical(P)
    before, after = R * P, turned_R * P
    size = 1 + 2 * h * gain(P, before)
    scale = 4 * h / size
    # Of the complex diagonal: its columns meet what 1 and i have become.
    D, N = R.shape
    columns = grad.reshape(D, N, 2, N, 2).diagonal(dim1=1, dim2=3).permute(0, 3, 2, 1)
    of_one, of_i = torch.view_as_complex(columns.contiguous()).unbind(-1)
    of_R = 2 * (of_one - 1j * of_i)
    # Of scale before after^T, which is subtracted.
    row, column = numbers(before)[:, None], numbers(after)[:, :, None]
    along = torch.bmm(grad, column)
    of_scale = -torch.bmm(row, along)[:, 0]
    of_before = -scale * complex_of(along)
    of_after = -scale * complex_of(torch.bmm(row, grad))
    # Of the gain, the sum of Re(R) |P|^2.
    of_gain = -scale.square() / 2 * of_scale
    of_R = (
        of_R + (of_before + of_gain * P) * turned_P + P * torch.conj_physical(of_after)
    )
    of_P = turned_R * of_before + R * of_after + 2 * of_gain * R.real * P
    of_h_Lambda = turned_R * turned_R * of_R
    of_h = (numbers(Lambda) * numbers(of_h_Lambda)).sum(-1)
    of_h = of_h + (4 * of_scale / size.square())[:, 0]
    return h * of_h_Lambda, of_P, of_h / 2


def output_row(C: Tensor) -> Tensor:
    """What multiplies the real system's states in y = Re(C x), (D, 1, 2N)."""
    return numbers(torch.conj_physical(wide(C)))[:, None]


def wide(x: Tensor) -> Tensor:
    """Complex numbers in complex128, none marked as conjugated."""
    return x.to(torch.complex128).resolve_conj().resolve_neg()


def numbers(x: Tensor) -> Tensor:
    """Complex numbers (D, N) as real ones (D, 2N)."""
    return torch.view_as_real(x).flatten(1)


def complex_of(x: Tensor) -> Tensor:
    """Complex numbers (D, N) of real ones, a row or a column (D, ...) of 2N."""
    return torch.view_as_complex(x.reshape(len(x), -1, 2))


def times_power(row: Tensor, A: Tensor, length: int) -> tuple[Tensor, Steps]:
    """row A^L, (D, 1, 2N), for A (D, 2N, 2N), and the steps that led there."""
    steps: Steps = []
    while True:
        steps.append((A, row if length % 2 else None))
        if length % 2:
            row = torch.bmm(row, A)
        length //= 2
        if not length:
            return row, steps
        A = torch.bmm(A, A)


def power_gradients(steps: Steps, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients to the row and to A: the steps of squaring, back."""
    of_power = torch.zeros_like(steps[0][0])
    for i, (power, before) in enumerate(reversed(steps)):
        if i:
            of_left = torch.bmm(of_power, power.mT)
            of_power = torch.baddbmm(of_left, power.mT, of_power)
        if before is not None:
            of_power = torch.baddbmm(of_power, before.mT, grad)
            grad = torch.bmm(grad, power.mT)
    return grad, of_power


def _forward(Lambda: Tensor, P: Tensor, dt: Tensor) -> tuple[Tensor]:
    return (dense_of(Lambda, P, dt),)


def _backward(
    Lambda: Tensor, P: Tensor, dt: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    of_Lambda, of_P, of_dt = dense_gradients(Lambda, P, dt, grad)
    return of_Lambda.to(Lambda.dtype), of_P.to(P.dtype), of_dt.to(dt.dtype)


def _save(arguments, outputs):
    return arguments


def _fake(Lambda, P, dt):
    D, N = Lambda.shape
    return (dt.new_empty((D, 2 * N, 2 * N), dtype=torch.float64),)


def _fake_backward(Lambda, P, dt, grad):
    return tuple(x.new_empty(x.shape) for x in (Lambda, P, dt))


_dense = register("dplr_dense", _forward, _backward, _save, _fake, _fake_backward)


def dense(Lambda: Tensor, P: Tensor, dt: Tensor) -> Tensor:
    """:func:`dense_of`, differentiable."""
    return _dense(Lambda, P, dt)[0]
