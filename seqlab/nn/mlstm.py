"""mLSTM: a layer with a matrix memory and its block (chapter 9)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from seqlab.nn.heads import normed_heads, of_heads
from seqlab.nn.short_convolution import ShortConvolution
from seqlab.ops import MLSTMState, mlstm, mlstm_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    check_tensor,
    parts_of,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast


class MLSTMLayerState(NamedTuple):
    """What an `MLSTM` keeps of all tokens so far, in float32 at least."""

    C: Tensor
    """memory, (batch, heads, inner / heads, inner / heads)"""
    n: Tensor
    """normalizer, (batch, heads, inner / heads)"""
    m: Tensor
    """running maximum, (batch, heads)"""
    window: Tensor
    """what the convolution sees, (batch, size - 1, inner)"""


class MLSTM(nn.Module):
    """The mLSTM layer, with its up-projection in front of the memory (Beck et al., 2024,
    figure 10):

        x, z = W_x u, W_z u,  c = silu(convolution(x)),  h = mlstm(W_q c, W_k c, W_v x),
        y = W_y (silu(z) ⊙ (norm(h) + skip ⊙ c)),

    where W_q, W_k and W_v are of blocks of four features, the norm is of each head, and
    the gates i and f are of (W_q c, W_k c, W_v x), one of each a head.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        inner: features inside, a multiple of four and of `heads`, at least two in each of
            these; twice `width`, rounded up to such a number, if None.
        size: taps of the convolution, at least 1.

    Attributes:
        into, out: the Linear layers of W_x and W_z, one below the other, and of W_y.
        conv: the `ShortConvolution`.
        query, key, value: (inner / 4, 4, 4), the blocks.
        gates: the Linear layer of i and f, in this order; starts with weights of zero, the
            bias of the forget gates between 3 and 6, spread over the heads, that of the
            input gates near 0.
        scale: (inner,), weights of the norm.
        skip: (inner,).

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(
        self, width: int, heads: int = 4, inner: int | None = None, size: int = 4
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.heads = positive_integer("heads", heads)
        whole = math.lcm(BLOCK, self.heads)
        if inner is None:
            inner = max(-(-2 * self.width // whole) * whole, 2 * self.heads)
        self.inner = positive_integer("inner", inner)
        if self.inner % whole:
            raise ValueError(
                f"inner: expected a multiple of {BLOCK} and of heads = {self.heads}, got "
                f"{self.inner}"
            )
        of_heads("inner", self.inner, self.heads, least=2)
        self.into = nn.Linear(self.width, 2 * self.inner, bias=False)
        self.conv = ShortConvolution(self.inner, size)
        shape, std = (self.inner // BLOCK, BLOCK, BLOCK), math.sqrt(2 / (5 * BLOCK))
        self.query = nn.Parameter(std * torch.randn(shape))
        self.key = nn.Parameter(std * torch.randn(shape))
        self.value = nn.Parameter(std * torch.randn(shape))
        self.gates = nn.Linear(3 * self.inner, 2 * self.heads)
        with torch.no_grad():
            self.gates.weight.zero_()
            self.gates.bias[: self.heads].normal_(std=0.1)
            self.gates.bias[self.heads :] = torch.linspace(3, 6, self.heads)
        self.scale = nn.Parameter(torch.ones(self.inner))
        self.skip = nn.Parameter(torch.ones(self.inner))
        self.out = nn.Linear(self.inner, self.width, bias=False)

    def forward(
        self, u: Tensor, state: MLSTMLayerState | None = None
    ) -> tuple[Tensor, MLSTMLayerState]:
        """u (batch, length, width) -> y of the same shape and the last state; parallel in
        time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.scale)
        before, window = self._parts(state, u)
        x, z = self.into(u).chunk(2, dim=-1)
        c, window = self.conv(x, window)
        c = silu(c)
        h, last = mlstm(*self._inputs(c, x), before)
        return self._out(h, c, z), MLSTMLayerState(*last, window)

    def step(
        self, u_t: Tensor, state: MLSTMLayerState | None = None
    ) -> tuple[Tensor, MLSTMLayerState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.scale)
        before, window = self._parts(state, u_t)
        x, z = self.into(u_t).chunk(2, dim=-1)
        c, window = self.conv.step(x, window)
        c = silu(c)
        inputs = self._inputs(c, x)
        if before is None:
            before = nothing(inputs[1], inputs[2], inputs[3])
        h, last = mlstm_step(*inputs, before)
        return self._out(h, c, z), MLSTMLayerState(*last, window)

    def _inputs(
        self, c: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """q, k and v (..., heads, features), i and f (..., heads), the latter in float32
        at least."""
        q, k, v = (
            _in_blocks(W, of)
            for W, of in ((self.query, c), (self.key, c), (self.value, x))
        )
        i, f = wide_linear(self.gates, torch.cat([q, k, v], dim=-1)).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in (q, k, v))
        return q, k, v, i, f

    def _out(self, h: Tensor, c: Tensor, z: Tensor) -> Tensor:
        return self.out((normed_heads(h, self.scale) + self.skip * c) * silu(z))

    def _parts(
        self, state: MLSTMLayerState | None, u: Tensor
    ) -> tuple[MLSTMState | None, Tensor | None]:
        if state is None:
            return None, None
        *memory, window = parts_of("state", state, MLSTMLayerState)
        check_tensor("state window", window)
        features = self.inner // self.heads
        wide = accumulation_dtype(self.scale.dtype)
        sizes = (self.heads, features, features), (self.heads, features), (self.heads,)
        return checked_memory(memory, u, sizes, wide), window


class MLSTMBlock(nn.Module):
    """xLSTM's block around `MLSTM`: y = u + MLSTM(norm(u)). The state is that of the
    `MLSTM`.

    Args:
        width, heads, inner, size: as in `MLSTM`.

    Attributes:
        norm: LayerNorm, without bias.
        layer: the `MLSTM`.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(
        self, width: int, heads: int = 4, inner: int | None = None, size: int = 4
    ) -> None:
        super().__init__()
        self.layer = MLSTM(width, heads, inner, size)
        self.norm = nn.LayerNorm(self.layer.width, bias=False)

    def forward(
        self, u: Tensor, state: MLSTMLayerState | None = None
    ) -> tuple[Tensor, MLSTMLayerState]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.layer.width, self.norm.weight)
        y, last = self.layer(self.norm(u), state)
        return u + y, last

    def step(
        self, u_t: Tensor, state: MLSTMLayerState | None = None
    ) -> tuple[Tensor, MLSTMLayerState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.layer.width, self.norm.weight)
        y, last = self.layer.step(self.norm(u_t), state)
        return u_t + y, last


BLOCK = 4
"""Features that W_q, W_k and W_v mix with each other."""


def wide_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """What the layer makes of x, in float32 at least, under autocast too: an exponential
    of it, rounded to bfloat16 near -10, would be off by 3 percent."""
    wide = accumulation_dtype(layer.weight.dtype)
    with outside_autocast(x.device):
        return linear(x.to(wide), layer.weight.to(wide), layer.bias.to(wide))


def nothing(k: Tensor, v: Tensor, like: Tensor) -> MLSTMState:
    """What an mLSTM remembers before the first step: of keys and values (batch, heads,
    features), in the dtype of ``like``."""
    n = torch.zeros_like(k, dtype=like.dtype)
    C = n.new_zeros((*k.shape, v.shape[-1]))
    return MLSTMState(C, n, n.new_full(n.shape[:-1], -math.inf))


def checked_memory(
    memory: list[Tensor],
    u: Tensor,
    sizes: tuple[tuple[int, ...], ...],
    dtype: torch.dtype,
) -> MLSTMState:
    """C, n and m for the input ``u`` of these sizes, in the dtype; TypeError or
    ValueError if they are not such a state."""
    letters = "batch, heads, keys, values", "batch, heads, keys", "batch, heads"
    parts = zip(MLSTMState._fields, memory, sizes, letters, strict=True)
    for name, part, size, words in parts:
        check_state(f"state {name}", part, u, size, dtype, words)
    return MLSTMState(*(part.to(dtype) for part in memory))


def _in_blocks(W: Tensor, x: Tensor) -> Tensor:
    blocks = x.to(W.dtype).unflatten(-1, (-1, BLOCK))
    return torch.einsum("bde,...be->...bd", W, blocks).flatten(-2)
