"""Differentiable sequence ops: fast on a GPU, correct on a CPU, with states in and
out."""

from seqlab.ops.linear_scan import linear_scan, linear_scan_step

__all__ = ["linear_scan", "linear_scan_step"]
