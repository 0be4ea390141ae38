"""The duality explorer on a page with no Python behind it, in a real browser."""

import functools
import re

import numpy as np
import pytest
from hands import (
    center,
    changed,
    frame,
    model,
    pictures,
    play_until,
    slide,
    swipe,
    wait_for_words,
    wait_until_still,
)
from stopwatch import assert_an_update_takes_under_8_ms, drag_a_point
from test_stillness import assert_still, places

from seqlab.explorers import DualityExplorer
from seqlab.ops.ssm.reference import ssm_convolution, ssm_scan

pytestmark = pytest.mark.browser

PLOTS = ("kernel", "state", "convolution", "output")
MARGIN, RIGHT, TOP, BOTTOM, ROOM = (
    44,
    14,
    8,
    30,
    1.12,
)  # pixels around a plot; its axis over the largest value
FULL = {"eigenvalues": [[0.9, 0.1], [0.5, 0.6], [-0.7, 0.2], [0.2, 0]], "signal": [0.5, -1] * 32, "time": 63}


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "duality")


def on_sheet(page, time, height, samples=32):
    """Where a sample and a height are on the screen, for inputs within 1."""
    box = page.locator(".convolution canvas").bounding_box()
    x = box["x"] + MARGIN + (time + 1) / (samples + 1) * (box["width"] - MARGIN - RIGHT)
    tall = box["height"] - TOP - BOTTOM
    return x, box["y"] + TOP + tall * (ROOM - height) / (2 * ROOM)


def drag(page, *places):
    page.mouse.move(*on_sheet(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*on_sheet(page, *place), steps=4)
    page.mouse.up()
    frame(page)


def landed(page):
    """What the recurrence's side and the convolution's side say that y_t is."""
    frame(page)
    said = [page.inner_text(side).splitlines()[-1] for side in (".step", ".sum")]
    return [float(re.search(r"= (−?[\d.]+)$", line)[1].replace("−", "-")) for line in said]


def lands(page):
    """Both sides say what the reference makes of the page's modes, input and time, to the last digit shown."""
    frame(page)
    page.locator("[name=reset]").focus()
    eigenvalues = np.array(model(page, "eigenvalues")) @ [1, 1j]
    u, time = np.array(model(page, "signal")), model(page, "time")
    ones = np.ones((1, len(eigenvalues)))
    system = eigenvalues[None], ones, ones / len(eigenvalues), u[None, :, None]
    stepped, summed = ssm_scan(*system)[0][0, time, 0], ssm_convolution(*system)[0][0, time, 0]
    np.testing.assert_allclose(landed(page), [stepped, summed], rtol=0, atol=6e-7)
    return True


def test_it_says_what_it_shows_with_both_sums_in_numbers(show):
    page = show({"modes": "fast", "input": "step", "time": 31})
    words = page.inner_text("output")
    assert words.startswith(
        "Fast decay, 1 mode; input: step, 32 samples. The mode: modulus 0.500, phase 0.000 π, half-life 1 step."
    )
    assert "the recurrence makes x₃₁ = 0.500 · 2.000 + 1.000 = 2.000" in words
    assert (
        "The convolution adds 32 products, 7 of them over 1% of the largest, and puts out 2.000000." in words
    )
    assert landed(page) == [2, 2]
    assert page.inner_text(".sum").splitlines()[1] == "1.000 + 0.500 + 0.250 + 0.125 + …"
    assert (
        page.inner_text(".ends")
        == "K₀ = 1.000 weighs the newest sample, u₃₁\nK₃₁ = 0.000 weighs the first sample, u₀"
    )
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))
    assert "asleep" not in page.inner_text("seqlab-explorer")


@pytest.mark.parametrize("modes", ["slow", "oscillation", "fast", "three"])
@pytest.mark.parametrize("given", ["impulse", "step", "two_pulses", "silence"])
def test_both_land_on_the_same_sample_at_any_time(show, modes, given):
    page = show({"modes": modes, "input": given})
    for time in (0, 1, 17, 31):
        slide(page, "time", time)
        assert lands(page)
    page.wait_for_function("document.querySelector('output').textContent.includes('Both land on the same ')")
    assert "NaN" not in page.inner_text("seqlab-explorer")


def test_dragging_a_mode_moves_kernel_state_and_output_together(show):
    page = show()
    words, before = page.inner_text("output"), pictures(page)
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 4, y + 50, steps=5)
    frame(page)
    assert changed(before, pictures(page)) == list(PLOTS)
    page.mouse.up()
    assert np.abs(np.array(center(page, 0)) - [x + 4, y + 50]).max() < 1.5
    assert model(page, "modes") == page.input_value("[name=modes]") == "custom"
    assert lands(page)
    [pair] = model(page, "eigenvalues")
    assert f"|λ| = {np.hypot(*pair):.3f}" in page.inner_text("[data-parameter=radius]")
    assert wait_for_words(page, words).startswith("Placed by hand, 1 mode")


