"""The pole playground on a page with no Python behind it, in a real browser."""

import functools

import numpy as np
import pytest
from hands import center, changed, frame, model, pictures, swipe, wait_for_words
from stopwatch import assert_an_update_takes_under_8_ms, drag_a_point

from seqlab.explorers import PoleExplorer
from seqlab.nn import eigenvalues as law

pytestmark = pytest.mark.browser

PLOTS = ("impulse", "error", "order")
TWO = {"poles": [[-1.0, 0.0], [-0.5, 0.5]], "dt": 0.5, "duration": 10}
METHODS = ["euler", "backward_euler", "bilinear", "zoh"]


@pytest.fixture
def show(show_explorer):
    """show(params, **context) -> a page with the explorer drawn."""
    return functools.partial(show_explorer, "poles")


def held(page):
    return np.array(model(page, "poles")) @ [1, 1j]


def places(page, plane, group=3):
    """Where a plane's markers are, in pixels from its center, upward, as complex numbers."""
    pairs = page.evaluate(
        """([plane, group]) => [...document.querySelectorAll(`.${plane} svg g:nth-child(${group}) path`)]
             .map((point) => { const { e, f } = new DOMMatrix(point.style.transform); return [e, -f]; })""",
        [plane, group],
    )
    return np.array(pairs) @ [1, 1j]


def unit(page, plane):
    """Pixels in a 1 of the plane: the first by two poles a known way apart, the second by the unit circle."""
    if plane == "z":
        return page.evaluate("document.querySelector('.z .rim').getBBox().width") / 2
    at, s = places(page, "s"), held(page)
    return abs(at[1] - at[0]) / abs(s[1] - s[0])


def test_it_says_what_it_shows(show):
    page = show()
    words = page.inner_text("output")
    assert words.startswith(
        "S4D-Lin: 8 poles, zero-order hold, step dt = 0.05, Nyquist frequency π/dt = 62.8."
    )
    assert "Stable: every image is on or inside the unit circle." in words
    assert "Aliasing" not in words
    assert "Ringing" not in words
    for name in PLOTS:
        canvas = page.locator(f".{name} canvas")
        assert canvas.get_attribute("role") == "img"
        assert any(character.isdigit() for character in canvas.get_attribute("aria-label"))
    assert "0.975" in page.get_attribute(".z svg", "aria-label")
    assert "asleep" not in page.inner_text("seqlab-explorer")


@pytest.mark.parametrize(
    ("preset", "method", "dt", "said", "unsaid"),
    [
        ("stiff", "bilinear", 0.5, "Ringing: 1 image near the negative real axis", "Aliasing"),
        ("stiff", "zoh", 0.5, "Stable: every image", "Ringing"),
        ("stiff", "euler", 0.5, "Unstable: 1 image of 2 outside the unit circle makes", "Ringing"),
        ("aliasing", "zoh", 1.0, "Aliasing: 1 pole beyond the Nyquist frequency; zero-order hold", "Ringing"),
        ("aliasing", "bilinear", 1.0, "the bilinear map squeezes every frequency", "Unstable"),
        ("oscillator", "euler", 0.25, "though no pole of the continuous system does", "Aliasing"),
        (
            "integrator",
            "bilinear",
            0.5,
            "s = 0: never fades, does not turn. Its image 1, of modulus 1, does not turn and is on",
            "errs",
        ),
    ],
)
def test_it_names_ringing_aliasing_and_instability(show, preset, method, dt, said, unsaid):
    page = show({"preset": preset, "method": method, "dt": dt})
    assert said in page.inner_text("output")
    assert unsaid not in page.inner_text("output")


@pytest.mark.parametrize(("method", "shape"), [("bilinear", "ringing"), ("euler", "unstable")])
def test_a_fate_has_a_shape_of_its_own_in_both_planes(show, method, shape):
    page = show({"preset": "stiff", "method": method, "dt": 0.5})
    shapes = {name: page.get_attribute(f".markers .{name}", "d") for name in ("stable", shape)}
    assert shapes["stable"] != shapes[shape]
    for plane in ("s", "z"):
        markers = page.locator(f".{plane} svg g:nth-child(3) path")
        assert [markers.nth(n).get_attribute("d") for n in (0, 1)] == [shapes["stable"], shapes[shape]]


