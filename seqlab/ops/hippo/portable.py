"""HiPPO in plain PyTorch, parallel over chunks of time: the form that runs everywhere.

Every measure and method is c_k = A_bar_k c_{k-1} + B_bar_k f_k, with the same A_bar_k
for every batch entry and channel. L steps are cut into about sqrt(L) chunks. All chunks
advance together, twice: first from zero, which gives where each would end and how it
maps the state before it (equation 4.14), then, once the states between chunks are
known, from the right ones. The gradient is the adjoint of that, walked the other way.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.linalg import solve_triangular

from seqlab.ops.hippo.transition import ALPHA, Memory, hippo_transition


def project(
    f: Tensor, state: Tensor | None, memory: Memory, start: int, return_all: bool
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state (B, D, N).

    ``memory`` steps in float32 at least; c comes back in the dtype of f.
    """
    batch, length, channels = f.shape
    rows = f.to(memory.dtype).transpose(1, 2).flatten(0, 1)
    carry = (
        rows.new_zeros(memory.order, len(rows))
        if state is None
        else state.flatten(0, 1).T
    )
    steps = _steps(memory)
    c = []
    for stretch in _stretches(length, start, memory):
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
    grad_c: Tensor,
    grad_last: Tensor,
    length: int,
    memory: Memory,
    start: int,
    return_all: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients to f (B, L, D), in grad_c's dtype, and to the first state (B, D, N)."""
    batch, channels, _ = grad_last.shape
    flowing = grad_last.flatten(0, 1).T
    wide = grad_c.to(memory.dtype)
    if return_all:
        rows = wide.permute(3, 0, 2, 1).flatten(1, 2)
    else:
        rows = None
        flowing = flowing + wide.flatten(0, 1).T
    steps = _steps(memory)
    grad_f: list[Tensor] = []
    for stretch in reversed(_stretches(length, start, memory)):
        inside = None if rows is None else rows[..., stretch.inside]
        every, flowing = stretch.backward(inside, flowing, steps)
        grad_f.insert(0, every)
    together = torch.cat(grad_f, dim=1).unflatten(0, (batch, channels))
    return (
        together.transpose(1, 2).to(grad_c.dtype).contiguous(),
        flowing.T.unflatten(0, (batch, channels)).contiguous(),
    )


def _steps(memory: Memory) -> "Dense | Triangular":
    """LegS has its triangular form, except in exact logarithmic time."""
    triangular = memory.measure == "legs" and memory.method in ALPHA
    return Triangular(memory) if triangular else Dense(memory)