def test_a_mode_stays_inside_the_circle(show):
    page = show()
    page.mouse.move(*center(page, 0))
    page.mouse.down()
    page.mouse.move(2, 2)
    page.mouse.up()
    [pair] = model(page, "eigenvalues")
    assert np.hypot(*pair) == pytest.approx(0.9999)


def test_sliders_move_the_selected_mode(show):
    page = show({"modes": "three", "selected": 1})
    before = pictures(page)
    slide(page, "radius", 0.8)
    slide(page, "angle", -0.25)
    moved = np.array(model(page, "eigenvalues")) @ [1, 1j]
    start = DualityExplorer(modes="three").eigenvalues
    np.testing.assert_allclose(moved, [start[0], 0.8 * np.exp(-0.25j * np.pi), start[2]], atol=1e-12)
    assert changed(before, pictures(page)) == list(PLOTS)
    assert lands(page)
    slide(page, "radius", 1)
    assert np.hypot(*model(page, "eigenvalues")[1]) == pytest.approx(0.9999)
    slide(page, "radius", 0)
    slide(page, "radius", 0.5)
    moved = complex(*model(page, "eigenvalues")[1])
    assert np.angle(moved) == pytest.approx(-0.25 * np.pi)  # a mode never reaches 0, so it keeps its phase


def test_there_are_one_to_four_modes(show):
    page = show({"modes": "slow"})
    slide(page, "state_size", 4)
    assert page.locator(".disk [role=slider]").count() == len(model(page, "eigenvalues")) == 4
    assert page.locator("[name=add]").is_disabled()
    assert model(page, "eigenvalues")[0] == [0.95, 0]
    assert lands(page)
    assert "y₁₂ = mean of Re x₁₂ = " in page.inner_text(".step")
    slide(page, "state_size", 1)
    assert model(page, "eigenvalues") == [[0.95, 0]]
    assert page.locator("[name=remove]").is_disabled()
    page.click("[name=add]")
    frame(page)
    assert page.input_value("[name=state_size]") == "2"
    assert lands(page)


