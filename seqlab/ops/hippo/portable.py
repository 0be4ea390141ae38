"""LegS in plain PyTorch, parallel over chunks of time: the form that runs everywhere.

A constant signal is remembered as its first coefficient alone, c = f e_0, whatever the
method. So a step only moves what differs from that,

      c_k - f_k e_0  =  A_bar_k (c_{k-1} - f_k e_0)

and all of LegS is a function (A_bar_k - I) x, ``change`` below. It is linear, and the
same for every batch entry and channel. L steps are cut into about sqrt(L) chunks, which
advance together, twice: first from zero, beside the unit vectors, which gives where each
would end and how it maps the state before it (equation 4.14), then, once the states
between chunks are known, from the right ones. The gradient is the adjoint of that, from
late to early.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.linalg import solve_triangular
from torch.nn.functional import pad

from seqlab.ops.discretize.reference import ALPHAS
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.hippo.squeeze import Squeeze

MOST_UNITS = 2**20
"""N^2 (N + R) up to which unit vectors beside R rows cost less than the library calls
that chunks save on a CPU."""


class Steps(Protocol):
    """The steps of LegS by one method."""

    def change(self, x: Tensor, numbers: range, back: bool = False) -> Tensor:
        """(A_bar_k - I) x, or BACK with A_bar_k transposed, for the steps k with these
        numbers, one for each chunk; x (J, N, R)."""


def project(
    f: Tensor,
    state: Tensor | None,
    order: int,
    method: str,
    start: int,
    return_all: bool,
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state (B, D, N).

    Steps are taken in float32 at least; c comes back in the dtype of f.
    """
    batch, length, channels = f.shape
    dtype = torch.promote_types(f.dtype, torch.float32)
    steps = steps_of(method, order, dtype, f.device)
    rows = f.to(dtype).transpose(1, 2).flatten(0, 1)
    zeros = rows.new_zeros(order, len(rows))
    carry = zeros if state is None else state.flatten(0, 1).T
    c = []
    for stretch in _stretches(length, start, order, len(rows)):
        every, carry = stretch.forward(
            rows[:, stretch.inside], carry, steps, return_all
        )
        c.append(every)
    last = carry.T.contiguous().unflatten(0, (batch, channels))
    if not return_all:
        return last.to(f.dtype, copy=True), last
    together = torch.cat(c, dim=2).unflatten(1, (batch, channels)).permute(1, 3, 2, 0)
    return together.to(f.dtype).contiguous(), last


def gradients(
    f: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    order: int,
    method: str,
    start: int,
) -> tuple[Tensor, Tensor]:
    """Gradients to f (B, L, D), in its dtype, and to the first state (B, D, N), from
    those to all coefficients and to the last state; zeros if None."""
    batch, length, channels = f.shape
    dtype = torch.promote_types(f.dtype, torch.float32)
    steps = steps_of(method, order, dtype, f.device)
    flowing = f.new_zeros((order, batch * channels), dtype=dtype)
    if grad_last is not None:
        flowing = grad_last.flatten(0, 1).T
    rows = None
    if grad_c is not None:
        rows = grad_c.to(dtype).permute(3, 0, 2, 1).flatten(1, 2)
    grad_f: list[Tensor] = []
    for stretch in reversed(_stretches(length, start, order, batch * channels)):
        inside = None if rows is None else rows[..., stretch.inside]
        every, flowing = stretch.backward(inside, flowing, steps)
        grad_f.insert(0, every)
    together = torch.cat(grad_f, dim=1).unflatten(0, (batch, channels))
    return (
        together.transpose(1, 2).to(f.dtype).contiguous(),
        flowing.T.contiguous().unflatten(0, (batch, channels)),
    )