class Dense:
    """Steps as matrices: every measure, every method. Coefficients are (J, N, R)."""

    def __init__(self, memory: Memory):
        self.memory = memory
        self.invariant = memory.measure != "legs"

    def power(self, steps: int) -> Tensor:
        """Where so many steps of an invariant measure lead, (1, N, N). In float64, as a
        power of a rounded matrix is another matrix."""
        A_bar, _ = replace(self.memory, dtype=torch.float64).steps([1])
        return torch.linalg.matrix_power(A_bar, steps).to(self.memory.dtype)

    def advance(self, c: Tensor, f: Tensor | None, numbers: list[int]) -> Tensor:
        """The coefficients after the steps with these numbers, one for each chunk; f is
        (J, 1, R), zeros if None."""
        A_bar, B_bar = self.memory.steps(numbers)
        c = A_bar @ c
        return c if f is None else c + B_bar[..., None] * f  # eq. 4.12

    def retreat(self, g: Tensor, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Gradients to f (J, R) and to the coefficients before the steps, from those to
        the coefficients after them."""
        A_bar, B_bar = self.memory.steps(numbers)
        return (g * B_bar[..., None]).sum(1), A_bar.mT @ g  # eq. 4.15


class Triangular:
    """Steps of LegS through the triangle of A: one solve where the step is implicit, one
    product where it is not. Both are O(N^2), and one library call: equation 4.13's O(N),
    as several tensor operations, was no faster at any order up to 256."""

    def __init__(self, memory: Memory):
        self.alpha = ALPHA[memory.method]
        A, B = hippo_transition(memory.measure, memory.order)
        self.A, self.B, self.one = (
            x.to(memory.device, memory.dtype)
            for x in (A, B[:, None], torch.eye(memory.order))
        )
        self.d = -self.A.diagonal()[:, None]

    def advance(self, c: Tensor, f: Tensor | None, numbers: list[int]) -> Tensor:
        k, now, before = self._coefficients(numbers)
        signal = torch.zeros_like(c) if f is None else self.B * f
        x, slope = self._solve(c + now * signal, now, back=False)
        after = self._step(c, x, slope + signal, now, before)
        if numbers[0] > 1:
            return after
        first = torch.zeros_like(after)  # eq. 4.10
        if f is not None:
            first[:, :1] = f
        return torch.where(k == 1, first, after)

    def retreat(self, g: Tensor, numbers: list[int]) -> tuple[Tensor, Tensor]:
        k, now, before = self._coefficients(numbers)
        x, slope = self._solve(g, now, back=True)
        earlier = self._step(g, x, slope, now, before)
        grad_f = (((now + before) * self.B).mT @ x)[:, 0]
        if numbers[0] > 1:
            return grad_f, earlier
        return torch.where(k[:, 0] == 1, g[:, 0], grad_f), torch.where(
            k == 1, 0, earlier
        )

    def _solve(self, y: Tensor, a: Tensor, back: bool) -> tuple[Tensor, Tensor]:
        """x with (I - a A) x = y, or BACK with A transposed, and A x, which is not to be
        had from x itself: beside the y of a long history, a A x is lost in rounding."""
        A = self.A.mT if back else self.A
        if self.alpha == 0:
            return y, A @ y
        # As x^T left^T = y^T: up to twice as fast on a CPU.
        left = (self.one - a * A).mT
        x = solve_triangular(left, y.mT, upper=not back, left=False).mT
        weighted = self.B * x
        q = weighted.cumsum(1)
        q = q[:, -1:] - q if back else q - weighted
        return x, -(self.d * y + self.B * q) / (1 + a * self.d)

    def _step(
        self, c: Tensor, x: Tensor, slope: Tensor, now: Tensor, before: Tensor
    ) -> Tensor:
        """Equation 4.18 in two forms, each where the other loses digits: near the start
        the slope is steep, far from it a step changes next to nothing."""
        late = c + (now + before) * slope
        if self.alpha == 0:
            return late
        return torch.where(now * len(self.A) < 1, late, x + before / now * (x - c))

    def _coefficients(self, numbers: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        k = torch.tensor(numbers).to(self.A)[:, None, None]
        return k, self.alpha / k, (1 - self.alpha) / (k - 1).clamp(min=1)


@dataclass(frozen=True)
class Stretch:
    """Equal chunks of time, one after the other."""

    first: int
    """Number of the first step, counted from 1."""
    inside: slice
    chunks: int
    steps: int

    def numbers(self, i: int) -> list[int]:
        """The numbers of step i of every chunk."""
        return [self.first + j * self.steps + i for j in range(self.chunks)]

    def jumps(self, like: Tensor, steps: Dense | Triangular) -> Tensor:
        """Where each chunk leads the unit vectors, (J, N, N); (1, N, N) where that is the
        same for every chunk."""
        if isinstance(steps, Dense) and steps.invariant:
            return steps.power(self.steps)
        jump = torch.eye(like.shape[0]).to(like).repeat(self.chunks, 1, 1)
        for i in range(self.steps):
            jump = steps.advance(jump, None, self.numbers(i))
        return jump

    def forward(
        self, f: Tensor, carry: Tensor, steps: Dense | Triangular, return_all: bool
    ) -> tuple[Tensor, Tensor]:
        """c (N, R, J C), empty if not ``return_all``, and the state after the stretch,
        from f (R, J C) and the state before it (N, R)."""
        order, rows = carry.shape
        f = f.unflatten(1, (self.chunks, self.steps)).permute(2, 1, 0)[:, :, None]
        starts = [carry]
        nothing = carry.new_empty(order, rows, 0)
        if self.chunks > 1:
            end = carry.new_zeros(self.chunks, order, rows)
            for i in range(self.steps):
                end = steps.advance(end, f[i], self.numbers(i))
            jump = self.jumps(carry, steps)
            for j in range(self.chunks):
                starts.append(jump[j % len(jump)] @ starts[j] + end[j])  # eq. 4.14
            if not return_all:
                return nothing, starts[-1]
        c = torch.stack(starts[: self.chunks])
        every = []
        for i in range(self.steps):
            c = steps.advance(c, f[i], self.numbers(i))
            if return_all:
                every.append(c)
        if not return_all:
            return nothing, c[-1]
        return torch.stack(every, dim=1).permute(2, 3, 0, 1).flatten(2), c[-1]

    def backward(
        self, grad_c: Tensor | None, flowing: Tensor, steps: Dense | Triangular
    ) -> tuple[Tensor, Tensor]:
        """Gradients to f (R, J C) and to the state before the stretch, from those to c
        (N, R, J C), none if None, and to the state after it (N, R)."""
        if grad_c is not None:
            grad_c = grad_c.unflatten(2, (self.chunks, self.steps)).permute(3, 2, 0, 1)
        backwards = range(self.steps - 1, -1, -1)
        ends = [flowing]
        if self.chunks > 1:
            arrive = flowing.new_zeros(self.chunks, *flowing.shape)
            if grad_c is not None:
                for i in backwards:
                    _, arrive = steps.retreat(arrive + grad_c[i], self.numbers(i))
            jump = self.jumps(flowing, steps).mT
            for j in range(self.chunks - 1, 0, -1):
                ends.insert(0, arrive[j] + jump[j % len(jump)] @ ends[0])
        g = torch.stack(ends)
        grad_f: list[Tensor] = []
        for i in backwards:
            if grad_c is not None:
                g = g + grad_c[i]
            grad_f_i, g = steps.retreat(g, self.numbers(i))
            grad_f.append(grad_f_i)
        return torch.stack(grad_f[::-1], dim=1).permute(2, 0, 1).flatten(1), g[0]


def _stretches(length: int, start: int, memory: Memory) -> list[Stretch]:
    """About sqrt(L) chunks of about sqrt(L) steps, then one chunk of what is left. LegS
    of high order walks all steps as one chunk: each chunk of it has a map of its own,
    and that costs N columns at every step: on a CPU, more than the calls it saves."""
    one = memory.measure == "legs" and memory.order > 96
    steps = length if one else math.isqrt(length)
    chunks = length // steps
    whole = chunks * steps
    stretches = [Stretch(start + 1, slice(0, whole), chunks, steps)]
    if whole < length:
        stretches.append(
            Stretch(start + whole + 1, slice(whole, length), 1, length - whole)
        )
    return stretches
