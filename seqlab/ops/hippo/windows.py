"""The fixed windows, LegT, LagT and Fourier, as dense matrix products, on any device.

All their steps are alike, c_k = A_bar c_{k-1} + B_bar f_k, and so are all chunks of C
steps. All steps of a chunk are one product, and the states before the chunks are made by
others like it, of GROUP chunks at a time, of GROUP groups, and so on:

      E       (rows x N)    =  f_0 .. f_{C-1}               @  W_end       where a chunk leads
      states  (rows x G N)  =  [ E_0 .. E_{G-1} | s ]       @  T           before its chunks
      c       (rows x C N)  =  [ f_0 .. f_{C-1} | s_j ]     @  W           all coefficients

W ((C + N) x C N) stacks A_bar^{i-i'} B_bar for i' = 0 .. i and A_bar^{i+1}, for each step
i; T the same powers of A_bar^C. A row is one chunk, or one group of chunks, of one batch
entry and channel. The backward pass is the products with W and T transposed, in the
opposite order.

A product also multiplies what has no weight, and a NaN times zero is a NaN. So what is
not finite is set apart before the products, and put where the recurrence takes it after
them: in all coefficients of its row from its time on.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlab.ops.hippo import reference
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.kept import captures, keep

CHUNK = 32
GROUP = 4
MOST_WEIGHTS = 2**23


class Weights(NamedTuple):
    chunk: Tensor
    """W, ((C + N), C N)."""
    levels: tuple[Tensor, ...]
    """T for chunks, for groups of them, ...: ((G + 1) N, (G + 1) N), where the last N
    columns are the state after the group."""

    @property
    def order(self) -> int:
        return self.levels[0].shape[0] // (GROUP + 1)

    @property
    def steps(self) -> int:
        return self.chunk.shape[1] // self.order

    def at(self, i: int) -> Tensor:
        """W for step i of a chunk alone, (C + N, N)."""
        return self.chunk[:, i * self.order : (i + 1) * self.order]

    @property
    def end(self) -> Tensor:
        """W_end, (C, N)."""
        return self.at(self.steps - 1)[: self.steps]


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
    rows = batch * channels
    dtype = torch.promote_types(f.dtype, torch.float32)
    weights = _weights(measure, order, method, step, length, dtype, f.device)
    f = f.transpose(1, 2).to(dtype)
    not_finite = 0 * f
    if state is None:
        state = f.new_zeros((batch, channels, order))
    else:
        not_finite[..., 0] += 0 * state.sum(-1)
    not_finite = not_finite.cumsum(-1)
    x = _chunks(_finite(f), weights.steps).reshape(rows, -1, weights.steps)
    state = _finite(state).reshape(rows, order)
    states = _carry(matmul(x, weights.end), state, weights.levels)
    x = torch.cat([x, states], dim=2)
    final = (length - 1) % weights.steps
    if not return_all:
        last = matmul(x[:, -1], weights.at(final)).view(batch, channels, order)
        last += not_finite[..., -1:]
        return last.to(f.dtype, copy=True), last
    every = matmul(x, weights.chunk).view(batch, channels, -1, order)
    last = every[:, :, length - 1] + not_finite[..., -1:]
    c = f.new_empty((batch, length, channels, order))
    every = every[:, :, :length].transpose(1, 2)
    torch.add(every, not_finite.transpose(1, 2)[..., None], out=c)
    return c, last


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
    rows, dtype = batch * channels, torch.promote_types(f.dtype, torch.float32)
    weights = _weights(measure, order, method, step, length, dtype, f.device)
    steps = weights.steps
    if grad_c is None:
        shape = rows, -(-length // steps), steps + order
        g = f.new_zeros(shape, dtype=dtype)
        not_finite = f.new_zeros((batch, channels, length), dtype=dtype)
    else:
        g = grad_c.transpose(1, 2).to(dtype)
        not_finite = 0 * g.sum(-1)
        g = _chunks(_finite(g), steps).reshape(rows, -1, steps * order)
        g = matmul(g, weights.chunk.mT)
    if grad_last is not None:
        not_finite[..., -1] += 0 * grad_last.sum(-1)
        final = weights.at((length - 1) % steps)
        g[:, -1] += matmul(_finite(grad_last).reshape(rows, order), final.mT)
    not_finite = not_finite.flip(-1).cumsum(-1).flip(-1)
    grad_ends, grad_state = _carry_back(g[..., steps:], weights.levels)
    grad_f = g[..., :steps] + matmul(grad_ends, weights.end.mT)
    grad_f = grad_f.reshape(batch, channels, -1)[..., :length] + not_finite
    grad_state = grad_state.reshape(batch, channels, order) + not_finite[..., :1]
    return grad_f.transpose(1, 2).to(f.dtype).contiguous(), grad_state


def _carry(ends: Tensor, state: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
    """The states before the chunks (R, J, N), from where each leads from zero and the
    first state (R, N)."""
    rows, chunks, order = ends.shape
    if chunks == 1:
        return state[:, None]
    T, *above = levels
    groups = _chunks(ends[None], GROUP).reshape(rows, -1, GROUP * order)
    within = matmul(groups, T[: GROUP * order, GROUP * order :])
    before = _carry(within, state, tuple(above))
    states = matmul(torch.cat([groups, before], dim=2), T[:, : GROUP * order])
    return states.view(rows, -1, order)[:, :chunks]  # eq. 4.14


def _carry_back(
    grad_states: Tensor, levels: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The transpose of ``_carry``: gradients to the ends and to the first state."""
    rows, chunks, order = grad_states.shape
    if chunks == 1:
        return torch.zeros_like(grad_states), grad_states[:, 0]
    T, *above = levels
    g = _chunks(grad_states[None], GROUP).reshape(rows, -1, GROUP * order)
    g = matmul(g, T[:, : GROUP * order].mT)
    grad_within, grad_state = _carry_back(g[..., GROUP * order :], tuple(above))
    T_end = T[: GROUP * order, GROUP * order :]
    grad_groups = g[..., : GROUP * order] + matmul(grad_within, T_end.mT)
    return grad_groups.reshape(rows, -1, order)[:, :chunks], grad_state


