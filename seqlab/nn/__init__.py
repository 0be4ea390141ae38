"""Layers and blocks built on the ops: each is a torch.nn.Module that a chapter names.

A sequence layer maps (batch, length, width) to (y, state) and has `step` for
generation.
"""

from seqlab.nn.cell import Cell
from seqlab.nn.diagonal import DiagonalRecurrence
from seqlab.nn.gru import GRU
from seqlab.nn.hippo_rnn import HippoRNN
from seqlab.nn.lru import LRU
from seqlab.nn.lstm import LSTM
from seqlab.nn.readout import Readout
from seqlab.nn.rnn import RNN
from seqlab.nn.sequence_model import Block, SequenceModel

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "RNN",
    "Block",
    "Cell",
    "DiagonalRecurrence",
    "HippoRNN",
    "Readout",
    "SequenceModel",
]
