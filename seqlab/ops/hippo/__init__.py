"""HiPPO: the history of a signal as its coefficients in an orthonormal basis (equations
4.1 to 4.12 of the book).

f is (B, L, D), the coefficients are (B, L, D, N), the state is (B, D, N). The measures
are ``legs``, ``legt``, ``lagt`` and ``fourier``. As NumPy (``reference``), as PyTorch
for any device (``portable``), as Triton kernels (``kernel``) and as the op that chooses
between the two (``op``).
"""

from seqlab.ops.hippo.op import hippo_project, hippo_project_step
from seqlab.ops.hippo.transition import hippo_reconstruct, hippo_transition

__all__ = [
    "hippo_project",
    "hippo_project_step",
    "hippo_reconstruct",
    "hippo_transition",
]
