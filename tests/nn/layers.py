"""Every layer of seqlab.nn, as the tests that hold for all of them make it.

Whoever adds a layer adds it here: ``test_every_layer.py`` fails, and says so, until then.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from seqlab.nn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Block,
    Cell,
    DiagonalRecurrence,
    HippoRNN,
    Readout,
    SequenceModel,
)
from seqlab.nn.ladder import Cartesian, DenseLinear, DenseTanh, Exponential, StableExponential

BATCH, LENGTH, INPUTS = 3, 7, 4


@dataclass(frozen=True)
class Layer:
    """A layer from (batch, length, INPUTS) to (y, state) and the arguments that it is made from."""

    kind: type[nn.Module]
    arguments: dict[str, Any]
    sizes: tuple[str, ...] = field(kw_only=True)  # which of the arguments are positive integers
    # A loop over time in Python: a graph holds one length of it, as it does of torch.nn.GRU.
    loop: bool = field(default=False, kw_only=True)

    def make(self, **others):
        torch.manual_seed(0)
        return self.kind(**{**self.arguments, **others})


EIGENVALUES = np.array([0.9 * np.exp(0.5j), 0.5, -0.3, 0.99 * np.exp(2j), 0.7j])
CELL, DIAGONAL = ("inputs", "width"), ("width", "state_size")
HIPPO = {"inputs": INPUTS, "width": 6, "order": 5}
LAYERS = {
    "RNN": Layer(RNN, {"inputs": INPUTS, "width": 6}, sizes=CELL, loop=True),
    "LSTM": Layer(LSTM, {"inputs": INPUTS, "width": 6}, sizes=CELL, loop=True),
    "GRU": Layer(GRU, {"inputs": INPUTS, "width": 6}, sizes=CELL, loop=True),
    "HippoRNN": Layer(HippoRNN, HIPPO, sizes=(*CELL, "order"), loop=True),
    "HippoRNN, legt": Layer(
        HippoRNN,
        {**HIPPO, "measure": "legt", "theta": 9.0},
        sizes=(*CELL, "order"),
        loop=True,
    ),
    "LRU": Layer(LRU, {"width": INPUTS, "state_size": 5}, sizes=DIAGONAL),
    "DenseTanh": Layer(DenseTanh, {"width": INPUTS, "state_size": 5}, sizes=DIAGONAL, loop=True),
    "DenseLinear": Layer(DenseLinear, {"width": INPUTS, "state_size": 5}, sizes=DIAGONAL, loop=True),
    **{
        kind.__name__: Layer(kind, {"width": INPUTS, "eigenvalues": EIGENVALUES}, sizes=("width",))
        for kind in (Cartesian, Exponential, StableExponential)
    },
}
SHARED = (Cell, DiagonalRecurrence)  # by layers: there is no layer of this kind alone
MODELS = (Block, Readout, SequenceModel)  # around a layer: see test_sequence_model.py


def tensors(state):
    """The tensors that a state is made of."""
    return [part for part in state if isinstance(part, torch.Tensor)] if isinstance(state, tuple) else [state]


def like(state, replace):
    """The state with each tensor replaced, one at a time: the states that a wrong part makes."""
    if not isinstance(state, tuple):
        return [replace(state)]
    return [
        (*state[:i], replace(part), *state[i + 1 :])
        for i, part in enumerate(state)
        if isinstance(part, torch.Tensor)
    ]


def rounded(state, dtype):
    """The state as a Linear under autocast would have made it; a complex one is none of its."""
    if isinstance(state, tuple):
        return tuple(rounded(part, dtype) for part in state)
    return state.to(dtype) if isinstance(state, torch.Tensor) and not state.is_complex() else state


def loss(y, state):
    """A number that depends on every entry of the outputs and of the state, in an order of its own."""
    total = 0.0
    for x in (y, *tensors(state)):
        x = torch.view_as_real(x) if x.is_complex() else x
        weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64, device=x.device).view(x.shape)
        total = total + (weights * x.double()).sum()
    return total


def error(found, true):
    """Relative error, in Frobenius norm."""
    true = true.detach()
    wide = torch.complex128 if true.is_complex() else torch.float64
    return ((found.detach().to(wide) - true.to(wide)).norm() / true.to(wide).norm()).item()
