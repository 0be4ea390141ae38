"""The running log-sum-exp with decay, m_t = log(exp(m_{t-1} - w) + exp(x_t)) (equation
2.11 of the book).

x is (B, L, D), w is (D,), the state is (B, D). The same equation four times: as NumPy
(``reference``), as PyTorch for any device (``portable``), as a Triton kernel
(``kernel``) and as the op that chooses between the two (``op``).
"""

from seqlab.ops.decayed_logsumexp.op import decayed_logsumexp, decayed_logsumexp_step

__all__ = ["decayed_logsumexp", "decayed_logsumexp_step"]
