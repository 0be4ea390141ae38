"""The long short-term memory (chapter 1), one line per equation."""

from typing import Self

import torch
from torch import Tensor, nn

from seqlab.nn.arguments import check_sequence, check_state, check_step
from seqlab.nn.rnn import copy_weights
from seqlab.ops.arguments import positive_integer


class LSTM(nn.Module):
    """A memory cell c_t behind three gates (Hochreiter & Schmidhuber, 1997, with the
    forget gate of Gers et al., 2000; equations 1.4 to 1.6).

    Written to be read, with a Python loop over time; `torch.nn.LSTM` is the fast form
    and `from_torch` takes its weights. The four gates are stacked in torch's order i,
    f, g, o.

    Args:
        inputs: features of the input at each time, at least 1.
        width: features of the output and of the cell, at least 1.

    Attributes:
        W: (4 width, inputs).
        U: (4 width, width).
        b: (4 width,), the sum of torch's two biases.

    Raises:
        TypeError, ValueError: `inputs` or `width` is not a positive integer.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.width = positive_integer("width", width)
        bound = width**-0.5  # torch.nn.LSTM's initialization
        self.W = nn.Parameter(torch.empty(4 * width, inputs).uniform_(-bound, bound))
        self.U = nn.Parameter(torch.empty(4 * width, width).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(4 * width).uniform_(-bound, bound))

    def step(
        self, u_t: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width) and the state (h_t,
        c_t)."""
        check_step("u_t", u_t, self.inputs, self.W)
        zeros = u_t.new_zeros(len(u_t), self.width)
        h, c = (zeros, zeros) if state is None else state
        check_state("state h", h, len(u_t), self.width)
        check_state("state c", c, len(u_t), self.width)
        i, f, g, o = (u_t @ self.W.T + h @ self.U.T + self.b).chunk(4, dim=-1)
        i, f, g, o = (
            torch.sigmoid(i),
            torch.sigmoid(f),
            torch.tanh(g),
            torch.sigmoid(o),
        )  # eq. 1.4
        c = f * c + i * g  # eq. 1.5
        h = o * torch.tanh(c)  # eq. 1.6
        return h, (h, c)

    def forward(
        self, u: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """u (batch, length, inputs) -> all outputs h (batch, length, width) and the
        last state (h, c)."""
        check_sequence("u", u, self.inputs, self.W)
        outputs = []
        for u_t in u.unbind(dim=1):
            h, state = self.step(u_t, state)
            outputs.append(h)
        assert state is not None  # the length is at least 1
        return torch.stack(outputs, dim=1), state

    @classmethod
    def from_torch(cls, module: nn.LSTM) -> Self:
        """The same network as a one-layer, one-direction `torch.nn.LSTM` with biases;
        else ValueError."""
        layer = cls(module.input_size, module.hidden_size)
        copy_weights(module, layer)
        return layer
