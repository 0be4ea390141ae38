"""What explorers share: each is a widget where there is a kernel, and an element of the
page elsewhere."""

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets


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


_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|function|class)", re.MULTILINE)


def self_contained(name: str) -> str:
    """The module of the explorer ``name`` as one source: what it imports from modules
    beside it stands in its place.

    A notebook holds a widget's module by itself, where ``import "./panel.mjs"`` would
    find nothing. The names of both then share one scope, in which JavaScript refuses
    to declare one twice.
    """

    def inlined(match: re.Match[str]) -> str:
        return _EXPORT.sub("", Path(__file__).with_name(match[1]).read_text("utf-8"))

    return _IMPORT.sub(
        inlined, Path(__file__).with_name(f"{name}.mjs").read_text("utf-8")
    )


class Explorer(anywidget.AnyWidget):
    """A widget whose output also carries an HTML element, which the website shows alive
    without a kernel.

    Raises TypeError for an argument that it does not have; a widget alone would take it
    and do nothing.
    """

    name: str  # of the module: seqlab/explorers/<name>.mjs

    def __init__(self, **traits: Any) -> None:
        if unknown := sorted(set(traits) - set(self.trait_names())):
            own = type(self).class_own_traits(sync=True).items()
            known = ", ".join(name for name, trait in own if not trait.read_only)
            raise TypeError(
                f"{type(self).__name__}: expected arguments among {known}, "
                f"got {', '.join(unknown)}"
            )
        super().__init__(**traits)

    def parameters(self) -> dict[str, Any]:
        """What the HTML element starts from, as JSON values."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if (
            "google.colab" in sys.modules
        ):  # it may choose HTML over a widget, and there the element would stay asleep
            return data, metadata
        params = html.escape(json.dumps(self.parameters()))
        element = (
            f'<seqlab-explorer name="{self.name}" params="{params}">'
            "<p>An interactive figure: it is alive on the book's website and in a running notebook.</p>"
            "</seqlab-explorer>"
        )
        return {**data, "text/html": element}, metadata
