"""Random arguments, written as a distribution and the letters of its axes.

``uniform(0.3, 0.99, "BLD") * signs("BLD")`` is an array of shape (batch, length,
channels) once there are sizes; a digit stands for an axis of that length. The same words
draw NumPy arrays, to verify an op on, and tensors on any device, to time it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Sizes = Mapping[str, int]

LETTERS = {
    "batch": "B",
    "length": "L",
    "channels": "D",
    "states": "N",
    "order": "N",
    "heads": "H",
    "keys": "K",
    "values": "V",
}
"""The letter of each size. What a system has as states, a projection has as its order."""


class Source(Protocol):
    """Where numbers come from: as arrays or as tensors, which compute alike."""

    def normal(self, shape: tuple[int, ...]) -> Any:
        """Numbers of mean 0 and variance 1."""

    def uniform(self, shape: tuple[int, ...]) -> Any:
        """Numbers between 0 and 1."""

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        """One number everywhere."""

    def index(self, count: int) -> Any:
        """0, 1, ..., count - 1."""

    def array(self, x: np.ndarray) -> Any:
        """Numbers that are known."""

    def exp(self, x: Any) -> Any:
        """The exponential of each number."""


@dataclass(frozen=True)
class Arrays:
    """NumPy arrays, float64 and complex128."""

    generator: np.random.Generator

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.generator.standard_normal(shape)

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.generator.random(shape)

    def full(self, shape: tuple[int, ...], value: float) -> np.ndarray:
        return np.full(shape, float(value))

    def index(self, count: int) -> np.ndarray:
        return np.arange(float(count))

    def array(self, x: np.ndarray) -> np.ndarray:
        return x

    def exp(self, x: np.ndarray) -> np.ndarray:
        return np.exp(x)


@dataclass(frozen=True)
class Tensors:
    """Tensors of a real dtype, or its complex partner, on the generator's device."""

    generator: torch.Generator
    dtype: torch.dtype

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(
            shape, generator=self.generator, device=self._device, dtype=self.dtype
        )

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(
            shape, generator=self.generator, device=self._device, dtype=self.dtype
        )

    def full(self, shape: tuple[int, ...], value: float) -> Tensor:
        return torch.full(shape, value, device=self._device, dtype=self.dtype)

    def index(self, count: int) -> Tensor:
        return torch.arange(count, device=self._device, dtype=self.dtype)

    def array(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(self._device, self.dtype)

    def exp(self, x: Tensor) -> Tensor:
        return torch.exp(x)

    @property
    def _device(self) -> torch.device:
        return self.generator.device


@dataclass(frozen=True)
class Distribution:
    """What an array argument is drawn from. ``+``, ``-`` and ``*`` combine two, axis by
    axis, or one with a number."""

    letters: str
    imaginary: bool
    draw: Callable[[Source, Sizes], Any]

    def __add__(self, other: Any) -> "Distribution":
        return _combine(self, other, lambda x, y: x + y)

    def __mul__(self, other: Any) -> "Distribution":
        return _combine(self, other, lambda x, y: x * y)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Distribution":
        return -1 * self

    def __sub__(self, other: Any) -> "Distribution":
        return self + -1 * other

    def __rsub__(self, other: Any) -> "Distribution":
        return other + -self


@dataclass(frozen=True)
class Size:
    """An argument that is one of the sizes, such as an order N."""

    letter: str

    def draw(self, source: Source, sizes: Sizes) -> int:
        return shape_of(self.letter, sizes)[0]


def normal(letters: str, imaginary: bool = False) -> Distribution:
    """Mean 0 and variance 1; of the real and of the imaginary part each when
    ``imaginary``."""
    real = _of_shape(letters, lambda source, shape: source.normal(shape))
    return real + 1j * real if imaginary else real


def mixing(letters: str) -> Distribution:
    """Matrices that change the size of what they multiply little, however wide they are:
    mean 0 and variance 1 / the last axis."""
    return _of_shape(
        letters, lambda source, shape: shape[-1] ** -0.5 * source.normal(shape)
    )


def uniform(low: float, high: float, letters: str) -> Distribution:
    """Between ``low`` and ``high``."""
    unit = _of_shape(letters, lambda source, shape: source.uniform(shape))
    return low + (high - low) * unit


def log_uniform(low: float, high: float, letters: str) -> Distribution:
    """Between two positive numbers, all orders of magnitude alike."""
    exponent = uniform(float(np.log(low)), float(np.log(high)), letters)
    return _exp(exponent)


def constant(value: float, letters: str) -> Distribution:
    """The same number everywhere."""
    return _of_shape(letters, lambda source, shape: source.full(shape, value))


def index(letters: str) -> Distribution:
    """0, 1, ... along the last axis."""
    return _of_shape(
        letters,
        lambda source, shape: source.full(shape, 0) + source.index(shape[-1]),
    )


def matrix(make: Callable[[int], np.ndarray]) -> Distribution:
    """The real (N, N) matrix that ``make(N)`` is."""
    return _of_shape("NN", lambda source, shape: source.array(make(shape[0])))


def signs(letters: str) -> Distribution:
    """-1 or 1."""
    return 1 - 2 * bits(letters)


def bits(letters: str) -> Distribution:
    """0 or 1."""
    return _of_shape(
        letters, lambda source, shape: 1.0 * (2 * source.uniform(shape) // 1)
    )


def phases(letters: str) -> Distribution:
    """Complex numbers of modulus 1."""
    return _exp(2j * np.pi * uniform(0, 1, letters))


def every_third(rare: Distribution, ordinary: Distribution) -> Distribution:
    """Mostly ordinary numbers, as errors are relative to the norm of all: of a gradient
    that is e^-1000 alone there would be nothing to compare."""

    def chosen(source: Source, shape: tuple[int, ...]) -> Any:
        place = source.index(int(np.prod(shape)))
        return (1.0 * (place % 3 == 1)).reshape(shape)

    mask = _of_shape(ordinary.letters, chosen)
    return mask * rare + (1 - mask) * ordinary


def shape_of(letters: str, sizes: Sizes) -> tuple[int, ...]:
    """The shape that the letters stand for."""
    of_letter = {LETTERS[name]: size for name, size in sizes.items()}
    return tuple(int(x) if x.isdigit() else of_letter[x] for x in letters)


def _of_shape(
    letters: str, draw: Callable[[Source, tuple[int, ...]], Any]
) -> Distribution:
    return Distribution(
        letters, False, lambda source, sizes: draw(source, shape_of(letters, sizes))
    )


def _exp(x: Distribution) -> Distribution:
    return Distribution(
        x.letters, x.imaginary, lambda source, sizes: source.exp(x.draw(source, sizes))
    )


def _combine(
    x: Distribution, y: Any, operation: Callable[[Any, Any], Any]
) -> Distribution:
    if not isinstance(y, Distribution):
        return Distribution(
            x.letters,
            x.imaginary or isinstance(y, complex),
            lambda source, sizes: operation(x.draw(source, sizes), y),
        )
    letters = "".join(
        other if one == "1" else one
        for one, other in zip(x.letters, y.letters, strict=True)
    )
    return Distribution(
        letters,
        x.imaginary or y.imaginary,
        lambda source, sizes: operation(x.draw(source, sizes), y.draw(source, sizes)),
    )
