"""Figures that are readable in light and in dark, on a phone and by ear.

A figure is shown as one inline SVG. Its series, text, grid and background colors become
CSS variables with the color used here as fallback, so the website can recolor it for
dark pages while a notebook shows it as it was drawn. Every figure must be described in
words: ``display`` refuses one without alternative text.
"""

import hashlib
import html
import io
import itertools
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import display as display_output
from matplotlib.figure import Figure

# Okabe and Ito's hues, darkened where needed until each has a contrast of at least 3 against white.
SERIES = ["#0072b2", "#d55e00", "#007a5a", "#b3568f", "#a87400", "#3a8fc2"]
NEUTRAL = "#767676"  # reference lines and asides: as readable on black as on white
TEXT = "#222222"
GRID = "#d9d9d9"
BACKGROUND = "#ffffff"
INK = "#111111"  # on what keeps its colors on dark pages, such as a heat map

VARIABLES = {
    **{color: f"--series-{number}" for number, color in enumerate(SERIES, start=1)},
    TEXT: "--figure-text",
    "#000000": "--figure-text",
    GRID: "--figure-grid",
    BACKGROUND: "--figure-background",
}

_STYLE: dict[Any, Any] = {
    "figure.figsize": (6.2, 3.5),
    "figure.constrained_layout.use": True,
    "figure.facecolor": BACKGROUND,
    "savefig.facecolor": BACKGROUND,
    "axes.facecolor": BACKGROUND,
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": "medium",
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "font.size": 11,
    "path.simplify": True,
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "path",  # a reader without the font still sees every formula as it was set
    "svg.hashsalt": "seqlab",  # the same figure gives the same text, so that a rebuilt page does not change
}

_numbers = itertools.count(1)


def style() -> AbstractContextManager[None]:
    """The book's look as a context: ``with figures.style(): figure, axes =
    plt.subplots()``."""
    return mpl.rc_context(_STYLE)


def display(
    figure: Figure, *, alt: str, label: str | None = None, caption: str | None = None
) -> None:
    """Show ``figure`` as one inline SVG, and close it so that it is shown once.

    ``alt`` says in words what the figure shows: a screen reader speaks it, a text-only
    output prints it. ``label``, such as "2.3", is its number: it then opens the caption,
    which it needs, and the book's website links "Figure 2.3" in any text to it.
    ``caption``, if given, is printed below. Raises ``ValueError`` when ``alt`` is empty,
    or a label is no such number or has no caption.
    """
    markup = to_html(figure, alt=alt, label=label, caption=caption)
    below = [_number(label) + caption] if caption else []
    plt.close(figure)
    display_output(_Shown(markup, "\n".join([*below, alt])))


@dataclass(frozen=True)
class _Shown:
    """What a notebook gets: the markup, or where there is only text, the words."""

    markup: str
    words: str

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.words


def to_html(
    figure: Figure, *, alt: str, label: str | None = None, caption: str | None = None
) -> str:
    """The HTML that ``display`` shows: a ``<figure>`` holding the SVG and the
    caption."""
    if not isinstance(figure, Figure):
        raise TypeError(
            f"figure: expected a matplotlib Figure, got {type(figure).__name__}"
        )
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(
            f"alt: expected a description of the figure in words, got {alt!r}"
        )
    if label is not None and not re.fullmatch(r"\d+\.\d+", label):
        raise ValueError(f'label: expected chapter and number, as "2.3", got {label!r}')
    if label is not None and not caption:
        raise ValueError(f"caption: expected words for figure {label}, got {caption!r}")
    with style(), io.StringIO() as file:
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=no_metadata)
        svg = file.getvalue()
    svg = _own_identifiers(_colors_as_variables(_short(_scalable(svg, alt))))
    anchor = f'id="figure-{label.replace(".", "-")}" ' if label else ""
    number = f"<strong>{_number(label)}</strong>" if label else ""
    below = (
        f"<figcaption>{number}{html.escape(caption)}</figcaption>" if caption else ""
    )
    return (
        f'<figure {anchor}class="seqlab-figure" style="margin: 0">{svg}{below}</figure>'
    )


def _number(label: str | None) -> str:
    return f"Figure {label}. " if label else ""


def _scalable(svg: str, alt: str) -> str:
    """The ``<svg>`` element alone, as wide as its column and never wider, nor much
    smaller, than drawn."""
    drawn = re.search(
        r'<svg[^>]* width="([^"]+)" height="[^"]+" viewBox="([^"]+)"[^>]*>', svg
    )
    assert drawn is not None, (
        "matplotlib wrote no <svg> with a width, a height and a view box"
    )
    words = html.escape(" ".join(alt.split()))
    # On a phone the column is narrower than the text in a figure can bear: it then scrolls in its own box,
    # unless a little less makes it fit.
    narrowest = 0.6 * float(drawn[1].removesuffix("pt"))
    least = f"clamp(0px, ({0.88 * narrowest:.0f}pt - 100%) * 999, {narrowest:.0f}pt)"
    # The style sheet that matplotlib writes would reach the whole page: its two properties move to the root.
    # Matplotlib leaves the color out where it is black: the root's fill is what such shapes then get.
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="{drawn[2]}" role="img" aria-label="{words}"'
        f' style="display: block; width: 100%; min-width: {least}; max-width: {drawn[1]};'
        f' height: auto; fill: {TEXT}; stroke-linejoin: round; stroke-linecap: butt">'
    )
    body = re.sub(r"<style.*?</style>", "", svg[drawn.end() :], flags=re.DOTALL)
    return root + re.sub(r">\s+<", "><", body).strip()


def _short(svg: str) -> str:
    """Coordinates to a hundredth of a point, paths on one line, no comments, and glyphs
    placed by attributes, not by transforms: less than half the bytes, nothing to see."""

    def shorten(found: re.Match[str]) -> str:
        numbers = re.sub(
            r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", found[0]
        )
        return " ".join(numbers.split()).replace(' "', '"')

    placed = r'(?<= )(?:d|x|y)="[^"]*"|translate\([^)]*\)'
    svg = re.sub(placed, shorten, re.sub(r"<!--.*?-->", "", svg))
    return re.sub(
        r'(<use [^>]*?)transform="translate\((\S+) (\S+)\)"', r'\1x="\2" y="\3"', svg
    ).replace(' y="0"/>', "/>")


def _colors_as_variables(svg: str) -> str:
    known = re.compile("|".join(VARIABLES), re.IGNORECASE)
    return known.sub(
        lambda color: f"var({VARIABLES[color[0].lower()]}, {color[0].lower()})", svg
    )


def _own_identifiers(svg: str) -> str:
    """Keep only identifiers that something refers to, under short names that no other
    figure on the page has."""
    referred = dict.fromkeys(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
    content = hashlib.sha256(svg.encode()).hexdigest()[:4]
    prefix = f"f{content}-{next(_numbers)}-"
    names = {name: f"{prefix}{n:x}" for n, name in enumerate(referred)}
    svg = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{names[found[1]]}"' if found[1] in names else "",
        svg,
    )
    return re.sub(
        r'(?:xlink:)?(url\(|href=")#([\w-]+)',
        lambda found: f"{found[1]}#{names[found[2]]}",
        svg,
    )
