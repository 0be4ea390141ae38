"""Diagonal state-space models in plain PyTorch, parallel in time: the form that runs
everywhere.

Where A_bar and B_bar are fixed, a chunk of T steps is three matrix products for each
channel (``chunk_tables`` in the reference), and the states between chunks are a linear
scan. It takes the memory of some copies of u and of tables (D, T, N), never a state for
every time. Where they change in time, the states are a linear scan with a decay for every
step, no larger than A_bar itself.
"""

import torch
from torch import Tensor

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.linear_scan import portable as linear_scan

CHUNK = 64

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def scan(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """y (B, L, D), in the dtype of u, and the last state (B, D, N), in that of A_bar."""
    if A_bar.ndim == 4:
        x, last = _states(A_bar, B_bar, u, state)
        return _real(C * x).sum(-1).to(u.dtype), last
    y = []
    for inside, chunk in _stretches(u.shape[1]):
        tables = Tables(A_bar, B_bar, C, chunk)
        inputs = _rows(u[:, inside], chunk)
        before, state = tables.carry(matmul(inputs, tables.into), state, len(u), False)
        every = matmul(inputs, tables.toeplitz.mT) + matmul(before, tables.out.mT)
        y.append(_times(every, len(u)))
    assert state is not None
    return torch.cat(y, dim=1).to(u.dtype), state


def gradients(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> Gradients:
    """Gradients to A_bar, B_bar, C, u and the first state."""
    if A_bar.ndim == 4:
        return _gradients_varying(A_bar, B_bar, C, u, state, grad_y, grad_last)
    stretches = []
    for inside, chunk in _stretches(u.shape[1]):
        tables = Tables(A_bar, B_bar, C, chunk)
        inputs = _rows(u[:, inside], chunk)
        before, state = tables.carry(matmul(inputs, tables.into), state, len(u), False)
        stretches.append((inside, tables, inputs, before))
    grad_u = torch.empty_like(u, memory_format=torch.contiguous_format)
    flowing, of_parameters = grad_last, []
    for inside, tables, inputs, before in reversed(stretches):
        dy = _rows(grad_y[:, inside], tables.size)
        after, flowing = tables.carry(matmul(dy, tables.out), flowing, len(u), True)
        du = matmul(dy, tables.toeplitz) + matmul(after, tables.into.mT)
        grad_u[:, inside] = _times(du, len(u))
        decay = tables.modes(after) * torch.conj_physical(tables.modes(before))
        of_parameters.append(
            tables.gradients(
                _by_lag(matmul(dy.mT, inputs)),
                matmul(inputs.mT, after),
                matmul(dy.mT, before),
                decay.sum(1),
            )
        )
    assert flowing is not None
    grad_A, grad_B, grad_C = (sum(each) for each in zip(*of_parameters, strict=True))
    return grad_A, grad_B, grad_C, grad_u, flowing


class Tables:
    """What a chunk of T steps is multiplied by, for each channel.

    They are real, with M = 2 N columns where modes are complex, M = N else: the state's
    real parts, then its imaginary ones. So the adjoint's tables are these, transposed.
    """

    def __init__(self, A_bar: Tensor, B_bar: Tensor, C: Tensor, size: int) -> None:
        self.size, self.B_bar, self.C = size, B_bar, C
        wide = torch.promote_types(A_bar.dtype, torch.float64)
        ones = torch.ones_like(A_bar, dtype=wide)
        power = torch.stack([ones, *[A_bar.to(wide)] * size], dim=1).cumprod(1)
        self.decay = power[:, -1]
        """A_bar^T, (D, N), in float64: its error would come back with every chunk."""
        self.power = power.to(A_bar.dtype)
        """A_bar^0 to A_bar^T, (D, T + 1, N)."""
        self.into = _numbers(self.power[:, :-1].flip(1) * B_bar[:, None])
        """(D, T, M): what an input leaves in the state after the chunk."""
        self.out = _numbers(torch.conj_physical(C[:, None] * self.power[:, 1:]))
        """(D, T, M): what the state before the chunk gives each output."""
        K = _real((C * B_bar)[:, None] * self.power[:, :-1]).sum(-1)
        time = torch.arange(size, device=K.device)
        lag = time[:, None] - time
        self.toeplitz = torch.where(lag >= 0, K[:, lag.clamp(min=0)], 0)
        """(D, T, T): what an input gives each output within the chunk."""

    def carry(
        self, local: Tensor, state: Tensor | None, batch: int, adjoint: bool
    ) -> tuple[Tensor, Tensor]:
        """The states before chunks (D, B J, M) and the one after all (B, D, N), from what
        each chunk leaves in the state by itself and the first state; from late to early
        if ``adjoint``."""
        own = self.modes(local).unflatten(1, (batch, -1))  # (D, B, J, N)
        channels, N = own.shape[0], own.shape[-1]
        b = own.permute(1, 2, 0, 3).flatten(2)
        a = torch.conj_physical(self.decay) if adjoint else self.decay
        first = b.new_zeros(batch, channels * N) if state is None else state.flatten(1)
        x, last = linear_scan.scan(
            a.flatten(), b.to(a.dtype), first.to(a.dtype), reverse=adjoint
        )
        x, last, edge = x.to(b.dtype), last.to(b.dtype), first[:, None]
        x = torch.cat([x[:, 1:], edge] if adjoint else [edge, x[:, :-1]], dim=1)
        x = x.unflatten(2, (channels, N)).permute(2, 0, 1, 3).flatten(1, 2)
        return _numbers(x), last.unflatten(1, (channels, N))

    def modes(self, numbers: Tensor) -> Tensor:
        """The N modes that M numbers stand for."""
        if not self.power.is_complex():
            return numbers
        return torch.complex(*numbers.chunk(2, dim=-1))

    def gradients(
        self, grad_K: Tensor, grad_into: Tensor, grad_out: Tensor, grad_decay: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients to A_bar, B_bar and C, from those to K (D, T), into and out (D, T, M)
        and the decay of a chunk (D, N)."""
        of_K = grad_K[..., None]
        of_into = self.modes(grad_into).flip(1)
        of_out = torch.conj_physical(self.modes(grad_out))
        power = torch.conj_physical(self.power)
        b, c = (torch.conj_physical(x)[:, None] for x in (self.B_bar, self.C))
        grad_power = torch.zeros_like(power)
        grad_power[:, :-1] = of_K * (b * c) + of_into * b
        grad_power[:, 1:] += of_out * c
        grad_power[:, -1] += grad_decay
        count = torch.arange(1, self.size + 1, device=power.device)[:, None]
        grad_A = (count * grad_power[:, 1:] * power[:, :-1]).sum(1)
        grad_B = ((of_into + of_K * c) * power[:, :-1]).sum(1)
        grad_C = (of_out * power[:, 1:] + of_K * b * power[:, :-1]).sum(1)
        return grad_A, grad_B, grad_C


def _stretches(length: int) -> list[tuple[slice, int]]:
    """Whole chunks, then one of what is left: their times and how long a chunk is."""
    whole = length - length % CHUNK
    stretches = [(slice(0, whole), CHUNK), (slice(whole, length), length - whole)]
    return [each for each in stretches if each[0].start < each[0].stop]


def _rows(u: Tensor, chunk: int) -> Tensor:
    """(B, L, D) to (D, B J, T), in the dtype of sums."""
    wide = u.to(accumulation_dtype(u.dtype))
    return wide.unflatten(1, (-1, chunk)).permute(3, 0, 1, 2).flatten(1, 2)


def _times(y: Tensor, batch: int) -> Tensor:
    """(D, B J, T) to (B, L, D)."""
    return y.unflatten(1, (batch, -1)).permute(1, 2, 3, 0).flatten(1, 2)


def _by_lag(products: Tensor) -> Tensor:
    """Sums along diagonals, (D, T): of output times input (D, T, T) by their distance."""
    lags = range(products.shape[-1])
    return torch.stack([products.diagonal(-j, 1, 2).sum(1) for j in lags], dim=1)


def _numbers(x: Tensor) -> Tensor:
    """The real numbers of modes, (..., N) or (..., 2 N)."""
    return torch.cat([x.real, x.imag], dim=-1) if x.is_complex() else x


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x


def _states(
    A_bar: Tensor, B_bar: Tensor, u: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Every state (B, L, D, N) and the last one (B, D, N)."""
    first = None if state is None else state.flatten(1)
    b = (B_bar * u[..., None]).flatten(2)
    x, last = linear_scan.scan(A_bar.flatten(2), b, first, reverse=False)
    return x.view(A_bar.shape), last.unflatten(1, A_bar.shape[2:])


def _gradients_varying(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> Gradients:
    x, last = _states(A_bar, B_bar, u, state)
    first = torch.zeros_like(last) if state is None else state
    dy = grad_y.to(C.dtype.to_real())[..., None]
    grad_A, g, grad_state = linear_scan.gradients(
        A_bar.flatten(2),
        x.flatten(2),
        first.flatten(1),
        (torch.conj_physical(C) * dy).flatten(2),
        None if grad_last is None else grad_last.flatten(1),
        False,
    )
    assert grad_state is not None
    g = g.view(x.shape)
    grad_C = (dy * torch.conj_physical(x)).sum((0, 1))
    grad_u = _real(torch.conj_physical(B_bar) * g).sum(-1).to(u.dtype)
    grad_state = grad_state.view(first.shape)
    return grad_A.view(x.shape), g * u[..., None], grad_C, grad_u, grad_state
