"""The shift state space model: a sliding memory of the last inputs, y_t = sum over j < M of
taps_j k_{t-j}. k is (B, L, D), taps is (D, M), the state (B, M - 1, D)."""

from seqlab.ops.shift_ssm.op import shift_ssm, shift_ssm_step

__all__ = ["shift_ssm", "shift_ssm_step"]
