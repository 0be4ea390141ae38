"""The causal convolution, y_t = sum over j <= t of K_j u_{t-j}, with any kernel.

u is (B, L, D), K is (D, M) for any M. The same equation several times: as NumPy
(``reference``), as PyTorch for any device (``portable``: Fourier transforms, or one
product a tap), as Triton kernels for short ones (``kernel``) and around the transforms of
long ones (``transforms``), and as the op that chooses between them (``op``).
"""

from seqlab.ops.convolution.op import causal_convolution

__all__ = ["causal_convolution"]
