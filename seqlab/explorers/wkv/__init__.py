"""The WKV explorer: RWKV-4's average over tokens, its weights and its running sums, with
and without the running maximum."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import Explorer, InvalidExplorerValue, in_range
from seqlab.explorers.samples import Samples
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture
from seqlab.ops.wkv.reference import wkv_sum

TOKENS = 24
CHANNELS = 3
MOST_KEY = 200

_VALUES = [
    *(0.8, -0.4, 0.1, 0.9, -0.7, -0.2, 0.6, -0.9, 0.3, 0.5, -0.6, 0.0),
    *(0.7, -0.3, -0.8, 0.4, 0.2, -0.5, 0.9, -0.1, 0.6, -0.7, 0.3, -0.2),
]
_ORDINARY = [
    *(0.2, 1.1, -0.7, 0.4, -1.2, 2.3, 0.1, -0.4, 0.9, -1.5, 0.6, 0.0),
    *(-0.3, 1.4, -0.8, 0.5, -0.1, 1.9, -1.0, 0.3, 0.7, -0.6, 1.2, -0.2),
]
_PRESETS: dict[str, Callable[[int, float], float]] = {
    "ordinary": lambda t, key: key,
    "even": lambda t, key: 0,
    "loud": lambda t, key: 12 if t == 6 else key,
    "huge": lambda t, key: 100 if t == 6 else key,
    "climbing": lambda t, key: 5 * t,
    "faint": lambda t, key: key - 110,
}
_PRECISIONS = ("float16", "float32", "float64")

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "preset": (
        f"one of {', '.join(_PRESETS)}, or custom beside keys k",
        lambda preset, _: preset in _PRESETS or preset == "custom",
    ),
    "k": (
        f"keys from {-MOST_KEY} to {MOST_KEY}",
        lambda k, _: bool((np.abs(k) <= MOST_KEY).all()),
    ),
    "w": ("decays from 0 to 20", lambda w, _: bool(((w >= 0) & (w <= 20)).all())),
    "u": ("bonuses from -10 to 10", lambda u, _: bool((np.abs(u) <= 10).all())),
    "precision": (
        f"one of {', '.join(_PRECISIONS)}",
        lambda precision, _: precision in _PRECISIONS,
    ),
    "time": (
        f"the index of a token, 0 to {TOKENS - 1}",
        lambda t, _: 0 <= t < TOKENS,
    ),
    "selected": (
        f"the index of a channel, 0 to {CHANNELS - 1}",
        lambda c, _: 0 <= c < CHANNELS,
    ),
}


class WKVExplorer(Explorer):
    """RWKV-4's WKV in three channels over 24 tokens: what each token weighs in the
    average at the cursor, the running numerator, denominator and exponent, and where
    the recurrence without the running maximum is lost in a precision.

    Show it by naming it on the last line of a cell. ``explorer.k``, float (24,), follows
    what is dragged (when the pointer lets go, and at each key), ``explorer.w`` and
    ``explorer.u``, float (3,), the sliders, and setting them redraws it. Where nobody
    drags, they are those of the arguments, so that a cell that uses them runs anywhere.

    All channels have the same keys and values. Every argument is also an attribute that
    can be set.

    Args:
        preset: "ordinary" keys, "even" (all 0), "loud" (one of 12, too much for
            float16), "huge" (one of 100, too much for float32), "climbing" (5 a token),
            "faint" (near -110), or "custom", which it becomes when keys are moved or set.
        k: keys, float (24,), from -200 to 200, instead of a preset.
        v: values, float (24,).
        w: decay rate of each channel, float (3,), 0 to 20.
        u: bonus of each channel, float (3,), -10 to 10.
        precision: that of the recurrence, "float16", "float32" or "float64".
        time: the token under the cursor, 0 to 23.
        selected: index of the channel that is shown, from 0.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "wkv"
    heights: ClassVar = {
        0: 1801,
        290: 1729,
        296: 1676,
        306: 1642,
        324: 1606,
        448: 1570,
        480: 1533,
        600: 957,
        608: 923,
        632: 889,
        804: 852,
        848: 816,
        1000: 780,
    }
    _esm = single_file("wkv")

    preset = traitlets.Unicode("ordinary").tag(sync=True)
    k = Samples(TOKENS, TOKENS)
    v = Samples(TOKENS, TOKENS)
    w = Samples(CHANNELS, CHANNELS)
    u = Samples(CHANNELS, CHANNELS)
    precision = traitlets.Unicode("float32").tag(sync=True)
    time = traitlets.Int(16).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        if "k" in traits and "preset" in traits:
            raise InvalidExplorerValue(
                f"k: expected no preset beside it, got {traits['preset']!r}"
            )
        if traits.get("preset") == "custom":
            raise InvalidExplorerValue('preset: "custom" goes with k; give it')
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: names, and the numbers of what has none."""
        names = ("preset", "precision", "time", "selected")
        numbers = ("v", "w", "u", *(("k",) if self.preset == "custom" else ()))
        return {
            **{name: getattr(self, name) for name in names},
            **{name: getattr(self, name).tolist() for name in numbers},
        }

    def still(self) -> str:
        """The keys, what each token weighs at the cursor, and the averages."""
        t, c, k = self.time, self.selected, self.k
        tokens = np.arange(TOKENS)
        exponents = np.append(
            k[:t] - np.arange(t - 1, -1, -1) * self.w[c], k[t] + self.u[c]
        )
        shares = np.exp(exponents - exponents.max())
        shares /= shares.sum()
        top = 1.12 * max(15, np.abs(k).max())
        sheet = Axes("Tokens: keys", (-1, TOKENS), (-top, top), 1, 165, 130)
        weights = Axes(
            "Weights at the cursor",
            (-1, TOKENS),
            (0, 1.12 * shares.max()),
            173,
            165,
            130,
        )
        for at, value in enumerate(k):
            sheet.line(
                [at, at], [0, value], SERIES[1] if at == t else "currentColor", 2
            )
        for at, share in enumerate(shares):
            weights.line([at, at], [0, share], SERIES[at == t], 4)
        most = 1.12 * max(1, np.abs(self.v).max())
        average = Axes("Average y", (-1, TOKENS), (-most, most), 345, 165, 130)
        for n in range(CHANNELS):
            y = self._averages(n)
            average.line(tokens, y, SERIES[n], 2.5 if n == c else 1.3)
        words = (
            f"Keys of {TOKENS} tokens; at token {t} channel {c + 1} gives {100 * shares[t]:.1f} "
            f"percent of the weight to that token and the rest to the past; the average is "
            f"{self._averages(c)[t]:.3f}."
        )
        return picture(words, 512, 148, [*sheet.parts, *weights.parts, *average.parts])

    def _averages(self, channel: int) -> NDArray[np.float64]:
        """The average of one channel. A constant in all keys changes nothing: without the
        largest of them, no exponential overflows."""
        k, v = (x[None, :, None] for x in (self.k - self.k.max(), self.v))
        one = slice(channel, channel + 1)
        return wkv_sum(self.w[one], self.u[one], k, v)[0, :, 0]

    @traitlets.default("k")
    def _preset_keys(self) -> NDArray[np.float64]:
        key = _PRESETS[self.preset]
        return np.array([key(t, own) for t, own in enumerate(_ORDINARY)], dtype=float)

    @traitlets.default("v")
    def _usual_values(self) -> NDArray[np.float64]:
        return np.array(_VALUES)

    @traitlets.default("w")
    def _usual_decays(self) -> NDArray[np.float64]:
        return np.array([0.02, 0.3, 2.0])

    @traitlets.default("u")
    def _usual_bonuses(self) -> NDArray[np.float64]:
        return np.array([0.0, 1.0, -1.0])

    @traitlets.observe("preset")
    def _preset_changed(self, change: Any) -> None:
        if self._settled and change.new != "custom":
            with self._settling(k=self._preset_keys()):
                pass

    @traitlets.observe("k")
    def _keys_changed(self, change: Any) -> None:
        if self._settled:
            with self._settling(preset="custom"):
                pass

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)
