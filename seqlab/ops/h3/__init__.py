"""H3, y = q SSM_diagonal(SSM_shift(k) v), the long convolutions that it is made of, and
Hyena, which takes any filters in their place.

q, k and v are (B, L, D), the taps of the shift state space model (D, M), the diagonal
system's A_bar, B_bar and C (H, N), with heads of D / H channels.
"""

from seqlab.ops.h3.flashconv.op import flashconv, flashconv_step
from seqlab.ops.h3.hyena.op import hyena
from seqlab.ops.h3.op import H3State, h3, h3_step

__all__ = ["H3State", "flashconv", "flashconv_step", "h3", "h3_step", "hyena"]
