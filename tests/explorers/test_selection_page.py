"""The selection explorer on a page with no Python behind it, in a real browser."""

import functools
import re

import numpy as np
import pytest
from hands import changed, frame, model, pictures, slide, wait_for_words
from stopwatch import assert_an_update_takes_under_8_ms
from test_stillness import assert_still, places

from seqlab.explorers import SelectionExplorer

pytestmark = pytest.mark.browser

PLOTS = ["steps", "projections", "selective", "invariant"]
MARGIN, RIGHT, TOP, BOTTOM = 44, 14, 8, 30  # pixels around a plot
LEAST, MOST = 1e-4, 10  # of the axis of the steps
FULL = {"text": "abcd12·1" * 4, "channel": 8, "position": 31}


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "selection")


def on_sheet(page, t, step):
    """Where a token's step is on the screen."""
    box = page.locator(".steps canvas").bounding_box()
    x = box["x"] + MARGIN + (t + 0.5) / len(here(page).text) * (box["width"] - MARGIN - RIGHT)
    part = np.log(step / LEAST) / np.log(MOST / LEAST)
    return x, box["y"] + TOP + (1 - part) * (box["height"] - TOP - BOTTOM)


def drag(page, *held):
    page.mouse.move(*on_sheet(page, *held[0]))
    page.mouse.down()
    for place in held[1:]:
        page.mouse.move(*on_sheet(page, *place), steps=4)
    page.mouse.up()
    frame(page)


def here(page):
    """The explorer in Python with what the page's model holds."""
    names = ("stream", "text", "rule", "delta", "position", "channel")
    held = {name: value for name in names if (value := model(page, name)) is not None}
    for name, values in (("stream", "text"), ("rule", "delta")):
        held.pop(name if held.get(name) in (None, "custom") else values, None)
    return SelectionExplorer(**held)


def agrees(page):
    """The page says what NumPy makes of its text, steps, position and channel."""
    frame(page)
    page.locator("[name=reset]").focus()
    there = here(page)
    right, t = there.right(), there.position
    for name in ("selective", "invariant"):
        run = getattr(there, name)()
        kept, answer, score = page.inner_text(f".{name} .reading").splitlines()
        weights = np.array(weights_of(name)["log_rates"])
        A = -np.exp(weights if name == "selective" else weights[there.channel - 1])
        delta = run.delta[t, 0, 0] if name == "selective" else run.delta[0, there.channel - 1, 0]
        said = [float(number) for number in re.findall(r"[\d.]+", kept)]
        np.testing.assert_allclose(said, np.exp(delta * A), atol=0.00501)
        given = run.probabilities.argmax(-1)
        assert score == f"{(given == right)[right >= 0].sum()} of {(right >= 0).sum()} questions right"
        if right[t] < 0:
            assert answer == "no letter is asked for here"
        else:
            assert answer.startswith(f"answers {'abcd'[given[t]]} (")
            assert ("wrong" in answer) == (given[t] != right[t])
    return True


def weights_of(name):
    from seqlab.explorers.selection.model import WEIGHTS

    return WEIGHTS[name]


def test_it_says_what_it_shows(show):
    page = show({"stream": "silence", "position": 23})
    words = page.inner_text("output")
    assert words.startswith("A long silence, 24 tokens: cd····················12.")
    assert "Of 2 questions, the selective model answers 2 right, the time-invariant one 0." in words
    assert "Δ as the model chooses; at token 24 (2, which is the one before it?) it is 0.00654" in words
    assert agrees(page)
    assert page.inner_text(".selective .reading").splitlines()[1] == "answers c (100%): right"
    assert "wrong, it was c" in page.inner_text(".invariant .reading")
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))


def test_every_example_under_every_rule(show):
    page = show()
    for stream in ("gaps", "close", "silence", "questions"):
        page.select_option("[name=stream]", stream)
        for rule in ("constant", "model"):
            page.select_option("[name=rule]", rule)
            frame(page)
            there = SelectionExplorer(stream=stream, rule=rule)
            assert (model(page, "text"), model(page, "rule")) == (there.text, rule)
            np.testing.assert_allclose(model(page, "delta"), there.delta, rtol=1e-12)
            assert agrees(page)
    assert "NaN" not in page.inner_text("seqlab-explorer")


def test_typing_a_stream(show):
    page = show({"stream": "close"})
    words, before = page.inner_text("output"), pictures(page)
    page.fill("[name=text]", "A.b 2x1")
    frame(page)
    assert page.input_value("[name=text]") == "A.b 2x1"  # nothing is written over while it is typed
    page.locator("[name=text]").blur()
    frame(page)
    assert page.input_value("[name=text]") == model(page, "text") == "a·b·21"
    assert model(page, "stream") == page.input_value("[name=stream]") == "custom"
    assert changed(before, pictures(page)) == PLOTS
    assert wait_for_words(page, words).startswith("Typed by hand, 6 tokens: a·b·21.")
    assert agrees(page)
    page.fill("[name=text]", "?!")  # no token at all
    page.locator("[name=text]").blur()
    frame(page)
    assert page.input_value("[name=text]") == model(page, "text") == "a·b·21"


