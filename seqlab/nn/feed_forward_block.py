"""A layer that mixes over time and one that mixes over features, each with a residual
connection (chapter 8)."""

from typing import Any

from torch import Tensor, nn

from seqlab.nn.inner_layer import check_layer
from seqlab.ops.arguments import check_sequence, check_step, positive_integer


class FeedForwardBlock(nn.Module):
    """x = u + layer(norm(u)), then x + feed_forward(norm(x)), where a subclass says what
    the second one is. Norms are of each token alone, so that a block runs step by step as
    well. The state is the layer's own.

    Args:
        layer: module from (batch, length, width) to (y, state), y of the same shape, with
            `step`.
        width: features, at least 1.

    Attributes:
        layer: the module.
        layer_norm, feed_forward_norm: LayerNorm.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.layer: Any = check_layer("layer", layer)
        self.layer_norm = nn.LayerNorm(self.width)
        self.feed_forward_norm = nn.LayerNorm(self.width)

    def feed_forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        raise NotImplementedError

    def forward(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.layer_norm.weight)
        y, last = self.layer(self.layer_norm(u), state)
        return self._mixed(u + y), last

    def step(self, u_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.layer_norm.weight)
        y, last = self.layer.step(self.layer_norm(u_t), state)
        return self._mixed(u_t + y), last

    def _mixed(self, x: Tensor) -> Tensor:
        return x + self.feed_forward(self.feed_forward_norm(x))
