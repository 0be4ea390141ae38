"""The pole playground: drag the poles of a continuous system and see what a
discretization makes of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import Explorer, InvalidExplorerValue, self_contained
from seqlab.nn import eigenvalues as law
from seqlab.ops.discretize.reference import discretize

MOST_POLES = 64
METHODS = ("euler", "backward_euler", "bilinear", "zoh")

# The poles of each preset for a number of poles N, the step and the time that suit them.
_PRESETS: dict[str, tuple[Callable[[int], Any], float, float]] = {
    "s4d_lin": (law.s4d_lin, 0.05, 6.0),
    "s4d_real": (law.s4d_real, 0.1, 4.0),
    "oscillator": (lambda _: [-0.1 + 2j], 0.25, 20.0),
    "stiff": (lambda _: [-1, -100], 0.1, 3.0),
    "integrator": (lambda _: [0], 0.5, 10.0),
    "aliasing": (lambda _: [-0.05 + 1j, -0.05 + (2 * np.pi - 1) * 1j], 1.0, 20.0),
    "custom": (lambda _: [], 0.1, 10.0),
}
_SIZED = ("s4d_lin", "s4d_real")

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "preset": (f"one of {', '.join(_PRESETS)}", lambda value, _: value in _PRESETS),
    "state_size": (
        f"1 to {MOST_POLES} poles, as many as there are where the preset says how many",
        lambda N, self: (
            1 <= N <= MOST_POLES
            and (self.preset in _SIZED or N == len(self.poles) or not self._settled)
        ),
    ),
    "dt": ("a positive step", lambda dt, _: 0 < dt < np.inf),
    "method": (f"one of {', '.join(METHODS)}", lambda method, _: method in METHODS),
    "duration": ("a positive time", lambda time, _: 0 < time < np.inf),
    "selected": (
        "the index of a pole, counted from 0",
        lambda n, self: 0 <= n < len(self.poles),
    ),
}


class Poles(traitlets.TraitType[Any, Any]):
    """A trait that holds a complex (N,) array, 1 <= N <= 64, and travels as a list of
    [real, imaginary]."""

    def validate(self, obj: Any, value: Any) -> NDArray[np.complex128]:
        try:
            array = np.array(value, dtype=complex)
        except (TypeError, ValueError) as error:
            raise InvalidExplorerValue(
                f"{self.name}: expected complex numbers, got {value!r}"
            ) from error
        if array.ndim != 1 or not 1 <= array.size <= MOST_POLES:
            raise InvalidExplorerValue(
                f"{self.name}: expected shape (N,) with N from 1 to {MOST_POLES}, got {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InvalidExplorerValue(
                f"{self.name}: expected finite numbers, got NaN or infinity"
            )
        array.flags.writeable = (
            False  # assigning to one entry would not move its point: refuse it
        )
        return array
