"""The eigenvalue explorer: drag the eigenvalues of a linear recurrence, then initialize
a layer with them."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.complex_points import ComplexPoints, to_pairs
from seqlab.explorers.explorer import (
    Explorer,
    Flag,
    InvalidExplorerValue,
    Number,
    in_range,
)
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture
from seqlab.nn import eigenvalues as law
from seqlab.nn.responses import impulse_response

MOST_MODES = 256

_CONTINUOUS = {
    "s4d_lin": law.s4d_lin,
    "s4d_inv": law.s4d_inv,
    "s4d_real": law.s4d_real,
    "hippo_legs": law.hippo_legs_normal,
}
_INITIALIZATIONS = ("ring", "glorot", "real", *_CONTINUOUS, "custom")
_PARAMETERS = (
    "initialization",
    "state_size",
    "r_min",
    "r_max",
    "max_phase",
    "dt",
    "method",
    "seed",
)

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "initialization": (
        f"one of {', '.join(_INITIALIZATIONS)}",
        lambda value, _: value in _INITIALIZATIONS,
    ),
    "state_size": (
        f"1 to {MOST_MODES} modes, and as many as there are eigenvalues where those were placed by hand",
        lambda N, self: (
            1 <= N <= MOST_MODES
            and (self.initialization != "custom" or len(self.eigenvalues) == N)
        ),
    ),
    "r_min": ("0 <= r_min <= r_max <= 1", lambda r, self: 0 <= r <= self.r_max),
    "r_max": ("0 <= r_min <= r_max <= 1", lambda r, self: self.r_min <= r <= 1),
    "max_phase": ("radians from 0 to 2π", lambda angle, _: 0 <= angle <= 2 * np.pi),
    "dt": ("a positive step", lambda dt, _: 0 < dt < np.inf),
    "method": ("zoh or bilinear", lambda method, _: method in ("zoh", "bilinear")),
    "seed": ("0 to 2^32 - 1", lambda seed, _: 0 <= seed < 2**32),
    "horizon": ("1 to 10000 steps", lambda steps, _: 1 <= steps <= 10000),
    "selected": (
        "the index of a mode, counted from 0",
        lambda n, self: 0 <= n < len(self.eigenvalues),
    ),
}


class Mulberry32:
    """The front end's seeded generator, so that one seed gives the same points in
    Python and in the browser.

    Tommy Ettinger's mulberry32: 32 bits of state, good enough to scatter points, for
    nothing else.
    """

    def __init__(self, seed: int) -> None:
        self._state = seed

    def random(self, size: Any) -> NDArray[np.float64]:
        """(size,) numbers for an integer size, uniform on [0, 1) in steps of 2^-32."""
        counter = self._state + 0x6D2B79F5 * np.arange(1, size + 1, dtype=np.uint64)
        self._state = int(counter[-1]) % 2**32
        state = counter.astype(np.uint32)
        mixed = (state ^ (state >> 15)) * (state | 1)
        mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)
        return (mixed ^ (mixed >> 14)) / 2**32

    def standard_normal(self, size: Any) -> NDArray[np.float64]:
        """Normal numbers of the shape given, two from each two uniform ones (Box and
        Muller)."""
        count = int(np.prod(size))
        u = self.random(count + count % 2).reshape(-1, 2)
        radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
        pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
        return pairs.reshape(-1)[:count].reshape(size)


class EigenvalueExplorer(Explorer):
    """Eigenvalues in the unit disk, to be dragged, and what a linear recurrence with
    them does.

    Show it by naming it on the last line of a cell. ``explorer.eigenvalues`` is a
    complex (N,) array that follows the points (when the pointer lets go, and at each
    key), and setting it moves them; setting a parameter of the initialization draws
    them anew. Where nobody drags, they are those of the parameters given, so that a
    cell that uses ``explorer.eigenvalues`` runs anywhere.

    Every argument is also an attribute that can be set.

    Args:
        initialization: "ring", "glorot", "real", "s4d_lin", "s4d_inv", "s4d_real",
            "hippo_legs" (its normal part), or "custom", which it becomes whenever
            eigenvalues are placed by hand or set.
        state_size: number of modes N, 1 to 256.
        r_min, r_max: radii of "ring" and "real", 0 <= r_min <= r_max <= 1.
        max_phase: largest phase of "ring", radians, 0 to 2π.
        dt, method: step (positive) and discretization ("zoh" or "bilinear") of the
            continuous ones.
        seed: of the random ones, 0 to 2^32 - 1.
        horizon: how many steps the plots show, 1 to 10000.
        normalize: whether the responses weigh each mode by its γ = sqrt(1 - abs(λ)^2).
        selected: index of the highlighted mode, from 0.
        eigenvalues: complex (N,), instead of an initialization.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "eigenvalues"
    heights: ClassVar = {
        0: 2057,
        290: 1907,
        326: 1874,
        336: 1835,
        358: 1828,
        392: 1862,
        432: 1868,
        496: 1814,
        520: 1780,
        600: 1074,
        664: 1013,
        676: 999,
        740: 1031,
        804: 1060,
        1000: 769,
        1100: 802,
    }
    _esm = single_file("eigenvalues")

    initialization = traitlets.Unicode("ring").tag(sync=True)
    state_size = traitlets.Int(32).tag(sync=True)
    r_min = Number(0.9).tag(sync=True)
    r_max = Number(0.999).tag(sync=True)
    max_phase = Number(2 * np.pi).tag(sync=True)
    dt = Number(0.01).tag(sync=True)
    method = traitlets.Unicode("zoh").tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    horizon = traitlets.Int(200).tag(sync=True)
    normalize = Flag(False).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    eigenvalues = ComplexPoints(MOST_MODES)

    def __init__(self, **traits: Any) -> None:
        if "eigenvalues" in traits and (both := set(traits) & set(_PARAMETERS)):
            names = ", ".join(sorted(both))
            raise InvalidExplorerValue(
                f"eigenvalues: expected no initialization beside them, got {names}"
            )
        if traits.get("initialization") == "custom":
            raise InvalidExplorerValue(
                'initialization: "custom" is for eigenvalues that are given; give them'
            )
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the parameters, with the eigenvalues if
        placed by hand."""
        shared = {
            name: getattr(self, name)
            for name in (*_PARAMETERS, "horizon", "normalize", "selected")
        }
        placed = self.initialization == "custom"
        return (
            {**shared, "eigenvalues": to_pairs(self.eigenvalues, self)}
            if placed
            else shared
        )

    def still(self) -> str:
        """The disk, and the impulse response of the mean of the modes."""
        K = impulse_response(self.eigenvalues, self.horizon + 1)
        disk = Axes("Eigenvalues", (-1.2, 1.2), (-1.2, 1.2), 1, 200, 200)
        disk.unit_circle()
        disk.dots(self.eigenvalues, SERIES[0])
        low, high = min(0.0, K.min()), max(K.max(), 1e-9)
        response = Axes(
            "Impulse response", (0, self.horizon), (low, high), 215, 284, 200
        )
        response.line(np.arange(self.horizon + 1), K, SERIES[0])
        radii = np.abs(self.eigenvalues)
        words = f"{len(radii)} eigenvalues in the unit disk, of modulus {radii.min():.3f} to {radii.max():.3f}."
        return picture(words, 500, 218, [*disk.parts, *response.parts])

    @traitlets.default("eigenvalues")
    def _draw(self) -> NDArray[np.complex128]:
        N, rng = self.state_size, Mulberry32(self.seed)
        if self.initialization == "ring":
            return law.ring(N, self.r_min, self.r_max, self.max_phase, rng)
        if self.initialization == "real":
            return law.real(N, self.r_min, self.r_max, rng)
        if self.initialization == "glorot":
            return law.glorot(N, rng)
        return law.discretize_eigenvalues(
            _CONTINUOUS[self.initialization](N), self.dt, self.method
        )

    @traitlets.observe(*_PARAMETERS)
    def _parameter_changed(self, change: Any) -> None:
        if self._settled and self.initialization != "custom":
            self._settle(eigenvalues=self._draw())

    @traitlets.observe("eigenvalues")
    def _eigenvalues_changed(self, change: Any) -> None:
        if self._settled:
            self._settle(initialization="custom", state_size=len(change.new))

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.selected = min(self.selected, len(self.eigenvalues) - 1)

    @traitlets.validate(*_PARAMETERS, "horizon", "selected")
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
