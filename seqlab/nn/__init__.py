"""Layers and blocks built on the ops: each is a torch.nn.Module that a chapter names.

A sequence layer maps (batch, length, width) to (y, state) and has `step` for generation,
but for SGConv, BiGS and Hyena, which have no state.
"""

from seqlab.nn.attention import Attention, LinearAttention
from seqlab.nn.bigs import BiGS
from seqlab.nn.cell import Cell
from seqlab.nn.channel_mix import ChannelMix
from seqlab.nn.diagonal import DiagonalRecurrence
from seqlab.nn.diagonal_ssm import DiagonalSSM
from seqlab.nn.dss import DSS
from seqlab.nn.feed_forward_block import FeedForwardBlock
from seqlab.nn.gated_linear_attention import GLA, GatedLinearAttention
from seqlab.nn.gru import GRU
from seqlab.nn.gss import GSS
from seqlab.nn.h3 import H3
from seqlab.nn.h3_block import H3Block
from seqlab.nn.hippo_rnn import HippoRNN
from seqlab.nn.hybrid_h3 import HybridH3
from seqlab.nn.hyena import Hyena, HyenaFilter
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.lru import LRU
from seqlab.nn.lstm import LSTM
from seqlab.nn.mamba import Mamba
from seqlab.nn.mamba_block import MambaBlock
from seqlab.nn.matrix_memory import MatrixMemory
from seqlab.nn.matrix_time_mix import EagleTimeMix, FinchTimeMix, MatrixTimeMix
from seqlab.nn.mlstm import MLSTM, MLSTMBlock
from seqlab.nn.readout import Readout
from seqlab.nn.residual_block import ResidualBlock
from seqlab.nn.retention import Retention, RetNet
from seqlab.nn.rnn import RNN
from seqlab.nn.rwkv import RWKV, RWKVBlock
from seqlab.nn.s4 import S4
from seqlab.nn.s4d import S4D
from seqlab.nn.s5 import S5
from seqlab.nn.s6 import S6
from seqlab.nn.sequence_model import Block, SequenceModel
from seqlab.nn.sgconv import SGConv
from seqlab.nn.short_convolution import ShortConvolution
from seqlab.nn.slstm import SLSTM, SLSTMBlock
from seqlab.nn.time_mix import TimeMix
from seqlab.nn.token_shift import TokenShift
from seqlab.nn.xlstm import XLSTM
from seqlab.nn.xlstm_large import CappedMLSTM, XLSTMLarge, XLSTMLargeBlock

__all__ = [
    "DSS",
    "GLA",
    "GRU",
    "GSS",
    "H3",
    "LRU",
    "LSTM",
    "MLSTM",
    "RNN",
    "RWKV",
    "S4",
    "S4D",
    "S5",
    "S6",
    "SLSTM",
    "XLSTM",
    "Attention",
    "BiGS",
    "Block",
    "CappedMLSTM",
    "Cell",
    "ChannelMix",
    "DiagonalRecurrence",
    "DiagonalSSM",
    "EagleTimeMix",
    "FeedForwardBlock",
    "FinchTimeMix",
    "GatedLinearAttention",
    "H3Block",
    "HippoRNN",
    "HybridH3",
    "Hyena",
    "HyenaFilter",
    "LanguageModel",
    "LinearAttention",
    "MLSTMBlock",
    "Mamba",
    "MambaBlock",
    "MatrixMemory",
    "MatrixTimeMix",
    "RWKVBlock",
    "Readout",
    "ResidualBlock",
    "RetNet",
    "Retention",
    "SGConv",
    "SLSTMBlock",
    "SequenceModel",
    "ShortConvolution",
    "TimeMix",
    "TokenShift",
    "XLSTMLarge",
    "XLSTMLargeBlock",
]