def step(
    f_t: Tensor, state: Tensor | None, order: int, method: str, start: int
) -> tuple[Tensor, Tensor]:
    """One step alone: c_t and the state (B, D, N), from f_t (B, D)."""
    dtype = torch.promote_types(f_t.dtype, torch.float32)
    f = f_t.to(dtype).reshape(1, -1)
    zeros = f.new_zeros(order, f.shape[1])
    c = zeros if state is None else state.reshape(-1, order).T
    steps = steps_of(method, order, dtype, f.device)
    after = advance(steps, c[None], f, range(start + 1, start + 2))
    last = after[0].T.reshape(*f_t.shape, order)
    return last.to(f_t.dtype, copy=True), last


def step_gradients(
    f_t: Tensor, grad: Tensor, method: str, start: int
) -> tuple[Tensor, Tensor]:
    """Gradients to f_t (B, D) and to the state before the step, from that to the state
    after it (B, D, N)."""
    order = grad.shape[2]
    steps = steps_of(method, order, grad.dtype, grad.device)
    g = grad.reshape(-1, order).T[None]
    grad_f, before = retreat(steps, g, range(start + 1, start + 2))
    return grad_f.view(f_t.shape).to(f_t.dtype), before[0].T.reshape(grad.shape)


def steps_of(
    method: str, order: int, dtype: torch.dtype, device: torch.device
) -> Steps:
    """How a method steps."""
    if method == "zoh":
        return Squeeze(order, dtype, device)
    return Triangular(method, order, dtype, device)


def advance(steps: Steps, c: Tensor, f: Tensor, numbers: range) -> Tensor:
    """The coefficients (J, N, R) after the steps with these numbers, from those before
    them and the samples f (J, R)."""
    apart = c.clone()
    apart[:, 0] -= f
    return c + steps.change(apart, numbers)


def retreat(steps: Steps, g: Tensor, numbers: range) -> tuple[Tensor, Tensor]:
    """Gradients to the samples (J, R) and to the coefficients before the steps, from
    those to the coefficients after them."""
    change = steps.change(g, numbers, back=True)
    return -change[:, 0], g + change  # eq. 4.15


class Triangular:
    """Steps of equation 4.9 through the triangle of A: one solve where they are implicit,
    one product where they are not. Both are O(N^2), and one library call: equation 4.13's
    O(N), as several tensor operations, was no faster at any order up to 256."""

    def __init__(
        self, method: str, order: int, dtype: torch.dtype, device: torch.device
    ):
        self.alpha = ALPHAS[method]
        n = torch.arange(order, dtype=dtype, device=device)[:, None]
        self.r, self.d = torch.sqrt(2 * n + 1), n + 1
        self.below = (self.r * self.r.T).tril(-1)

    def change(self, x: Tensor, numbers: range, back: bool = False) -> Tensor:
        first, last, step = numbers.start, numbers.stop, numbers.step
        k = torch.arange(first, last, step, dtype=x.dtype, device=x.device)
        k = k[:, None, None]
        a, before = self.alpha / k, (1 - self.alpha) / (k - 1).clamp(min=1)
        below = self.below.T if back else self.below
        if self.alpha == 0:
            change = -before * (matmul(below, x) + self.d * x)
        else:
            # As x^T left^T = y^T: up to twice as fast on a CPU.
            left = (a * below + torch.diag_embed((1 + a * self.d)[..., 0])).mT
            y = solve_triangular(left, x.mT, upper=not back, left=False).mT
            q = (self.r * y).cumsum(1)
            q = q[:, -1:] - q if back else q - self.r * y
            # A y, which y itself no longer holds: beside the x of a long history,
            # a A y is lost in rounding.
            slope = -(self.d * x + self.r * q) / (1 + a * self.d)
            # Equation 4.18 in two forms, each where the other loses digits.
            late = a * len(self.r) < 1
            change = (a + before) * torch.where(late, slope, (y - x) / a)
        return torch.where(k == 1, -x, change)  # eq. 4.10


