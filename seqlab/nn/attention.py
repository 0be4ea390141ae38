"""Attention, with its growing memory, and linear attention, with one that does not grow
(chapter 7)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from seqlab.ops import elu_features, linear_attention, linear_attention_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_sequence,
    check_state,
    check_step,
    parts_of,
    positive_integer,
)


class AttentionState(NamedTuple):
    """All keys and values so far, which are attention's state."""

    keys: Tensor
    """(batch, times, width)"""
    values: Tensor
    """(batch, times, width)"""


class Attention(nn.Module):
    """Causal softmax attention in several heads (Vaswani et al., 2017, section 3.2): at each
    time a mean of the values so far, by how the query matches their keys.

    It does not know in which order tokens came, only which come later. With `rotary`,
    queries and keys are turned by angles that grow with the time, so that their
    products depend on how far they lie apart (Su et al., 2021, arXiv 2104.09864,
    section 3.2).

    The state is an `AttentionState`: it grows by a key and a value with every token.

    Args:
        width: features of the input and of the output, at least 1.
        heads: number of heads, a divisor of width.
        rotary: whether rotations encode positions; width / heads must then be even.

    Attributes:
        query, key, value, out: the Linear layers.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, width: int, heads: int = 1, rotary: bool = True) -> None:
        super().__init__()
        self.width, self.heads = sizes_of_heads(width, heads)
        self.rotary = boolean("rotary", rotary)
        if self.rotary and self.width // self.heads % 2:
            raise ValueError(
                "heads: expected an even number of channels a head to rotate, got "
                f"{self.width // self.heads}"
            )
        self.query = nn.Linear(self.width, self.width)
        self.key = nn.Linear(self.width, self.width)
        self.value = nn.Linear(self.width, self.width)
        self.out = nn.Linear(self.width, self.width)

    def forward(
        self, u: Tensor, state: AttentionState | None = None
    ) -> tuple[Tensor, AttentionState]:
        """u (batch, length, width) -> y of the same shape, and all keys and values.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        q, k, v = self.query(u), self.key(u), self.value(u)
        dtype = self.out.weight.dtype
        keys, values = k.to(dtype), v.to(dtype)
        start = 0
        if state is not None:
            before = self._before(state, u)
            start = before.keys.shape[1]
            keys = torch.cat([before.keys, keys], dim=1)
            values = torch.cat([before.values, values], dim=1)
        seen = self._heads(keys.to(q.dtype), 0), self._heads(values.to(q.dtype))
        q = self._heads(q, start)
        if state is None:
            y = scaled_dot_product_attention(q, *seen, is_causal=True)
        else:
            times = torch.arange(keys.shape[1], device=u.device)
            mask = times <= times[start:, None]
            y = scaled_dot_product_attention(q, *seen, attn_mask=mask)
        y = self.out(y.transpose(1, 2).flatten(2))
        return y, AttentionState(keys, values)

    def step(
        self, u_t: Tensor, state: AttentionState | None = None
    ) -> tuple[Tensor, AttentionState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out.weight)
        y, state = self(u_t[:, None], state)
        return y[:, 0], state

    def _before(self, state: AttentionState, u: Tensor) -> AttentionState:
        keys, values = parts_of("state", state, AttentionState)
        letters, dtype = "batch, times, width", self.out.weight.dtype
        for part in (keys, values):
            times = keys.shape[1] if isinstance(keys, Tensor) and keys.ndim > 1 else 0
            check_state("state", part, u, (times, self.width), dtype, letters)
        return AttentionState(keys.to(dtype), values.to(dtype))

    def _heads(self, x: Tensor, start: int | None = None) -> Tensor:
        """x (batch, length, width) as (batch, heads, length, channels), rotated from the
        time ``start`` on."""
        x = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return x if start is None or not self.rotary else rotated(x, start)


class LinearAttention(nn.Module):
    """Linear attention in several heads (Katharopoulos et al., 2020, arXiv 2006.16236): its
    weights are products of the features elu(q) + 1 and elu(k) + 1, so that the whole
    past is kept as sums of a fixed size.

    The state is (batch, heads, channels, channels + 1), in float32 at least: sums of keys
    times values, and in the last column of keys alone.

    Args:
        width: features of the input and of the output, at least 1.
        heads: number of heads, a divisor of width.

    Attributes:
        query, key, value, out: the Linear layers.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__()
        self.width, self.heads = sizes_of_heads(width, heads)
        self.query = nn.Linear(self.width, self.width)
        self.key = nn.Linear(self.width, self.width)
        self.value = nn.Linear(self.width, self.width)
        self.out = nn.Linear(self.width, self.width)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        q, k, v = self._inputs(u)
        y, last = linear_attention(q, k, v, self._before(state, u))
        return self.out(y.flatten(2)), last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out.weight)
        q, k, v = self._inputs(u_t)
        before = self._before(state, u_t)
        if before is None:
            channels = self.width // self.heads
            shape = u_t.shape[0], self.heads, channels, channels + 1
            before = q.new_zeros(shape, dtype=accumulation_dtype(q.dtype))
        y, last = linear_attention_step(q, k, v, before)
        return self.out(y.flatten(1)), last

    def _inputs(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # In the layer's own dtype, under autocast too: slopes of a mean are differences.
        q, k, v = (
            x.to(self.out.weight.dtype).unflatten(-1, (self.heads, -1))
            for x in (self.query(u), self.key(u), self.value(u))
        )
        return elu_features(q), elu_features(k), v

    def _before(self, state: Tensor | None, u: Tensor) -> Tensor | None:
        if state is None:
            return None
        wide = accumulation_dtype(self.out.weight.dtype)
        channels = self.width // self.heads
        widths = self.heads, channels, channels + 1
        check_state("state", state, u, widths, wide, "batch, heads, keys, values + 1")
        return state.to(wide)


def sizes_of_heads(width: int, heads: int) -> tuple[int, int]:
    """Both as integers; TypeError or ValueError unless they are, and heads divide the
    width."""
    width = positive_integer("width", width)
    heads = positive_integer("heads", heads)
    if width % heads:
        raise ValueError(f"heads: expected a divisor of width {width}, got {heads}")
    return width, heads


def rotated(x: Tensor, start: int) -> Tensor:
    """x (..., length, channels), the pairs (i, i + channels / 2) of channels turned by the
    time, from ``start`` on, times 10000^(-2 i / channels)."""
    length, half = x.shape[-2], x.shape[-1] // 2
    wide = accumulation_dtype(x.dtype)
    times = torch.arange(start, start + length, device=x.device, dtype=wide)
    turns = torch.arange(half, device=x.device, dtype=wide) / half
    angle = times[:, None] * 10000.0**-turns
    cos, sin = angle.cos(), angle.sin()
    first, second = x.to(wide).chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.to(x.dtype)
