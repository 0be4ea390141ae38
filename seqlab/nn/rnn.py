"""The recurrent network as Elman drew it (chapter 1), one line per equation."""

from typing import Self

import torch
from torch import Tensor, nn

from seqlab.nn.cell import Cell


class RNN(Cell):
    """h_t = tanh(W u_t + U h_{t-1} + b)   (Elman, 1990; equation 1.1).

    The state is h, (batch, width). Arguments, attributes and errors are those of
    `Cell`, with W (width, inputs).
    """

    gates = 1
    torch_layer = nn.RNN

    def next_state(self, u_t: Tensor, h: Tensor) -> Tensor:
        """u_t (batch, inputs) and h_{t-1} (batch, width) -> h_t."""
        return torch.tanh(u_t @ self.W.T + h @ self.U.T + self.b)  # eq. 1.1

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Self:
        """As `Cell.from_torch`, of a `torch.nn.RNN` with tanh; else ValueError."""
        layer = super().from_torch(module)
        if module.nonlinearity != "tanh":
            got = module.nonlinearity
            raise ValueError(f"module: expected nonlinearity='tanh', got {got!r}")
        return layer
