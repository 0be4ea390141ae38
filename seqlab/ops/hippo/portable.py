"""HiPPO in plain PyTorch, parallel over chunks of time: the form that runs everywhere.

Every measure and method is c_k = A_bar_k c_{k-1} + B_bar_k f_k, with the same A_bar_k
for every batch entry and channel. L steps are cut into about sqrt(L) chunks. All chunks
advance together, twice: first from zero, which gives where each would end and how it
maps the state before it (equation 4.14), then, once the states between chunks are
known, from the right ones. The gradient is the adjoint of that, walked the other way.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.ops.hippo.transition import Memory


def project(
    f: Tensor, state: Tensor | None, memory: Memory, start: int, return_all: bool
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state (B, D, N).

    ``memory`` steps in float32 at least; c comes back in the dtype of f.
    """
    batch, length, channels = f.shape
    rows = f.to(memory.dtype).transpose(1, 2).flatten(0, 1)
    carry = (
        rows.new_zeros(len(rows), memory.order)
        if state is None
        else state.flatten(0, 1)
    )
    c = []
    for stretch in _stretches(length, start):
        pieces, carry = stretch.forward(
            rows[:, stretch.inside], carry, memory, return_all
        )
        c.append(pieces)
    last = carry.unflatten(0, (batch, channels))
    if not return_all:
        return last.to(f.dtype, copy=True), last
    every = torch.cat(c, dim=1).unflatten(0, (batch, channels)).transpose(1, 2)
    return every.to(f.dtype).contiguous(), last.contiguous()


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
    flowing = grad_last.flatten(0, 1)
    wide = grad_c.to(memory.dtype)
    if return_all:
        rows = wide.transpose(1, 2).flatten(0, 1)
    else:
        rows = None
        flowing = flowing + wide.flatten(0, 1)
    grad_f = []
    for stretch in reversed(_stretches(length, start)):
        inside = None if rows is None else rows[:, stretch.inside]
        pieces, flowing = stretch.backward(inside, flowing, memory)
        grad_f.append(pieces)
    every = torch.cat(grad_f[::-1], dim=1).unflatten(0, (batch, channels))
    return (
        every.transpose(1, 2).to(grad_c.dtype).contiguous(),
        flowing.unflatten(0, (batch, channels)).contiguous(),
    )


@dataclass(frozen=True)
class Stretch:
    """Equal chunks of time, one after the other."""

    first: int
    """Number of the first step, counted from 1."""
    inside: slice
    chunks: int
    steps: int

    def transitions(self, i: int, memory: Memory) -> tuple[Tensor, Tensor]:
        """A_bar and B_bar of step i of every chunk, (J or 1, N, N) and (J or 1, 1, N)."""
        A_bar, B_bar = memory.steps(
            [self.first + j * self.steps + i for j in range(self.chunks)]
        )
        return A_bar, B_bar[:, None]

    def forward(
        self, f: Tensor, carry: Tensor, memory: Memory, return_all: bool
    ) -> tuple[Tensor, Tensor]:
        """c (R, J C, N), empty if not ``return_all``, and the state after the stretch,
        from f (R, J C) and the state before it (R, N)."""
        f = f.unflatten(1, (self.chunks, self.steps)).permute(2, 1, 0)[..., None]
        starts = [carry]
        if self.chunks > 1 or not return_all:
            end = carry.new_zeros(self.chunks, *carry.shape)
            jump = torch.eye(memory.order).to(carry)[None]
            for i in range(self.steps):
                A_bar, B_bar = self.transitions(i, memory)
                end = end @ A_bar.mT + f[i] * B_bar
                jump = A_bar @ jump
            jump = jump.expand(self.chunks, -1, -1)
            for j in range(self.chunks):
                starts.append(starts[j] @ jump[j].mT + end[j])  # eq. 4.14
        if not return_all:
            return carry.new_empty(len(carry), 0, memory.order), starts[-1]
        c_i = torch.stack(starts[: self.chunks])
        c = c_i.new_empty(len(carry), self.chunks, self.steps, memory.order)
        for i in range(self.steps):
            A_bar, B_bar = self.transitions(i, memory)
            c_i = c_i @ A_bar.mT + f[i] * B_bar  # eq. 4.12
            c[:, :, i] = c_i.transpose(0, 1)
        return c.flatten(1, 2), c[:, -1, -1]

    def backward(
        self, grad_c: Tensor | None, flowing: Tensor, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Gradients to f (R, J C) and to the state before the stretch, from those to c
        (R, J C, N), none if None, and to the state after it (R, N)."""
        if grad_c is not None:
            grad_c = grad_c.unflatten(1, (self.chunks, self.steps)).permute(2, 1, 0, 3)
        backwards = range(self.steps - 1, -1, -1)
        ends = [flowing]
        if self.chunks > 1:
            arrive = flowing.new_zeros(self.chunks, *flowing.shape)
            jump = torch.eye(memory.order).to(flowing)[None]
            for i in backwards:
                A_bar, _ = self.transitions(i, memory)
                if grad_c is not None:
                    arrive = (arrive + grad_c[i]) @ A_bar
                jump = jump @ A_bar
            jump = jump.expand(self.chunks, -1, -1)
            for j in range(self.chunks - 1, 0, -1):
                ends.insert(0, arrive[j] + ends[0] @ jump[j])
        g = torch.stack(ends)
        grad_f = g.new_empty(len(flowing), self.chunks, self.steps)
        for i in backwards:
            A_bar, B_bar = self.transitions(i, memory)
            if grad_c is not None:
                g = g + grad_c[i]
            grad_f[:, :, i] = (g * B_bar).sum(-1).T  # eq. 4.15
            g = g @ A_bar
        return grad_f.flatten(1, 2), g[0]


def _stretches(length: int, start: int) -> list[Stretch]:
    """About sqrt(L) chunks of about sqrt(L) steps, then one chunk of what is left."""
    steps = math.isqrt(length)
    chunks = length // steps
    whole = chunks * steps
    stretches = [Stretch(start + 1, slice(0, whole), chunks, steps)]
    if whole < length:
        stretches.append(
            Stretch(start + whole + 1, slice(whole, length), 1, length - whole)
        )
    return stretches
