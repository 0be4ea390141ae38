"""The gates explorer on a page with no Python behind it, in a real browser."""

import functools

import numpy as np
import pytest
from hands import changed, frame, model, pictures, slide, swipe, wait_for_words
from stopwatch import assert_an_update_takes_under_8_ms

from seqlab.explorers.gates.cell import cell, inputs, log_forget

pytestmark = pytest.mark.browser

PLOTS = ["sheet", "magnitudes", "output", "matrix", "retrieval"]
MARGIN, RIGHT, TOP, BOTTOM, LARGEST = 46, 14, 8, 30, 140  # pixels around the sheet; its axis


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "gates")


def on_sheet(page, step, gate, steps=16):
    """Where a step, counted from 1, and a gate are on the screen."""
    box = page.locator(".sheet canvas").bounding_box()
    x = box["x"] + MARGIN + step / (steps + 1) * (box["width"] - MARGIN - RIGHT)
    tall = box["height"] - TOP - BOTTOM
    return x, box["y"] + TOP + tall * (LARGEST - gate) / (2 * LARGEST)


def drag(page, *places):
    page.mouse.move(*on_sheet(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*on_sheet(page, *place), steps=4)
    page.mouse.up()
    frame(page)


def test_it_says_where_it_overflows_and_what_the_stabilizer_makes_of_it(show):
    page = show({"preset": "climb", "precision": "float16", "time": 10})
    words = page.inner_text("output")
    assert words.startswith("Climbing input gates; forget gate σ(4.0) = 0.982; float16; h = c / n.")
    assert "Without m: n overflows at step 3; 14 of 16 outputs are no numbers, the first at step 3." in words
    truth = cell(6.0 * np.arange(16), log_forget(4, "sigmoid"), inputs(16), True, "float16", "slstm")
    assert f"with m: h = {truth['h'][9]:.3g}".replace("-", "−") in page.inner_text(".read")
    assert "with m = 54:" in page.inner_text(".numbers")
    assert page.inner_text(".stored").startswith("10 keys in 8 × 8 numbers, read back with errors of ")
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))
    assert "NaN" not in page.inner_text("seqlab-explorer")


def test_the_same_gates_last_longer_in_float32(show):
    page = show({"preset": "climb", "precision": "float32"})
    assert "n overflows at step 16; 1 of 16 outputs are no numbers" in page.inner_text("output")
    words, before = page.inner_text("output"), pictures(page)
    page.select_option("[name=precision]", "float16")
    frame(page)
    assert changed(before, pictures(page)) == ["sheet", "magnitudes", "output"]
    assert "n overflows at step 3" in wait_for_words(page, words)


def test_gates_far_below_0_leave_nothing_to_divide_by(show):
    page = show({"preset": "deep", "time": 4})
    assert "n is rounded to 0 at step 1; 8 of 16 outputs are no numbers" in page.inner_text("output")
    assert "without m: c = 0, n = 0" in page.inner_text(".numbers")
    assert "without m: h = 0/0 or ∞/∞" in page.inner_text(".read")


def exact(page):
    """What is read out in exact arithmetic, to the last digit shown."""
    return page.inner_text(".read").partition("exact: ")[2]


def test_a_shift_changes_nothing_where_c_is_divided_by_n_and_much_where_the_bound_is(show):
    page = show({"preset": "ordinary", "time": 6})
    read = exact(page)
    slide(page, "shift", -10)
    assert exact(page) == read
    page.select_option("[name=readout]", "mlstm")
    frame(page)
    assert exact(page) != read
    slide(page, "shift", 10)
    assert exact(page) == read  # the bound is far below n again
    assert model(page, "shift") == 10


def test_dragging_gates(show):
    page = show({"preset": "revise"})
    words, before = page.inner_text("output"), pictures(page)
    drag(page, (3, 0), (3, 60))
    gates = np.array(model(page, "input_gates"))
    assert gates[2] == pytest.approx(60, abs=1)
    np.testing.assert_array_equal(
        np.delete(gates, 2), np.delete(4.0 * (np.arange(16) == 5) + 8.0 * (np.arange(16) == 11), 2)
    )
    assert changed(before, pictures(page)) == PLOTS
    assert model(page, "preset") == page.input_value("[name=preset]") == "custom"
    assert wait_for_words(page, words).startswith("Drawn by hand input gates")
    drag(page, (6, -40), (10, 40))
    np.testing.assert_allclose(model(page, "input_gates")[5:10], [-40, -20, 0, 20, 40], atol=1)
    drag(page, (15, 50), (30, 1000))  # it stays on the sheet
    assert model(page, "input_gates")[-1] == 120
    slide(page, "shift", 20)
    drag(page, (1, 20), (1, 50))  # what is dragged is what is shown
    assert model(page, "input_gates")[0] == pytest.approx(30, abs=1)


