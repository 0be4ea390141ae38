"""Gated linear attention: a matrix of keys by values as the state, of which every row
decays, S_t = diag(e^{log_decay_t}) S_{t-1} + k_t v_t^T, and y_t = q_t S_t.

With one decay a head it is RetNet's retention, with a decay a key channel that depends on
the data GLA; with a bonus u, y_t = q_t (S_{t-1} + diag(u) k_t v_t^T), it is RWKV-5, whose
decays are fixed, and RWKV-6. q and k are (B, L, H, K), v is (B, L, H, V), the state is
(B, H, K, V). The same equation as NumPy (``reference``: as a recurrence, all at once and
in groups), as PyTorch for any device (``portable``), as Triton kernels (``kernel``, and
``head_decay`` for one decay a head) and as the op that chooses among them (``op``).
"""

from seqlab.ops.gated_linear_attention.op import (
    gated_linear_attention,
    gated_linear_attention_step,
)

__all__ = ["gated_linear_attention", "gated_linear_attention_step"]
