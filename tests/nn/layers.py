"""Every layer of seqlab.nn, as the tests that hold for all of them make it.

Whoever adds a layer adds it here: ``test_every_layer.py`` fails, and says so, until then.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from seqlab.nn import (
    DSS,
    GLA,
    GRU,
    GSS,
    H3,
    LRU,
    LSTM,
    MLSTM,
    RNN,
    RWKV,
    S4,
    S4D,
    S5,
    S6,
    SLSTM,
    XLSTM,
    Attention,
    BiGS,
    Block,
    CappedMLSTM,
    Cell,
    ChannelMix,
    DiagonalRecurrence,
    DiagonalSSM,
    EagleTimeMix,
    FeedForwardBlock,
    FinchTimeMix,
    GatedLinearAttention,
    H3Block,
    HippoRNN,
    HybridH3,
    Hyena,
    HyenaFilter,
    LanguageModel,
    LinearAttention,
    Mamba,
    MambaBlock,
    MatrixMemory,
    MatrixTimeMix,
    MLSTMBlock,
    Readout,
    ResidualBlock,
    Retention,
    RetNet,
    RWKVBlock,
    SequenceModel,
    SGConv,
    ShortConvolution,
    SLSTMBlock,
    TimeMix,
    TokenShift,
    XLSTMLarge,
    XLSTMLargeBlock,
)
from seqlab.nn.diagonal_ssm import ChannelSSM
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
    # Parameters that start at zero, so that others would have no gradient to compare: made random.
    moved: tuple[str, ...] = field(default=(), kw_only=True)

    def make(self, **others):
        torch.manual_seed(0)
        layer = self.kind(**{**self.arguments, **others})
        for name in self.moved:
            nn.init.normal_(layer.get_parameter(name), std=0.5)
        return layer


EIGENVALUES = np.array([0.9 * np.exp(0.5j), 0.5, -0.3, 0.99 * np.exp(2j), 0.7j])
CELL, DIAGONAL = ("inputs", "width"), ("width", "state_size")
HIPPO = {"inputs": INPUTS, "width": 6, "order": 5}
SLOW = {"dt_min": 0.05, "dt_max": 0.5}  # so that a few steps are long enough to tell
SSM = {"width": INPUTS, "state_size": 5, **SLOW}
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
    "S4": Layer(S4, {**SSM}, sizes=DIAGONAL, loop=True),
    "S4, recurrence": Layer(S4, {**SSM, "mode": "recurrence"}, sizes=DIAGONAL, loop=True),
    "S4D": Layer(S4D, {**SSM}, sizes=DIAGONAL),
    "S4D, lin, convolution": Layer(S4D, {**SSM, "init": "lin", "mode": "convolution"}, sizes=DIAGONAL),
    "S4D, inv, recurrence": Layer(S4D, {**SSM, "init": "inv", "mode": "recurrence"}, sizes=DIAGONAL),
    "DSS": Layer(DSS, {**SSM}, sizes=DIAGONAL),
    "DSS, softmax": Layer(DSS, {**SSM, "normalization": "softmax", "length": 9}, sizes=(*DIAGONAL, "length")),
    "S5": Layer(S5, {"width": INPUTS, "state_size": 6, "blocks": 2, **SLOW}, sizes=DIAGONAL),
    "S5, convolution": Layer(
        S5, {"width": INPUTS, "state_size": 6, "mode": "convolution", **SLOW}, sizes=DIAGONAL
    ),
    "GSS": Layer(
        GSS,
        {"width": INPUTS, "state_size": 5, "inner": 2, "gated": 3},
        sizes=(*DIAGONAL, "inner", "gated"),
    ),
    "ShortConvolution": Layer(ShortConvolution, {"width": INPUTS, "size": 3}, sizes=("width", "size")),
    "H3": Layer(H3, {**SSM, "taps": 3, "head_dim": 1}, sizes=(*DIAGONAL, "taps", "head_dim")),
    "Attention": Layer(Attention, {"width": INPUTS, "heads": 2}, sizes=("width", "heads")),
    "LinearAttention": Layer(LinearAttention, {"width": INPUTS, "heads": 2}, sizes=("width", "heads")),
    "S6": Layer(S6, {"width": INPUTS, "state_size": 5, **SLOW}, sizes=DIAGONAL),
    "MambaBlock": Layer(MambaBlock, {"width": INPUTS, "inner": 5}, sizes=("width",)),
    "TimeMix": Layer(
        TimeMix,
        {"width": INPUTS, "inner": 5, "layer": 1, "depth": 3},
        sizes=("width", "depth"),
    ),
    "EagleTimeMix": Layer(
        EagleTimeMix,
        {"width": INPUTS, "heads": 2, "inner": 16, "layer": 1, "depth": 3},
        sizes=("width", "heads", "depth"),
    ),
    "FinchTimeMix": Layer(
        FinchTimeMix,
        {"width": INPUTS, "heads": 2, "inner": 16, "layer": 1, "depth": 3, "rank": 3, "decay_rank": 5},
        sizes=("width", "heads", "depth", "rank", "decay_rank"),
        moved=("mix_in.weight", "mix_out", "decay_in.weight", "decay_out.weight"),
    ),
    "ChannelMix": Layer(
        ChannelMix,
        {"width": INPUTS, "inner": 8, "layer": 1, "depth": 3},
        sizes=("width", "depth"),
    ),
    "Retention": Layer(
        Retention,
        {"width": INPUTS, "heads": 1, "keys": 4, "values": 8},  # several heads: see test_matrix_memory.py
        sizes=("width", "heads"),
    ),
    "GatedLinearAttention": Layer(
        GatedLinearAttention,
        {"width": INPUTS, "heads": 2, "keys": 12, "values": 16, "rank": 3},
        sizes=("width", "heads", "rank"),
    ),
    "SLSTM": Layer(  # several heads: see test_xlstm.py
        SLSTM, {"width": INPUTS, "heads": 1, "size": 3}, sizes=("width", "heads", "size")
    ),
    "MLSTM": Layer(MLSTM, {"width": INPUTS, "heads": 2, "inner": 8}, sizes=("width", "heads")),
    "CappedMLSTM": Layer(CappedMLSTM, {"width": INPUTS, "heads": 1, "keys": 4}, sizes=("width", "heads")),
    "DenseTanh": Layer(DenseTanh, {"width": INPUTS, "state_size": 5}, sizes=DIAGONAL, loop=True),
    "DenseLinear": Layer(DenseLinear, {"width": INPUTS, "state_size": 5}, sizes=DIAGONAL, loop=True),
    **{
        kind.__name__: Layer(kind, {"width": INPUTS, "eigenvalues": EIGENVALUES}, sizes=("width",))
        for kind in (Cartesian, Exponential, StableExponential)
    },
}
SHARED = (
    Cell,
    ChannelSSM,
    DiagonalRecurrence,
    DiagonalSSM,
    MatrixMemory,
    MatrixTimeMix,
    TokenShift,
)  # by layers: there is no layer of this kind alone
STATELESS = (SGConv, BiGS, Hyena, HyenaFilter)  # without a step: see test_convolutions.py
MODELS = (
    XLSTMLarge,
    XLSTMLargeBlock,
    SLSTMBlock,
    MLSTMBlock,
    XLSTM,
    Block,
    Readout,
    SequenceModel,
    RWKVBlock,
    RWKV,
    FeedForwardBlock,
    RetNet,
    GLA,
    ResidualBlock,
    H3Block,
    LanguageModel,
    Mamba,
    HybridH3,
)  # around a layer: see the tests of each


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


def sizes_of_gradients(layer, u):
    """By parameter, the norm of what the sequences of the batch contribute to the gradient of `loss`, side by side.

    A gradient is their sum. It is close to zero where they cancel, as for a bias that scales what is normalized
    afterwards, but rounding is of the size of what is added.
    """
    squares = dict.fromkeys(dict(layer.named_parameters()), 0.0)
    for own in torch.eye(len(u), dtype=u.dtype):
        layer.zero_grad()
        y, state = layer(u)
        mine = [x * own.view(-1, *[1] * (x.ndim - 1)) for x in (y, *tensors(state))]
        loss(mine[0], tuple(mine[1:])).backward()
        for name, p in layer.named_parameters():
            squares[name] += p.grad.norm().item() ** 2
    layer.zero_grad()
    return {name: square**0.5 for name, square in squares.items()}


def results(layer, x, nudge=lambda y: y):
    """y, what the first step has of it, and of `loss` the gradients of the parameters, by name."""
    layer.zero_grad()
    y, state = layer(x)
    loss(nudge(y), state).backward()
    grads = {name: p.grad for name, p in layer.named_parameters()}
    return {"y": y.detach(), "y_0": y[:, 0].detach(), **grads}


def rounding(layer, x, dtype, times=8):
    """By name, how far off rounding to ``dtype`` makes the `results`: the root of the mean square of the `error` in
    some draws, in which the input, the parameters of every Linear and the gradient of y are changed by up to half a
    unit in the last place, and at least that of one rounding.

    It is large where small differences of large numbers are asked for, as in a norm of something close to zero.
    """
    unit = torch.finfo(dtype).eps / 2

    def nudge(x):
        return x * (1 + unit * (2 * torch.rand_like(x.real) - 1))

    true, squares = results(layer, x), {}
    for seed in range(times):
        torch.manual_seed(seed)
        other = deepcopy(layer)
        with torch.no_grad():
            for linear in filter(lambda module: isinstance(module, nn.Linear), other.modules()):
                for p in linear.parameters():
                    p.copy_(nudge(p))
        for name, found in results(other, nudge(x), nudge).items():
            squares[name] = squares.get(name, 0.0) + error(found, true[name]) ** 2 / times
    return {name: max(unit, square**0.5) for name, square in squares.items()}


def error(found, true):
    """Relative error, in Frobenius norm."""
    true = true.detach()
    wide = torch.complex128 if true.is_complex() else torch.float64
    return ((found.detach().to(wide) - true.to(wide)).norm() / true.to(wide).norm()).item()
