"""Points of the complex plane as a trait that a browser and a kernel share."""

from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import InvalidExplorerValue


class ComplexPoints(
    traitlets.TraitType
):  # with no types: generic from traitlets 5.10 on
    """A trait that holds a complex (N,) array, 1 <= N <= ``most``, and travels as a list
    of [real, imaginary]."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.tag(sync=True, to_json=to_pairs, from_json=from_pairs)

    def validate(self, obj: Any, value: Any) -> NDArray[np.complex128]:
        try:
            array = np.array(value, dtype=complex)
        except (TypeError, ValueError) as error:
            raise InvalidExplorerValue(
                f"{self.name}: expected complex numbers, got {value!r}"
            ) from error
        if array.ndim != 1 or not 1 <= array.size <= self.most:
            raise InvalidExplorerValue(
                f"{self.name}: expected shape (N,) with N from 1 to {self.most}, got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InvalidExplorerValue(
                f"{self.name}: expected finite numbers, got NaN or infinity"
            )
        array.flags.writeable = (
            False  # assigning to one entry would not move its point: refuse it
        )
        return array


def to_pairs(array: NDArray[np.complex128], _: Any) -> list[list[float]]:
    return np.stack((array.real, array.imag), axis=1).tolist()


def from_pairs(pairs: list[list[float]], _: Any) -> list[complex]:
    return [complex(x, y) for x, y in pairs]
