"""Mamba's selective scan: a diagonal state-space model whose step, input and output
weights are chosen by the input, h_t = e^{dt_t A} h_{t-1} + dt_t B_t u_t, y_t = C_t h_t.

u and delta are (B, L, D), A is (D, N), B and C are (B, L, N), the state is (B, D, N). The
same equation four times: as NumPy (``reference``), as PyTorch for any device
(``portable``), as Triton kernels (``kernel``, and ``complex_kernel`` for a complex A) and
as the op that chooses between them (``op``).
"""

from seqlab.ops.selective_scan.op import selective_scan, selective_scan_step

__all__ = ["selective_scan", "selective_scan_step"]
