"""The pole playground: drag the poles of a continuous system and see what a
discretization makes of them."""

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
            1 <= N <= MOST_POLES and (self.preset in _SIZED or len(self.poles) == N)
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


class PoleExplorer(Explorer):
    """Poles s of the modes x' = s x + u, to be dragged about the s-plane, beside their
    images in the z-plane: the eigenvalues of the sampled recurrence.

    Show it by naming it on the last line of a cell. ``explorer.poles`` is a complex
    (N,) array that follows the points (when the pointer lets go, and at each key), and
    setting it moves them; ``explorer.images``, of the same shape, holds the images
    under the method and step chosen, whoever chose them. Where nobody drags, the poles
    are those of the preset, so that a cell that uses them runs anywhere.

    Every argument is also an attribute that can be set.

    Args:
        preset: "s4d_lin", "s4d_real", "oscillator" (lightly damped), "stiff" (two real
            poles a hundredfold apart), "integrator" (a pole at 0), "aliasing" (two
            poles that zero-order hold cannot tell apart), or "custom", which it becomes
            whenever poles are placed by hand or set.
        state_size: number of poles N of the first two presets, 1 to 64.
        poles: complex (N,), 1 <= N <= 64, in radians per unit of time, instead of a
            preset.
        dt: step, a positive time. A preset brings its own unless it is given.
        method: "euler", "backward_euler", "bilinear" or "zoh".
        duration: how long a response is shown, a positive time. A preset brings its own
            unless it is given.
        pairs: whether the conjugate of each pole is drawn as well. The responses are
            real parts, to which it makes no difference.
        selected: index of the highlighted pole, from 0.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "poles"
    heights: ClassVar = {
        0: 2126,
        290: 2029,
        304: 2027,
        322: 2051,
        348: 2043,
        366: 2059,
        392: 2095,
        432: 2106,
        504: 2052,
        600: 1154,
        672: 1181,
        760: 1205,
        1000: 1132,
    }
    _esm = single_file("poles")

    preset = traitlets.Unicode("s4d_lin").tag(sync=True)
    state_size = traitlets.Int(8).tag(sync=True)
    poles = ComplexPoints(MOST_POLES)
    dt = Number(0.05).tag(sync=True)
    method = traitlets.Unicode("zoh").tag(sync=True)
    duration = Number(6.0).tag(sync=True)
    pairs = Flag(True).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    images = traitlets.Any(read_only=True)  # the page computes its own

    def __init__(self, **traits: Any) -> None:
        placed = "poles" in traits
        if placed and (both := {"preset", "state_size"} & set(traits)):
            names = ", ".join(sorted(both))
            raise InvalidExplorerValue(
                f"poles: expected no preset beside them, got {names}"
            )
        if traits.get("preset") == "custom":
            raise InvalidExplorerValue(
                'preset: "custom" is for poles that are given; give them'
            )
        preset = "custom" if placed else traits.get("preset", "s4d_lin")
        _, dt, duration = _PRESETS.get(preset, _PRESETS["custom"])
        traits = {"dt": dt, "duration": duration, **traits}
        if preset in _PRESETS and preset not in _SIZED and not placed:
            traits.setdefault("state_size", len(_PRESETS[preset][0](1)))
        self._settled = False
        super().__init__(**traits)
        self._settled = True
        if placed:
            self._settle(preset="custom", state_size=len(self.poles))

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the parameters, with the poles if placed
        by hand."""
        shared = {name: getattr(self, name) for name in (*_RANGES, "pairs")}
        placed = self.preset == "custom"
        return {**shared, "poles": to_pairs(self.poles, self)} if placed else shared

    def still(self) -> str:
        """Poles in the s-plane and their images in the z-plane."""
        far = 1.15 * np.abs(self.poles).max() or 1.0
        s = Axes("s-plane", (-1.5 * far, 0.5 * far), (-far, far), 1, 200, 200)
        z = Axes("z-plane", (-1.5, 1.5), (-1.5, 1.5), 225, 200, 200)
        z.unit_circle()
        for plane, numbers, color in (
            (s, self.poles, SERIES[0]),
            (z, self.images, SERIES[1]),
        ):
            plane.dots(
                np.append(numbers, numbers.conj()) if self.pairs else numbers, color
            )
        words = (
            f"{len(self.poles)} poles in the s-plane and their images in the z-plane, of modulus "
            f"{np.nanmin(np.abs(self.images)):.3f} to {np.nanmax(np.abs(self.images)):.3f}."
        )
        return picture(words, 426, 218, [*s.parts, *z.parts])

    @traitlets.default("poles")
    def _draw(self) -> NDArray[np.complex128]:
        return np.array(_PRESETS[self.preset][0](self.state_size), dtype=complex)

    @traitlets.default("images")
    def _sample(self) -> NDArray[np.complex128]:
        with np.errstate(divide="ignore", invalid="ignore"):  # s dt may hit a pole
            reached, _ = discretize(
                self.poles, np.ones(1), self.dt, self.method, diagonal=True
            )
        return reached

    @traitlets.observe("preset")
    def _preset_changed(self, change: Any) -> None:
        if self._settled and self.preset != "custom":
            _, dt, duration = _PRESETS[self.preset]
            poles = self._draw()
            self._settle(poles=poles, state_size=len(poles), dt=dt, duration=duration)

    @traitlets.observe("state_size")
    def _size_changed(self, change: Any) -> None:
        if self._settled and self.preset in _SIZED:
            self._settle(poles=self._draw())

    @traitlets.observe("poles")
    def _poles_changed(self, change: Any) -> None:
        if self._settled:
            self._settle(preset="custom", state_size=len(change.new))

    @traitlets.observe("poles", "dt", "method")
    def _images_changed(self, change: Any) -> None:
        self.set_trait("images", self._sample())

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.selected = min(self.selected, len(self.poles) - 1)

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
