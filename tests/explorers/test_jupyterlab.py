"""The explorer in a real JupyterLab: dragging a point in the browser changes what Python trains from."""

import re

import pytest
from lab import open_notebook, printed, run_cell, seen, seen_other_than, serve_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
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
]


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    with (
        serve_notebook(tmp_path_factory.mktemp("lab"), CELLS) as address,
        open_notebook(browser, address) as page,
    ):
        yield page


def test_the_widget_is_shown_and_not_the_websites_element(page):
    assert page.locator("[role=slider]").count() == 3
    assert page.locator("seqlab-explorer").count() == 0


def test_dragging_reaches_python_and_a_layer_trains_from_it(page):
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


def test_keys_are_the_explorers_and_not_jupyterlabs(page):
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


def test_python_moves_the_points(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 4")
    assert page.locator("[name=initialization]").input_value() == "custom"
    assert "modulus 0.500, phase 0.500 π" in page.locator("[role=slider]").nth(1).get_attribute(
        "aria-valuetext"
    )


def test_dark_theme(page):
    shade = page.locator(".eigenvalue-explorer")
    assert shade.get_attribute("data-shade") == "light"
    page.click("text=Settings")
    page.click("[data-type=submenu]:has-text('Theme')")
    page.click("li:has-text('JupyterLab Dark') >> nth=-1")
    page.wait_for_function("document.querySelector('.eigenvalue-explorer').dataset.shade === 'dark'")