@pytest.mark.parametrize("method", METHODS)
def test_markers_are_where_the_numbers_are(show, method):
    page = show({**TWO, "method": method})
    explorer = PoleExplorer(poles=[-1, -0.5 + 0.5j], dt=0.5, method=method)
    apart = (places(page, "s") - places(page, "s")[0]) / unit(page, "s")
    np.testing.assert_allclose(apart, explorer.poles - explorer.poles[0], atol=1e-3)
    np.testing.assert_allclose(places(page, "z") / unit(page, "z"), explorer.images, atol=5e-3)
    mirrors = places(page, "z", 2)[1] / unit(page, "z")
    np.testing.assert_allclose(mirrors, explorer.images[1].conj(), atol=5e-3)
    drawn = page.locator(".z svg g:nth-child(2) path")
    assert drawn.nth(0).get_attribute("d") == ""  # a real pole is its own conjugate
    assert drawn.nth(1).get_attribute("d") != ""
    page.uncheck("[name=pairs]")
    frame(page)
    assert drawn.nth(1).get_attribute("d") == ""


@pytest.mark.parametrize("method", METHODS)
def test_the_shaded_region_is_what_the_method_maps_inside_the_circle(show, method):
    page = show({**TWO, "method": method, "dt": 0.8})
    inside = page.evaluate(
        """() => { const svg = document.querySelector(".s svg"), region = svg.querySelector(".region");
          const half = svg.viewBox.baseVal.width / 2, answers = [];
          for (let x = -half + 5.5; x < half; x += 17) for (let y = -half + 5.5; y < half; y += 17) {
            const point = svg.createSVGPoint(); point.x = x; point.y = y;
            answers.push([x, -y, region.isPointInFill(point)]); }
          return answers; }"""
    )
    x, y, shaded = np.array(inside).T
    s = held(page)[0] + (x + 1j * y - places(page, "s")[0]) / unit(page, "s")
    modulus = np.concatenate(
        [np.abs(PoleExplorer(poles=part, dt=0.8, method=method).images) for part in np.array_split(s, 20)]
    )
    clear = np.abs(modulus - 1) > 0.02
    assert clear.sum() > 300
    assert 0.1 < shaded.mean() < 0.95
    np.testing.assert_array_equal(shaded[clear], modulus[clear] < 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_image_of_the_left_half_plane_is_shaded(show, method):
    page = show({**TWO, "method": method})
    rng = np.random.default_rng(0)
    s = -(10 ** rng.uniform(-2, 2, 60)) + 1j * rng.standard_normal(60)
    images = PoleExplorer(poles=s, dt=1.0, method=method).images
    images = images[np.abs(images) < 1.4]
    answers = page.evaluate(
        """(pairs) => { const svg = document.querySelector(".z svg"), region = svg.querySelector(".region");
          const unit = svg.querySelector(".rim").getBBox().width / 2;
          return pairs.map(([x, y]) => { const point = svg.createSVGPoint();
            [point.x, point.y] = [x * unit, -y * unit]; return region.isPointInFill(point); }); }""",
        [[z.real, z.imag] for z in images] + [[1.2, 0.1]],
    )
    assert len(answers) > 20
    assert answers == [True] * len(images) + [False]


def test_the_nyquist_strip_follows_the_step(show):
    page = show({"preset": "aliasing"})

    def strip():
        return page.evaluate("document.querySelector('.s .strip').getBBox().height")

    before = strip()
    page.locator("[name=dt]").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    frame(page)
    assert abs(model(page, "dt") - 10**-0.1) < 1e-3
    assert abs(strip() / before - 10**0.1) < 1e-2
    page.locator("[name=dt]").evaluate(
        "(input) => { input.value = -1; input.dispatchEvent(new Event('input')); }"
    )
    frame(page)
    assert page.locator(".s .strip").count() == 0  # out of the picture


def test_dragging_with_the_mouse(show):
    page = show(TWO)
    words, before, images = page.inner_text("output"), pictures(page), places(page, "z")
    scale = unit(page, "s")
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x - 2 * step, y - 5 * step)
    assert page.locator(".s svg.dragging").count() == 1
    page.mouse.up()
    frame(page)
    expected = -1 + (-20 + 50j) / scale
    assert abs(held(page)[0] - expected) < 0.01
    assert held(page)[1] == -0.5 + 0.5j
    assert abs(places(page, "z")[0] - images[0]) > 5
    assert places(page, "z")[1] == images[1]
    assert model(page, "preset") == "custom"
    assert changed(before, pictures(page)) == list(PLOTS)
    assert f"{np.log(2) / -held(page)[0].real:.3g}" in wait_for_words(page, words)


