"""Mamba's block: a short convolution and a state-space model behind a gate (chapter 10)."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import silu

from seqlab.nn.inner_layer import check_layer
from seqlab.nn.s6 import S6, Selection
from seqlab.nn.short_convolution import ShortConvolution
from seqlab.ops.arguments import (
    boolean,
    check_sequence,
    check_step,
    parts_of,
    positive_integer,
)


class MambaState(NamedTuple):
    """What a block keeps of all tokens so far, in float32 at least."""

    window: Tensor
    """what the convolution sees of them, (batch, size - 1, inner)"""
    ssm: Any
    """the state of the layer inside; of `S6` (batch, inner, state_size)"""


class MambaBlock(nn.Module):
    """Mamba's block (Gu and Dao, 2023, figure 3):

        x, z = W_x u, W_z u,  y = W_y (silu(z) ⊙ layer(silu(convolution(x)))).

    The state is a `MambaState`.

    Args:
        width: features of the input and of the output, at least 1.
        inner: channels inside, at least 1; twice `width` if None.
        layer: function of their number that makes the layer inside, a module from (batch,
            length, inner) to (y, state) with `step`; `S6` if None.
        size: taps of the convolution, at least 1.
        conv_bias, bias: whether the convolution has a bias, and whether the two
            projections have.

    Attributes:
        in_proj, out_proj: the Linear layers of W_x and W_z, one below the other, and of
            W_y.
        conv: the `ShortConvolution`.
        ssm: the layer inside.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        inner: int | None = None,
        layer: Callable[[int], nn.Module] | None = None,
        size: int = 4,
        conv_bias: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        inner = 2 * self.width if inner is None else positive_integer("inner", inner)
        bias = boolean("bias", bias)
        self.in_proj = nn.Linear(self.width, 2 * inner, bias=bias)
        self.conv = ShortConvolution(inner, size, conv_bias)
        self.ssm: Any = check_layer(
            "layer(inner)", (S6 if layer is None else layer)(inner)
        )
        self.out_proj = nn.Linear(inner, self.width, bias=bias)

    def forward(
        self, u: Tensor, state: MambaState | None = None
    ) -> tuple[Tensor, MambaState]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out_proj.weight)
        before, inside = _parts(state)
        x, z = self.in_proj(u).chunk(2, dim=-1)
        x, window = self.conv(x, before)
        if isinstance(self.ssm, S6):
            y, last = self.ssm(silu(x), inside, z)
        else:
            y, last = self.ssm(silu(x), inside)
            y = y * silu(z)
        return self.out_proj(y), MambaState(window, last)

    def step(
        self, u_t: Tensor, state: MambaState | None = None
    ) -> tuple[Tensor, MambaState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out_proj.weight)
        before, inside = _parts(state)
        x, z = self.in_proj(u_t).chunk(2, dim=-1)
        x, window = self.conv.step(x, before)
        if isinstance(self.ssm, S6):
            y, last = self.ssm.step(silu(x), inside, z)
        else:
            y, last = self.ssm.step(silu(x), inside)
            y = y * silu(z)
        return self.out_proj(y), MambaState(window, last)

    def selection(self, u: Tensor) -> Selection:
        """What the `S6` inside makes of its system at each time, from u (batch, length,
        width); ValueError if there is another layer inside."""
        check_sequence("u", u, self.width, self.out_proj.weight)
        if not isinstance(self.ssm, S6):
            raise ValueError(
                f"selection: expected a block with S6 inside, got {type(self.ssm).__name__}"
            )
        x, _ = self.conv(self.in_proj(u).chunk(2, dim=-1)[0])
        return self.ssm.selection(silu(x))


def _parts(state: MambaState | None) -> tuple[Tensor | None, Any]:
    if state is None:
        return None, None
    window, inside = parts_of("state", state, MambaState)
    for part in (window, inside):
        if part is None:
            raise TypeError("state: expected a tuple without None, got one with it")
    return window, inside
