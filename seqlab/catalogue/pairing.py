"""What the catalogue says of an op: its reference, the inputs to try it on, and the
least it could cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Arguments = dict[str, Any]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Sample:
    """Inputs to verify an op on: ``draw(generator, sizes)`` gives its arguments, with
    arrays in float64 or complex128.

    ``hard`` inputs are those where a careless implementation breaks: decays at the edge
    of stability, exact zeros. Complex inputs are verified in complex64 and complex128
    alone, as no op computes them any narrower.
    """

    name: str
    imaginary: bool
    hard: bool
    draw: Callable[[np.random.Generator, Sizes], Arguments]


@dataclass(frozen=True)
class Workload:
    """Inputs to time an op on: ``draw(generator, sizes, dtype)`` makes them on the
    generator's own device."""

    name: str
    dtypes: tuple[torch.dtype, ...]
    draw: Callable[[torch.Generator, Sizes, torch.dtype], Arguments]


@dataclass(frozen=True)
class Pairing:
    """An op and its reference, with everything needed to compare and to time them."""

    equation: str
    chapter: int
    op: Callable[..., tuple[Tensor, ...]]
    reference: Callable[..., tuple[np.ndarray, ...]]
    loop: Callable[..., tuple[Tensor, ...]]
    """The equation as a plain loop of PyTorch operations: autograd through it gives the true gradient."""
    outputs: tuple[str, ...]
    differentiable: tuple[str, ...]
    full_precision: tuple[str, ...]
    """Arguments that stay float32 when the others are float16 or bfloat16."""
    samples: tuple[Sample, ...]
    sizes: Mapping[str, tuple[Sizes, ...]]
    """For each backend of ``seqlab.verify`` that the op has, the sizes to verify at: tiny ones for the slow
    interpreter."""
    workloads: tuple[Workload, ...]
    workload_sizes: Mapping[str, tuple[Sizes, ...]]
    """For each type of device, the sizes to time at."""
    fewest_bytes: Callable[[Mapping[str, Any]], tuple[int, int]]
    """Bytes that must be moved for these arguments: forward, and backward alone."""
    operations: Callable[[Mapping[str, Any]], tuple[int, int]]
    """Real multiplications and additions that these arguments need: forward, and backward alone."""
    results: int = 1
    """How many of the outputs are the result, all of one shape; the rest are states, which ``seqlab.benchmark``
    leaves alone."""


def sizes(batch: int, length: int, channels: int, **more: int) -> Sizes:
    """Sizes of an op on (batch, length, channels) tensors, and what ``more`` it has: an
    order, a state size."""
    return {"batch": batch, "length": length, "channels": channels, **more}
