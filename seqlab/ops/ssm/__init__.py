"""Diagonal state-space models, x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t), as a
recurrence and as a convolution.

u is (B, L, D), A_bar, B_bar and C are (D, N), the first two also (B, L, D, N), real or
complex; the state is (B, D, N). In the MIMO form, S5's, all channels share one state
(B, N): A_bar (N,), B_bar (N, D), C (D, N).
"""

from seqlab.ops.ssm.convolution import ssm_convolution
from seqlab.ops.ssm.mimo import ssm_mimo, ssm_mimo_step
from seqlab.ops.ssm.op import ssm_scan, ssm_scan_step

__all__ = [
    "ssm_convolution",
    "ssm_mimo",
    "ssm_mimo_step",
    "ssm_scan",
    "ssm_scan_step",
]
