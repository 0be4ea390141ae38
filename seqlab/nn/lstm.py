"""The long short-term memory (chapter 1), one line per equation."""

import torch
from torch import Tensor, nn

from seqlab.nn.cell import Cell


class LSTM(Cell):
    """A memory cell c_t behind three gates (Hochreiter & Schmidhuber, 1997, with the
    forget gate of Gers et al., 2000; equations 1.4 to 1.6).

    The state is (h, c), both (batch, width). Arguments, attributes and errors are those
    of `Cell`, with four gates in torch's order i, f, g, o.
    """

    gates = 4
    state_names = ("state h", "state c")
    torch_layer = nn.LSTM

    def next_state(
        self, u_t: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """u_t (batch, inputs) and (h_{t-1}, c_{t-1}) -> (h_t, c_t)."""
        h, c = state
        i, f, g, o = (u_t @ self.W.T + h @ self.U.T + self.b).chunk(4, dim=-1)
        i, f, g, o = (
            torch.sigmoid(i),
            torch.sigmoid(f),
            torch.tanh(g),
            torch.sigmoid(o),
        )  # eq. 1.4
        c = f * c + i * g  # eq. 1.5
        h = o * torch.tanh(c)  # eq. 1.6
        return h, c
