"""The WKV explorer on a page with no Python behind it, in a real browser."""

import functools
import re

import numpy as np
import pytest
from hands import center, changed, frame, model, pictures, slide, swipe, wait_for_words, wait_until_still
from stopwatch import assert_an_update_takes_under_8_ms

from seqlab.explorers import WKVExplorer
from seqlab.ops.wkv.reference import wkv_sum

pytestmark = pytest.mark.browser

PLOTS = ["keys-plot", "shares", "sums", "averages"]


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "wkv")


def numbers(words):
    return [
        float(found.replace("−", "-")) for found in re.findall(r"(?<![\w₀-₉])−?\d+(?:\.\d+)?(?![\d%])", words)
    ]


def says_the_truth(page, params=None):
    """The average that the page says is the reference's, for the page's own keys, values, channel and token; what
    nobody has touched is that of the parameters."""
    frame(page)
    page.locator("[name=reset]").focus()
    opened = WKVExplorer(**(params or {}))
    names = ("k", "v", "w", "u", "selected", "time")
    held = [model(page, name) if model(page, name) is not None else getattr(opened, name) for name in names]
    k, v, w, u, c, t = map(np.array, held)
    y = wkv_sum(w[c : c + 1], u[c : c + 1], (k - k.max())[None, :, None], v[None, :, None])[0, t, 0]
    exactly = page.inner_text(".of-averages").splitlines()[0]
    assert numbers(exactly) == [pytest.approx(y, abs=6e-4)]
    assert "NaN" not in exactly
    return True


def test_it_says_what_it_shows(show):
    params = {"preset": "even", "w": [0, 1, 2], "u": [0, 0, 0], "v": [1] * 12 + [0] * 12, "time": 23}
    page = show(params)
    words = page.inner_text("output")
    assert words.startswith("All keys 0, 24 tokens. Channel 1: w = 0, which forgets nothing, u = 0.0.")
    assert "own token 4.2%, the past 95.8%" in words
    assert "numerator 12, denominator 24, exponent 0.000" in words
    assert "In float32 the sums without the maximum are numbers too." in words
    assert page.inner_text(".of-averages").splitlines()[0] == "y₂₃ = 0.500 exactly"
    assert says_the_truth(page, params)
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))


@pytest.mark.parametrize(
    ("preset", "precision", "end"),
    [
        (
            "huge",
            "float32",
            "In float32, without the maximum, token 6 ends it: the sums have grown too large.",
        ),
        ("faint", "float32", "In float32, without the maximum, token 0 ends it: the sums have shrunk to 0"),
        (
            "loud",
            "float16",
            "In float16, without the maximum, token 6 ends it: the sums have grown too large.",
        ),
        ("loud", "float32", "In float32 the sums without the maximum are numbers too."),
        ("climbing", "float64", "In float64 the sums without the maximum are numbers too."),
    ],
)
def test_without_the_maximum_the_sums_are_lost_where_the_precision_ends(show, preset, precision, end):
    params = {"preset": preset, "precision": precision, "time": 12}
    page = show(params)
    assert end in page.inner_text("output")
    lost = "token" in end
    last = page.inner_text(".of-averages").splitlines()[1]
    assert ("NaN without" in last) == lost
    assert "NaN with the" not in last
    assert says_the_truth(page, params)


def test_w_and_u_belong_to_a_channel(show):
    page = show()
    before = pictures(page)
    page.select_option("[name=selected]", "1")
    slide(page, "decay", -3)
    slide(page, "bonus", 2.5)
    assert (model(page, "w"), model(page, "u")) == ([0.02, 0, 2], [0, 2.5, -1])
    assert model(page, "selected") == 1
    assert changed(before, pictures(page)) == ["shares", "sums", "averages"]
    assert says_the_truth(page)
    slide(page, "decay", 1.3)
    assert model(page, "w")[1] == 20


