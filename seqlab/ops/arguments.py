"""What ops and layers check about their arguments, so that a mistake is reported in the
reader's terms."""

from collections.abc import Iterable

import torch
from torch import Tensor


def positive_integer(name: str, value: int) -> int:
    """`value` itself; TypeError unless it is an int, ValueError unless it is at least
    1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}")
    return value


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless `value` is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")


def check_dtype(name: str, x: Tensor, dtypes: Iterable[torch.dtype]) -> None:
    """Raise TypeError unless the tensor has one of `dtypes`."""
    if x.dtype not in dtypes:
        raise TypeError(f"{name}: expected one of {dtype_names(dtypes)}, got {x.dtype}")


def dtype_names(dtypes: Iterable[torch.dtype]) -> str:
    """The dtypes in words, without "torch."."""
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
