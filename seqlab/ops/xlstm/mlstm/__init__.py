"""mLSTM: a matrix memory behind exponential gates."""

from seqlab.ops.xlstm.mlstm.op import MLSTMState, mlstm, mlstm_step

__all__ = ["MLSTMState", "mlstm", "mlstm_step"]
