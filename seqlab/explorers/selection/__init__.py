"""The selection explorer: a stream of tokens, what a trained selective model chooses for
each of them, and its modes beside those of a time-invariant model."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import NDArray

from seqlab.explorers.explorer import Explorer, InvalidExplorerValue, in_range
from seqlab.explorers.samples import Samples
from seqlab.explorers.selection import model
from seqlab.explorers.selection.model import Run
from seqlab.explorers.single_file import single_file
from seqlab.explorers.still import SERIES, Axes, picture

MOST_TOKENS = 32
CHANNELS = 8
ONE_STEP = 1.0  # of the rule that takes one step for all tokens

_STREAMS = {
    "gaps": "ab12··c·12·····d····12",
    "close": "abcd12cb12ad12",
    "silence": "cd····················12",
    "questions": "a1b1212····121212c1··2",
}
_RULES = ("model", "constant", "custom")
_DASHES = ("none", "7 3", "2 2", "7 2 2 2")

# What each value must be, in words and as a test of the value and the explorer it is for.
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "stream": (
        f"one of {', '.join(_STREAMS)}, or custom beside a text",
        lambda stream, _: stream in _STREAMS or stream == "custom",
    ),
    "text": (
        f"1 to {MOST_TOKENS} of the letters a to d, 1, 2, and . for a blank",
        lambda text, _: 0 < len(text) <= MOST_TOKENS and set(text) <= set(model.TOKENS),
    ),
    "rule": (
        f"one of {', '.join(_RULES)}, the last beside delta",
        lambda rule, _: rule in _RULES,
    ),
    "delta": (
        "a step from 0 to 100 for each token",
        lambda delta, self: (
            len(delta) == len(self.text) and delta.min() >= 0 and delta.max() <= 100
        ),
    ),
    "position": (
        "the index of a token, counted from 0",
        lambda t, self: 0 <= t < len(self.text),
    ),
    "channel": (
        f"a channel, counted from 1 to {CHANNELS}",
        lambda channel, _: 1 <= channel <= CHANNELS,
    ),
}


class SelectionExplorer(Explorer):
    """A stream of tokens; the step Δ, B and C that a trained selective model chooses for
    each; its modes; and those of a time-invariant model trained on the same task.

    "1" asks for the latest letter, "2" for the one before it, "." is a blank. Show it by
    naming it on the last line of a cell. ``explorer.text`` follows what is typed, and
    ``explorer.delta``, float (L,), what is dragged (when the pointer lets go, and at each
    key); setting either redraws it. Where nobody types, they are those of the arguments,
    so that a cell that uses them runs anywhere.

    Every argument is also an attribute that can be set. ``explorer.selective()`` and
    ``explorer.invariant()`` run the two models, in NumPy.

    Args:
        stream: "gaps", "close", "silence", "questions", or "custom", which it becomes
            whenever a text is typed or set.
        text: 1 to 32 tokens, instead of a stream.
        rule: where the steps come from: "model", "constant" (1 for every token), or
            "custom", which it becomes whenever a step is dragged or delta set.
        delta: float (L,) from 0 to 100, one for each token, instead of a rule.
        position: the token under the cursor, from 0.
        channel: the one whose modes are drawn, 1 to 8.
        question: shown above it, for instance what a chapter asks about what it opens with.

    Raises:
        TypeError: an argument of another name.
        traitlets.TraitError: a value not of its kind, or (then it is a ValueError too)
            out of range. The explorer keeps the value it had.
    """

    name = "selection"
    heights: ClassVar = {
        0: 1544,
        320: 1507,
        386: 1471,
        432: 1437,
        488: 1383,
        600: 827,
        876: 776,
        888: 739,
        1000: 703,
    }
    _esm = single_file("selection")

    stream = traitlets.Unicode("gaps").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    rule = traitlets.Unicode("model").tag(sync=True)
    delta = Samples(1, MOST_TOKENS)
    position = traitlets.Int().tag(sync=True)
    channel = traitlets.Int(1).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        for name, values in (("stream", "text"), ("rule", "delta")):
            if name in traits and values in traits:
                raise InvalidExplorerValue(
                    f"{values}: expected no {name} beside it, got {traits[name]!r}"
                )
            if traits.get(name) == "custom":
                raise InvalidExplorerValue(
                    f'{name}: "custom" goes with {values}; give it'
                )
        if "text" in traits:
            traits["text"] = re.sub(r"[.\s]", model.TOKENS[0], str(traits["text"]))
            traits["stream"] = "custom"
        if "delta" in traits:
            traits["rule"] = "custom"
        self._settled = False  # what is given is in step with what follows from it
        super().__init__(**traits)
        self._settled = True

    def selective(self) -> Run:
        """The selective model's run over the text, with these steps."""
        return model.selective(model.tokens_of(self.text), self.delta)

    def invariant(self) -> Run:
        """The time-invariant model's run over the text."""
        return model.invariant(model.tokens_of(self.text))

    def right(self) -> NDArray[np.int_]:
        """The letter that is right at each token, from 0; -1 where none is asked for."""
        return model.right_answers(model.tokens_of(self.text))

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from: the names, with the text and the steps of
        those that are nobody's."""
        names = ("stream", "rule", "position", "channel")
        shared = {name: getattr(self, name) for name in names}
        if self.stream == "custom":
            shared["text"] = self.text
        if self.rule == "custom":
            shared["delta"] = self.delta.tolist()
        return shared

    def still(self) -> str:
        """The steps, and the modes of one channel of both models."""
        L, right = len(self.text), self.right()
        steps = Axes("Step Δ, logarithmic", (-0.5, L - 0.5), (-4, 1), 1, 165, 130)
        for t, step in enumerate(self.delta):
            steps.line([t, t], [-4, np.log10(max(step, 1e-4))], SERIES[0], 5)
        parts, said = steps.parts, []
        for title, run, left in (
            ("Selective: modes", self.selective(), 169),
            ("Time-invariant: modes", self.invariant(), 337),
        ):
            modes = run.states[:, self.channel - 1].T
            top = 1.1 * max(np.abs(modes).max(), 1e-9)
            axes = Axes(title, (-0.5, L - 0.5), (-top, top), left, 165, 130)
            for n, mode in enumerate(modes):
                axes.line(np.arange(L), mode, SERIES[n], 1.5, _DASHES[n])
            parts = [*parts, *axes.parts]
            correct = (run.probabilities.argmax(-1) == right)[right >= 0].sum()
            said.append(f"the {title.partition(':')[0].lower()} model {correct} right")
        words = (
            f"{L} tokens, {self.text}: of {(right >= 0).sum()} questions "
            f"{' and '.join(said)}."
        )
        return picture(words, 503, 148, parts)

    @traitlets.default("text")
    def _stream_text(self) -> str:
        return _STREAMS[self.stream]

    @traitlets.default("delta")
    def _rule_steps(self) -> NDArray[np.float64]:
        if self.rule == "constant":
            return np.full(len(self.text), ONE_STEP)
        return model.chosen_steps(model.tokens_of(self.text))

    @traitlets.default("position")
    def _seventh(self) -> int:
        return min(6, len(self.text) - 1)

    @traitlets.observe("stream", "rule")
    def _name_changed(self, change: Any) -> None:
        if self._settled and change.new != "custom":
            if change.name == "stream":
                self._settle(text=self._stream_text())
            else:
                self._settle()

    @traitlets.observe("text", "delta")
    def _value_changed(self, change: Any) -> None:
        if self._settled:
            name = {"text": "stream", "delta": "rule"}[change.name]
            self._settle(**{name: "custom"}, keep_delta=change.name == "delta")

    def _settle(self, keep_delta: bool = False, **traits: Any) -> None:
        """Steps by hand were for the tokens of a text, and go with it."""
        with self._settling(**traits):
            if not keep_delta:
                if "rule" not in traits and self.rule == "custom":
                    self.rule = "model"
                self.delta = self._rule_steps()
            self.position = min(self.position, len(self.text) - 1)

    @traitlets.validate(*_RANGES)
    def _check(self, proposal: Any) -> Any:
        if proposal.trait.name == "text":
            proposal["value"] = re.sub(r"[.\s]", model.TOKENS[0], proposal["value"])
        return in_range(proposal, _RANGES)
