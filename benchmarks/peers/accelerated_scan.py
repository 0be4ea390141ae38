"""proger/accelerated-scan: Triton scans over complex and real numbers, and a CUDA one over real numbers.

All take (batch, channels, length), contiguous, with a decay for every time step. A decay fixed in time is
therefore expanded over time before the clock starts, and its gradient is summed after the clock stops.
"""

import importlib

import torch
from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation


def _prepare(module: str, imaginary: bool, arguments: dict[str, Tensor]) -> Call:
    a, b = arguments["a"], arguments["b"]
    if not b.is_cuda:
        raise Absent("needs a CUDA GPU")
    if b.is_complex() != imaginary:
        raise Absent(f"computes {'complex' if imaginary else 'real'} numbers only")
    length = b.shape[1]
    if module == "warp" and (length & (length - 1) or not 32 <= length <= 65536):
        raise Absent(f"needs a length that is a power of two from 32 to 65536, got {length}")
    scan = importlib.import_module(f"accelerated_scan.{module}").scan
    fixed = a.ndim == 1

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        grad_a, grad_b = (_transposed(x) for x in found)
        return {"a": grad_a.to(_summing(a)).sum((0, 1)) if fixed else grad_a, "b": grad_b}

    return Call(
        leaves=(_transposed(a.expand(b.shape)), _transposed(b)),
        forward=lambda a, b: (scan(a, b),),
        output=lambda outputs: _transposed(outputs[0]),
        cotangents=lambda cotangent: (_transposed(cotangent),),
        gradients=gradients,
    )


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(1, 2).contiguous()


def _summing(a: Tensor) -> torch.dtype:
    """A dtype in which the sum over batch and time does not add errors of its own."""
    return torch.complex128 if a.is_complex() else torch.float64


PEERS = [
    Implementation(
        "accelerated-scan, complex (Triton)",
        "linear_scan",
        lambda arguments: _prepare("complex", True, arguments),
    ),
    Implementation(
        "accelerated-scan, warp (CUDA)", "linear_scan", lambda arguments: _prepare("warp", False, arguments)
    ),
    Implementation(
        "accelerated-scan, scalar (Triton)",
        "linear_scan",
        lambda arguments: _prepare("scalar", False, arguments),
    ),
]
