"""The explorer on a page with no Python behind it, in a real browser."""

import functools

import numpy as np
import pytest
from hands import center, changed, frame, model, pictures, swipe, wait_for_words
from scipy.optimize import linear_sum_assignment
from stopwatch import assert_an_update_takes_under_8_ms, drag_a_point

from seqlab.explorers import EigenvalueExplorer

pytestmark = pytest.mark.browser

PLOTS = ("impulse", "magnitude", "memory", "gradient")


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "eigenvalues")


def eigenvalues(page):
    pairs = page.evaluate(
        """() => [...document.querySelectorAll("[role=slider]")].map((point) => {
             const { e, f } = new DOMMatrix(getComputedStyle(point).transform);
             return [e, -f]; })"""
    )
    return np.array(pairs) @ [1, 1j]


def radius_of_disk(page):
    return page.evaluate("document.querySelector('.disk .rim').r.baseVal.value")


def held(page):
    return np.array(model(page, "eigenvalues")) @ [1, 1j]


TWO = {"initialization": "custom", "eigenvalues": [[0.5, 0.0], [0.0, 0.9]], "state_size": 2}


def test_it_says_what_it_shows(show):
    page = show()
    words = page.inner_text("output")
    lam = EigenvalueExplorer().eigenvalues
    assert words.startswith("LRU ring: 32 modes, modulus 0.900 to 0.9903.")
    assert f"{np.abs(lam).min():.3f}" == "0.900"
    assert f"{np.abs(lam).max():.4f}" == "0.9903"
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))
    assert "asleep" not in page.inner_text("seqlab-explorer")


def test_points_are_where_the_eigenvalues_are(show):
    page = show(TWO)
    np.testing.assert_allclose(eigenvalues(page) / radius_of_disk(page), [0.5, 0.9j], atol=1e-3)


def test_dragging_with_the_mouse(show):
    page = show(TWO)
    words, before = page.inner_text("output"), pictures(page)
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x, y - 5 * step)
    assert page.locator(".disk svg.dragging").count() == 1
    page.mouse.up()
    frame(page)
    expected = 0.5 + 50j / radius_of_disk(page)
    assert abs(held(page)[0] - expected) < 0.01
    assert abs(eigenvalues(page)[0] / radius_of_disk(page) - expected) < 0.01
    assert held(page)[1] == 0.9j
    assert model(page, "initialization") == "custom"
    after = pictures(page)
    assert changed(before, after) == list(PLOTS)
    modulus = abs(held(page)[0])
    assert f"Selected mode 1: modulus {modulus:.3f}" in wait_for_words(page, words)
    assert f"half-life {np.log(2) / -np.log(modulus):.3g} steps" in page.inner_text(".reading")


def test_a_point_stays_inside_the_disk(show):
    page = show(TWO)
    page.mouse.move(*center(page, 0))
    page.mouse.down()
    page.mouse.move(990, 200, steps=5)
    page.mouse.up()
    assert abs(abs(held(page)[0]) - 0.9999) < 1e-9


def test_a_mode_under_the_pointer_is_highlighted_in_every_plot(show):
    page = show(TWO)
    before = pictures(page)
    page.mouse.move(*center(page, 1))
    frame(page)
    assert page.locator("[role=slider].hovered").count() == 1
    after = pictures(page)
    assert changed(before, after) == list(PLOTS)
    page.mouse.move(5, 5)
    frame(page)
    assert pictures(page) == before


def test_keys(show):
    page = show(TWO)
    page.locator("[role=slider]").nth(0).focus()
    page.keyboard.press("ArrowUp")
    assert abs(held(page)[0] - (0.5 + 0.01j)) < 1e-9
    page.keyboard.press("Shift+ArrowRight")
    assert abs(held(page)[0] - (0.6 + 0.01j)) < 1e-9
    page.keyboard.press("PageDown")
    assert model(page, "selected") == 1
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == "Mode 2 of 2"
    page.keyboard.press("ArrowLeft")
    assert abs(held(page)[1] - (-0.01 + 0.9j)) < 1e-9
    frame(page)
    spoken = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    assert spoken.startswith("modulus 0.900, phase 0.504 π, half-life")
    page.keyboard.press("Delete")
    assert len(held(page)) == 1
    page.keyboard.press("Delete")  # the last one stays
    assert len(held(page)) == 1


def test_add_and_remove(show):
    page = show(TWO)
    page.click("[name=add]")
    assert len(held(page)) == 3
    assert model(page, "selected") == 2
    page.click("[name=remove]")
    assert len(held(page)) == 2
    box = page.locator(".disk svg").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    unit = radius_of_disk(page)
    page.mouse.dblclick(middle[0] - 0.5 * unit, middle[1] + 0.25 * unit)
    assert abs(held(page)[2] - (-0.5 - 0.25j)) < 0.01


def test_numbers_can_be_typed(show):
    page = show(TWO)
    page.fill("[name=modulus]", "0.999")
    page.fill("[name=phase]", "0.5")
    assert abs(held(page)[0] - 0.999j) < 1e-12
    page.fill("[name=selected]", "2")
    assert model(page, "selected") == 1
    frame(page)
    assert page.input_value("[name=modulus]") == "0.9"


