"""sLSTM: a scalar memory behind exponential gates, which see what the head said last."""

from seqlab.ops.xlstm.slstm.op import SLSTMState, slstm, slstm_step

__all__ = ["SLSTMState", "slstm", "slstm_step"]
