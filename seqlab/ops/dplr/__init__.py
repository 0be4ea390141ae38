"""S4's state-space model, diagonal plus low rank (DPLR), discretized by the bilinear
transform: its convolution kernel by the Cauchy trick, and its step.

One mode stands for itself and its conjugate: x' = Λ x - 2 P Re(P* x) + B u, y = Re(C x)
is a real system of 2 N states, with A = Λ - P P* on both of each pair. Lambda, P, B and C
are complex, (D, N), dt is (D,), K is (D, L), the state is (B, D, N).
"""

from seqlab.ops.dplr.op import dplr_kernel
from seqlab.ops.dplr.recurrence import dplr_scan, dplr_step

__all__ = ["dplr_kernel", "dplr_scan", "dplr_step"]
