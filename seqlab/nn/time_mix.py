"""RWKV-4's time mixing: token shift, WKV and a gate (chapter 8)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlab.nn.token_shift import TokenShift
from seqlab.ops import wkv, wkv_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    integer,
    parts_of,
    positive_integer,
)


class TimeMixState(NamedTuple):
    """What time mixing keeps of all tokens so far, in float32 at least."""

    before: Tensor
    """the last token, (batch, width)"""
    sums: Tensor
    """WKV's numerators, denominators and exponents, (batch, 3, inner); of `EagleTimeMix`
    and `FinchTimeMix` decayed sums of keys times values, (batch, heads, inner / heads,
    inner / heads)"""


class TimeMix(nn.Module):
    """RWKV-4's place of attention (Peng et al., 2023, section 3):

        k, v, r = W_k shift_k(u), W_v shift_v(u), W_r shift_r(u),
        y = W_o (sigmoid(r) ⊙ wkv(w, bonus, k, v)),  w = exp(decay).

    The state is a `TimeMixState`. Where the layer stands in its model decides how it
    starts: the deeper, the longer its memories and the more of the present in its keys
    and values (the paper's appendix E).

    Args:
        width: features of the input and of the output, at least 1.
        inner: features of keys, values and receptance, at least 1; `width` if None.
        layer, depth: which of how many layers it is, 0 <= layer < depth.

    Attributes:
        shift_k, shift_v, shift_r: the `TokenShift` of each.
        key, value, receptance, output: the Linear layers W_k, W_v, W_r and W_o, without
            bias.
        decay: (inner,), logarithm of the rate w at which a token loses weight, per step.
        bonus: (inner,), what the present's key counts more, u in the paper.

    Raises:
        TypeError, ValueError: a size or a place is not as described.
    """

    def __init__(
        self, width: int, inner: int | None = None, layer: int = 0, depth: int = 1
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.inner = self.width if inner is None else positive_integer("inner", inner)
        layer, depth = place(layer, depth)
        deep = depth_of(layer, depth)
        present = share_of_the_present(self.width, layer, depth)
        self.shift_k, self.shift_v, self.shift_r = (
            TokenShift(self.width) for _ in range(3)
        )
        self.shift_k.mu = nn.Parameter(present)
        self.shift_v.mu = nn.Parameter(present + 0.3 * deep)
        self.shift_r.mu = nn.Parameter(present**0.5)
        self.key = nn.Linear(self.width, self.inner, bias=False)
        self.value = nn.Linear(self.width, self.inner, bias=False)
        self.receptance = nn.Linear(self.width, self.inner, bias=False)
        self.output = nn.Linear(self.inner, self.width, bias=False)
        curve = decay_curve(self.inner, deep)
        self.decay = nn.Parameter(8 * curve - 5)  # eq. 8.13
        self.bonus = nn.Parameter(0.5 * zigzag(self.inner) + math.log(0.3))

    def forward(
        self, u: Tensor, state: TimeMixState | None = None
    ) -> tuple[Tensor, TimeMixState]:
        """u (batch, length, width) -> y of the same shape and the last state; parallel in
        time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.decay)
        before, sums = self._parts(state, u)
        shifted_k, last = self.shift_k.mix(u, before)
        shifted_v, _ = self.shift_v.mix(u, before)
        shifted_r, _ = self.shift_r.mix(u, before)
        k, v = self.key(shifted_k), self.value(shifted_v)
        y, sums = wkv(*self._rates(), k, v, sums)
        return self._out(shifted_r, y), TimeMixState(last, sums)

    def step(
        self, u_t: Tensor, state: TimeMixState | None = None
    ) -> tuple[Tensor, TimeMixState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.decay)
        before, sums = self._parts(state, u_t)
        if sums is None:
            w, _ = self._rates()
            sums = w.new_zeros(u_t.shape[0], 3, self.inner)
            sums[:, 2] = -math.inf
        shifted_k, last = self.shift_k.mix_step(u_t, before)
        shifted_v, _ = self.shift_v.mix_step(u_t, before)
        shifted_r, _ = self.shift_r.mix_step(u_t, before)
        k, v = self.key(shifted_k), self.value(shifted_v)
        y, sums = wkv_step(*self._rates(), k, v, sums)
        return self._out(shifted_r, y), TimeMixState(last, sums)

    def close(self) -> None:
        """Start as a layer that does nothing yet."""
        orthogonal(self.value)
        for closed in (self.key, self.receptance, self.output):
            nn.init.zeros_(closed.weight)

    def _rates(self) -> tuple[Tensor, Tensor]:
        """w and the bonus, in float32 at least: exp(-w) may be very close to 1."""
        wide = accumulation_dtype(self.decay.dtype)
        return torch.exp(self.decay.to(wide)), self.bonus.to(wide)

    def _out(self, shifted_r: Tensor, y: Tensor) -> Tensor:
        gate = torch.sigmoid(self.receptance(shifted_r))
        return self.output(gate * y)  # eq. 8.15

    def _parts(
        self, state: TimeMixState | None, u: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """The parts of a state, once they are checked."""
        if state is None:
            return None, None
        before, sums = parts_of("state", state, TimeMixState)
        wide = accumulation_dtype(self.decay.dtype)
        self.shift_k.check("state before", before, u)
        check_state("state sums", sums, u, (3, self.inner), wide, "batch, 3, channels")
        return before, sums.to(wide)


def place(layer: int, depth: int) -> tuple[int, int]:
    """The place of a layer in a model; TypeError or ValueError unless 0 <= layer <
    depth."""
    depth, layer = positive_integer("depth", depth), integer("layer", layer)
    if layer >= depth:
        raise ValueError(f"layer: expected 0 <= layer < depth = {depth}, got {layer}")
    return layer, depth


def share_of_the_present(width: int, layer: int, depth: int) -> Tensor:
    """How a token shift starts: (width,), from 0 in the first channel up to nearly 1, and
    in deeper layers nearer to 1."""
    return (torch.arange(width) / width) ** (1 - layer / depth)


def depth_of(layer: int, depth: int) -> float:
    """How deep a layer stands, from 0 for the first one to 1 for the last."""
    return layer / max(depth - 1, 1)


def decay_curve(inner: int, deep: float) -> Tensor:
    """How the decays of the channels start: (inner,), from 0 in the first, which forgets
    least, to 1 in the last, and in deeper layers nearer to 0."""
    return (torch.arange(inner) / max(inner - 1, 1)) ** (0.7 + 1.3 * deep)


def zigzag(inner: int) -> Tensor:
    """How neighboring bonuses start apart: (inner,), 0, 1, -1 and so on."""
    return (torch.arange(inner) + 1) % 3 - 1


def orthogonal(linear: nn.Linear, scale: float = 1.0) -> None:
    """A random matrix that keeps lengths, or one that leads into more features and makes
    each of them as large as those it comes from."""
    rows, columns = linear.weight.shape
    nn.init.orthogonal_(linear.weight, scale * max(1.0, rows / columns) ** 0.5)
