"""xLSTM: an exponential input gate and a running maximum that keeps it from overflowing.

sLSTM has a scalar memory for each feature and a matrix a head that mixes h_{t-1} into all
gates: gates are (B, L, 4, H, D) in the order i, f, z, o, R is (4, H, D, D). mLSTM has a
matrix of keys by values for a memory, and no such mixing, so that it is parallel in time:
q and k are (B, L, H, K), v is (B, L, H, V), i and f are (B, L, H). A state is a named
tuple, what it stands for is its c and n, or C and n, times e^m.
"""

from seqlab.ops.xlstm.mlstm import MLSTMState, mlstm, mlstm_step
from seqlab.ops.xlstm.slstm import SLSTMState, slstm, slstm_step

__all__ = ["MLSTMState", "SLSTMState", "mlstm", "mlstm_step", "slstm", "slstm_step"]
