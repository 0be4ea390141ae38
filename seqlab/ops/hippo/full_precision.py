"""Products of float32 matrices to float32's digits, whatever the caller allows others to
round to."""

import torch
from torch import Tensor


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """x (..., K) @ y (K, M), float32 or float64.

    PyTorch may be told, for the whole process, to round float32 factors to tf32's 11
    binary digits or bfloat16's 8: then factors are split, on a GPU into parts that such a
    rounding leaves as they are, and the product is the sum of three; on a CPU it is
    formed in float64. What is infinite may come out as NaN.
    """
    if x.dtype == torch.float64 or not _rounds(x.device.type):
        return x @ y
    if x.device.type == "cpu":
        return (x.double() @ y.double()).to(x.dtype)
    return in_parts(x, y)


def in_parts(x: Tensor, y: Tensor) -> Tensor:
    """The product of float32 factors as three, of parts with 11 binary digits, and of
    what is left of them."""
    x_high, y_high = _rounded(x), _rounded(y)
    return x_high @ y_high + (x_high @ (y - y_high) + (x - x_high) @ y_high)


def _rounds(device: str) -> bool:
    backend = torch.backends.cuda if device == "cuda" else torch.backends.mkldnn
    try:
        return backend.matmul.fp32_precision in ("tf32", "bf16")
    except AttributeError:  # PyTorch before 2.9
        return torch.get_float32_matmul_precision() != "highest"


def _rounded(x: Tensor) -> Tensor:
    """x with 11 of its binary digits."""
    return ((x.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)
