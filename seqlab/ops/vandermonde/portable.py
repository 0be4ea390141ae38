"""The kernel of a diagonal state-space model in plain PyTorch: the form that runs
everywhere.

With j = T i + k, A_bar^j is A_bar^(T i) times A_bar^k, so that K, written as a matrix of
rows i and columns k, is a product of two small ones for each channel. Nothing of size
D N L is made.
"""

import math

import torch
from torch import Tensor


def kernel(A_bar: Tensor, B_bar: Tensor, C: Tensor, L: int) -> Tensor:
    """K (D, L), real."""
    rows, columns = _powers_in_tiles(A_bar, L)
    weighted = (C * B_bar)[:, :, None] * rows
    if A_bar.is_complex():
        weighted = torch.cat([weighted.real, -weighted.imag], dim=1)
        columns = torch.cat([columns.real, columns.imag], dim=1)
    return (weighted.mT @ columns).flatten(1)[:, :L].contiguous()


def gradients(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, grad_K: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to A_bar, B_bar and C."""
    L = grad_K.shape[1]
    rows, columns = _powers_in_tiles(A_bar, L)
    total = _weighed_powers(grad_K, rows, columns)
    j = torch.arange(1, L + 1, dtype=grad_K.dtype, device=grad_K.device)
    # of j A^(j-1), which needs no division by an A that may be 0
    moved = torch.nn.functional.pad(grad_K[:, 1:], (0, 1)) * j
    later = _weighed_powers(moved, rows, columns)
    found = C * B_bar * later, C * total, B_bar * total
    return tuple(x.conj().resolve_conj() for x in found)  # type: ignore[return-value]


def _weighed_powers(g: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The sum over j of g_j A_bar^j, (D, N), for g (D, L)."""
    count, width = rows.shape[2], columns.shape[2]
    padded = torch.nn.functional.pad(g, (0, count * width - g.shape[1]))
    tiles = padded.unflatten(1, (count, width)).to(columns.dtype)
    return (rows * (columns @ tiles.mT)).sum(2)


def _powers_in_tiles(A_bar: Tensor, L: int) -> tuple[Tensor, Tensor]:
    """A_bar^(T i), (D, N, rows), and A_bar^k, (D, N, T), for T of about sqrt(L)."""
    columns = 1 << math.isqrt(L - 1).bit_length()
    wide = A_bar.to(torch.promote_types(A_bar.dtype, torch.float64))
    powers = first_powers(wide, columns)
    next_row = wide * powers[..., -1]
    rows = first_powers(next_row, -(-L // columns))
    return rows.to(A_bar.dtype), powers.to(A_bar.dtype)


def first_powers(x: Tensor, count: int) -> Tensor:
    """1, x, ..., x^(count-1) along a new last axis, in the steps that squaring takes: 1 is
    1 whatever x is."""
    powers, square = torch.ones_like(x)[..., None], x[..., None]
    while powers.shape[-1] < count:
        powers = torch.cat([powers, square * powers], dim=-1)
        square = square * square
    return powers[..., :count]
