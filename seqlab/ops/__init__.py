"""Differentiable sequence ops: fast on a GPU, correct on a CPU, with states in and
out."""

from seqlab.ops.attention import (
    attention,
    elu_features,
    linear_attention,
    linear_attention_step,
    linformer,
    performer_features,
    synthesizer,
)
from seqlab.ops.convolution import causal_convolution
from seqlab.ops.decayed_logsumexp import decayed_logsumexp, decayed_logsumexp_step
from seqlab.ops.discretize import discretize
from seqlab.ops.dplr import dplr_kernel, dplr_scan, dplr_step
from seqlab.ops.gated_linear_attention import (
    gated_linear_attention,
    gated_linear_attention_step,
)
from seqlab.ops.h3 import (
    H3State,
    flashconv,
    flashconv_step,
    h3,
    h3_step,
    hyena,
)
from seqlab.ops.hippo import (
    hippo_project,
    hippo_project_step,
    hippo_reconstruct,
    hippo_transition,
)
from seqlab.ops.kept import cache_bytes, clear_cache
from seqlab.ops.linear_scan import linear_scan, linear_scan_step
from seqlab.ops.selective_scan import selective_scan, selective_scan_step
from seqlab.ops.shift_ssm import shift_ssm, shift_ssm_step
from seqlab.ops.ssm import (
    ssm_convolution,
    ssm_mimo,
    ssm_mimo_step,
    ssm_scan,
    ssm_scan_step,
)
from seqlab.ops.vandermonde import ssm_kernel
from seqlab.ops.wkv import wkv, wkv_step
from seqlab.ops.xlstm import (
    MLSTMState,
    SLSTMState,
    mlstm,
    mlstm_step,
    slstm,
    slstm_step,
)

__all__ = [
    "H3State",
    "MLSTMState",
    "SLSTMState",
    "attention",
    "cache_bytes",
    "causal_convolution",
    "clear_cache",
    "decayed_logsumexp",
    "decayed_logsumexp_step",
    "discretize",
    "dplr_kernel",
    "dplr_scan",
    "dplr_step",
    "elu_features",
    "flashconv",
    "flashconv_step",
    "gated_linear_attention",
    "gated_linear_attention_step",
    "h3",
    "h3_step",
    "hippo_project",
    "hippo_project_step",
    "hippo_reconstruct",
    "hippo_transition",
    "hyena",
    "linear_attention",
    "linear_attention_step",
    "linear_scan",
    "linear_scan_step",
    "linformer",
    "mlstm",
    "mlstm_step",
    "performer_features",
    "selective_scan",
    "selective_scan_step",
    "shift_ssm",
    "shift_ssm_step",
    "slstm",
    "slstm_step",
    "ssm_convolution",
    "ssm_kernel",
    "ssm_mimo",
    "ssm_mimo_step",
    "ssm_scan",
    "ssm_scan_step",
    "synthesizer",
    "wkv",
    "wkv_step",
]
