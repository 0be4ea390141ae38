"""RWKV-4's WKV: an average of the values of all tokens so far, each weighted by the
exponential of its key, less w for every step of its age; the token of the present has a
bonus u instead of an age.

k and v are (B, L, C), w and u are (C,), the state is (B, 3, C). The same equation four
times: as NumPy (``reference``, as a sum, as a recurrence and as one that cannot
overflow), as PyTorch for any device (``portable``), as a Triton kernel (``kernel``) and
as the op that chooses between the two (``op``). What it comes from is in ``ancestors``.
"""

from seqlab.ops.wkv.op import wkv, wkv_step

__all__ = ["wkv", "wkv_step"]