def test_the_palette_edits_the_token_at_the_cursor(show):
    page = show({"text": "ab12", "position": 1})
    page.click("[data-token='3']")
    frame(page)
    assert model(page, "text") == "ac12"
    page.click("[name=insert]")
    frame(page)
    assert model(page, "text") == "a·c12"
    slide(page, "position", 4)
    page.click("[name=delete]")
    frame(page)
    assert (model(page, "text"), model(page, "position")) == ("a·c1", 3)
    assert agrees(page)
    for _ in range(3):
        page.click("[name=delete]")
        frame(page)
    assert page.locator("[name=delete]").is_disabled()
    assert model(page, "text") == "a"
    full = show(FULL)
    assert full.locator("[name=insert]").is_disabled()


def test_dragging_a_step(show):
    page = show({"stream": "silence"})
    words, before = page.inner_text("output"), pictures(page)
    drag(page, (10, 0.001), (10, 3))  # one blank that takes long: it writes over the letters
    delta = model(page, "delta")
    assert delta[10] == pytest.approx(3, rel=0.1)
    chosen = SelectionExplorer(stream="silence").delta
    np.testing.assert_allclose(np.delete(delta, 10), np.delete(chosen, 10), rtol=1e-12)
    assert (model(page, "rule"), page.input_value("[name=rule]"), model(page, "position")) == (
        "custom", "custom", 10,
    )  # fmt: skip
    assert changed(before, pictures(page)) == [name for name in PLOTS if name != "invariant"] + ["invariant"]
    assert "Δ by hand" in wait_for_words(page, words)
    assert agrees(page)
    assert page.inner_text(".selective .reading").splitlines()[2] != "2 of 2 questions right"
    page.click("[data-token='1']")  # other tokens: their steps are the model's again
    frame(page)
    assert model(page, "rule") == "model"
    page.click("[name=reset]")
    frame(page)
    assert (model(page, "stream"), page.input_value("[name=rule]")) == ("silence", "model")
    assert agrees(page)


def test_keys_on_the_pen(show):
    page = show({"text": "ab··1", "position": 0})
    start = here(page).delta
    pen = page.locator(".pen")
    pen.focus()
    for key in ("ArrowRight", "ArrowRight", "PageUp", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    frame(page)
    delta = model(page, "delta")
    assert delta[2] == pytest.approx(start[2] * 10**0.3, rel=1e-3)
    assert delta[4] == pytest.approx(start[4] * 10**-0.2, rel=1e-3)
    assert pen.get_attribute("aria-valuetext").startswith("Δ of token 5 = 0.00")
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    page.keyboard.press("Shift+PageUp")
    assert model(page, "delta")[0] == MOST
    assert model(page, "position") == 0
    assert agrees(page)


def test_the_model_redraws_it(show):
    page = show()
    before = pictures(page)
    page.evaluate(
        """() => { const { model } = document.querySelector("seqlab-explorer");
          model.set("stream", "custom"); model.set("text", "ca2"); model.set("rule", "custom");
          model.set("delta", [0, 1, 100]); model.set("position", 2); model.set("channel", 5); }"""
    )
    frame(page)
    assert changed(before, pictures(page)) == PLOTS
    assert page.get_attribute("[name=position]", "max") == "2"
    assert agrees(page)


@pytest.mark.parametrize("width", [320, 390, 600, 1000])
def test_the_longest_stream_moves_no_drawing(show, width):
    page = show(viewport={"width": width, "height": 900})
    before = places(page)
    page.fill("[name=text]", FULL["text"])
    slide(page, "position", 31)
    page.wait_for_timeout(400)  # the words follow
    assert_still(page, before, "the longest stream")


def test_the_cursors_slider_stands_under_its_token(show):
    page = show()
    slider = page.locator("[name=position]").bounding_box()
    thumb = 16
    for end, t in ((slider["x"] + thumb / 2, 0), (slider["x"] + slider["width"] - thumb / 2, 21)):
        assert end == pytest.approx(on_sheet(page, t, 1)[0], abs=1)


@pytest.mark.timing
def test_an_update_while_a_step_is_dragged_takes_under_8_ms(show):
    page = show(FULL)

    def move(page):
        page.mouse.move(*on_sheet(page, 16, 0.1))
        page.mouse.down()
        for k in range(120):
            page.mouse.move(*on_sheet(page, 16, 10 ** (2 * np.sin(k / 9) - 1.5)))
        page.mouse.up()
        frame(page)

    assert_an_update_takes_under_8_ms(page, move)
