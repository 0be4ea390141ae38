"""Discretization: from x' = A x + B u to x_k = A_bar x_{k-1} + B_bar u_k (equation 5.3 of
the book).

Dense or diagonal, by Euler's two methods, the (generalized) bilinear transform, zero-
and first-order hold. The same equations four times: as NumPy (``reference``), as PyTorch
for any device (``portable``), as a Triton kernel for the diagonal case (``kernel``) and
as the op that chooses between the two (``op``).
"""

from seqlab.ops.discretize.op import discretize

__all__ = ["discretize"]
