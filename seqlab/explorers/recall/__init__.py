"""The recall explorer: H3 on a short sequence of tokens, each of whose parts can be
broken."""

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
from seqlab.explorers.still import SERIES, picture

TOKENS = "abcd1234"
TAPS = 4
MOST_TOKENS = 24
BROKEN = ("nothing", "shift", "product", "memory", "query")

_SEQUENCES = {
    "recall": "a3c1b4d2b",
    "induction": "cad1badcdb1",
    "frequent": "a2b3c3d3a",
    "rewritten": "a1b2c3a4d2a",
    "far": "a1b2c3d4b3c4d2b4c2d3a",
}

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "preset": (
        f"one of {', '.join(_SEQUENCES)}, or custom beside a sequence",
        lambda name, _: name in _SEQUENCES or name == "custom",
    ),
    "sequence": (
        f"2 to {MOST_TOKENS} of the tokens {TOKENS}",
        lambda text, _: 2 <= len(text) <= MOST_TOKENS and set(text) <= set(TOKENS),
    ),
    "broken": (f"one of {', '.join(BROKEN)}", lambda part, _: part in BROKEN),
    "taps": (
        "taps from -1 to 1",
        lambda taps, _: bool((np.abs(taps) <= 1).all()),
    ),
    "decay": ("a factor from 0 to 1", lambda decay, _: 0 <= decay <= 1),
    "time": (
        "the index of a token, counted from 0",
        lambda t, self: 0 <= t < len(self.sequence),
    ),
}