def test_keys_on_the_pen(show):
    page = show({"preset": "revise"})
    pen = page.locator(".pen")
    pen.focus()
    assert pen.get_attribute("aria-valuetext") == "gate of step 5: 0.0"
    for key in ("ArrowUp", "ArrowRight", "PageDown", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    expected = np.zeros(16)
    expected[[4, 5, 9, 11]] = 1, 4 - 10, 4, 8
    np.testing.assert_array_equal(model(page, "input_gates"), expected)
    frame(page)
    assert pen.get_attribute("aria-valuetext") == "gate of step 10: 4.0"
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert model(page, "input_gates")[-1] == -1


def test_a_finger_on_a_gate_drags_it_and_elsewhere_scrolls(show):
    page = show({"preset": "revise"}, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.sheet canvas').scrollIntoView({ block: 'center' })")
    frame(page)
    top = page.evaluate("scrollY")
    swipe(page, on_sheet(page, 3, 0), on_sheet(page, 3, 100))
    dragged = np.array(model(page, "input_gates"))
    assert dragged[2] > 90
    assert page.evaluate("scrollY") == top
    start = on_sheet(page, 9, 120)
    swipe(page, start, (start[0], start[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    np.testing.assert_array_equal(model(page, "input_gates"), dragged)


def test_stepping_fills_the_matrix_key_by_key(show):
    page = show({"preset": "revise", "time": 7, "f": 8, "shift": 5})
    assert page.inner_text(".stored") == "7 keys in 8 × 8 numbers, read back with errors of 0.0 to 0.0%"
    before = pictures(page)
    page.click("[name=step]")
    page.click("[name=step]")
    frame(page)
    assert model(page, "time") == 9
    assert changed(before, pictures(page)) == PLOTS
    assert page.inner_text(".stored").startswith("9 keys")
    assert not page.inner_text(".stored").endswith(" 0.0%")  # the ninth is the first again
    page.select_option("[name=key_vectors]", "scattered")
    page.click("[name=back]")
    frame(page)
    assert "of 0.0 to" not in page.inner_text(".stored")
    page.focus("[name=time]")
    page.keyboard.press("End")
    frame(page)
    assert page.locator("[name=step]").is_disabled()
    page.keyboard.press("Home")
    frame(page)
    assert page.locator("[name=back]").is_disabled()
    assert model(page, "time") == 1


def test_the_model_redraws_it(show):
    page = show()
    before = pictures(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("preset", "custom"); model.set("input_gates", [100, -100, 3, 0]); model.set("time", 3); }"""
    )
    frame(page)
    assert changed(before, pictures(page)) == PLOTS
    assert page.get_attribute("[name=time]", "max") == "4"
    assert page.inner_text(".now") == "t = 3 of 4"


@pytest.mark.parametrize("gate", [120, -120])
@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
def test_the_largest_and_the_smallest(show, gate, forget):
    page = show(
        {"input_gates": [gate] * 32, "shift": gate / 6, "forget": forget, "f": 8, "time": 32, "key_size": 2}
    )
    text = page.inner_text("seqlab-explorer")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert "with m, every" not in text
    slide(page, "f", -4)
    assert "NaN" not in page.inner_text("seqlab-explorer")


@pytest.mark.timing
def test_an_update_while_gates_are_dragged_takes_under_8_ms(show):
    page = show({"input_gates": [120, -120] * 16, "key_size": 16, "time": 32})

    def move(page):
        page.mouse.move(*on_sheet(page, 1, 0, 32))
        page.mouse.down()
        for step in range(120):
            page.mouse.move(*on_sheet(page, 1 + step / 4, 100 * np.sin(step / 9), 32))
        page.mouse.up()
        frame(page)

    assert_an_update_takes_under_8_ms(page, move)
