"""A layer with a residual connection (chapter 10)."""

from typing import Any

from torch import Tensor, nn

from seqlab.nn.inner_layer import check_layer
from seqlab.ops.arguments import (
    check_sequence,
    check_step,
    number,
    positive_integer,
)


class ResidualBlock(nn.Module):
    """y = u + layer(norm(u)), with a norm of each token alone, so that a block runs step by
    step as well. The state is the layer's own.

    Args:
        layer: module from (batch, length, width) to (y, state), y of the same shape, with
            `step`.
        width: features, at least 1.
        eps: added to the mean square in the norm, at least 0.

    Attributes:
        norm: RMSNorm.
        layer: the module.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, layer: nn.Module, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.norm = nn.RMSNorm(self.width, number("eps", eps, least=0))
        self.layer: Any = check_layer("layer", layer)

    def forward(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.norm.weight)
        y, last = self.layer(self.norm(u), state)
        return u + y, last

    def step(self, u_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.norm.weight)
        y, last = self.layer.step(self.norm(u_t), state)
        return u_t + y, last
