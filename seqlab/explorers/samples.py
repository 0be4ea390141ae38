"""Samples of a signal as a trait that a browser and a kernel share."""

from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import InvalidExplorerValue


class Samples(traitlets.TraitType):  # with no types: generic from traitlets 5.10 on
    """A trait that holds a float (L,) array, ``least`` <= L <= ``most``, and travels as
    a list."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__()
        self.least, self.most = least, most
        self.tag(sync=True, to_json=lambda array, _: array.tolist())

    def validate(self, obj: Any, value: Any) -> NDArray[np.float64]:
        try:
            array = np.array(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidExplorerValue(
                f"{self.name}: expected real numbers, got {value!r}"
            ) from error
        if array.ndim != 1 or not self.least <= array.size <= self.most:
            raise InvalidExplorerValue(
                f"{self.name}: expected shape (L,) with L from {self.least} to {self.most}, "
                f"got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InvalidExplorerValue(
                f"{self.name}: expected finite numbers, got NaN or infinity"
            )
        array.flags.writeable = (
            False  # assigning to one sample would not redraw it: refuse it
        )
        return array
