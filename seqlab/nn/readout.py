"""One recurrent layer and what is read from it."""

from torch import Tensor, nn

from seqlab.nn.inner_layer import check_layer, outputs_of
from seqlab.ops.arguments import boolean, positive_integer


class Readout(nn.Module):
    """A layer and a linear readout of its outputs: the smallest recurrent model.

    Args:
        layer: from (batch, length, inputs) to outputs (batch, length, width) and a
            state.
        width: features of the layer's output.
        outputs: features or classes read out.
        last: read out the last step, giving (batch, outputs); else every step, (batch,
            length, outputs).

    Raises:
        TypeError, ValueError: a size is not a positive integer, `layer` is not a module
            or has time first, or `last` is not a bool.
    """

    def __init__(
        self, layer: nn.Module, width: int, outputs: int, last: bool = True
    ) -> None:
        super().__init__()
        self.layer = check_layer("layer", layer)
        self.last = boolean("last", last)
        self.readout = nn.Linear(
            positive_integer("width", width), positive_integer("outputs", outputs)
        )

    def forward(self, u: Tensor) -> Tensor:
        """u (batch, length, inputs) -> (batch, outputs), or (batch, length, outputs)
        where every step is read."""
        h = outputs_of("layer", self.layer, u, self.readout.in_features)
        return self.readout(h[:, -1] if self.last else h)
