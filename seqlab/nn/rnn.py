"""The recurrent network as Elman drew it (chapter 1), one line per equation."""

from typing import Self

import torch
from torch import Tensor, nn

from seqlab.nn.arguments import check_sequence, check_state, check_step
from seqlab.ops.arguments import positive_integer


class RNN(nn.Module):
    """h_t = tanh(W u_t + U h_{t-1} + b)   (Elman, 1990; equation 1.1).

    Written to be read, with a Python loop over time; `torch.nn.RNN` is the fast form
    and `from_torch` takes its weights.

    Args:
        inputs: features of the input at each time, at least 1.
        width: features of the state, at least 1.

    Attributes:
        W: (width, inputs).
        U: (width, width).
        b: (width,), the sum of torch's two biases.

    Raises:
        TypeError, ValueError: `inputs` or `width` is not a positive integer.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.width = positive_integer("width", width)
        bound = width**-0.5  # torch.nn.RNN's initialization
        self.W = nn.Parameter(torch.empty(width, inputs).uniform_(-bound, bound))
        self.U = nn.Parameter(torch.empty(width, width).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width), twice: as the
        output and as the state."""
        check_step("u_t", u_t, self.inputs, self.W)
        h = u_t.new_zeros(len(u_t), self.width) if state is None else state
        check_state("state", h, len(u_t), self.width)
        h = torch.tanh(u_t @ self.W.T + h @ self.U.T + self.b)  # eq. 1.1
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
    def from_torch(cls, module: nn.RNN) -> Self:
        """The same network as a one-layer, one-direction `torch.nn.RNN` with tanh and
        biases.

        Raises ValueError for any other kind.
        """
        if module.nonlinearity != "tanh":
            raise ValueError(
                f"module: expected nonlinearity='tanh', got {module.nonlinearity!r}"
            )
        layer = cls(module.input_size, module.hidden_size)
        copy_weights(module, layer)
        return layer


def copy_weights(module: nn.RNNBase, layer: nn.Module) -> None:
    """Copy W, U and b, the weights that torch and this package stack in the same order,
    into `layer`."""
    if (
        module.num_layers != 1
        or module.bidirectional
        or not module.bias
        or module.proj_size
    ):
        raise ValueError(
            f"module: expected one layer, one direction, biases and no projection, got {module}"
        )
    weights = {
        name.removesuffix("_l0"): weight for name, weight in module.state_dict().items()
    }
    layer.to(weights["weight_ih"])
    layer.load_state_dict(
        {
            "W": weights["weight_ih"],
            "U": weights["weight_hh"],
            "b": weights["bias_ih"] + weights["bias_hh"],
        },
        strict=False,
    )
