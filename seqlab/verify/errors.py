"""Errors of one op on one sample, and the bounds that they are held to."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from seqlab.catalogue import Sample, Sizes

VALUE_BOUNDS = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-2}
GRADIENT_BOUNDS = {"float64": 1e-11, "float32": 1e-4, "bfloat16": 1e-2, "float16": 1e-2}
FINITE_DIFFERENCE_BOUND = 1e-7


@dataclass(frozen=True)
class Row:
    """The relative errors of one op on one backend, dtype and sample.

    Each error is the largest over the sizes tried; ``where`` has the sizes that gave it.
    ``reasons`` says of some quantities why this sample's bound is a wider one.
    """

    op: str
    backend: str
    dtype: str
    sample: str
    hard: bool
    errors: dict[str, float]
    bounds: dict[str, float]
    where: dict[str, Sizes]
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every error is within its bound; an error that is not a number never
        is."""
        return self.within(self.bounds)

    def within(self, names: Iterable[str]) -> bool:
        """Whether these errors are."""
        return all(
            self.errors[name] <= self.bounds[name]
            for name in names
            if name in self.bounds
        )


class Errors:
    """The largest error of each quantity on one sample, and the sizes that gave it."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.largest: dict[str, float] = {}
        self.where: dict[str, Sizes] = {}

    def note(self, quantity: str, error: float, sizes: Sizes) -> None:
        """Remember an error that is the largest so far; one that is not a number is
        larger than any."""
        before = self.largest.get(quantity, -1.0)
        if not (error <= before or np.isnan(before)):
            self.largest[quantity] = error
            self.where[quantity] = {**sizes, **self.sample.sizes}

    def row(self, op: str, backend: str, dtype: str, bounds: dict[str, float]) -> Row:
        """The row, with this sample's own bounds where it has any."""
        own = {key: bound for key, bound in self.sample.bounds.items() if key in bounds}
        bounds = bounds | {key: own[key].factor * bounds[key] for key in own}
        reasons = {key: bound.reason for key, bound in own.items()}
        name, hard = self.sample.name, self.sample.hard
        return Row(
            op, backend, dtype, name, hard, self.largest, bounds, self.where, reasons
        )


def relative_error(
    value: np.ndarray, truth: np.ndarray, smallest: float = 0.0
) -> float:
    """The norm of the difference over the norm of the truth; infinite where the shapes
    differ.

    Of the difference in each number ``smallest`` is allowed, and only what is above it
    counts.
    """
    if value.shape != truth.shape:
        return np.inf
    difference = np.abs(value - truth)
    difference = np.where(difference <= smallest, 0, difference)
    size = np.linalg.norm(truth)
    return float(np.linalg.norm(difference) / (size if size > 0 else 1))


def error_in(dtype: torch.dtype, value: np.ndarray, truth: np.ndarray) -> float:
    """The relative error, as far as a dtype reaches. What lies beyond its largest
    number can only come out infinite, and then it is right: sums over thousands of
    float16 numbers do. What lies below its smallest normal one may come out as zero."""
    limits = torch.finfo(dtype)
    if not np.iscomplexobj(truth):
        value, truth = (np.clip(x, -limits.max, limits.max) for x in (value, truth))
    return relative_error(value, truth, limits.tiny)
