"""sLSTM: a layer with a scalar memory and its block (chapter 9)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu

from seqlab.nn.heads import normed_heads, of_heads
from seqlab.nn.short_convolution import ShortConvolution
from seqlab.ops import SLSTMState, slstm, slstm_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    check_tensor,
    parts_of,
    positive_integer,
)


class SLSTMLayerState(NamedTuple):
    """What an `SLSTM` keeps of all tokens so far, in float32 at least."""

    c: Tensor
    """memory, (batch, heads, width / heads)"""
    n: Tensor
    """its normalizer"""
    m: Tensor
    """running maximum"""
    h: Tensor
    """what was said last"""
    window: Tensor
    """what the convolution sees, (batch, size - 1, width)"""


class SLSTM(nn.Module):
    """The sLSTM layer (Beck et al., 2024, figure 9): gates i and f of the convolved
    input, z and o of the input, each by a matrix a head, `slstm`, and a norm of each head.

    Args:
        width: features of the input and of the output, a multiple of `heads` and at least
            twice as many.
        heads: at least 1.
        size: taps of the convolution, at least 1.

    Attributes:
        conv: the `ShortConvolution`.
        W: (4, heads, features, features), what gates i, f, z and o get of their head.
        R: (4, heads, features, features), of what it said last; starts at zeros.
        b: (4, heads, features); that of the forget gates starts between 3 and 6, spread
            over the features of a head.
        scale: (width,), weights of the norm.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(self, width: int, heads: int = 4, size: int = 4) -> None:
        super().__init__()
        self.heads = positive_integer("heads", heads)
        self.width = of_heads("width", width, self.heads, least=2)
        features = self.width // self.heads
        self.conv = ShortConvolution(self.width, size)
        shape = 4, self.heads, features, features
        std = math.sqrt(2 / (5 * features))
        self.W = nn.Parameter(std * torch.randn(shape))
        self.R = nn.Parameter(torch.zeros(shape))
        b = torch.zeros(shape[:3])
        b[1] = torch.linspace(3, 6, features)
        self.b = nn.Parameter(b)
        self.scale = nn.Parameter(torch.ones(self.width))

    def forward(
        self, u: Tensor, state: SLSTMLayerState | None = None
    ) -> tuple[Tensor, SLSTMLayerState]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.scale)
        before, window = self._parts(state, u)
        x, window = self.conv(u, window)
        gates = self._gates(u, silu(x))
        R, b = self.R.to(gates.dtype), self.b.to(gates.dtype)
        h, last = slstm(gates, R, b, before)
        return normed_heads(h, self.scale), SLSTMLayerState(*last, window)

    def step(
        self, u_t: Tensor, state: SLSTMLayerState | None = None
    ) -> tuple[Tensor, SLSTMLayerState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.scale)
        before, window = self._parts(state, u_t)
        x, window = self.conv.step(u_t, window)
        gates = self._gates(u_t, silu(x))
        if before is None:
            wide = accumulation_dtype(gates.dtype)
            nothing = torch.zeros_like(gates[:, 0], dtype=wide)
            before = SLSTMState(nothing, nothing, nothing - math.inf, nothing)
        R, b = self.R.to(gates.dtype), self.b.to(gates.dtype)
        h, last = slstm_step(gates, R, before, b)
        return normed_heads(h, self.scale), SLSTMLayerState(*last, window)

    def _gates(self, u: Tensor, convolved: Tensor) -> Tensor:
        """(..., 4, heads, features)."""
        u, convolved = (x.unflatten(-1, (self.heads, -1)) for x in (u, convolved))
        of = "ghde,...he->...ghd"
        i_f = torch.einsum(of, self.W[:2], convolved.to(self.W.dtype))
        return torch.cat((i_f, torch.einsum(of, self.W[2:], u.to(self.W.dtype))), -3)

    def _parts(
        self, state: SLSTMLayerState | None, u: Tensor
    ) -> tuple[SLSTMState | None, Tensor | None]:
        if state is None:
            return None, None
        *memory, window = parts_of("state", state, SLSTMLayerState)
        check_tensor("state window", window)
        wide = accumulation_dtype(self.scale.dtype)
        sizes = self.heads, self.width // self.heads
        for name, part in zip(SLSTMState._fields, memory, strict=True):
            check_state(f"state {name}", part, u, sizes, wide, "batch, heads, features")
        return SLSTMState(*(part.to(wide) for part in memory)), window


class SLSTMBlock(nn.Module):
    """xLSTM's block around `SLSTM`, with its up-projection behind the memory (Beck et al.,
    2024, figure 9): x = u + SLSTM(norm(u)), then x + W_3 (gelu(W_1 z) ⊙ W_2 z), z =
    norm(x), with 4/3 as many features inside. The state is that of the `SLSTM`.

    Args:
        width, heads, size: as in `SLSTM`.

    Attributes:
        layer_norm, feed_forward_norm: LayerNorm, without bias.
        layer: the `SLSTM`.
        into, out: the Linear layers of W_1 and W_2, one below the other, and of W_3.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(self, width: int, heads: int = 4, size: int = 4) -> None:
        super().__init__()
        self.layer = SLSTM(width, heads, size)
        self.width = self.layer.width
        self.layer_norm = nn.LayerNorm(self.width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(self.width, bias=False)
        inside = -(-4 * self.width // 3)
        self.into = nn.Linear(self.width, 2 * inside, bias=False)
        self.out = nn.Linear(inside, self.width, bias=False)

    def forward(
        self, u: Tensor, state: SLSTMLayerState | None = None
    ) -> tuple[Tensor, SLSTMLayerState]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.layer.scale)
        y, last = self.layer(self.layer_norm(u), state)
        return self._mixed(u + y), last

    def step(
        self, u_t: Tensor, state: SLSTMLayerState | None = None
    ) -> tuple[Tensor, SLSTMLayerState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.layer.scale)
        y, last = self.layer.step(self.layer_norm(u_t), state)
        return self._mixed(u_t + y), last

    def _mixed(self, x: Tensor) -> Tensor:
        gate, up = self.into(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.out(gelu(gate) * up)
