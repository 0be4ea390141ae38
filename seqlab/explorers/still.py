"""Still pictures of explorers, for readers without JavaScript and until it comes: SVG in the
page's own colors, light or dark."""

import html
from collections.abc import Iterable
from typing import Any

import numpy as np

SERIES = tuple(
    f"var(--series-{n}, {color})"
    for n, color in enumerate(("#0072b2", "#c65300", "#007a5a", "#b3568f"), start=1)
)
_GRID = "var(--figure-grid, #d9d9d9)"


def picture(words: str, width: float, height: float, parts: Iterable[str]) -> str:
    """An SVG of so many units, with what it shows in words."""
    return (
        f'<svg role="img" aria-label="{html.escape(words)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="display: block; width: 100%; max-width: {1.5 * width:g}px; margin: 0 auto" '
        f'fill="none" stroke="currentColor" font-size="10">{"".join(parts)}</svg>'
    )


class Axes:
    """A rectangle of a picture, from ``left`` and ``top``, that shows the values from
    ``x[0]`` to ``x[1]`` and from ``y[0]`` to ``y[1]``, under a title."""

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float],
        left: float,
        width: float,
        height: float,
        top: float = 16,
    ) -> None:
        self._x, self._y = x, y
        self._box = (left, top, width, height)
        self.parts = [
            f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" stroke="{_GRID}"/>',
            f'<text x="{left:g}" y="{top - 5:g}" fill="currentColor" stroke="none">{title}</text>',
        ]
        zero = (0 - y[0]) / (y[1] - y[0])
        if 0 < zero < 1:
            at = top + height * (1 - zero)
            self.parts.append(
                f'<path d="M{left:g} {at:.1f}h{width:g}" stroke="{_GRID}"/>'
            )

    def places(self, x: Any, y: Any) -> list[tuple[float, float]]:
        """Where values are in the picture; those outside wait at the edge."""
        left, top, width, height = self._box
        across = np.clip((np.asarray(x) - self._x[0]) / (self._x[1] - self._x[0]), 0, 1)
        up = np.clip((np.asarray(y) - self._y[0]) / (self._y[1] - self._y[0]), 0, 1)
        return [
            (left + width * a, top + height * (1 - b))
            for a, b in zip(across, up, strict=True)
        ]

    def line(
        self, x: Any, y: Any, color: str, width: float = 1.5, dash: str = "none"
    ) -> None:
        """A line through points."""
        drawn = "L".join(f"{a:.1f} {b:.1f}" for a, b in self.places(x, y))
        style = f'stroke="{color}" stroke-width="{width:g}" stroke-dasharray="{dash}"'
        self.parts.append(f'<path d="M{drawn}" {style}/>')

    def dots(self, z: Any, color: str) -> None:
        """Dots at complex numbers; where one is none (0/0), there is no dot."""
        z = np.asarray(z)[np.isfinite(z)]
        self.parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{color}" stroke="none"/>'
            for a, b in self.places(np.real(z), np.imag(z))
        ]

    def unit_circle(self) -> None:
        """The unit circle of a square that shows it whole."""
        (x, y), (edge, _) = self.places([0, 1], [0, 0])
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{edge - x:.1f}"/>')
