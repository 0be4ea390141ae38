"""The gates explorer: exponential input gates under the reader's hand, and the two
memories behind them."""

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
from seqlab.explorers.gates.cell import cell, inputs, log_forget
from seqlab.explorers.samples import Samples
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture

MOST_STEPS = 32
LARGEST_GATE = 120
_TIME = np.arange(16)  # of a preset, from 0

_PRESETS: dict[str, Callable[[NDArray[np.int_]], Any]] = {
    "ordinary": lambda t: 2 * np.sin(1.7 * t),
    "climb": lambda t: 6.0 * t,
    "deep": lambda t: np.where(t < 8, -110.0, 0.0),
    "revise": lambda t: 4.0 * (t == 5) + 8.0 * (t == 11),
}


def _one_of(*words: str) -> tuple[str, Callable[[Any, Any], bool]]:
    return f"one of {', '.join(words)}", lambda value, _: value in words


# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "preset": (
        f"one of {', '.join(_PRESETS)}, or custom beside input_gates",
        lambda preset, _: preset in _PRESETS or preset == "custom",
    ),
    "input_gates": (
        f"gates from -{LARGEST_GATE} to {LARGEST_GATE}",
        lambda gates, _: bool((np.abs(gates) <= LARGEST_GATE).all()),
    ),
    "precision": _one_of("float16", "float32"),
    "readout": _one_of("slstm", "mlstm"),
    "forget": _one_of("sigmoid", "exp"),
    "key_vectors": _one_of("orthogonal", "scattered"),
    "shift": ("a shift from -20 to 20", lambda shift, _: -20 <= shift <= 20),
    "f": ("a pre-activation from -4 to 8", lambda f, _: -4 <= f <= 8),
    "key_size": ("a width of keys from 2 to 16", lambda size, _: 2 <= size <= 16),
    "time": (
        "a step, counted from 1",
        lambda t, self: 1 <= t <= len(self.input_gates),
    ),
}


class GatesExplorer(Explorer):
    """Exponential input gates to be dragged, and two memories behind them: a scalar one,
    with and without its stabilizer, rounded after every operation to float16 or float32,
    and a matrix one that is filled key by key.

    Show it by naming it on the last line of a cell. ``explorer.input_gates``, float (L,),
    follows what is dragged (when the pointer lets go, and at each key), and setting it
    redraws it; so does ``explorer.time``, the step at which the memories are looked at.
    Where nobody drags, they are those of the arguments, so that a cell that uses them
    runs anywhere. Every argument is also an attribute that can be set.

    Args:
        preset: "ordinary", "climb" (6 more each step), "deep" (-110, then 0), "revise"
            (two loud steps), or "custom", which it becomes whenever gates are moved or set.
        input_gates: float (L,), pre-activations i_t from -120 to 120, 2 <= L <= 32,
            instead of a preset (whose L is 16).
        precision: "float16" or "float32", to which every operation rounds.
        readout: "slstm", h = c / n, or "mlstm", h = c / max(|n|, 1).
        shift: added to every input gate, -20 to 20.
        forget: "sigmoid" or "exp", what makes the forget gate of its pre-activation.
        f: that pre-activation, -4 to 8.
        key_vectors: "orthogonal" or "scattered", the keys of the matrix memory.
        key_size: their width, 2 to 16.
        time: the step at which the memories are looked at, 1 to L.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "gates"
    heights: ClassVar = {
        0: 2209,
        290: 2027,
        304: 1991,
        358: 1936,
        448: 1891,
        456: 1855,
        600: 1276,
        628: 1239,
        664: 1203,
        1000: 852,
    }
    _esm = single_file("gates")

    preset = traitlets.Unicode("climb").tag(sync=True)
    input_gates = Samples(2, MOST_STEPS)
    precision = traitlets.Unicode("float32").tag(sync=True)
    readout = traitlets.Unicode("slstm").tag(sync=True)
    shift = Number(0.0).tag(sync=True)
    forget = traitlets.Unicode("sigmoid").tag(sync=True)
    f = Number(4.0).tag(sync=True)
    key_vectors = traitlets.Unicode("orthogonal").tag(sync=True)
    key_size = traitlets.Int(8).tag(sync=True)
    time = traitlets.Int().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        if "preset" in traits and "input_gates" in traits:
            raise InvalidExplorerValue(
                f"input_gates: expected no preset beside them, got {traits['preset']!r}"
            )
        if traits.get("preset") == "custom":
            raise InvalidExplorerValue(
                'preset: "custom" goes with input_gates; give them'
            )
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the preset, or the gates that are nobody's."""
        names = (
            "precision",
            "readout",
            "shift",
            "forget",
            "f",
            "key_vectors",
            "key_size",
            "time",
        )
        shared = {name: getattr(self, name) for name in ("preset", *names)}
        drawn = self.preset == "custom"
        return {**shared, "input_gates": self.input_gates.tolist()} if drawn else shared

    def still(self) -> str:
        """The gates, and what is read out with and without the stabilizer."""
        L = len(self.input_gates)
        steps, gates = np.arange(1, L + 1), self.input_gates + self.shift
        log_f, z = log_forget(self.f, self.forget), inputs(L)
        stable, plain = (
            cell(gates, log_f, z, way, self.precision, self.readout)["h"]
            for way in (True, False)
        )
        sheet = Axes("Input gates", (0, L + 1), (-140, 140), 1, 245, 150)
        for t, gate in zip(steps, gates, strict=True):
            sheet.line([t, t], [0, gate], SERIES[2], 2)
        output = Axes("Output", (0, L + 1), (-1.15, 1.15), 256, 245, 150)
        output.line(steps, stable, SERIES[0], 2)
        right = np.isfinite(plain)
        output.dots(steps[right] + 1j * plain[right], SERIES[1])
        words = (
            f"Input gates of {L} steps from {gates.min():.1f} to {gates.max():.1f}, in "
            f"{self.precision}. Without the stabilizer {L - right.sum()} of {L} outputs are "
            f"no numbers; with it none is."
        )
        return picture(words, 502, 168, [*sheet.parts, *output.parts])

    @traitlets.default("input_gates")
    def _preset_gates(self) -> NDArray[np.float64]:
        return np.array(_PRESETS[self.preset](_TIME), dtype=float)

    @traitlets.default("time")
    def _twelfth(self) -> int:
        return min(12, len(self.input_gates))

    @traitlets.observe("preset")
    def _preset_changed(self, change: Any) -> None:
        if self._settled and change.new != "custom":
            self._settle(input_gates=self._preset_gates())

    @traitlets.observe("input_gates")
    def _gates_changed(self, change: Any) -> None:
        if self._settled:
            self._settle(preset="custom")

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.time = min(self.time, len(self.input_gates))

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
