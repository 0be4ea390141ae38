"""Every explorer in a real JupyterLab: what is moved in the browser, Python has, and the other way round."""

import re

import numpy as np
import pytest
from hands import EXPLORERS
from lab import open_notebook, printed, run_cell, seen, seen_other_than, serve_notebooks

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = {
    "eigenvalues": [
        "from seqlab.explorers import EigenvalueExplorer\nexplorer = EigenvalueExplorer(state_size=3)\nexplorer",
        "print('seen:', explorer.initialization, [f'{value:.4f}' for value in explorer.eigenvalues])",
        """import torch
from seqlab.nn import LRU
layer = LRU.from_eigenvalues(4, explorer.eigenvalues)
start = abs(layer.eigenvalues.detach().numpy() - explorer.eigenvalues).max()
u = torch.randn(2, 32, 4)
optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
losses = []
for _ in range(20):
    loss = (layer(u)[0] - u.roll(1, 1)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    losses.append(loss.item())
print('trained:', start < 1e-5, losses[-1] < losses[0])""",
        "explorer.eigenvalues = [0.5, 0.5j, -0.5, -0.5j]\nprint('placed')",
    ],
    "function": [
        "from seqlab.explorers import FunctionExplorer\n"
        "explorer = FunctionExplorer(preset='flat', order=8)\n"
        "explorer",
        "print('seen:', explorer.preset, explorer.order, explorer.time, f'{abs(explorer.signal).max():.6f}')",
        """import numpy as np
from seqlab.ops.hippo import reference
f = explorer.signal[None, :, None]
def apart(measure):
    c, _ = reference.hippo_project(f, explorer.order, measure, theta=explorer.theta)
    return abs(c[0, explorer.time - 1, 0] - explorer.coefficients[measure]).max()
print('agree:', list(explorer.coefficients), max(map(apart, explorer.measures)) < 1e-12)""",
        "explorer.signal, explorer.measures = np.sin(np.arange(60)), ['legs', 'fourier']\nprint('set')",
    ],
    "poles": [
        "from seqlab.explorers import PoleExplorer\n"
        "explorer = PoleExplorer(preset='oscillator', method='bilinear')\n"
        "explorer",
        "print('seen:', explorer.preset, explorer.method, explorer.dt, [f'{value:.9f}' for value in explorer.poles])",
        """import numpy as np
from seqlab.ops.discretize.reference import discretize
images, _ = discretize(explorer.poles, np.ones(1), explorer.dt, explorer.method, diagonal=True)
print('images:', np.array_equal(images, explorer.images), f'{explorer.images[0]:.9f}')""",
        "explorer.poles, explorer.method = [-1, -0.5 + 1j, -0.25], 'euler'\nprint('placed')",
        "explorer.preset = 'stiff'\nprint('stiff')",
    ],
}
POINTS = {"eigenvalues": 3, "function": 1, "poles": 1}
of_eigenvalues, of_function, of_poles = (
    pytest.mark.parametrize("page", [name], indirect=True) for name in CELLS
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve_notebooks(tmp_path_factory.mktemp("lab"), CELLS) as address:
        yield address


@pytest.fixture(scope="module", params=CELLS)
def page(request, browser, address):
    """The notebook of each explorer, opened once."""
    with open_notebook(browser, address, request.param) as page:
        page.explorer = request.param
        yield page


def test_every_explorer_has_a_notebook_here():
    assert sorted(CELLS) == EXPLORERS


def test_the_widget_is_shown_and_not_the_websites_element(page):
    assert page.locator("[role=slider]").count() == POINTS[page.explorer]
    assert page.locator("seqlab-explorer").count() == 0


@of_eigenvalues
def test_dragging_an_eigenvalue_reaches_python_and_a_layer_trains_from_it(page):
    before = seen(page)
    assert "ring" in before
    point = page.locator("[role=slider]").nth(0)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y + 40, steps=6)
    page.mouse.up()
    reading = page.input_value("[name=modulus]")
    after = seen_other_than(page, before)
    assert "custom" in after
    value = complex(re.search(r"'([^']+j)'", after)[1])
    assert abs(abs(value) - float(reading)) < 2e-4
    run_cell(page, 2)
    assert "trained: True True" in printed(page, 2, "trained:")