def test_a_finger_on_a_point_drags_it_and_elsewhere_scrolls(show):
    page = show(TWO, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.disk svg').scrollIntoView({ block: 'center' })")
    frame(page)
    top = page.evaluate("scrollY")
    x, y = center(page, 0)
    swipe(page, (x, y), (x, y + 60))
    assert abs(held(page)[0] - (0.5 - 60j / radius_of_disk(page))) < 0.02
    assert page.evaluate("scrollY") == top
    moved = held(page)
    box = page.locator(".disk svg").bounding_box()
    empty = box["x"] + 0.25 * box["width"], box["y"] + 0.6 * box["height"]
    swipe(page, empty, (empty[0], empty[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    np.testing.assert_array_equal(held(page), moved)


@pytest.mark.parametrize(
    "initialization", ["ring", "real", "glorot", "s4d_lin", "s4d_inv", "s4d_real", "hippo_legs"]
)
def test_every_initialization_can_be_picked(show, initialization):
    page = show({"initialization": "custom", "eigenvalues": [[0.5, 0.0]], "seed": 3})
    words, before = page.inner_text("output"), pictures(page)
    page.select_option("[name=initialization]", initialization)
    page.evaluate("""() => { const modes = document.querySelector("[name=state_size]");
                             modes.value = 5;
                             for (const kind of ["input", "change"]) modes.dispatchEvent(new Event(kind)); }""")
    frame(page)  # which methods there are is shown with the next picture
    if page.locator("[name=method]").is_enabled():
        page.select_option("[name=method]", "bilinear")
    wait_for_words(page, words)
    explorer = EigenvalueExplorer(initialization=initialization, state_size=32, method="bilinear", seed=3)
    apart = np.abs(held(page)[:, None] - explorer.eigenvalues)
    assert apart[linear_sum_assignment(apart)].max() < 1e-12
    assert page.locator("[role=slider]").count() == 32
    assert changed(before, pictures(page)) == list(PLOTS)


@pytest.mark.parametrize("name", ["state_size", "r_min", "r_max", "max_phase"])
def test_sliders(show, name):
    page = show(EigenvalueExplorer().parameters())
    words, before = page.inner_text("output"), model(page, name)
    page.locator(f"[name={name}]").focus()
    page.keyboard.press("ArrowLeft")
    assert model(page, name) < before
    wait_for_words(page, words)
    lam = EigenvalueExplorer(**{name: model(page, name)}).eigenvalues
    np.testing.assert_allclose(held(page), lam, atol=1e-15)


def test_weights_horizon_and_the_stretched_rim(show):
    page = show()
    before, unit = pictures(page), radius_of_disk(page)
    page.check("[name=normalize]")
    frame(page)
    after = pictures(page)
    assert before["impulse"] != after["impulse"]
    assert before["magnitude"] != after["magnitude"]
    page.select_option("[name=horizon]", "1000")
    frame(page)
    assert model(page, "horizon") == 1000
    assert after["gradient"] != pictures(page)["gradient"]
    radii = np.abs(eigenvalues(page)) / unit
    page.check("[name=stretched]")
    frame(page)
    stretched = np.abs(eigenvalues(page)) / unit
    np.testing.assert_allclose(stretched, np.log1p(-radii * (1 - 1e-4)) / np.log(1e-4), atol=1e-3)
    moduli = np.abs(held(page))
    np.testing.assert_allclose(radii, moduli, atol=1e-4)


def test_the_model_moves_the_points(show):
    page = show(TWO)
    page.evaluate(
        """document.querySelector("seqlab-explorer").model
             .set("eigenvalues", [[0, 0.25], [0.75, 0], [-0.5, 0]])"""
    )
    frame(page)
    np.testing.assert_allclose(eigenvalues(page) / radius_of_disk(page), [0.25j, 0.75, -0.5], atol=1e-3)


def test_a_matrix_with_eigenvalues_outside_the_disk(show):
    page = show({"initialization": "glorot", "seed": 0, "normalize": True})
    outside = int((np.abs(EigenvalueExplorer(initialization="glorot").eigenvalues) >= 1).sum())
    assert outside == 2
    assert page.locator("[role=slider].outside").count() == outside
    assert f"{outside} modes on or outside the circle do not fade" in page.inner_text("output")
    assert "NaN" not in page.inner_text("seqlab-explorer")


@pytest.mark.parametrize("number", [1, 256])
def test_fewest_and_most_modes(show, number):
    page = show({"state_size": number})
    assert page.locator("[role=slider]").count() == number
    assert page.locator("[name=remove]").is_disabled() == (number == 1)
    assert page.locator("[name=add]").is_disabled() == (number == 256)
    assert "NaN" not in page.inner_text("seqlab-explorer")


def test_a_crowd_moves_as_one_while_a_slider_does_and_each_point_follows_when_it_is_let_go(show):
    page = show({"state_size": 256})
    before = eigenvalues(page)
    slide = """(kind) => { const field = document.querySelector("[name=r_max]");
                 field.value = 1; field.dispatchEvent(new Event(kind)); }"""
    page.evaluate(slide, "input")
    frame(page)
    dots = page.eval_on_selector_all(
        ".disk .crowd path", "paths => paths.map(path => path.getAttribute('d')).join('')"
    )
    assert dots.count("M") == 256
    np.testing.assert_array_equal(eigenvalues(page), before)
    page.evaluate(slide, "change")
    frame(page)
    assert page.locator(".disk .crowd path").count() == 0
    np.testing.assert_allclose(eigenvalues(page) / radius_of_disk(page), held(page), atol=1e-3)


@pytest.mark.timing
def test_an_update_with_256_eigenvalues_takes_under_8_ms(show):
    page = show({"state_size": 256})
    assert_an_update_takes_under_8_ms(page, drag_a_point)