def test_dragging_a_key(show):
    page = show()
    words, before = page.inner_text("output"), pictures(page)
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y - 25, steps=4)
    page.mouse.up()
    frame(page)
    assert abs(center(page, 0)[1] - (y - 25)) < 1.5
    moved = np.flatnonzero(np.array(model(page, "k")) != WKVExplorer().k)
    np.testing.assert_array_equal(moved, [6])
    assert model(page, "preset") == page.input_value("[name=preset]") == "custom"
    assert changed(before, pictures(page)) == PLOTS
    assert float(page.input_value("[name=key]")) == model(page, "k")[6]
    assert says_the_truth(page)
    assert wait_for_words(page, words).startswith("Set by hand, 24 tokens.")


def test_keys_and_a_field_change_a_key(show):
    page = show({"preset": "even"})
    pen = page.locator(".pen")
    pen.focus()
    for pressed in ("ArrowRight", "PageUp", "ArrowUp", "End", "ArrowDown", "Home", "PageDown"):
        page.keyboard.press(pressed)
    expected = np.zeros(24)
    expected[[7, 23, 0]] = 10.5, -0.5, -10
    np.testing.assert_allclose(model(page, "k"), expected, atol=1e-12)
    frame(page)
    assert pen.get_attribute("aria-valuetext") == "k₀ = −10"
    page.fill("[name=key]", "100")
    assert model(page, "k")[0] == 100
    assert "token 0 ends it" in wait_for_words(page, page.inner_text("output"))
    page.fill("[name=key]", "5000")
    page.keyboard.press("Tab")
    frame(page)
    assert (model(page, "k")[0], page.input_value("[name=key]")) == (200, "200")
    assert says_the_truth(page)


def test_a_finger_on_a_key_drags_it_and_elsewhere_scrolls(show):
    page = show({"preset": "even"}, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.keys-plot canvas').scrollIntoView({ block: 'center' })")
    wait_until_still(page)
    top = page.evaluate("scrollY")
    x, y = center(page, 0)
    swipe(page, (x, y), (x, y - 30))
    raised = model(page, "k")
    assert raised[6] > 4
    assert page.evaluate("scrollY") == top
    start = (x + 60, y - 70)
    swipe(page, start, (start[0], start[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    assert model(page, "k") == raised


def test_stepping(show):
    page = show()
    before = pictures(page)
    page.click("[name=step]")
    assert model(page, "time") == 17
    assert changed(before, pictures(page)) == PLOTS
    assert says_the_truth(page)
    page.focus("[name=time]")
    page.keyboard.press("End")
    frame(page)
    assert page.locator("[name=step]").is_disabled()
    page.keyboard.press("Home")
    frame(page)
    assert page.locator("[name=back]").is_disabled()
    assert page.inner_text(".of-shares") == "y₀ is of token 0 100.0%\nown token 100.0%, the past 0.0%"
    assert says_the_truth(page)


def test_the_model_redraws_it(show):
    page = show()
    before = pictures(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("preset", "custom"); model.set("k", Array.from({ length: 24 }, (_, t) => -t));
          model.set("v", Array.from({ length: 24 }, (_, t) => t)); model.set("w", [1, 2, 3]); model.set("time", 4); }"""
    )
    frame(page)
    assert changed(before, pictures(page)) == PLOTS
    page.click("[name=back]")
    assert says_the_truth(page)


@pytest.mark.parametrize(
    "params",
    [
        {"k": [200, -200] * 12, "w": [20, 20, 20], "u": [10, -10, 0]},
        {"k": [-200] * 24, "precision": "float16", "time": 23},
        {"preset": "climbing", "precision": "float16", "v": [1e6] * 24, "time": 0},
    ],
)
def test_the_largest_and_the_smallest(show, params):
    page = show(params)
    assert says_the_truth(page, params)
    page.click("[name=back]" if params.get("time", 16) else "[name=step]")
    assert says_the_truth(page)


@pytest.mark.timing
def test_an_update_while_dragging_takes_under_8_ms(show):
    page = show({"preset": "climbing", "time": 23})

    def move(page):
        x, y = center(page, 0)
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(120):
            page.mouse.move(x, y - 20 * np.sin(step / 9))
        page.mouse.up()
        frame(page)

    assert_an_update_takes_under_8_ms(page, move)
