"""The duality explorer: one diagonal state-space model, run as a recurrence and as a
convolution at once."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.complex_points import ComplexPoints, to_pairs
from seqlab.explorers.explorer import Explorer, InvalidExplorerValue, in_range
from seqlab.explorers.samples import Samples
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture
from seqlab.ops.ssm.reference import ssm_kernel, ssm_scan

MOST_MODES = 4
MOST_SAMPLES = 64

_SLOW, _TURNING, _FAST = 0.95, 0.9 * np.exp(1j * np.pi / 6), 0.5
_MODES = {
    "slow": [_SLOW],
    "oscillation": [_TURNING],
    "fast": [_FAST],
    "three": [_SLOW, _TURNING, _FAST],
}


def _two_pulses(t: NDArray[np.int_]) -> NDArray[np.float64]:
    return 1.0 * ((t >= 3) & (t < 6)) - 0.8 * ((t >= 14) & (t < 17))


_INPUTS: dict[str, Callable[[NDArray[np.int_]], Any]] = {
    "impulse": lambda t: t == 0,
    "step": lambda t: t >= 4,
    "two_pulses": _two_pulses,
    "silence": np.zeros_like,
}
_TIME = np.arange(32)  # of a preset

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "modes": (
        f"one of {', '.join(_MODES)}, or custom beside eigenvalues",
        lambda modes, _: modes in _MODES or modes == "custom",
    ),
    "eigenvalues": (
        "moduli of at most 1",
        lambda values, _: bool((np.abs(values) <= 1 + 1e-12).all()),
    ),
    "input": (
        f"one of {', '.join(_INPUTS)}, or custom beside a signal",
        lambda name, _: name in _INPUTS or name == "custom",
    ),
    "time": (
        "the index of a sample, counted from 0",
        lambda t, self: 0 <= t < len(self.signal),
    ),
    "selected": (
        "the index of a mode, counted from 0",
        lambda n, self: 0 <= n < len(self.eigenvalues),
    ),
}


class DualityExplorer(Explorer):
    """A diagonal state-space model x_t = λ x_{t-1} + u_t, y_t the mean of Re x_t over
    its modes, run twice at once: the recurrence steps under a cursor, the kernel slides
    over the input, and both land on the same sample.

    Show it by naming it on the last line of a cell. ``explorer.eigenvalues``, complex
    (N,), and ``explorer.signal``, float (L,), follow what is dragged (when the pointer
    lets go, and at each key), and setting them redraws it; so does ``explorer.time``,
    the index of the sample under the cursor. Where nobody drags, they are those of the
    arguments, so that a cell that uses them runs anywhere.

    The eigenvalues are those of the sampled system, A_bar; B_bar is 1, C is 1/N.
    ``S4D.from_eigenvalues`` takes continuous ones, np.log(explorer.eigenvalues) / dt,
    which zero-order hold samples to these (with |λ| < 1 and λ not 0, the only ones that
    dragging can make). Every argument is also an attribute that can be set.

    Args:
        modes: "slow", "oscillation" or "fast", one mode each, "three", these together,
            or "custom", which it becomes whenever eigenvalues are moved or set.
        eigenvalues: complex (N,), 1 <= N <= 4, of modulus at most 1, instead of modes.
        input: "impulse", "step", "two_pulses", "silence" (to draw one's own on), or
            "custom", which it becomes whenever a sample is dragged or a signal set.
        signal: float (L,), 2 <= L <= 64, instead of an input (whose L is 32).
        time: where the cursor stands, 0 to L - 1.
        selected: index of the highlighted mode, from 0.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "duality"
    heights: ClassVar = {
        0: 2272,
        290: 2224,
        296: 2174,
        356: 2167,
        390: 2201,
        424: 2209,
        448: 2154,
        596: 2119,
        600: 1395,
        684: 1416,
        796: 1428,
        820: 1422,
        1000: 857,
        1100: 905,
    }
    _esm = single_file("duality")

    modes = traitlets.Unicode("oscillation").tag(sync=True)
    eigenvalues = ComplexPoints(MOST_MODES)
    input = traitlets.Unicode("two_pulses").tag(sync=True)
    signal = Samples(2, MOST_SAMPLES)
    time = traitlets.Int().tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        for name, values, them in (
            ("modes", "eigenvalues", "them"),
            ("input", "signal", "it"),
        ):
            if name in traits and values in traits:
                raise InvalidExplorerValue(
                    f"{values}: expected no {name} beside {them}, got {traits[name]!r}"
                )
            if traits.get(name) == "custom":
                raise InvalidExplorerValue(
                    f'{name}: "custom" goes with {values}; give {them}'
                )
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the names, with the numbers of those that
        are nobody's preset."""
        names = ("modes", "input", "time", "selected")
        shared = {name: getattr(self, name) for name in names}
        if self.modes == "custom":
            shared["eigenvalues"] = to_pairs(self.eigenvalues, self)
        if self.input == "custom":
            shared["signal"] = self.signal.tolist()
        return shared

    def still(self) -> str:
        """The modes, the kernel flipped over the input, and the output up to the cursor."""
        N, L, now = len(self.eigenvalues), len(self.signal), self.time
        A_bar, ones = self.eigenvalues[None], np.ones((1, N))
        K = ssm_kernel(A_bar, ones, ones / N, L)[0]
        y = ssm_scan(A_bar, ones, ones / N, self.signal[None, :, None])[0][0, :, 0]
        disk = Axes("Modes", (-1.2, 1.2), (-1.2, 1.2), 1, 130, 130)
        disk.unit_circle()
        disk.dots(self.eigenvalues, SERIES[1])
        sheets = (
            ("Input, and the kernel over it", self.signal, 141),
            ("Output", y[: now + 1], 326),
        )
        parts = disk.parts
        for title, values, left in sheets:
            top = 1.12 * max(1, np.abs(values).max())
            axes = Axes(title, (-1, L), (-top, top), left, 175, 130)
            for t, value in enumerate(values):
                axes.line([t, t], [0, value], "currentColor", 1.5)
            if left == 141:
                axes.line(now - np.arange(now + 1), K[: now + 1], SERIES[0], 2)
            parts = [*parts, *axes.parts]
        words = (
            f"{N} mode{'s' * (N > 1)} of modulus {np.abs(self.eigenvalues).min():.3f} to "
            f"{np.abs(self.eigenvalues).max():.3f}; at time {now} the state and the sum of "
            f"{now + 1} products both give {y[now]:.3f}."
        )
        return picture(words, 502, 148, parts)

    @traitlets.default("eigenvalues")
    def _preset_modes(self) -> NDArray[np.complex128]:
        return np.array(_MODES[self.modes], dtype=complex)

    @traitlets.default("signal")
    def _preset_input(self) -> NDArray[np.float64]:
        return np.array(_INPUTS[self.input](_TIME), dtype=float)

    @traitlets.default("time")
    def _third(self) -> int:
        return min(12, len(self.signal) - 1)

    @traitlets.observe("modes", "input")
    def _name_changed(self, change: Any) -> None:
        if self._settled and change.new != "custom":
            if change.name == "modes":
                self._settle(eigenvalues=self._preset_modes())
            else:
                self._settle(signal=self._preset_input())

    @traitlets.observe("eigenvalues", "signal")
    def _value_changed(self, change: Any) -> None:
        if self._settled:
            name = {"eigenvalues": "modes", "signal": "input"}[change.name]
            self._settle(**{name: "custom"})

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.time = min(self.time, len(self.signal) - 1)
            self.selected = min(self.selected, len(self.eigenvalues) - 1)

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