def test_keys_on_a_mode_and_on_the_pen(show):
    page = show({"modes": "slow", "input": "silence"})
    page.locator(".disk [role=slider]").focus()
    page.keyboard.press("ArrowUp")
    [[re_, im]] = model(page, "eigenvalues")
    assert (re_, im) == (pytest.approx(0.95), pytest.approx(0.01))
    pen = page.locator(".pen")
    pen.focus()
    assert pen.get_attribute("aria-valuetext") == "u₄ = 0.00"
    for key in ("ArrowRight", "PageUp", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expected = np.zeros(32)
    expected[[5, 9]] = 0.3, -0.2
    np.testing.assert_allclose(model(page, "signal"), expected, atol=1e-12)
    frame(page)
    assert pen.get_attribute("aria-valuetext") == "u₉ = −0.20"
    page.keyboard.press("End")
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    assert (model(page, "signal")[-1], model(page, "signal")[0]) == (0.25, -0.25)
    assert model(page, "input") == page.input_value("[name=input]") == "custom"
    assert lands(page)


def test_dragging_samples(show):
    page = show({"input": "silence"})
    words, before = page.inner_text("output"), pictures(page)
    drag(page, (7, 0), (7, 0.6))
    expected = np.zeros(32)
    expected[7] = 0.6
    np.testing.assert_allclose(model(page, "signal"), expected, atol=0.02)
    assert changed(before, pictures(page)) == ["state", "convolution", "output"]
    assert lands(page)
    assert "input: drawn by hand" in wait_for_words(page, words)
    drag(page, (20, -0.5), (24, 0.5))
    np.testing.assert_allclose(model(page, "signal")[20:25], [-0.5, -0.25, 0, 0.25, 0.5], atol=0.02)
    drag(page, (20, -0.5), (20, 0.03))  # near nothing it is nothing
    assert model(page, "signal")[20] == 0
    drag(page, (30, 0.5), (40, 5))  # and it stays on the sheet
    assert model(page, "signal")[-1] == 1
    assert len(model(page, "signal")) == 32
    assert lands(page)


def test_a_finger_on_a_sample_drags_it_and_elsewhere_scrolls(show):
    page = show({"input": "silence"}, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    into_view = "document.querySelector('.convolution canvas').scrollIntoView({ block: 'center' })"
    page.evaluate(into_view)
    frame(page)
    top = page.evaluate("scrollY")
    swipe(page, on_sheet(page, 9, 0), on_sheet(page, 9, 0.9))
    dragged = np.array(model(page, "signal"))
    assert dragged[9] > 0.8
    assert page.evaluate("scrollY") == top
    start = on_sheet(page, 20, 0.9)
    swipe(page, start, (start[0], start[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    np.testing.assert_array_equal(model(page, "signal"), dragged)


def test_a_finger_on_a_mode_drags_it(show):
    page = show(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.disk svg').scrollIntoView({ block: 'center' })")
    wait_until_still(page)
    x, y = center(page, 0)
    swipe(page, (x, y), (x - 60, y + 30))
    assert np.abs(np.array(center(page, 0)) - [x - 60, y + 30]).max() < 1.5
    assert lands(page)


def test_stepping(show):
    page = show()
    before = pictures(page)
    page.click("[name=step]")
    assert model(page, "time") == 13
    assert lands(page)
    assert changed(before, pictures(page)) == list(PLOTS)
    page.click("[name=back]")
    page.click("[name=back]")
    assert model(page, "time") == 11
    assert lands(page)
    page.focus("[name=time]")
    page.keyboard.press("ArrowRight")
    frame(page)
    assert model(page, "time") == 12
    assert page.get_attribute("[name=time]", "aria-valuetext") == "t = 12 of 31"
    page.keyboard.press("End")
    frame(page)
    assert page.locator("[name=step]").is_disabled()
    page.keyboard.press("Home")
    frame(page)
    assert page.locator("[name=back]").is_disabled()
    assert lands(page)


def test_playing_and_pausing(show):
    page = show({"time": 1})
    stopped = play_until(page, 4)
    assert lands(page)
    page.wait_for_timeout(600)
    assert int(page.input_value("[name=time]")) == stopped


def test_playing_stops_at_the_end_and_starts_again(show):
    page = show({"time": 29})
    page.click("[name=play]")
    page.wait_for_function("document.querySelector('[name=play]').textContent === 'Play'")
    assert model(page, "time") == 31
    page.click("[name=play]")
    page.wait_for_function("Number(document.querySelector('[name=time]').value) < 5")


@pytest.mark.parametrize(("motion", "low", "high"), [("no-preference", 200, 400), ("reduce", 900, 1400)])
def test_it_plays_slowly_where_motion_is_not_welcome(show, motion, low, high):
    page = show({"time": 1}, reduced_motion=motion)
    apart = page.evaluate(
        """() => new Promise((done) => { const times = [], field = document.querySelector(".now");
             const look = () => { times.push(performance.now()); if (times.length === 3) done(times[2] - times[1]); };
             new MutationObserver(look).observe(field, { childList: true, characterData: true, subtree: true });
             document.querySelector("[name=play]").click(); })"""
    )
    assert low < apart < high


def test_nothing_moves_unasked(show):
    page = show()
    before = pictures(page)
    page.wait_for_timeout(500)
    assert pictures(page) == before


def test_the_model_redraws_it(show):
    page = show()
    before = pictures(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("modes", "custom"); model.set("eigenvalues", [[0.5, 0.5], [0, 0.7]]);
          model.set("input", "custom"); model.set("signal", [3, 0, -2, 0, 1]); model.set("time", 4); }"""
    )
    frame(page)
    assert changed(before, pictures(page)) == list(PLOTS)
    assert page.get_attribute("[name=time]", "max") == "4"
    assert float(page.get_attribute(".pen", "aria-valuemax")) == pytest.approx(3)
    assert lands(page)


@pytest.mark.parametrize(
    "params", [FULL, {"eigenvalues": [[1, 0]], "signal": [50, 0], "time": 0}, {"eigenvalues": [[0, 0]]}]
)
def test_the_largest_and_the_smallest(show, params):
    page = show(params)
    text = page.inner_text("seqlab-explorer")
    assert "NaN" not in text
    assert "Infinity" not in text
    page.click("[name=back]" if params.get("time") else "[name=step]")
    assert lands(page)


@pytest.mark.parametrize("width", [320, 390, 600, 640, 1000])
def test_the_longest_sums_move_no_drawing(show, width):
    page = show(viewport={"width": width, "height": 900})
    before = places(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("eigenvalues", Array.from({ length: 4 }, () => [-0.777777, -0.612345]));
          model.set("signal", Array.from({ length: 64 }, (_, t) => 0.999 * Math.sign(Math.cos(2.474 * t))));
          model.set("time", 63); }"""
    )
    assert_still(page, before, "the longest sums")
    line = page.inner_text(".step").splitlines()[1]
    assert line == "= (−0.778 − 0.612 i)(−25.864 − 15.454 i) + 0.999"


def test_the_time_slider_stands_under_the_time(show):
    """Its thumb is where the plot's line is, at both ends."""
    page = show()
    canvas, slider = (page.locator(selector).bounding_box() for selector in (".output canvas", "[name=time]"))
    thumb = 16
    width = canvas["width"] - MARGIN - RIGHT
    for end, sample in ((slider["x"] + thumb / 2, 0), (slider["x"] + slider["width"] - thumb / 2, 31)):
        assert end == pytest.approx(canvas["x"] + MARGIN + (sample + 1) / 33 * width, abs=1)


@pytest.mark.timing
def test_an_update_while_dragging_takes_under_8_ms(show):
    page = show(FULL)
    assert_an_update_takes_under_8_ms(page, drag_a_point)


@pytest.mark.timing
def test_an_update_while_samples_are_dragged_takes_under_8_ms(show):
    page = show(FULL)

    def move(page):
        page.mouse.move(*on_sheet(page, 0, 0, 64))
        page.mouse.down()
        for step in range(120):
            page.mouse.move(*on_sheet(page, step / 2, np.sin(step / 9), 64))
        page.mouse.up()
        frame(page)

    assert_an_update_takes_under_8_ms(page, move)
