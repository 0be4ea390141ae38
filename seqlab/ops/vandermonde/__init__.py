"""The convolution kernel of a diagonal state-space model, K_j = Re(C A_bar^j B_bar): a
product with a Vandermonde matrix, whose columns are the powers of A_bar.

A_bar, B_bar and C are (D, N), K is (D, L). The same equation four times: as NumPy
(``reference``), as PyTorch for any device (``portable``), as a Triton kernel
(``kernel``) and as the op that chooses between the two (``op``).
"""

from seqlab.ops.vandermonde.op import ssm_kernel

__all__ = ["ssm_kernel"]
