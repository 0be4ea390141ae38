"""What explorers share: each is a widget where there is a kernel, and an element of the
page elsewhere."""

import html
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets

# A kernel takes what the browser sends in a thread of its own, beside the cell that runs. Traits are not
# made for that: a change made meanwhile would count as the browser's, or be told to nobody. So one waits.
_TURN = threading.RLock()


class InvalidExplorerValue(traitlets.TraitError, ValueError):
    """A value that an explorer's argument cannot take; the explorer keeps the value it
    had."""


class Number(traitlets.Float):
    """A trait that is a float, and takes any number of Python or NumPy."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, _of_python(value))


class Flag(traitlets.Bool):
    """A trait that is a bool, and takes those of Python or NumPy."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, _of_python(value))


def _of_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def in_range(
    proposal: Any, ranges: Mapping[str, tuple[str, Callable[[Any, Any], Any]]]
) -> Any:
    """The value proposed for a trait, where the range of its name holds for it and the
    explorer; a range says what is expected, and whether it is so.

    Raises:
        InvalidExplorerValue: it does not hold.
    """
    name, value = proposal.trait.name, proposal.value
    expected, holds = ranges[name]
    if not holds(value, proposal.owner):
        raise InvalidExplorerValue(f"{name}: expected {expected}, got {value!r}")
    return value


class Explorer(anywidget.AnyWidget):
    """A widget whose output also carries an HTML element, which the website shows alive
    without a kernel.

    Raises TypeError for an argument that it does not have; a widget alone would take it
    and do nothing.
    """

    name: str  # of the folder: seqlab/explorers/<name>/explorer.mjs
    heights: ClassVar[dict[int, int]]  # pixels: how tall it is where it is so wide

    question = traitlets.Unicode("").tag(sync=True)

    _settled = True  # False while traits that belong together are brought into step

    def __init__(self, **traits: Any) -> None:
        if unknown := sorted(set(traits) - set(self.trait_names())):
            own = set(type(self).class_traits(sync=True, read_only=None))
            known = ", ".join(sorted(own - set(anywidget.AnyWidget.class_traits())))
            raise TypeError(
                f"{type(self).__name__}: expected arguments among {known}, "
                f"got {', '.join(unknown)}"
            )
        super().__init__(**traits)

    def __setattr__(self, name: str, value: Any) -> None:
        with _TURN:
            super().__setattr__(name, value)

    @contextmanager
    def _settling(self, **traits: Any) -> Iterator[None]:
        """Set traits, and in this context what follows from them, as one change."""
        self._settled = False
        try:
            with self.hold_sync():
                for name, value in traits.items():
                    setattr(self, name, value)
                yield
        finally:
            self._settled = True

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the front end sends, which is in step already."""
        with _TURN:
            self._settled = False
            try:
                super().set_state(sync_data)
            finally:
                self._settled = True

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from, as JSON values."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if (
            "google.colab" in sys.modules
        ):  # it may choose HTML over a widget, and there the element would stay asleep
            return data, metadata
        return {**data, "text/html": self.element()}, metadata

    def element(self) -> str:
        """The HTML element that a page shows alive, and what stands in its place until
        then."""
        asked = {"question": self.question} if self.question else {}
        params = html.escape(json.dumps({**self.parameters(), **asked}))
        question = html.escape(self.question)
        return (
            f'<seqlab-explorer name="{self.name}" params="{params}">'
            f'<p class="explorer-question">{question}</p><div class="still">{self.still()}'
            "<p>This is an interactive figure, shown still: it needs JavaScript on the "
            "book's website, or a running notebook.</p></div></seqlab-explorer>"
        )

    def still(self) -> str:
        """What it shows as an SVG, drawn in Python (``still.py``)."""
        raise NotImplementedError

    @classmethod
    def page_style(cls) -> str:
        """The rules of CSS by which a page keeps room for this explorer before its
        module is there, so that nothing moves when it comes."""
        rules = "".join(
            f"@container explorer (min-width: {width}px) {{ "
            f'seqlab-explorer[name="{cls.name}"] > :is(.still, .explorer-panel) '
            f"{{ min-height: {height}px }} }}\n"
            for width, height in cls.heights.items()
        )
        return f"@media screen and (scripting: enabled) {{\n{rules}}}\n"
