"""Differentiable sequence ops: fast on a GPU, correct on a CPU, with states in and
out."""

from seqlab.ops.decayed_logsumexp import decayed_logsumexp, decayed_logsumexp_step
from seqlab.ops.discretize import discretize
from seqlab.ops.hippo import (
    hippo_project,
    hippo_project_step,
    hippo_reconstruct,
    hippo_transition,
)
from seqlab.ops.kept import cache_bytes, clear_cache
from seqlab.ops.linear_scan import linear_scan, linear_scan_step

__all__ = [
    "cache_bytes",
    "clear_cache",
    "decayed_logsumexp",
    "decayed_logsumexp_step",
    "discretize",
    "hippo_project",
    "hippo_project_step",
    "hippo_reconstruct",
    "hippo_transition",
    "linear_scan",
    "linear_scan_step",
]
