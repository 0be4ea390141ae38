"""The gated recurrent unit (chapter 1), one line per equation."""

from typing import Self

import torch
from torch import Tensor, nn

from seqlab.nn.cell import Cell


class GRU(Cell):
    """A state that is its own memory, behind two gates (Cho et al., 2014; equations 1.7
    to 1.9).

    This is the variant that torch and cuDNN compute: the reset gate multiplies the
    recurrent term U_n h_{t-1} + d after the product, where the paper's multiplies
    h_{t-1} before it. It therefore needs a second bias d.

    The state is h, (batch, width). Arguments, attributes and errors are those of
    `Cell`, with three gates in torch's order r, z, n, and beside them

    Attributes:
        d: (width,), bias of the candidate's recurrent term.
    """

    gates = 3
    torch_layer = nn.GRU

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        bound = self.width**-0.5  # torch.nn.GRU's initialization
        self.d = nn.Parameter(torch.empty(self.width).uniform_(-bound, bound))

    def next_state(self, u_t: Tensor, h: Tensor) -> Tensor:
        """u_t (batch, inputs) and h_{t-1} (batch, width) -> h_t."""
        W_r, W_z, W_n = (u_t @ self.W.T + self.b).chunk(3, dim=-1)
        U_r, U_z, U_n = (h @ self.U.T).chunk(3, dim=-1)
        r, z = torch.sigmoid(W_r + U_r), torch.sigmoid(W_z + U_z)  # eq. 1.7
        n = torch.tanh(W_n + r * (U_n + self.d))  # eq. 1.8
        return (1 - z) * n + z * h  # eq. 1.9

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Self:
        """As `Cell.from_torch`, of a `torch.nn.GRU`."""
        layer = super().from_torch(module)
        # torch gives the candidate a bias on each side of the reset gate: b keeps the
        # input's, d the state's.
        _, _, b, b_h = module.all_weights[0]
        candidate = slice(2 * layer.width, None)
        with torch.no_grad():
            layer.b[candidate].copy_(b[candidate])
            layer.d.copy_(b_h[candidate])
        return layer