@of_eigenvalues
def test_keys_on_a_point_are_the_explorers_and_not_jupyterlabs(page):
    before = seen(page)
    point = page.locator("[role=slider].selected")
    point.scroll_into_view_if_needed()
    point.focus()
    for key in ("ArrowUp", "ArrowUp", "PageDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert page.locator("[name=selected]").input_value() == "2"
    after = seen_other_than(page, before)
    page.select_option("[name=initialization]", "ring")
    r_max = float(page.inner_text("[data-parameter=r_max] b"))
    page.focus("[name=r_max]")
    page.keyboard.press("ArrowLeft")
    assert float(page.inner_text("[data-parameter=r_max] b")) < r_max
    assert "ring" in seen_other_than(page, after)


@of_eigenvalues
def test_python_moves_the_points(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 4")
    assert page.locator("[name=initialization]").input_value() == "custom"
    assert "modulus 0.500, phase 0.500 π" in page.locator("[role=slider]").nth(1).get_attribute(
        "aria-valuetext"
    )


@of_function
def test_what_is_drawn_reaches_python_with_its_coefficients(page):
    before = seen(page)
    assert "flat 8 410 0.000000" in before
    sheet = page.locator(".signal canvas")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 30, steps=6)
    page.mouse.up()
    after = seen_other_than(page, before)
    assert "custom 8 410" in after
    assert 0.5 < float(after.split()[-1]) < 1.2
    run_cell(page, 2)
    assert "agree: ['legs', 'legt', 'lagt', 'fourier'] True" in printed(page, 2, "agree:")


@of_function
def test_keys_on_the_pen_are_the_explorers_and_not_jupyterlabs(page):
    before = seen(page)
    pen = page.locator("[role=slider]")
    pen.scroll_into_view_if_needed()
    pen.focus()
    for key in ("ArrowRight", "Shift+ArrowDown", "PageDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    page.focus("[name=order]")
    page.keyboard.press("ArrowRight")
    after = seen_other_than(page, before)
    assert "custom 9 410" in after
    page.focus("[name=time]")
    page.keyboard.press("Home")
    assert "custom 9 1 " in seen_other_than(page, after)
    run_cell(page, 2)
    assert "True" in printed(page, 2, "agree:")


@of_function
def test_python_redraws_the_sheet(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelector('[name=time]').max === '60'")
    page.wait_for_function("!document.querySelector('[name=legt]').checked")
    assert page.locator("[name=fourier]").is_checked()
    assert page.locator("[name=preset]").input_value() == "custom"
    run_cell(page, 2)
    assert "agree: ['legs', 'fourier'] True" in printed(page, 2, "'fourier'. True")


@of_poles
def test_dragging_a_pole_reaches_python_and_its_images(page):
    before = seen(page)
    assert "oscillator bilinear 0.25 ['-0.100000000+2.000000000j']" in before
    point = page.locator("[role=slider]").nth(0)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y + 30, steps=6)
    page.mouse.up()
    real = float(page.input_value("[name=re]"))
    after = seen_other_than(page, before)
    assert "custom" in after
    s = complex(re.search(r"'([^']+j)'", after)[1])
    assert s.real < -0.2
    assert s.imag < 2
    assert abs(s.real - real) < 1e-5
    run_cell(page, 2)
    words = printed(page, 2, "images:")
    assert "images: True" in words
    image = complex(words.split()[-1])
    np.testing.assert_allclose(image, (1 + 0.125 * s) / (1 - 0.125 * s), atol=1e-8)


@of_poles
def test_keys_on_a_pole_are_the_explorers_and_not_jupyterlabs(page):
    before = seen(page)
    point = page.locator("[role=slider].selected")
    point.scroll_into_view_if_needed()
    point.focus()
    for key in ("ArrowUp", "ArrowUp", "PageDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    moved = seen_other_than(page, before)
    page.focus("[name=dt]")
    page.keyboard.press("ArrowLeft")
    stepped = seen_other_than(page, moved)
    assert " 0.2455 " in stepped
    page.select_option("[name=method]", "zoh")
    assert "zoh" in seen_other_than(page, stepped)


@of_poles
def test_python_moves_the_poles(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 3")
    page.wait_for_function("document.querySelector('[name=method]').value === 'euler'")
    assert page.locator("[name=preset]").input_value() == "custom"
    spoken = "[role=slider][aria-valuetext^='s = −0.5 + 1 i, image 0.87']"  # 1 + 0.2455 s, once it is drawn
    page.wait_for_selector(spoken)
    run_cell(page, 4)
    page.wait_for_function("document.querySelector('[name=preset]').value === 'stiff'")
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 2")
    page.wait_for_function("document.querySelector('[data-parameter=dt] b').textContent === '0.1'")


def test_it_follows_the_theme(page):
    for theme in ("Dark", "Light"):
        page.click("text=Settings")
        page.click("[data-type=submenu]:has-text('Theme')")
        page.click(f"li:has-text('JupyterLab {theme}') >> nth=-1")
        page.wait_for_function(
            "(shade) => document.querySelector('.explorer-panel').dataset.shade === shade", arg=theme.lower()
        )
