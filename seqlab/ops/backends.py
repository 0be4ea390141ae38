"""Which form of an op runs: the Triton kernel, compiled or interpreted, or the portable
PyTorch form."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from seqlab.ops.arguments import dtype_names

BACKENDS = ("triton", "portable")


# Looked up once: torch.compile cannot trace the search.
_HAS_TRITON = importlib.util.find_spec("triton") is not None


def has_triton() -> bool:
    """Whether Triton is installed (it is not on macOS and Windows)."""
    return _HAS_TRITON


def choose_backend(
    backend: str | None, like: Tensor, kernel_dtypes: Sequence[torch.dtype]
) -> str:
    """The backend's name for tensors such as ``like``: the one asked for, or Triton
    where it is the fast one."""
    if backend is None:
        fast = like.is_cuda and has_triton() and like.dtype in kernel_dtypes
        return "triton" if fast else "portable"
    if backend not in BACKENDS:
        raise ValueError(
            f"backend: expected one of {BACKENDS} or None, got {backend!r}"
        )
    if backend == "triton":
        if not has_triton():
            raise ValueError(
                "backend: 'triton' needs the triton package, which is not installed (it exists for Linux)"
            )
        if like.device.type not in ("cuda", "cpu"):
            raise ValueError(
                f"backend: 'triton' runs on cuda tensors, or interpreted on cpu ones, got {like.device}"
            )
        if like.dtype not in kernel_dtypes:
            known = dtype_names(kernel_dtypes)
            raise TypeError(
                f"backend: 'triton' computes {known}; {like.dtype} needs backend='portable'"
            )
    return backend


@cache
def kernel_of(op: str, name: str = "kernel") -> ModuleType:
    """The module ``seqlab.ops.<op>.<name>``, imported when it is first needed, as Triton
    exists for Linux alone."""
    return importlib.import_module(f"seqlab.ops.{op}.{name}")
