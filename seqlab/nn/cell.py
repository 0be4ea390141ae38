"""What the recurrent networks of chapter 1 share: weights, a loop over time, and the way
from torch.nn."""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from seqlab.ops.arguments import (
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast


class Cell(nn.Module):
    """A network that goes from one state to the next, h_t from u_t and h_{t-1}, with its
    gates stacked in W, U and b.

    Written to be read, with a Python loop over time (so that a graph made by
    ``torch.compile`` or ``torch.export`` is for one length, as it is with torch.nn's);
    the fast form is in torch.nn, and `from_torch` takes its weights. Under autocast
    everything is computed in the parameters' dtype, as rounding would add up over time.

    Args:
        inputs: features of the input at each time, at least 1.
        width: features of the output and of the state, at least 1.

    Attributes:
        W: (gates * width, inputs).
        U: (gates * width, width).
        b: (gates * width,), the sum of torch's two biases.

    Raises:
        TypeError, ValueError: `inputs` or `width` is not a positive integer.
    """

    gates: ClassVar[int]  # how many of W's rows there are for each feature
    state_names: ClassVar[tuple[str, ...]] = ("state",)
    torch_layer: ClassVar[type[nn.RNNBase]]

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.width = positive_integer("width", width)
        rows, bound = self.gates * self.width, self.width**-0.5  # torch.nn's
        self.W = nn.Parameter(torch.empty(rows, self.inputs).uniform_(-bound, bound))
        self.U = nn.Parameter(torch.empty(rows, self.width).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))

    def next_state(self, u_t: Tensor, state: Any) -> Any:
        """The equations: from u_t (batch, inputs) and the state before to the state."""
        raise NotImplementedError

    def step(self, u_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width) and the next
        state."""
        check_step("u_t", u_t, self.inputs, self.W)
        state = self._start(u_t, state)
        with outside_autocast(u_t.device):
            state = self.next_state(u_t.to(self.W.dtype), state)
        return _output(state).clone(), state  # two tensors: either may be changed

    def forward(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """u (batch, length, inputs) -> all outputs h (batch, length, width) and the
        last state, from which a later call continues.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.inputs, self.W)
        state = self._start(u, state)
        outputs = []
        with outside_autocast(u.device):
            for u_t in u.to(self.W.dtype).unbind(dim=1):
                state = self.next_state(u_t, state)
                outputs.append(_output(state))
            return torch.stack(outputs, dim=1), state

    def _start(self, u: Tensor, state: Any) -> Any:
        """The state given, once it is checked, or zeros."""
        names, dtype = self.state_names, self.W.dtype
        if state is None:
            shape = u.shape[0], self.width
            parts = [u.new_zeros(shape, dtype=dtype) for _ in names]
        else:
            parts = [state] if len(names) == 1 else list(_tuple_of(names, state))
            for name, part in zip(names, parts, strict=True):
                check_state(name, part, u, self.width, dtype)
            parts = [part.to(dtype) for part in parts]
        return parts[0] if len(names) == 1 else tuple(parts)

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Self:
        """The same network as a one-layer, one-direction layer of torch.nn with biases
        and without a projection.

        Raises:
            TypeError: another kind of layer.
            ValueError: a layer that this network cannot be.
        """
        if not isinstance(module, cls.torch_layer):
            expected, got = cls.torch_layer.__name__, type(module).__name__
            raise TypeError(f"module: expected a torch.nn.{expected}, got {got}")
        several = module.num_layers != 1 or module.bidirectional
        if several or not module.bias or module.proj_size:
            raise ValueError(
                f"module: expected one layer, one direction, biases and no projection, got {module}"
            )
        W, U, b, b_h = module.all_weights[0]
        with torch.device(W.device):
            layer = cls(module.input_size, module.hidden_size).to(W.dtype)
        with torch.no_grad():
            layer.W.copy_(W)
            layer.U.copy_(U)
            layer.b.copy_(b + b_h)
        return layer


def _tuple_of(names: tuple[str, ...], state: Any) -> tuple[Any, ...]:
    """The parts of a state with several; TypeError unless it has as many as names."""
    if not isinstance(state, tuple) or len(state) != len(names):
        listed = ", ".join(name.removeprefix("state ") for name in names)
        got = type(state).__name__
        if isinstance(state, tuple):
            got = f"a tuple of {len(state)}"
        raise TypeError(f"state: expected a tuple ({listed}), got {got}")
    return state


def _output(state: Any) -> Tensor:
    """h_t, which leads the state where that is more than h_t."""
    return state[0] if isinstance(state, tuple) else state
