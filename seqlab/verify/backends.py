"""What this machine can run an op on, and in which dtypes."""

import torch

from seqlab.ops.backends import has_triton

BACKENDS = {
    "portable": ("portable", "cpu"),
    "interpreter": ("triton", "cpu"),
    "cuda": ("triton", "cuda"),
}
"""For each name: the backend as the op calls it, and the device its tensors live on."""


def absent_backends() -> dict[str, str]:
    """The backends that cannot run on this machine, each with the reason."""
    absent = {}
    if not has_triton():
        absent = dict.fromkeys(
            ("interpreter", "cuda"),
            "Triton is not installed (it exists for Linux only)",
        )
    if not torch.cuda.is_available():
        absent["cuda"] = "there is no CUDA GPU"
    return absent


def precisions_of(backend: str) -> list[str]:
    """Names of the real dtypes that a backend computes in as its hardware would.

    That leaves out bfloat16 in Triton's interpreter, which truncates where a GPU
    rounds: errors that point one way add up in sums, and would hide those worth
    finding. It is also left out on GPUs that have none.
    """
    if backend == "portable":
        return ["float64", "float32", "bfloat16", "float16"]
    bfloat16 = backend == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    return ["float32", "bfloat16", "float16"] if bfloat16 else ["float32", "float16"]
