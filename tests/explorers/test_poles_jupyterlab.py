"""The pole playground in a real JupyterLab: dragging a pole in the browser moves what Python computes with."""

import re

import numpy as np
import pytest
from lab import open_notebook, printed, run_cell, seen, seen_other_than, serve_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
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
]


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    with (
        serve_notebook(tmp_path_factory.mktemp("lab"), CELLS) as address,
        open_notebook(browser, address) as page,
    ):
        yield page


def test_the_widget_is_shown_and_not_the_websites_element(page):
    assert page.locator("[role=slider]").count() == 1
    assert page.locator("seqlab-explorer").count() == 0


def test_dragging_reaches_python_and_its_images(page):
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


def test_keys_and_controls_are_the_explorers_and_not_jupyterlabs(page):
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


def test_dark_theme(page):
    shade = page.locator(".pole-explorer")
    assert shade.get_attribute("data-shade") == "light"
    page.click("text=Settings")
    page.click("[data-type=submenu]:has-text('Theme')")
    page.click("li:has-text('JupyterLab Dark') >> nth=-1")
    page.wait_for_function("document.querySelector('.pole-explorer').dataset.shade === 'dark'")