@dataclass(frozen=True)
class Stretch:
    """Equal chunks of time, one after the other."""

    first: int
    """Number of the first step, counted from 1."""
    inside: slice
    chunks: int
    steps: int

    def numbers(self, i: int) -> range:
        """The numbers of step i of every chunk."""
        end = self.first + self.chunks * self.steps
        return range(self.first + i, end, self.steps)

    def beside_units(self, rows: int, like: Tensor) -> Tensor:
        """Zeros for the rows, then the unit vectors, (J, N, R + N)."""
        order = len(like)
        unit = torch.eye(order, dtype=like.dtype, device=like.device)
        return pad(unit, (rows, 0)).repeat(self.chunks, 1, 1)

    def forward(
        self, f: Tensor, carry: Tensor, steps: Steps, return_all: bool
    ) -> tuple[Tensor, Tensor]:
        """c (N, R, J C), empty if not ``return_all``, and the state after the stretch,
        from f (R, J C) and the state before it (N, R)."""
        order, rows = carry.shape
        f = f.unflatten(1, (self.chunks, self.steps)).permute(2, 1, 0)
        starts = [carry]
        nothing = carry.new_empty(order, rows, 0)
        if self.chunks > 1:
            end = self.beside_units(rows, carry)
            samples = pad(f, (0, order))
            for i in range(self.steps):
                end = advance(steps, end, samples[i], self.numbers(i))
            for j in range(self.chunks):
                state = matmul(end[j, :, rows:], starts[j])
                starts.append(state + end[j, :, :rows])  # eq. 4.14
            if not return_all:
                return nothing, starts[-1]
        c = torch.stack(starts[: self.chunks])
        every = []
        for i in range(self.steps):
            c = advance(steps, c, f[i], self.numbers(i))
            if return_all:
                every.append(c)
        if not return_all:
            return nothing, c[-1]
        return torch.stack(every, dim=1).permute(2, 3, 0, 1).flatten(2), c[-1]

    def backward(
        self, grad_c: Tensor | None, flowing: Tensor, steps: Steps
    ) -> tuple[Tensor, Tensor]:
        """Gradients to f (R, J C) and to the state before the stretch, from those to c
        (N, R, J C), none if None, and to the state after it (N, R)."""
        order, rows = flowing.shape
        if grad_c is not None:
            grad_c = grad_c.unflatten(2, (self.chunks, self.steps)).permute(3, 2, 0, 1)
        backwards = range(self.steps - 1, -1, -1)
        ends = [flowing]
        if self.chunks > 1:
            arrive = self.beside_units(rows, flowing)
            for i in backwards:
                if grad_c is not None:
                    arrive = arrive + pad(grad_c[i], (0, order))
                _, arrive = retreat(steps, arrive, self.numbers(i))
            for j in range(self.chunks - 1, 0, -1):
                state = matmul(arrive[j, :, rows:], ends[0])
                ends.insert(0, state + arrive[j, :, :rows])
        g = torch.stack(ends)
        grad_f: list[Tensor] = []
        for i in backwards:
            if grad_c is not None:
                g = g + grad_c[i]
            grad_f_i, g = retreat(steps, g, self.numbers(i))
            grad_f.append(grad_f_i)
        return torch.stack(grad_f[::-1], dim=1).permute(2, 0, 1).flatten(1), g[0]


def _stretches(length: int, start: int, order: int, rows: int) -> list[Stretch]:
    """About sqrt(L) chunks of about sqrt(L) steps, then one chunk of what is left; one
    chunk in all where the unit vectors would cost too much."""
    one = order**2 * (order + rows) > MOST_UNITS
    steps = length if one else math.isqrt(length)
    chunks = length // steps
    whole = chunks * steps
    stretches = [Stretch(start + 1, slice(0, whole), chunks, steps)]
    if whole < length:
        stretches.append(
            Stretch(start + whole + 1, slice(whole, length), 1, length - whole)
        )
    return stretches
