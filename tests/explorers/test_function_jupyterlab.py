"""Draw a function in a real JupyterLab: what is drawn in the browser, Python has, and the other way round."""

import pytest
from lab import open_notebook, printed, run_cell, seen, seen_other_than, serve_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
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


def test_keys_and_controls_are_the_explorers_and_not_jupyterlabs(page):
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


def test_python_redraws_the_sheet(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelector('[name=time]').max === '60'")
    page.wait_for_function("!document.querySelector('[name=legt]').checked")
    assert page.locator("[name=fourier]").is_checked()
    assert page.locator("[name=preset]").input_value() == "custom"
    run_cell(page, 2)
    assert "agree: ['legs', 'fourier'] True" in printed(page, 2, "'fourier'. True")


def test_dark_theme(page):
    shade = page.locator(".function-explorer")
    assert shade.get_attribute("data-shade") == "light"
    page.click("text=Settings")
    page.click("[data-type=submenu]:has-text('Theme')")
    page.click("li:has-text('JupyterLab Dark') >> nth=-1")
    page.wait_for_function("document.querySelector('.function-explorer').dataset.shade === 'dark'")
