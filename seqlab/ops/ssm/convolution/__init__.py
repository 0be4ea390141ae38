"""The diagonal state-space model as a chunked convolution."""

from seqlab.ops.ssm.convolution.op import ssm_convolution

__all__ = ["ssm_convolution"]
