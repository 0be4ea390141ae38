"""The state-space model with many inputs and outputs, S5's."""

from seqlab.ops.ssm.mimo.op import ssm_mimo, ssm_mimo_step

__all__ = ["ssm_mimo", "ssm_mimo_step"]
