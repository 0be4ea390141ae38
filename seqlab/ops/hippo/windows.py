"""The fixed windows, LegT, LagT and Fourier, as dense matrix products, on any device.

All their steps are alike, c_k = A_bar c_{k-1} + B_bar f_k, and so are all chunks of C
steps, all groups of G chunks, all groups of G groups, and so on. Three kinds of products
make the coefficients; a row is one chunk, or one group, of one batch entry and channel:

      E       (rows x N)    =       f_0 .. f_{GC-1}    @  T_end    where a group leads
      states  (rows x G N)  =  [ s | f_0 .. f_{GC-1} ] @  T        before its chunks
      c       (rows x C N)  =  [ s_j | f_0 .. f_{C-1} ] @  W       all coefficients

W ((N + C) x C N) stacks A_bar^{i+1} and A_bar^{i-i'} B_bar for i' = 0 .. i, for each step
i; T are such columns for the steps before each chunk and for a group's last. Groups of
groups have a T like it, with E in the place of samples. A short sequence is one chunk, and
takes the last product alone. The backward pass is the products with W and T transposed, in
the opposite order.

Operations and bytes. With R rows of L samples: 2 R L N (N + C) operations for W and
2 R L N (N / C + G) for T, at most, beside 4 R L (N + 1) bytes that have to be moved.

A product also multiplies what has no weight, and a NaN times zero is a NaN: what is not
finite spreads to earlier steps too, up to all of its batch entry and channel.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.hippo import reference
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.kept import captures, keep

CHUNK = 16
GROUP = 16
MOST_WEIGHTS = 2**23
"""Numbers in W or in T, about."""
SHORT = 64
"""Steps of a chunk that is a whole sequence, if W then has at most an eighth of these."""


class Weights(NamedTuple):
    order: int
    chunk: Tensor
    """W, (N + C, C N)."""
    levels: tuple[Tensor, ...]
    """T for groups of chunks, for groups of these, ...: (N + G K, (G + 1) N), where K
    is C for chunks and N above, and the last N columns are the state after the group."""

    @property
    def steps(self) -> int:
        return self.chunk.shape[1] // self.order

    def at(self, i: int) -> Tensor:
        """W for step i of a chunk alone, (N + C, N)."""
        return self.chunk[:, i * self.order : (i + 1) * self.order]

    def of_beginning(self, length: int, return_all: bool) -> Tensor:
        """W for the first steps of a chunk, (N + length, length N), or for the last one of
        them alone, (N + length, N)."""
        first = 0 if return_all else (length - 1) * self.order
        return self.chunk[: self.order + length, first : length * self.order]


def project(
    f: Tensor,
    state: Tensor | None,
    measure: str,
    order: int,
    method: str,
    step: float,
    return_all: bool,
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state (B, D, N);
    the arguments are those of the op, already checked, with step = dt / theta."""
    batch, length, channels = f.shape
    rows, dtype = batch * channels, accumulation_dtype(f.dtype)
    weights = _weights(measure, order, method, step, length, dtype, f.device)
    signals = f.transpose(1, 2).to(dtype)
    if not weights.levels:
        x, W = signals.reshape(rows, length), weights.of_beginning(length, return_all)
        if state is None:
            W = W[order:]
        else:
            x = torch.cat([state.reshape(rows, order), x], dim=1)
        every = matmul(x, W).view(batch, channels, -1, order)
        return _results(every, f.dtype, return_all)
    if state is None:
        state = signals.new_zeros((rows, order))
    x = _chunks(signals, weights.steps).reshape(rows, -1, weights.steps)
    x = torch.cat([_carry(x, state.reshape(rows, order), weights.levels), x], dim=2)
    final = (length - 1) % weights.steps
    if not return_all:
        every = matmul(x[:, -1], weights.at(final)).view(batch, channels, 1, order)
    else:
        every = matmul(x, weights.chunk).view(batch, channels, -1, order)
        every = every[:, :, :length]
    return _results(every, f.dtype, return_all)


