"""The function explorer: draw a signal and watch four memories remember it as time
passes."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import (
    Explorer,
    InvalidExplorerValue,
    Number,
    in_range,
)
from seqlab.explorers.samples import Samples
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture
from seqlab.ops.hippo import reference

MOST_ORDER = 64
SAMPLES = 512  # of a preset
_BEATS = (0.2, 0.7)
# of one heartbeat: height, middle and width of each wave, from the beat on
_HEARTBEAT = (
    (0.12, -0.09, 0.025),
    (-0.15, -0.017, 0.008),
    (0.95, 0.0, 0.01),
    (-0.25, 0.019, 0.009),
    (0.25, 0.13, 0.04),
)


def _wave(cycles: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * cycles)


def _noise(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonics 1 to 12 with phases that have no pattern."""
    m = np.arange(1, 13)[:, None]
    return 0.19 * _wave(m * t + (m * m * 0.6180339887498949) % 1).sum(axis=0)


def _heartbeat(t: NDArray[np.float64]) -> NDArray[np.float64]:
    waves = [
        height * np.exp(-(((t - beat - middle) / width) ** 2))
        for beat in _BEATS
        for height, middle, width in _HEARTBEAT
    ]
    return np.sum(waves, axis=0)


_PRESETS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "two_tones": lambda t: 0.6 * _wave(2 * t) + 0.3 * _wave(9 * t),
    "step": lambda t: np.where(t < 0.35, -0.6, 0.6),
    "chirp": lambda t: 0.8 * _wave(t + 9 * t * t),
    "noise": _noise,
    "heartbeat": _heartbeat,
    "flat": np.zeros_like,
}
_DASHES = ("none", "7 3", "2 2", "7 2 2 2")
_MEMORY = ("signal", "measures", "order", "theta", "time")

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "preset": (
        f"one of {', '.join(_PRESETS)}, or custom beside a signal",
        lambda preset, self: preset in _PRESETS or preset == "custom",
    ),
    "measures": (
        f"some of {', '.join(reference.MEASURES)}, each once",
        lambda measures, _: (
            set(measures) <= set(reference.MEASURES)
            and len(set(measures)) == len(measures)
        ),
    ),
    "order": (
        f"1 to {MOST_ORDER} coefficients",
        lambda N, _: 1 <= N <= MOST_ORDER,
    ),
    "theta": ("a window from 0.01 to 10", lambda theta, _: 0.01 <= theta <= 10),
    "time": (
        "how many samples were seen, from 1 to as many as there are",
        lambda time, self: 1 <= time <= len(self.signal),
    ),
}


def _to_lists(coefficients: dict[str, Any], _: Any) -> dict[str, list[float]]:
    return {measure: c.tolist() for measure, c in coefficients.items()}


def _from_lists(lists: dict[str, list[float]], _: Any) -> dict[str, Any]:
    return {measure: np.array(c, dtype=float) for measure, c in lists.items()}


