"""What S4's kernel needs beside its Cauchy products, in PyTorch: the weights of these
products, and the dense matrix whose power ends the kernel.

All of it is in float64. A_bar^L comes by repeated squaring of matrices (D, 2N, 2N), of
which float32 would keep few digits where memory is long. Complex numbers go in parts: where
PyTorch ignores the bit that marks a tensor as conjugated, so would their gradients.
"""

import torch
from torch import Tensor

from seqlab.ops.registration import register

Pair = tuple[Tensor, Tensor]


def weights(
    length: int, Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor
) -> Tensor:
    """Of the four Cauchy products (with ~C = C (I - A_bar^L): ~C B / 2, ~C P / 2, P* B, P*
    P), complex128 (4, D, N)."""
    p, b, c = (parts(x) for x in (P, B, C))
    row = torch.cat([c[0], -c[1]], dim=-1)[:, None]
    ended = row - _row_power(row, dense(Lambda, P, dt), length)[0]
    re, im = ended[:, 0].chunk(2, dim=-1)
    left, other = (re / 2, -im / 2), (p[0], -p[1])
    products = [times(*each) for each in ((left, b), (left, p), (other, b), (other, p))]
    real, imag = zip(*products, strict=True)
    return torch.complex(torch.stack(real), torch.stack(imag))


def dense(Lambda: Tensor, P: Tensor, dt: Tensor) -> Tensor:
    """A_bar = 2 (I - h A)^-1 - I with h = dt / 2 on the real system of 2 N states, float64
    (D, 2N, 2N)."""
    (a, b), p, h = parts(Lambda), parts(P), dt.to(torch.float64)[:, None] / 2
    size = (1 - h * a).square() + (h * b).square()
    R = (1 - h * a) / size, h * b / size  # of I - h Lambda the inverse
    gain = (R[0] * (p[0].square() + p[1].square())).sum(-1, keepdim=True)
    before, after = times(R, p), times((R[0], -R[1]), p)
    scale = 4 * h / (1 + 2 * h * gain)
    low_rank = (scale * torch.cat(before, -1))[:, :, None] * torch.cat(after, -1)[
        :, None
    ]
    re, im = (torch.diag_embed(2 * x) for x in R)
    identity = torch.eye(low_rank.shape[-1], dtype=h.dtype, device=h.device)
    rows = torch.cat([re, -im], -1), torch.cat([im, re], -1)
    return torch.cat(rows, -2) - identity - low_rank


def parts(x: Tensor) -> Pair:
    """Real and imaginary part of complex numbers, float64."""
    re, im = torch.view_as_real(x.resolve_conj()).to(torch.float64).unbind(-1)
    return re, im


def times(x: Pair, y: Pair) -> Pair:
    """The product of complex numbers in parts."""
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


def as_complex(x: Tensor) -> Tensor:
    """Complex numbers (..., N) of real ones (..., 2N): all real parts, then all imaginary
    ones."""
    return torch.complex(*x.chunk(2, dim=-1))


def _forward(row: Tensor, A: Tensor, length: int) -> tuple[Tensor]:
    """row A^L, (D, 1, 2N), for A (D, 2N, 2N). One power is kept at a time."""
    while True:
        if length % 2:
            row = row @ A
        length //= 2
        if not length:
            return (row,)
        A = A @ A


def _backward(
    row: Tensor, A: Tensor, grad: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    """The steps of squaring once more, and back: what they leave is kept here alone."""
    steps: list[tuple[Tensor, Tensor | None]] = []
    while length:
        steps.append((A, row if length % 2 else None))
        if length % 2:
            row = row @ A
        length //= 2
        if length:
            A = A @ A
    of_power = torch.zeros_like(A)
    for i, (power, before) in enumerate(reversed(steps)):
        if i:
            of_power = of_power @ power.mT + power.mT @ of_power
        if before is not None:
            of_power = of_power + before.mT @ grad
            grad = grad @ power.mT
    return grad, of_power


def _save(arguments, outputs):
    return arguments[:2]


def _fake(row, A, length):
    return (row.new_empty(row.shape),)


def _fake_backward(row, A, grad, length):
    return row.new_empty(row.shape), A.new_empty(A.shape)


_row_power = register(
    "dplr_row_power", _forward, _backward, _save, _fake, _fake_backward
)