def _results(
    every: Tensor, dtype: torch.dtype, return_all: bool
) -> tuple[Tensor, Tensor]:
    """What is returned of coefficients (B, D, L, N), or of the last ones (B, D, 1, N)."""
    if not return_all:
        last = every.squeeze(2)
        return last.to(dtype, copy=True), last
    last = every[:, :, -1].clone()
    c = every.transpose(1, 2)
    if c.dtype != dtype:
        return c.new_empty(c.shape, dtype=dtype).copy_(c), last
    return c.contiguous(), last  # one channel in whole chunks: the product itself


def gradients(
    f: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    measure: str,
    order: int,
    method: str,
    step: float,
) -> tuple[Tensor, Tensor]:
    """Gradients to f (B, L, D), in its dtype, and to the first state (B, D, N), from
    those to all coefficients and to the last state; zeros if None."""
    batch, length, channels = f.shape
    rows, dtype = batch * channels, accumulation_dtype(f.dtype)
    weights = _weights(measure, order, method, step, length, dtype, f.device)
    steps = weights.steps
    if not weights.levels:
        found = []
        if grad_c is not None:
            g = grad_c.transpose(1, 2).to(dtype).reshape(rows, length * order)
            found.append(matmul(g, weights.of_beginning(length, True).mT))
        if grad_last is not None:
            g = grad_last.reshape(rows, order)
            found.append(matmul(g, weights.of_beginning(length, False).mT))
        g = found[0] if len(found) == 1 else found[0] + found[1]
        return _gradients_like(f, g[:, order:], g[:, :order])
    if grad_c is None:
        shape = rows, -(-length // steps), order + steps
        g = f.new_zeros(shape, dtype=dtype)
    else:
        g = _chunks(grad_c.transpose(1, 2).to(dtype), steps)
        g = g.reshape(rows, -1, steps * order)
        g = matmul(g, weights.chunk.mT)
    if grad_last is not None:
        final = weights.at((length - 1) % steps)
        g[:, -1] += matmul(grad_last.reshape(rows, order), final.mT)
    through, grad_state = _carry_back(g[..., :order], weights.levels)
    return _gradients_like(f, g[..., order:] + through, grad_state)


def _gradients_like(
    f: Tensor, grad_f: Tensor, grad_state: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients to rows of samples and to states (B D, N), as f and the state have them."""
    batch, length, channels = f.shape
    grad_f = grad_f.reshape(batch, channels, -1)[..., :length].transpose(1, 2)
    grad_state = grad_state.reshape(batch, channels, -1)
    return grad_f.to(f.dtype).contiguous(), grad_state.contiguous()


def _carry(x: Tensor, state: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
    """The states before the chunks (R, J, N), from the first state (R, N) and from what
    enters each chunk (R, J, K): its samples or, for a chunk that is a group, where it
    leads from zero."""
    rows, chunks, width = x.shape
    order = state.shape[1]
    T, *above = levels
    group = min(chunks, _chunks_in_group(T, order))
    x = _chunks(x[None], group).reshape(rows, -1, group * width)
    T = T[: order + group * width]
    before = state[:, None]
    if x.shape[1] > 1:
        before = _carry(matmul(x, T[order:, -order:]), state, tuple(above))
    states = matmul(torch.cat([before, x], dim=2), T[:, : group * order])
    return states.view(rows, -1, order)[:, :chunks]  # eq. 4.14


def _carry_back(
    grad_states: Tensor, levels: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The transpose of ``_carry``: gradients to what enters the chunks and to the first
    state."""
    rows, chunks, order = grad_states.shape
    T, *above = levels
    most = _chunks_in_group(T, order)
    group, width = min(chunks, most), (T.shape[0] - order) // most
    T = T[: order + group * width]
    g = _chunks(grad_states[None], group).reshape(rows, -1, group * order)
    g = matmul(g, T[:, : group * order].mT)
    grad_before, grad_x = g[..., :order], g[..., order:]
    if g.shape[1] == 1:
        grad_state = grad_before[:, 0]
    else:
        grad_ends, grad_state = _carry_back(grad_before, tuple(above))
        grad_x = grad_x + matmul(grad_ends, T[order:, -order:].mT)
    return grad_x.reshape(rows, -1, width)[:, :chunks], grad_state


def _chunks_in_group(T: Tensor, order: int) -> int:
    return T.shape[1] // order - 1


def _chunks(x: Tensor, size: int) -> Tensor:
    """x (B, D, L) or (B, D, L, N) with zeros after it, so that ``size`` divides L."""
    missing = -x.shape[2] % size
    return pad(x, (0, 0) * (x.ndim - 3) + (0, missing)) if missing else x


def _weights(
    measure: str,
    order: int,
    method: str,
    step: float,
    length: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Weights:
    steps = max(1, min(CHUNK, MOST_WEIGHTS // order**2))
    group = max(2, min(GROUP, math.isqrt(MOST_WEIGHTS) // order - 1))
    levels, chunks = 1, group
    while chunks * steps < length:
        levels, chunks = levels + 1, chunks * group
    if length <= SHORT and 8 * (order + SHORT) * SHORT * order <= MOST_WEIGHTS:
        steps, levels = SHORT, 0

    def make() -> tuple[Tensor, ...]:
        A_bar, B_bar = _transition(measure, order, method, step)
        B = B_bar[:, None]
        made = [_states_after(A_bar, B, range(1, steps + 1))]
        if levels == 0:
            return (made[0].to(device, dtype),)
        made.append(_states_after(A_bar, B, range(0, group * steps + 1, steps)))
        A = torch.linalg.matrix_power(A_bar, group * steps)
        for _ in range(levels - 1):
            made.append(_states_after(A, torch.eye(order).to(A), range(group + 1)))
            A = torch.linalg.matrix_power(A, group)
        return tuple(x.to(device, dtype) for x in made)

    numbers = (order + steps) * steps * order
    if levels:
        numbers += (order + group * steps) * (group + 1) * order
        numbers += (levels - 1) * ((group + 1) * order) ** 2
    key = ("fixed window", measure, order, method, step, levels, dtype)
    kept = keep(key, device, numbers * dtype.itemsize, make)
    if kept is None and captures(device):
        raise RuntimeError(
            f"hippo_project: {measure} of order {order} needs matrices that cannot be made "
            "while a CUDA graph is captured: expected a call with these sizes before it, "
            "and room to keep them (seqlab.ops.kept.BUDGET)"
        )
    chunk, *groups = make() if kept is None else kept
    return Weights(order, chunk, tuple(groups))


def step_matrices(
    measure: str,
    order: int,
    method: str,
    step: float,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """A_bar - I (N, N) and B_bar (N,) of one step: beside I, what a short step changes
    would lose its digits, in the same way at every step."""

    def make() -> tuple[Tensor, Tensor]:
        A_bar, B_bar = _transition(measure, order, method, step)
        change = A_bar - torch.eye(order, dtype=A_bar.dtype)
        return change.to(device, dtype), B_bar.to(device, dtype)

    key = ("step of a window", measure, order, method, step, dtype)
    size = (order + 1) * order * dtype.itemsize
    return keep(key, device, size, make) or make()


def _transition(
    measure: str, order: int, method: str, step: float
) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar in float64: a power of a rounded matrix is another matrix."""
    A, B = reference.hippo_transition(measure, order)
    A_bar, B_bar = reference.discretize(A, B, step, method)
    return torch.from_numpy(A_bar), torch.from_numpy(B_bar)


def _states_after(A: Tensor, B: Tensor, ends: range) -> Tensor:
    """From [ s | u_0 u_1 .. ] to the states after each of these numbers of steps of
    x <- A x + B u, which begin at s, (N + steps K, numbers N); B is (N, K)."""
    order, width = B.shape
    steps = ends[-1]
    responses = [B]
    for _ in range(steps - 1):
        responses.append(A @ responses[-1])
    late_to_early = torch.cat(responses[::-1], dim=1).mT
    weights = A.new_zeros((order + steps * width, len(ends), order))
    for i, end in enumerate(ends):
        weights[:order, i] = torch.linalg.matrix_power(A, end).mT
        taken = end * width
        weights[order : order + taken, i] = late_to_early[steps * width - taken :]
    return weights.reshape(len(weights), -1)
