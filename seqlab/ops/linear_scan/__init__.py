"""One linear recurrence, h_t = a_t h_{t-1} + b_t (equation 2.1 of the book).

a is (B, L, D) or (D,), b is (B, L, D), real or complex; the state is (B, D). The same
equation four times: as NumPy (``reference``), as PyTorch for any device (``portable``),
as a Triton kernel (``kernel``) and as the op that chooses between the two (``op``).
"""

from seqlab.ops.linear_scan.op import linear_scan, linear_scan_step

__all__ = ["linear_scan", "linear_scan_step"]
