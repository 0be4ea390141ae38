"""Figures: one self-contained SVG, colors as variables, alternative text, nothing that collides or leaks."""

import io
import re
from xml.etree import ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from seqlab import figures

matplotlib.use("agg")


def draw():
    with figures.style():
        figure, axes = plt.subplots()
        time = np.linspace(0, 1, 50)
        for number, color in enumerate(figures.SERIES):
            axes.plot(time, time**number, color=color, label=f"power {number}")
        axes.axhline(0.5, color="black")
        axes.set(xlabel="time, s", ylabel=r"$|\lambda|^t$")
        axes.legend()
    return figure


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colors."""

    def luminance(color: str) -> float:
        channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_is_one_svg_with_a_role_and_its_alternative_text():
    markup = figures.to_html(draw(), alt='Powers of "t" & more')
    root = ElementTree.fromstring(markup)
    assert root.tag == "figure"
    (svg,) = list(root)
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'Powers of "t" & more'
    assert "width: 100%" in svg.get("style")
    assert "<style" not in markup  # it would restyle the whole page
    assert "<metadata" not in markup


def test_every_known_color_is_a_variable_with_itself_as_fallback():
    markup = figures.to_html(draw(), alt="powers")
    for color, variable in figures.VARIABLES.items():
        assert f"var({variable}, {color})" in markup
        assert not re.search(rf"(?<!, ){color}", markup), f"{color} is left as it is"


def test_identifiers_differ_between_two_equal_figures():
    def identifiers(markup):
        return set(re.findall(r' id="([^"]+)"', markup))

    one, other = (figures.to_html(draw(), alt="powers") for _ in range(2))
    assert identifiers(one)
    assert not identifiers(one) & identifiers(other)
    for markup in (one, other):
        referred = set(re.findall(r'(?:url\(|href=")#([^")]+)', markup))
        assert referred == identifiers(markup)


def test_same_figure_gives_the_same_text_up_to_identifiers():
    one, other = (re.sub(r"f\w{4}-\d+-", "", figures.to_html(draw(), alt="powers")) for _ in range(2))
    assert one == other


def test_glyphs_are_not_distorted_by_the_shorter_paths():
    markup = figures.to_html(draw(), alt="powers")
    assert "scale(0.015625)" in markup  # matplotlib's scale of a glyph: only paths may be rounded


def test_display_shows_once_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "display_output", shown.append)
    figure = draw()
    figures.display(figure, alt="Six powers of t.", caption="From t^0 & on")
    (output,) = shown
    data, _ = DisplayFormatter().format(output)
    assert data["text/plain"] == "From t^0 & on\nSix powers of t."
    assert "<figcaption>From t^0 &amp; on</figcaption>" in data["text/html"]
    assert not plt.fignum_exists(figure.number)


def test_a_label_is_the_number_of_the_caption_and_an_anchor(monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "display_output", shown.append)
    figures.display(draw(), label="2.3", caption="Powers <1.", alt="Six powers of t.")
    data, _ = DisplayFormatter().format(shown[0])
    assert data["text/html"].startswith('<figure id="figure-2-3" ')
    assert "<figcaption><strong>Figure 2.3. </strong>Powers &lt;1.</figcaption>" in data["text/html"]
    assert data["text/plain"] == "Figure 2.3. Powers <1.\nSix powers of t."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "2"}, "label: expected chapter and number, as \"2.3\", got '2'"),
        ({"label": "2.3"}, "caption: expected words for figure 2.3, got None"),
    ],
)
def test_a_number_comes_with_a_caption(options, said):
    with pytest.raises(ValueError, match=said):
        figures.to_html(draw(), alt="powers", **options)


@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_refuses_a_figure_without_words(alt):
    with pytest.raises(ValueError, match="alt: expected a description"):
        figures.display(draw(), alt=alt)


def test_refuses_what_is_no_figure():
    with pytest.raises(TypeError, match="figure: expected a matplotlib Figure, got ndarray"):
        figures.display(np.zeros(3), alt="zeros")


def test_colors_stand_out_from_the_background_and_from_each_other():
    for color in [*figures.SERIES, figures.NEUTRAL]:
        assert contrast(color, figures.BACKGROUND) >= 3
    assert contrast(figures.NEUTRAL, "#121212") >= 3
    assert contrast(figures.TEXT, figures.BACKGROUND) >= 7
    assert len(set(figures.SERIES)) == len(figures.SERIES) >= 6
    assert figures.INK not in figures.VARIABLES


def test_style_does_not_outlive_its_context():
    before = matplotlib.rcParams["axes.grid"]
    with figures.style():
        assert matplotlib.rcParams["axes.grid"] is True
    assert matplotlib.rcParams["axes.grid"] == before


def test_a_glyph_stands_where_matplotlib_puts_it():
    """Placed by attributes instead of transforms, which an <use> applies in the same order."""
    figure, as_drawn = draw(), io.StringIO()
    with figures.style():
        figure.savefig(as_drawn, format="svg")
    theirs, ours = as_drawn.getvalue(), figures.to_html(figure, alt="powers")

    def places(svg: str) -> list[tuple[float, ...]]:
        found = []
        for use in re.findall(r"<use [^>]*>", svg):
            moved = re.search(r"translate\(([-.\d]+) ([-.\d]+)\)", use)
            x, y = (re.search(rf' {axis}="([-.\d]+)"', use) for axis in "xy")
            attributes = (float(x[1]) if x else 0.0, float(y[1]) if y else 0.0)
            by_transform = tuple(map(float, moved.groups())) if moved else (0.0, 0.0)
            found.append((*attributes, *by_transform))
        return found

    sums = [[(x + dx, y + dy) for x, y, dx, dy in places(svg)] for svg in (theirs, ours)]
    assert len(sums[0]) > 100
    np.testing.assert_allclose(sums[1], sums[0], atol=0.006)
    assert sum("transform" in use for use in re.findall(r"<use [^>]*>", ours)) < len(sums[0]) / 10