def test_a_conjugate_is_dragged_in_its_poles_place(show):
    page = show(TWO)
    scale, x, y = unit(page, "s"), *center(page, 1)
    below = y + 2 * 0.5 * scale
    page.mouse.move(x, below)
    page.mouse.down()
    page.mouse.move(x, below + 20, steps=4)
    page.mouse.up()
    assert abs(held(page)[1] - (-0.5 + (0.5 + 20 / scale) * 1j)) < 0.01


def test_a_pole_near_the_real_axis_is_drawn_to_it(show):
    page = show(TWO)
    x, y = center(page, 1)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, center(page, 0)[1] + 2, steps=4)
    page.mouse.up()
    assert held(page)[1].imag == 0


def test_a_pole_stays_in_the_picture_while_it_is_dragged(show):
    page = show(TWO)
    page.mouse.move(*center(page, 0))
    page.mouse.down()
    page.mouse.move(5, 5, steps=5)
    page.mouse.up()
    box, at = page.locator(".s svg").bounding_box(), center(page, 0)
    assert box["x"] < at[0] < box["x"] + box["width"]
    assert box["y"] < at[1] < box["y"] + box["height"]


def test_a_pole_and_its_image_are_hovered_together(show):
    page = show(TWO)
    page.mouse.move(*center(page, 1))
    frame(page)
    assert page.locator(".s .hovered, .z .hovered").count() == 4  # with their conjugates
    page.mouse.move(5, 5)
    frame(page)
    assert page.locator(".hovered").count() == 0
    box = page.locator(".z svg g:nth-child(3) path").nth(1).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert model(page, "selected") == 1


