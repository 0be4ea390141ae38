"""The recall explorer on a page with no Python behind it, in a real browser."""

import functools

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

from seqlab.explorers import RecallExplorer

pytestmark = pytest.mark.browser

PLOTS = ("shift", "taps", "product", "memory", "answer")
FULL = {"sequence": "a1b2c3d4" * 3, "taps": [0.5, -0.5, 0.25, 0.75], "decay": 0.95, "time": 23}


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "recall")


def answer(page):
    frame(page)
    return page.inner_text(".of-answer").splitlines()[0].removeprefix("Answer: ")


def test_it_says_what_it_shows(show):
    page = show()
    words = page.inner_text("output")
    assert words.startswith("Recall: letters and their numbers: a 3 c 1 b 4 d 2 b. Broken: nothing.")
    assert "At t = 8 the token is b, and the shift memory hands over 2." in words
    assert "Last time b was followed by 4; the answer is 4, which is right." in words
    assert answer(page) == "4"
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("nothing", "2"),
        ("shift", "a"),
        ("product", "3"),
        ("memory", "none: the row is empty"),
        ("query", "3"),
    ],
)
def test_each_broken_part_takes_another_ability(show, broken, expected):
    """The sequence is a2b3c3d3a: 2 is right, and 3 is frequent."""
    page = show({"preset": "frequent"})
    assert answer(page) == "2"
    page.select_option("[name=broken]", broken)
    assert answer(page) == expected
    assert model(page, "broken") == broken


def test_a_part_that_is_broken_cannot_be_moved(show):
    page = show()
    page.select_option("[name=broken]", "shift")
    frame(page)
    x, y = center(page, 1)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 30, steps=3)
    page.mouse.up()
    page.locator(".tap").nth(1).focus()
    page.keyboard.press("ArrowDown")
    assert model(page, "taps") in (None, [0, 1, 0, 0])
    assert page.locator(".tap").nth(1).get_attribute("aria-disabled") == "true"
    page.select_option("[name=broken]", "memory")
    frame(page)
    assert page.locator("[name=decay]").is_disabled()


def test_typing_a_sequence(show):
    page = show()
    words = page.inner_text("output")
    page.fill("[name=sequence]", "B2, a1; x b?")
    page.keyboard.press("Tab")
    frame(page)
    assert page.input_value("[name=sequence]") == model(page, "sequence") == "b2a1b"
    assert model(page, "preset") == page.input_value("[name=preset]") == "custom"
    assert page.get_attribute("[name=time]", "max") == "4"
    assert answer(page) == "2"
    assert wait_for_words(page, words).startswith("Typed by hand: b 2 a 1 b.")
    page.fill("[name=sequence]", "xyz")  # nothing is left of it
    page.keyboard.press("Tab")
    frame(page)
    assert page.input_value("[name=sequence]") == model(page, "sequence") == "b2a1b"


def test_a_preset_is_shown_where_its_question_is(show):
    page = show({"time": 2})
    page.select_option("[name=preset]", "far")
    frame(page)
    assert model(page, "time") == 20
    assert answer(page) == "1"
    slide(page, "decay", 0.8)
    assert answer(page) == "too faint, under 0.1"
    assert model(page, "decay") == 0.8
    page.select_option("[name=preset]", "rewritten")
    assert answer(page) == "4"
    slide(page, "decay", 1)
    assert answer(page) == "undecided between 1 and 4"


def test_dragging_and_keying_taps(show):
    page = show()
    before = pictures(page)
    x, y = center(page, 1)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 9, y + 20, steps=4)
    frame(page)
    assert changed(before, pictures(page)) == [*PLOTS]
    assert np.abs(np.array(center(page, 1)) - [x, y + 20]).max() < 1.5
    page.mouse.move(x, y + 900)
    page.mouse.up()
    assert model(page, "taps") == [0, -1, 0, 0]
    tap = page.locator(".tap").nth(2)
    tap.focus()
    for key in ("PageUp", "ArrowUp", "Shift+ArrowUp"):
        page.keyboard.press(key)
    np.testing.assert_allclose(model(page, "taps"), [0, -1, 0.5, 0], atol=1e-12)
    frame(page)
    assert tap.get_attribute("aria-valuetext") == "c₂ = 0.50"
    page.keyboard.press("End")
    page.locator(".tap").nth(1).press("Home")
    assert model(page, "taps") == [0, -1, 1, 0]


def test_a_finger_on_a_tap_drags_it_and_elsewhere_scrolls(show):
    page = show(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.taps canvas').scrollIntoView({ block: 'center' })")
    wait_until_still(page)
    top = page.evaluate("scrollY")
    x, y = center(page, 1)
    swipe(page, (x, y), (x, y + 40))
    assert 0 < model(page, "taps")[1] < 0.8
    assert page.evaluate("scrollY") == top
    x, y = center(page, 2)
    swipe(page, (x, y + 60), (x, y - 140))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    assert model(page, "taps")[2] == 0


def test_stepping_and_playing(show):
    page = show({"time": 7})
    before = pictures(page)
    page.click("[name=step]")
    assert model(page, "time") == 8
    frame(page)
    assert changed(before, pictures(page)) == ["shift", "product", "memory", "answer"]
    page.click("[name=back]")
    frame(page)  # the slider is where its key finds it
    page.focus("[name=time]")
    page.keyboard.press("End")
    frame(page)
    assert model(page, "time") == 8
    assert page.locator("[name=step]").is_disabled()
    assert play_until(page, 1) < 8  # from the start again


def test_it_draws_what_python_computes(show):
    """The row that is read, at every time, is the reference's."""
    given = {"sequence": "a1b2a3b2a", "taps": [0.25, 1, 0, 0], "decay": 0.9}
    page = show({**given, "time": 0})
    for time in range(9):
        slide(page, "time", time)
        row = RecallExplorer(**given, time=time).memory()["abcd1234".index(given["sequence"][time])]
        named = "".join(t for t, x in zip("abcd1234", row, strict=True) if x > row.max() - 1e-9)
        assert answer(page) == named


def test_the_model_redraws_it(show):
    page = show()
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("preset", "custom"); model.set("sequence", "d4d"); model.set("time", 2); }"""
    )
    assert answer(page) == "4"
    assert page.input_value("[name=sequence]") == "d4d"


@pytest.mark.parametrize("width", [320, 390, 640, 1000])
def test_the_longest_words_move_no_drawing(show, width):
    page = show(viewport={"width": width, "height": 900})
    before = places(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("taps", [0.25, -0.55, 0.75, -0.95]); model.set("broken", "product");
          model.set("sequence", "a1b2c3d4".repeat(3)); model.set("time", 23); }"""
    )
    assert_still(page, before, "the longest words")
    assert page.inner_text(".of-product") == (
        "Added: column 4, row −0.95 × c − 0.55 × d + 0.75 × 3 + 0.25 × 4"
    )


@pytest.mark.timing
def test_an_update_while_dragging_takes_under_8_ms(show):
    page = show(FULL)
    assert_an_update_takes_under_8_ms(page, drag_a_point)
