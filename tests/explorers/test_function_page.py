"""Draw a function on a page with no Python behind it, in a real browser."""

import functools

import numpy as np
import pytest
from hands import changed, frame, model, pictures, play_until, slide, swipe, wait_for_words, wait_until_still
from stopwatch import assert_an_update_takes_under_8_ms

from seqlab.explorers import FunctionExplorer
from seqlab.ops.hippo import reference

pytestmark = pytest.mark.browser

PLOTS = ("signal", "coefficients", "errors")
MEASURES = list(reference.MEASURES)
MARGIN, RIGHT, TOP, BOTTOM, LANES = 48, 14, 8, 30, 4 * 12 + 6  # pixels around the sheet, and under the curve


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "function")


def on_sheet(page, time, height):
    """Where a time and a height are on the screen, for signals within 1.2."""
    box = page.locator(".signal canvas").bounding_box()
    x = box["x"] + MARGIN + time * (box["width"] - MARGIN - RIGHT)
    tall = box["height"] - TOP - BOTTOM - LANES
    return x, box["y"] + TOP + tall * (1.2 - height) / 2.4


def draw(page, *places):
    page.mouse.move(*on_sheet(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*on_sheet(page, *place), steps=4)
    page.mouse.up()
    frame(page)


def truth(page, measure):
    """What the reference remembers of the page's signal."""
    f = np.array(model(page, "signal"))[None, :, None]
    c, _ = reference.hippo_project(f, model(page, "order"), measure, theta=model(page, "theta"))
    return c[0, model(page, "time") - 1, 0]


def agrees(page):
    found = model(page, "coefficients")
    assert list(found) == model(page, "measures")
    for measure, c in found.items():
        np.testing.assert_allclose(c, truth(page, measure), rtol=0, atol=1e-12)
    return True


def test_it_says_what_it_shows(show):
    page = show()
    words = page.inner_text("output")
    assert words.startswith("Two tones, seen up to time 0.801 of 1, in 16 coefficients each.")
    explorer = FunctionExplorer()
    s = (np.arange(256) + 0.5) / 256
    values = reference.hippo_reconstruct(explorer.coefficients["legt"], s, "legt")
    seen = explorer.signal[: explorer.time]
    drawn = np.interp(explorer.time - 0.25 * s * 512, np.arange(len(seen)) + 0.5, seen)
    error = np.sqrt(np.mean((values - drawn) ** 2))
    assert f"LegT, which remembers the last 0.25, errs by {error:.3f}" in words
    assert page.inner_text("[data-error=legt]") == f"{error:.3f}"
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))
    assert "asleep" not in page.inner_text("seqlab-explorer")


def test_drawing_with_the_mouse(show):
    page = show({"preset": "flat"})
    words, before = page.inner_text("output"), pictures(page)
    draw(page, (0.25, 0.0), (0.5, 1.0), (0.75, 0.0))
    signal = np.array(model(page, "signal"))
    t = (np.arange(512) + 0.5) / 512
    expected = np.where(np.abs(t - 0.5) < 0.25, 1 - 4 * np.abs(t - 0.5), 0)
    np.testing.assert_allclose(signal, expected, rtol=0, atol=0.03)
    assert np.ptp(signal[: int(0.24 * 512)]) == 0
    assert model(page, "preset") == page.input_value("[name=preset]") == "custom"
    assert agrees(page)
    assert changed(before, pictures(page)) == list(PLOTS)
    assert wait_for_words(page, words).startswith("A signal of your own")


def test_a_fast_stroke_leaves_no_gaps(show):
    page = show({"preset": "flat"})
    page.mouse.move(*on_sheet(page, 0.1, -0.5))
    page.mouse.down()
    page.mouse.move(*on_sheet(page, 0.9, 0.5))  # one event
    page.mouse.up()
    inside = np.array(model(page, "signal"))[60:450]
    assert (np.diff(inside) > 0).all()
    assert np.diff(inside).max() < 0.01


