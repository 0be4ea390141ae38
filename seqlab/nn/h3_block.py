"""H3's block around any layer, for the table of blocks against layers (chapter 10)."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from seqlab.nn.inner_layer import check_layer
from seqlab.nn.short_convolution import ShortConvolution
from seqlab.ops.arguments import (
    check_sequence,
    check_step,
    parts_of,
    positive_integer,
)


class H3BlockState(NamedTuple):
    """What a block keeps of all tokens so far, in float32 at least."""

    window: Tensor
    """the last keys, (batch, taps - 1, width)"""
    memory: Any
    """the state of the layer inside"""


class H3Block(nn.Module):
    """H3's block with a layer of any kind for its long memory:

        y = W_o (q ⊙ layer(convolution(k) ⊙ v)),  q, k, v = W_q u, W_k u, W_v u.

    With an S4D inside it is `H3` of one channel a head, which computes it in one op; with
    an S6 it is a row of Mamba's table (Gu and Dao, 2023, table 6). The state is an
    `H3BlockState`.

    Args:
        width: features of the input and of the output, at least 1.
        layer: function of the width that makes the layer inside, a module from (batch,
            length, width) to (y, state) with `step`.
        taps: keys that the short convolution sees, at least 1.

    Attributes:
        query, key, value, out: the Linear layers W_q, W_k, W_v and W_o.
        conv: the `ShortConvolution`, without bias.
        layer: the layer inside.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self, width: int, layer: Callable[[int], nn.Module], taps: int = 4
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.query = nn.Linear(self.width, self.width)
        self.key = nn.Linear(self.width, self.width)
        self.value = nn.Linear(self.width, self.width)
        self.conv = ShortConvolution(self.width, taps, bias=False)
        self.layer: Any = check_layer("layer(width)", layer(self.width))
        self.out = nn.Linear(self.width, self.width)

    def forward(
        self, u: Tensor, state: H3BlockState | None = None
    ) -> tuple[Tensor, H3BlockState]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        before, memory = _parts(state)
        k, window = self.conv(self.key(u), before)
        y, last = self.layer(k * self.value(u), memory)
        return self.out(self.query(u) * y), H3BlockState(window, last)

    def step(
        self, u_t: Tensor, state: H3BlockState | None = None
    ) -> tuple[Tensor, H3BlockState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out.weight)
        before, memory = _parts(state)
        k, window = self.conv.step(self.key(u_t), before)
        y, last = self.layer.step(k * self.value(u_t), memory)
        return self.out(self.query(u_t) * y), H3BlockState(window, last)


def _parts(state: H3BlockState | None) -> tuple[Tensor | None, Any]:
    return (None, None) if state is None else parts_of("state", state, H3BlockState)
