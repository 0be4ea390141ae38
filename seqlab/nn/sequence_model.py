"""The deep residual stack in which every sequence layer of the book is trained."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqlab.nn.inner_layer import check_layer, outputs_of
from seqlab.ops.arguments import boolean, check_sequence, positive_integer


class Block(nn.Module):
    """z = x + GLU(layer(norm(x)))   (equation 3.10).

    The layer mixes over time and may be linear; the gated linear unit mixes over
    channels and brings the nonlinearity. As in Orvieto et al. (2023), appendix D, the
    norm is a batch norm: over batch and time while training, a fixed affine map of each
    channel in evaluation mode, where no step sees a later one.

    Args:
        layer: module from (batch, length, width) to (y, state), y of the same shape.
        width: features between the blocks, at least 1.

    Raises:
        TypeError, ValueError: `layer` is not a module or has time first, or `width` is
            not a positive integer.
    """

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        width = positive_integer("width", width)
        self.norm = nn.BatchNorm1d(width)
        self.layer = check_layer("layer", layer)
        self.mix = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, length, width) -> the same shape."""
        width = self.mix.in_features
        check_sequence("x", x, width, self.mix.weight)
        normalized = self.norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        y = outputs_of("layer", self.layer, normalized, width)
        return x + nn.functional.glu(self.mix(y), dim=-1)  # eq. 3.10


class SequenceModel(nn.Module):
    """An encoder at each step, `depth` blocks, and a linear readout.

    Args:
        layer: function of the width, called once a block: a module from (batch, length,
            width) to (y, state).
        inputs: features of the input at each time.
        width: features between the blocks.
        depth: number of blocks.
        outputs: features or classes read out.
        pool: read out the mean over time, giving (batch, outputs); else every step,
            (batch, length, outputs).

    Raises:
        TypeError, ValueError: a size is not a positive integer, `layer` is not a
            function, or does not make a module, or makes one with time first, or `pool`
            is not a bool.
    """

    def __init__(
        self,
        layer: Callable[[int], nn.Module],
        inputs: int,
        width: int,
        depth: int,
        outputs: int,
        pool: bool = True,
    ) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.pool = boolean("pool", pool)
        width, depth = (
            positive_integer("width", width),
            positive_integer("depth", depth),
        )
        if isinstance(layer, nn.Module) or not callable(layer):
            raise TypeError(
                "layer: expected a function width -> torch.nn.Module, got "
                f"{type(layer).__name__}"
            )
        self.encode = nn.Linear(self.inputs, width)
        layers = [check_layer("layer(width)", layer(width)) for _ in range(depth)]
        self.blocks = nn.Sequential(*(Block(made, width) for made in layers))
        self.readout = nn.Linear(width, positive_integer("outputs", outputs))

    def forward(self, u: Tensor) -> Tensor:
        """u (batch, length, inputs) -> (batch, outputs) when pooled, else (batch,
        length, outputs)."""
        check_sequence("u", u, self.inputs, self.encode.weight)
        x = self.blocks(self.encode(u))
        return self.readout(torch.mean(x, dim=1) if self.pool else x)