class FunctionExplorer(Explorer):
    """A signal to be drawn, and what LegS, LegT, LagT and Fourier remember of it as
    time passes.

    Show it by naming it on the last line of a cell. ``explorer.signal`` is a float
    (L,) array that follows the drawing (when the pointer lets go, and at each key), and
    setting it redraws the sheet. ``explorer.coefficients`` maps each measure that is
    shown to its coefficients (N,) at ``explorer.time``, bilinear steps. Where nobody
    draws, both are those of the arguments, so that a cell that uses them runs anywhere.

    The signal lasts 1, whatever its number of samples. Every argument is also an
    attribute that can be set; ``coefficients`` can be read only.

    Args:
        preset: "two_tones", "step", "chirp", "noise" (band-limited), "heartbeat",
            "flat", or "custom", which it becomes whenever a signal is drawn or set.
        measures: those that are shown, of "legs", "legt", "lagt" and "fourier".
        order: number of coefficients N of each, 1 to 64.
        theta: window of legt, lagt and fourier, 0.01 to 10, where the signal lasts 1.
        time: how many samples were seen, 1 to L.
        signal: float (L,), 8 <= L <= 4096, instead of a preset (whose L is 512).
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "function"
    heights: ClassVar = {
        0: 1300,
        332: 1265,
        340: 1228,
        536: 1176,
        560: 1139,
        600: 881,
        1000: 828,
    }
    _esm = single_file("function")

    preset = traitlets.Unicode("two_tones").tag(sync=True)
    measures = traitlets.List(traitlets.Unicode(), list(reference.MEASURES)).tag(
        sync=True
    )
    order = traitlets.Int(16).tag(sync=True)
    theta = Number(0.25).tag(sync=True)
    signal = Samples(8, 4096)
    time = traitlets.Int().tag(sync=True)
    coefficients = traitlets.Dict(read_only=True).tag(
        sync=True, to_json=_to_lists, from_json=_from_lists
    )

    def __init__(self, **traits: Any) -> None:
        if "signal" in traits and "preset" in traits:
            raise InvalidExplorerValue(
                "signal: expected no preset beside it, got preset"
            )
        if traits.get("preset") == "custom":
            raise InvalidExplorerValue(
                'preset: "custom" is for a signal that is given; give it'
            )
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the values, with the signal if drawn."""
        shared = {
            name: getattr(self, name)
            for name in ("preset", "measures", "order", "theta", "time")
        }
        drawn = self.preset == "custom"
        return {**shared, "signal": self.signal.tolist()} if drawn else shared

    def still(self) -> str:
        """The signal, and what each measure remembers of it."""
        L, now = len(self.signal), self.time / len(self.signal)
        top = max(1.2, np.abs(self.signal).max())
        sheet = Axes(
            "Signal, and what is remembered of it", (0, 1), (-top, top), 1, 498, 200
        )
        few = np.arange(0, L, max(1, L // 256))
        sheet.line((few + 0.5) / L, self.signal[few], "currentColor", 3)
        ago = (np.arange(100) + 0.5) / 100
        for measure, c in self.coefficients.items():
            n = reference.MEASURES.index(measure)
            window = now if measure == "legs" else min(self.theta, now)
            points = ago if measure == "legs" else ago * window / self.theta
            remembered = reference.hippo_reconstruct(c, points, measure)
            sheet.line(now - window * ago, remembered, SERIES[n], 1.5, _DASHES[n])
        names = ", ".join(self.measures) or "no measure"
        words = f"A signal, seen up to time {now:.3f} of 1, and what is remembered of it by {names}."
        return picture(words, 500, 218, sheet.parts)

    @traitlets.default("signal")
    def _preset_signal(self) -> NDArray[np.float64]:
        t = (np.arange(SAMPLES) + 0.5) / SAMPLES  # the middle of each sample's time
        return _PRESETS[self.preset](t)

    @traitlets.default("time")
    def _most_of_it(self) -> int:
        return round(0.8 * len(self.signal))

    @traitlets.default("coefficients")
    def _remember(self) -> dict[str, NDArray[np.float64]]:
        L = len(self.signal)
        seen = self.signal[None, : self.time, None]
        return {
            measure: reference.hippo_project(
                seen,
                self.order,
                measure,
                theta=self.theta,
                dt=1 / L,
                return_all=False,
            )[0][0, 0]
            for measure in self.measures
        }

    @traitlets.observe("preset")
    def _preset_changed(self, change: Any) -> None:
        if self._settled and self.preset != "custom":
            self._settle(signal=self._preset_signal())

    @traitlets.observe(*_MEMORY)
    def _memory_changed(self, change: Any) -> None:
        if not self._settled:
            return
        self._settle(**{"preset": "custom"} if change.name == "signal" else {})

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.time = min(self.time, len(self.signal))
            self.set_trait("coefficients", self._remember())

    @traitlets.validate("preset", "measures", "order", "theta", "time")
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
