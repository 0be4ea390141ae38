"""Attention and what has been put in its place: softmax attention, the Linear Transformer,
the Performer, the Linformer and the Synthesizer.

q and k are (B, L, H, K), v is (B, L, H, V). Nothing here has a kernel of its own: softmax
attention is PyTorch's, and linear attention is ``gated_linear_attention`` without decay.
"""

from seqlab.ops.attention.forms import (
    attention,
    elu_features,
    linformer,
    performer_features,
    synthesizer,
)
from seqlab.ops.attention.op import linear_attention, linear_attention_step

__all__ = [
    "attention",
    "elu_features",
    "linear_attention",
    "linear_attention_step",
    "linformer",
    "performer_features",
    "synthesizer",
]