class RecallExplorer(Explorer):
    """H3 on a sequence of tokens: a shift memory hands each key over a step late, the
    product of key and value goes into a long memory, and the query reads a row of it.
    Any one part can be broken, to see which ability goes.

    Show it by naming it on the last line of a cell. ``explorer.sequence`` follows what
    is typed and ``explorer.taps``, float (4,), what is dragged (when the pointer lets go,
    and at each key); setting them redraws it. Where nobody types, they are those of the
    arguments, so that a cell that uses them runs anywhere. ``explorer.one_hot()`` is
    the sequence as ``ops.h3`` takes it.

    The long memory is the diagonal model with A_bar = decay and B_bar = C = 1, of one
    head as wide as the alphabet. Every argument is also an attribute that can be set.

    Args:
        preset: "recall" (letters and the numbers after them), "induction" (what
            followed a special token), "frequent" (one number is frequent, another is
            right), "rewritten" (a key is written twice), "far" (a long gap), or
            "custom", which it becomes whenever a sequence is typed or set.
        sequence: 2 to 24 of the tokens a, b, c, d, 1, 2, 3, 4, instead of a preset.
        broken: "nothing", "shift" (keys are not delayed), "product" (key and value are
            added), "memory" (decay 0) or "query" (all rows are read).
        taps: float (4,), from -1 to 1: what the shift memory hands over of the key now
            and of those one, two and three steps ago.
        decay: factor of the long memory, 0 to 1.
        time: where the cursor stands, 0 to L - 1.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "recall"
    heights: ClassVar = {
        0: 1897,
        354: 1860,
        412: 1797,
        448: 1743,
        600: 1119,
        884: 1065,
        1000: 724,
    }
    _esm = single_file("recall")

    preset = traitlets.Unicode("recall").tag(sync=True)
    sequence = traitlets.Unicode().tag(sync=True)
    broken = traitlets.Unicode("nothing").tag(sync=True)
    taps = Samples(TAPS, TAPS)
    decay = Number(1.0).tag(sync=True)
    time = traitlets.Int().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        if "sequence" in traits and "preset" in traits:
            raise InvalidExplorerValue(
                f"sequence: expected no preset beside it, got {traits['preset']!r}"
            )
        if traits.get("preset") == "custom":
            raise InvalidExplorerValue('preset: "custom" goes with a sequence; give it')
        super().__init__(**traits)

    def one_hot(self) -> NDArray[np.float64]:
        """The sequence as one-hot vectors, (1, L, 8): query, key and value alike."""
        return np.eye(len(TOKENS))[[TOKENS.index(token) for token in self.sequence]][
            None
        ]

    def memory(self) -> NDArray[np.float64]:
        """The long memory at ``time``, (8, 8): a row for each key."""
        taps = np.eye(TAPS)[0] if self.broken == "shift" else self.taps
        decay = 0.0 if self.broken == "memory" else self.decay
        v = self.one_hot()[0, : self.time + 1]
        S = np.zeros((len(TOKENS), len(TOKENS)))
        for t in range(len(v)):
            key = sum(taps[j] * v[t - j] for j in range(min(TAPS, t + 1)))
            added = self.broken == "product"
            S = decay * S + (np.add if added else np.multiply).outer(key, v[t])
        return S

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the values, with the sequence if typed."""
        names = ("preset", "broken", "decay", "time")
        shared = {name: getattr(self, name) for name in names}
        shared["taps"] = self.taps.tolist()
        if self.preset == "custom":
            shared["sequence"] = self.sequence
        return shared

    def still(self) -> str:
        """The sequence up to the cursor, the long memory, and the row that is read."""
        S, now, L = self.memory(), self.time, len(self.sequence)
        token = self.sequence[now]
        row = S.sum(axis=0) if self.broken == "query" else S[TOKENS.index(token)]
        largest = max(1.0, np.abs(S).max())
        size, left, top = 16, 20, 60
        parts = [
            _text(0, 12, "Sequence, and the long memory: keys down, values across")
        ]
        for t, each in enumerate(self.sequence):
            faint = ' opacity="0.5"' if t > now else ""
            parts.append(_text(left + 16 * t, 34, each, faint))
        parts.append(
            f'<rect x="{left + 16 * now - 4}" y="22" width="14" height="16" '
            f'stroke="{SERIES[1]}"/>'
        )
        for i, key in enumerate(TOKENS):
            parts.append(_text(left - 14, top + size * i + 12, key))
            parts.append(_text(left + size * i + 5, top - 4, key))
            for j in range(len(TOKENS)):
                x, y, share = left + size * j, top + size * i, S[i, j] / largest
                color = SERIES[0] if share >= 0 else SERIES[1]
                parts.append(
                    f'<path d="M{x} {y}h{size - 1}v{size - 1}h{1 - size}z" stroke="none" '
                    f'fill="{color}" fill-opacity="{0.06 + 0.85 * abs(share):.2f}"/>'
                )
        if self.broken != "query":
            y = top + size * TOKENS.index(token)
            parts.append(
                f'<path d="M{left} {y}h{8 * size}v{size}h{-8 * size}z" stroke="currentColor"/>'
            )
        read = ", ".join(
            f"{each} {value:.2f}"
            for each, value in zip(TOKENS, row, strict=True)
            if abs(value) > 1e-9
        )
        words = (
            f"The sequence {' '.join(self.sequence)}, with the cursor at token {now} of "
            f"{L - 1}, {token}. Reading the long memory by it gives {read or 'nothing'}."
        )
        return picture(words, 430, top + 8 * size + 4, parts)

    @traitlets.default("sequence")
    def _preset_sequence(self) -> str:
        return _SEQUENCES[self.preset]

    @traitlets.default("taps")
    def _one_step_late(self) -> NDArray[np.float64]:
        return np.eye(TAPS)[1]

    @traitlets.default("time")
    def _last(self) -> int:
        return len(self.sequence) - 1

    @traitlets.observe("preset", "sequence")
    def _text_changed(self, change: Any) -> None:
        if not self._settled:
            return
        if change.name == "sequence":
            self._settle(preset="custom")
        elif change.new != "custom":
            self._settle(sequence=self._preset_sequence())

    def _settle(self, **traits: Any) -> None:
        with self._settling(**traits):
            self.time = min(self.time, len(self.sequence) - 1)

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        return in_range(proposal, _RANGES)


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return (
        f'<text x="{x}" y="{y}" fill="currentColor" stroke="none"{more}>{words}</text>'
    )
