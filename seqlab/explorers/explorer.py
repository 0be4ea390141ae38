"""What explorers share: each is a widget where there is a kernel, and an element of the
page elsewhere."""

import html
import json
import sys
from typing import Any

import anywidget
import traitlets


class InvalidExplorerValue(traitlets.TraitError, ValueError):
    """A value that an explorer's argument cannot take; the explorer keeps the value it
    had."""


class Explorer(anywidget.AnyWidget):
    """A widget whose output also carries an HTML element, which the website shows alive
    without a kernel."""

    name: str  # of the module: seqlab/explorers/<name>.mjs

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