def _finite(x: Tensor) -> Tensor:
    return x.nan_to_num(0, 0, 0)


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
    levels, chunks = 1, GROUP
    while chunks * steps < length:
        levels, chunks = levels + 1, chunks * GROUP

    def make() -> tuple[Tensor, ...]:
        A_bar, B_bar = _transition(measure, order, method, step)
        W = _chunk_weights(A_bar, B_bar, steps)
        made = [W.reshape(steps + order, -1)]
        A_bar = torch.linalg.matrix_power(A_bar, steps)
        for _ in range(levels):
            made.append(_group_weights(A_bar))
            A_bar = torch.linalg.matrix_power(A_bar, GROUP)
        return tuple(x.to(device, dtype) for x in made)

    numbers = (steps + order) * steps * order + levels * ((GROUP + 1) * order) ** 2
    key = ("fixed window", measure, order, method, step, levels, dtype)
    kept = keep(key, device, numbers * dtype.itemsize, make)
    if kept is None and captures(device):
        raise RuntimeError(
            f"hippo_project: {measure} of order {order} needs matrices that cannot be made "
            "while a CUDA graph is captured: expected a call with these sizes before it, "
            "and room to keep them (seqlab.ops.kept.BUDGET)"
        )
    chunk, *groups = make() if kept is None else kept
    return Weights(chunk, tuple(groups))


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


def _chunk_weights(A_bar: Tensor, B_bar: Tensor, steps: int) -> Tensor:
    """W (C + N, C, N)."""
    order = len(B_bar)
    W = B_bar.new_zeros((steps + order, steps, order))
    power = torch.eye(order, dtype=B_bar.dtype)
    for i in range(steps):
        response = power @ B_bar
        for later in range(i, steps):
            W[later - i, later] = response
        power = A_bar @ power
        W[steps:, i] = power.mT
    return W


def _group_weights(transition: Tensor) -> Tensor:
    """T, from the transition of one chunk."""
    order = len(transition)
    T = transition.new_zeros((GROUP + 1, order, GROUP + 1, order))
    power = torch.eye(order, dtype=transition.dtype)
    for i in range(GROUP + 1):
        for later in range(i + 1, GROUP + 1):
            T[later - 1 - i, :, later] = power.mT
        T[GROUP, :, i] = power.mT
        power = transition @ power
    return T.reshape((GROUP + 1) * order, -1)