def test_a_stroke_stays_on_the_sheet(show):
    page = show({"preset": "flat"})
    page.mouse.move(*on_sheet(page, 0.5, 0.0))
    page.mouse.down()
    page.mouse.move(*on_sheet(page, 0.6, 9.0))
    page.mouse.move(999, 880)
    page.mouse.up()
    signal = np.array(model(page, "signal"))
    assert signal.max() == pytest.approx(1.2)
    assert signal[-1] == pytest.approx(-1.2)
    assert len(signal) == 512


def test_keys_on_the_pen(show):
    page = show({"preset": "flat"})
    page.locator("[role=slider]").focus()
    spoken = page.get_attribute("[role=slider]", "aria-valuetext")
    assert spoken == "time 0.251, height 0.00"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    frame(page)
    signal = np.array(model(page, "signal"))
    assert np.argmax(signal) == 128 + 16
    assert signal.max() == pytest.approx(0.25)
    assert np.count_nonzero(signal) == 33
    assert page.get_attribute("[role=slider]", "aria-valuetext") == "time 0.282, height 0.25"
    assert agrees(page)
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    assert model(page, "signal")[-1] == pytest.approx(-0.2)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert model(page, "signal")[0] == pytest.approx(-0.05)


def test_a_finger_on_the_curve_draws_and_elsewhere_scrolls(show):
    page = show({"preset": "flat"}, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    into_view = "document.querySelector('.signal canvas').scrollIntoView({ block: 'center' })"
    page.evaluate(into_view)
    frame(page)
    top = page.evaluate("scrollY")
    swipe(page, on_sheet(page, 0.3, 0.0), on_sheet(page, 0.4, 0.9))
    drawn = np.array(model(page, "signal"))
    assert drawn.max() > 0.7
    assert page.evaluate("scrollY") == top
    start = on_sheet(page, 0.8, 0.9)
    swipe(page, start, (start[0], start[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    np.testing.assert_array_equal(model(page, "signal"), drawn)
    wait_until_still(page)
    page.evaluate(into_view)
    wait_until_still(page)
    start = on_sheet(page, 0.6, 0.9)
    swipe(page, start, (start[0] + 60, start[1]))  # along the sheet it draws wherever it starts
    assert np.array(model(page, "signal"))[320:340].min() > 0.5


@pytest.mark.parametrize("name", ["step", "chirp", "noise", "heartbeat", "flat"])
def test_every_preset_can_be_picked(show, name):
    page = show()
    words, before = page.inner_text("output"), pictures(page)
    page.select_option("[name=preset]", name)
    wait_for_words(page, words)
    np.testing.assert_allclose(model(page, "signal"), FunctionExplorer(preset=name).signal, atol=1e-13)
    assert agrees(page)
    assert changed(before, pictures(page)) == list(PLOTS)


@pytest.mark.parametrize(("name", "value", "held"), [("order", 5, 5), ("theta", -1, 0.1), ("time", 100, 100)])
def test_sliders(show, name, value, held):
    page = show()
    words, before = page.inner_text("output"), pictures(page)
    slide(page, name, value)
    assert model(page, name) == held
    assert agrees(page)
    wait_for_words(page, words)
    assert "coefficients" in changed(before, pictures(page))
    assert len(model(page, "coefficients")["legs"]) == model(page, "order")
    page.focus(f"[name={name}]")
    page.keyboard.press("ArrowRight")
    assert model(page, name) > held


def test_measures_can_be_hidden(show):
    page = show()
    before = pictures(page)
    words = page.inner_text("output")
    page.uncheck("[name=lagt]")
    page.uncheck("[name=fourier]")
    frame(page)
    assert model(page, "measures") == ["legs", "legt"]
    assert agrees(page)
    assert page.inner_text("[data-error=lagt]") == ""
    assert changed(before, pictures(page)) == list(PLOTS)
    assert "LagT" not in wait_for_words(page, words)
    page.uncheck("[name=legs]")
    page.uncheck("[name=legt]")
    page.wait_for_function("document.querySelector('output').textContent.includes('No measure is shown.')")
    assert model(page, "coefficients") == {}
    page.check("[name=lagt]")
    assert model(page, "measures") == ["lagt"]


def test_playing_and_pausing(show):
    page = show({"time": 1})
    stopped = play_until(page, 20)
    assert agrees(page)
    page.wait_for_timeout(200)
    assert int(page.input_value("[name=time]")) == stopped


def test_playing_stops_at_the_end_and_starts_again(show):
    page = show({"time": 505})
    page.click("[name=play]")
    page.wait_for_function("document.querySelector('[name=play]').textContent === 'Play'")
    assert model(page, "time") == 512
    page.click("[name=play]")
    page.wait_for_function("Number(document.querySelector('[name=time]').value) < 500")


def test_still_pictures_where_motion_is_not_welcome(show):
    page = show({"time": 1}, reduced_motion="reduce")
    page.evaluate(
        """() => { window.times = new Set();
          const slider = document.querySelector("[name=time]");
          const look = () => { times.add(Number(slider.value)); requestAnimationFrame(look); };
          look(); }"""
    )
    page.click("[name=play]")
    page.wait_for_function("Number(document.querySelector('[name=time]').value) > 90")
    seen = sorted(page.evaluate("[...times]"))
    assert set(seen) <= {1, *range(32, 513, 32)}
    assert len(seen) >= 3


def test_nothing_moves_unasked(show):
    page = show()
    before = pictures(page)
    page.wait_for_timeout(500)
    assert pictures(page) == before


def test_the_model_redraws_the_sheet(show):
    page = show()
    before = pictures(page)
    page.evaluate(
        """document.querySelector("seqlab-explorer").model
             .set("signal", Array.from({ length: 100 }, (_, i) => 3 * Math.sin(i / 5)))"""
    )
    frame(page)
    assert changed(before, pictures(page)) == list(PLOTS)
    assert page.get_attribute("[name=time]", "max") == "100"
    assert float(page.get_attribute("[role=slider]", "aria-valuemax")) == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("order", [1, 64])
@pytest.mark.parametrize("theta", [0.02, 1.0])
def test_fewest_and_most_coefficients(show, order, theta):
    page = show({"order": order, "theta": theta, "time": 1})
    assert "NaN" not in page.inner_text("seqlab-explorer")
    slide(page, "time", 512)
    assert agrees(page)
    page.wait_for_function("document.querySelector('output').textContent.includes('time 1.000')")
    assert "NaN" not in page.inner_text("seqlab-explorer")
    assert "∞" not in page.inner_text("seqlab-explorer")


@pytest.mark.timing
def test_an_update_while_drawing_takes_under_8_ms(show):
    page = show({"order": 64, "time": 512})

    def move(page):
        page.mouse.move(*on_sheet(page, 0.05, 0.0))
        page.mouse.down()
        for step in range(120):
            page.mouse.move(*on_sheet(page, 0.05 + step / 140, np.sin(step / 9)))
        page.mouse.up()
        frame(page)

    assert_an_update_takes_under_8_ms(page, move)


@pytest.mark.timing
@pytest.mark.parametrize("name", ["time", "theta"])
def test_an_update_while_a_slider_moves_takes_under_8_ms(show, name):
    page = show({"order": 64, "time": 512})

    def move(page):
        for step in range(100):
            value = 512 - 5 * step if name == "time" else -0.02 * (step % 50)
            page.evaluate(
                """([name, value]) => { const field = document.querySelector(`[name=${name}]`);
                     field.value = value; field.dispatchEvent(new Event("input")); }""",
                [name, value],
            )
            frame(page)

    assert_an_update_takes_under_8_ms(page, move)


def test_the_time_slider_stands_under_the_time(show):
    """Its thumb is where the plot's line is, at both ends and between."""
    page = show()
    canvas, slider = (page.locator(selector).bounding_box() for selector in (".signal canvas", "[name=time]"))
    thumb = 16
    assert slider["x"] + thumb / 2 == pytest.approx(canvas["x"] + MARGIN, abs=1)
    right = canvas["x"] + canvas["width"] - RIGHT
    assert slider["x"] + slider["width"] - thumb / 2 == pytest.approx(right, abs=1)
