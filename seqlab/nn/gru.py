"""The gated recurrent unit (chapter 1), one line per equation."""

from typing import Self

import torch
from torch import Tensor, nn

from seqlab.nn.arguments import check_sequence, check_state, check_step
from seqlab.nn.rnn import copy_weights
from seqlab.ops.arguments import positive_integer


class GRU(nn.Module):
    """A state that is its own memory, behind two gates (Cho et al., 2014; equations 1.7
    to 1.9).

    This is the variant that torch and cuDNN compute: the reset gate multiplies the
    recurrent term U_n h_{t-1} + d after the product, where the paper's multiplies
    h_{t-1} before it. It therefore needs a second bias d. `torch.nn.GRU` is the fast
    form and `from_torch` takes its weights. The gates are stacked in torch's order r,
    z, n.

    Args:
        inputs: features of the input at each time, at least 1.
        width: features of the state, at least 1.

    Attributes:
        W: (3 width, inputs).
        U: (3 width, width).
        b: (3 width,).
        d: (width,), bias of the candidate's recurrent term.

    Raises:
        TypeError, ValueError: `inputs` or `width` is not a positive integer.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.width = positive_integer("width", width)
        bound = width**-0.5  # torch.nn.GRU's initialization
        self.W = nn.Parameter(torch.empty(3 * width, inputs).uniform_(-bound, bound))
        self.U = nn.Parameter(torch.empty(3 * width, width).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(3 * width).uniform_(-bound, bound))
        self.d = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width), twice: as the
        output and as the state."""
        check_step("u_t", u_t, self.inputs, self.W)
        h = u_t.new_zeros(len(u_t), self.width) if state is None else state
        check_state("state", h, len(u_t), self.width)
        W_r, W_z, W_n = (u_t @ self.W.T + self.b).chunk(3, dim=-1)
        U_r, U_z, U_n = (h @ self.U.T).chunk(3, dim=-1)
        r, z = torch.sigmoid(W_r + U_r), torch.sigmoid(W_z + U_z)  # eq. 1.7
        n = torch.tanh(W_n + r * (U_n + self.d))  # eq. 1.8
        h = (1 - z) * n + z * h  # eq. 1.9
        return h, h

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, inputs) -> all states h (batch, length, width) and the
        last, (batch, width)."""
        check_sequence("u", u, self.inputs, self.W)
        outputs = []
        for u_t in u.unbind(dim=1):
            h, state = self.step(u_t, state)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h

    @classmethod
    def from_torch(cls, module: nn.GRU) -> Self:
        """The same network as a one-layer, one-direction `torch.nn.GRU` with biases;
        else ValueError."""
        layer = cls(module.input_size, module.hidden_size)
        copy_weights(module, layer)
        # torch gives the candidate a bias on each side of the reset gate: b keeps the input's, d the state's.
        width = module.hidden_size
        with torch.no_grad():
            layer.d.copy_(module.get_parameter("bias_hh_l0")[2 * width :])
            layer.b[2 * width :].copy_(module.get_parameter("bias_ih_l0")[2 * width :])
        return layer