def test_keys(show):
    page = show(TWO)
    page.locator("[role=slider]").nth(0).focus()
    page.keyboard.press("ArrowUp")
    fine = held(page)[0] - (-1)
    assert fine.real == 0
    assert 0 < fine.imag < 0.1
    page.keyboard.press("Shift+ArrowLeft")
    assert abs(held(page)[0] - (-1 + fine - 10 * fine.imag)) < 1e-9
    page.keyboard.press("PageDown")
    assert model(page, "selected") == 1
    frame(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Pole 2 of 2"
    page.keyboard.press("ArrowDown")
    frame(page)
    assert abs(held(page)[1] - (-0.5 + 0.5j - fine)) < 1e-9
    spoken = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    assert spoken.startswith(f"s = −0.5 + {held(page)[1].imag:.3g} i, image 0.7")
    page.keyboard.press("Delete")
    assert len(held(page)) == 1
    page.keyboard.press("Delete")  # the last one stays
    assert len(held(page)) == 1


def test_add_remove_and_zoom(show):
    page = show(TWO)
    page.click("[name=add]")
    assert len(held(page)) == 3
    assert model(page, "selected") == 2
    page.click("[name=remove]")
    assert len(held(page)) == 2
    frame(page)
    scale, at, s = unit(page, "s"), center(page, 0), held(page)
    page.mouse.dblclick(at[0] - 0.2 * scale, at[1] - 0.4 * scale)
    assert abs(held(page)[2] - (-1.2 + 0.4j)) < 0.02
    page.click("[name=out]")
    frame(page)
    assert abs(unit(page, "s") / scale - 1 / 1.5) < 1e-6
    page.click("[name=in]")
    frame(page)
    assert abs(unit(page, "s") / scale - 1) < 1e-6
    np.testing.assert_array_equal(held(page)[:2], s)


def test_numbers_can_be_typed(show):
    page = show(TWO)
    page.fill("[name=re]", "-0.125")
    page.fill("[name=im]", "30")
    assert held(page)[0] == -0.125 + 30j
    page.fill("[name=selected]", "2")
    assert model(page, "selected") == 1
    frame(page)
    assert page.input_value("[name=re]") == "-0.5"


def test_a_finger_on_a_pole_drags_it_and_elsewhere_scrolls(show):
    page = show(TWO, has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    page.evaluate("document.querySelector('.s svg').scrollIntoView({ block: 'center' })")
    frame(page)
    top, scale = page.evaluate("scrollY"), unit(page, "s")
    x, y = center(page, 0)
    swipe(page, (x, y), (x, y + 60))
    assert abs(held(page)[0] - (-1 - 60j / scale)) < 0.03
    assert page.evaluate("scrollY") == top
    moved = held(page)
    box = page.locator(".s svg").bounding_box()
    empty = box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"]
    swipe(page, empty, (empty[0], empty[1] - 200))
    page.wait_for_function("(top) => scrollY > top + 50", arg=top)
    np.testing.assert_array_equal(held(page), moved)


@pytest.mark.parametrize("preset", ["s4d_lin", "s4d_real", "oscillator", "stiff", "integrator", "aliasing"])
@pytest.mark.parametrize("method", METHODS)
def test_every_preset_and_method_can_be_picked(show, preset, method):
    page = show(TWO)
    words, before = page.inner_text("output"), pictures(page)
    page.select_option("[name=preset]", preset)
    page.select_option("[name=method]", method)
    wait_for_words(page, words)
    explorer = PoleExplorer(preset=preset, method=method)
    np.testing.assert_allclose(held(page), explorer.poles, rtol=1e-14)
    assert (model(page, "dt"), model(page, "duration")) == (explorer.dt, explorer.duration)
    assert (model(page, "method"), model(page, "state_size")) == (method, len(explorer.poles))
    assert page.locator("[role=slider]").count() == len(explorer.poles)
    assert changed(before, pictures(page)) == list(PLOTS)
    assert "NaN" not in page.inner_text("seqlab-explorer")


@pytest.mark.parametrize("name", ["state_size", "dt", "duration"])
def test_sliders(show, name):
    page = show(PoleExplorer().parameters())
    words, before = page.inner_text("output"), model(page, name)
    page.locator(f"[name={name}]").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert model(page, name) < before
    if name == "state_size":
        np.testing.assert_array_equal(held(page), law.s4d_lin(model(page, name)))
    if name != "duration":
        wait_for_words(page, words)


def test_the_model_moves_the_poles(show):
    page = show(TWO)
    page.evaluate(
        "document.querySelector('seqlab-explorer').model.set('poles', [[-0.2, 0.25], [-0.75, 0], [0, 1]])"
    )
    frame(page)
    at = places(page, "s")
    np.testing.assert_allclose((at[1] - at[0]) / (at[2] - at[0]), (-0.55 - 0.25j) / (0.2 + 0.75j), atol=1e-3)
    page.evaluate("document.querySelector('seqlab-explorer').model.set('method', 'euler')")
    frame(page)
    np.testing.assert_allclose(places(page, "z")[2] / unit(page, "z"), 1 + 0.5j, atol=5e-3)


@pytest.mark.parametrize("number", [1, 64])
@pytest.mark.parametrize("method", METHODS)
def test_fewest_and_most_poles(show, number, method):
    page = show({"state_size": number, "method": method, "dt": 10})
    assert page.locator("[role=slider]").count() == number
    assert page.locator("[name=remove]").is_disabled() == (number == 1)
    assert page.locator("[name=add]").is_disabled() == (number == 64)
    assert "NaN" not in page.inner_text("seqlab-explorer")


@pytest.mark.parametrize("method", METHODS)
def test_a_system_that_explodes_is_drawn_all_the_same(show, method):
    page = show({"poles": [[150, 0], [150, 40]], "dt": 0.01, "duration": 100, "method": method})
    assert page.locator("[role=slider]").count() == 2
    assert "NaN" not in page.inner_text("seqlab-explorer")
    assert "Unstable: 2 images" in page.inner_text("output")


def test_the_axis_of_the_error_follows_it(show):
    """Nothing of the line is cut off: it stays clear of the plot's upper edge, at 1300 times the peak as at a tenth."""
    page = show({"preset": "oscillator", "method": "euler"})
    assert "errs by up to 1300 times" in page.inner_text("output")

    def highest():
        return page.evaluate(
            """() => { const canvas = document.querySelector(".error canvas");
              const probe = document.createElement("canvas").getContext("2d");
              const panel = getComputedStyle(document.querySelector(".explorer-panel"));
              probe.fillStyle = panel.getPropertyValue("--panel-2");
              probe.fillRect(0, 0, 1, 1);
              const color = probe.getImageData(0, 0, 1, 1).data;
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              for (let i = 0; i < data.length; i += 4)
                if ([0, 1, 2].every((k) => Math.abs(data[i + k] - color[k]) < 12))
                  return Math.floor(i / 4 / width); }"""
        )

    assert highest() > 8 + 4  # the axis begins 8 pixels down
    page.select_option("[name=method]", "bilinear")
    frame(page)
    assert highest() > 8 + 4


def test_where_a_method_has_a_pole(show):
    page = show({"poles": [[2, 0], [-1, 0]], "dt": 1, "duration": 10, "method": "bilinear"})
    assert "Unstable: 1 image of 2" in page.inner_text("output")
    assert "NaN" not in page.inner_text("seqlab-explorer")


def test_a_crowd_of_images_is_a_few_elements_while_a_slider_moves_and_each_follows_when_it_is_let_go(show):
    page = show({"state_size": 64})
    before = places(page, "z")
    slide = """(kind) => { const field = document.querySelector("[name=dt]");
                 field.value = -2; field.dispatchEvent(new Event(kind)); }"""

    def crowd():
        return page.eval_on_selector_all(
            ".z .crowd", "crowd => crowd.map(path => (path.getAttribute('d') ?? '').split('M').slice(1))"
        )

    page.evaluate(slide, "input")
    frame(page)
    images = np.exp(0.01 * (-0.5 + 1j * np.pi * np.arange(64)))
    mirrors, filled, hollow = crowd()
    assert (len(mirrors), len(filled), len(hollow)) == (63, 63, 0)  # the selected pole, the first, is real
    shown = np.array([[float(n) for n in outline.split("a")[0].split()] for outline in filled]) @ [1, -1j]
    np.testing.assert_allclose(
        shown + 4, unit(page, "z") * images[1:], atol=1.5
    )  # circles begin 4 to the left
    np.testing.assert_array_equal(places(page, "z")[1:], before[1:])
    page.evaluate(slide, "change")
    frame(page)
    assert crowd() == [[], [], []]
    np.testing.assert_allclose(places(page, "z"), unit(page, "z") * images, atol=0.1)


@pytest.mark.timing
@pytest.mark.parametrize("dt", [0.001, 0.01, 0.5])
def test_an_update_with_64_poles_takes_under_8_ms(show, dt):
    page = show({"state_size": 64, "dt": dt})
    assert_an_update_takes_under_8_ms(page, drag_a_point)
