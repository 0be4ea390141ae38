"""Every explorer in a real JupyterLab: what is moved in the browser, Python has, and the other way round."""

import re

import numpy as np
import pytest
from hands import EXPLORERS
from lab import open_notebook, printed, run_cell, seen, seen_other_than, serve_notebooks
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = {
    "duality": [
        "from seqlab.explorers import DualityExplorer\n"
        "explorer = DualityExplorer(modes='slow', input='silence')\n"
        "explorer",
        "print('seen:', explorer.modes, explorer.input, explorer.time,"
        " [f'{value:.9f}' for value in explorer.eigenvalues], f'{abs(explorer.signal).max():.2f}')",
        """import numpy as np
import torch
from seqlab.nn import S4D
layer = S4D.from_eigenvalues(1, np.log(explorer.eigenvalues), dt_min=1, dt_max=1)
A_bar, _, _ = layer.system()
print('layer:', abs(A_bar.detach().numpy()[0] - explorer.eigenvalues).max() < 1e-6)""",
        "explorer.eigenvalues, explorer.signal = [0.5, 0.8j, -0.25], [0.5, -1] * 10\nexplorer.time = 19",
    ],
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
    "gates": [
        "from seqlab.explorers import GatesExplorer\n"
        "explorer = GatesExplorer(preset='ordinary', time=3)\n"
        "explorer",
        "print('seen:', explorer.preset, explorer.time, f'{abs(explorer.input_gates).max():.1f}')",
        "import numpy as np\nexplorer.input_gates, explorer.precision = np.linspace(-50, 50, 9), 'float16'",
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
    "recall": [
        "from seqlab.explorers import RecallExplorer\nexplorer = RecallExplorer(preset='frequent')\nexplorer",
        "print('seen:', explorer.preset, explorer.sequence, explorer.time, explorer.taps.tolist())",
        "explorer.sequence, explorer.decay = 'd4d', 0.5\nprint('set')",
    ],
    "wkv": [
        "from seqlab.explorers import WKVExplorer\nexplorer = WKVExplorer(preset='even')\nexplorer",
        "print('seen:', explorer.preset, explorer.time, list(explorer.k[:8]), list(explorer.w))",
        """import torch
from seqlab import ops
from seqlab.ops.wkv.reference import wkv_sum
w, u = explorer.w, explorer.u
k, v = (x[None, :, None] * [1, 1, 1] for x in (explorer.k, explorer.v))
y, _ = ops.wkv(*(torch.tensor(x) for x in (w, u, k, v)))
print('agree:', abs(y.numpy() - wkv_sum(w, u, k, v)).max() < 1e-12)""",
        "explorer.k, explorer.w, explorer.time = range(24), [0, 1, 2], 3",
    ],
    "selection": [
        "from seqlab.explorers import SelectionExplorer\nexplorer = SelectionExplorer(stream='silence')\nexplorer",
        "print('seen:', explorer.stream, explorer.text, explorer.rule, explorer.position,"
        " f'{explorer.delta[0]:.4f}', explorer.selective().probabilities[-1].argmax())",
        "explorer.text = 'cd·2'\nexplorer.delta = [1, 2, 3, 4]\nexplorer.position = 3",
    ],
}
POINTS = {
    "duality": 2, "eigenvalues": 3, "function": 1, "gates": 1, "poles": 1, "recall": 4, "wkv": 1, "selection": 1,
}  # fmt: skip
of_duality, of_eigenvalues, of_function, of_gates, of_poles, of_recall, of_wkv, of_selection = (
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


@of_duality
def test_modes_samples_and_time_reach_python_and_a_layer_starts_from_them(page):
    before = seen(page)
    assert before.split()[1:4] == ["slow", "silence", "12"]
    mode, pen = page.locator("[role=slider]").all()
    mode.focus()
    page.keyboard.press("ArrowUp")
    pen.focus()
    page.keyboard.press("PageUp")
    page.click("[name=step]")
    after = seen_other_than(page, before)
    assert after.split()[1:4] == ["custom", "custom", "13"]
    assert after.split()[-1] == "0.25"
    assert complex(re.search(r"'([^']+j)'", after)[1]).imag > 0
    run_cell(page, 2)
    assert "layer: True" in printed(page, 2, "layer:")


@of_duality
def test_python_moves_modes_input_and_time(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 4")
    page.wait_for_function("document.querySelector('.now').textContent === 't = 19 of 19'")
    expect(page.locator("[name=modes]")).to_have_value("custom")


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
    expect(page.locator("[name=selected]")).to_have_value("2")
    after = seen_other_than(page, before)
    page.select_option("[name=initialization]", "ring")
    r_max = float(page.inner_text("[data-parameter=r_max] b"))
    page.focus("[name=r_max]")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "r => Number(document.querySelector('[data-parameter=r_max] b').innerText) < r", arg=r_max
    )
    assert "ring" in seen_other_than(page, after)


@of_eigenvalues
def test_python_moves_the_points(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 4")
    expect(page.locator("[name=initialization]")).to_have_value("custom")
    page.wait_for_function(
        """document.querySelectorAll('[role=slider]')[1].getAttribute('aria-valuetext')
            ?.includes('modulus 0.500, phase 0.500 π')"""
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
    expect(page.locator("[name=fourier]")).to_be_checked()
    expect(page.locator("[name=preset]")).to_have_value("custom")
    run_cell(page, 2)
    assert "agree: ['legs', 'fourier'] True" in printed(page, 2, "'fourier'. True")


@of_gates
def test_gates_and_time_reach_python(page):
    before = seen(page)
    assert before.split()[1:] == ["ordinary", "3", "2.0"]
    page.locator("[role=slider]").focus()
    for key in ("ArrowRight", "Shift+PageUp"):
        page.keyboard.press(key)
    page.click("[name=step]")
    after = seen_other_than(page, before)
    assert after.split()[1:3] == ["custom", "4"]
    assert 38 <= float(after.split()[3]) <= 42


@of_gates
def test_python_moves_the_gates(page):
    run_cell(page, 2)
    page.wait_for_function("document.querySelector('.now').textContent === 't = 4 of 9'")
    expect(page.locator("[name=preset]")).to_have_value("custom")
    page.wait_for_function("document.querySelector('[name=precision]').value === 'float16'")


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
    expect(page.locator("[name=preset]")).to_have_value("custom")
    spoken = "[role=slider][aria-valuetext^='s = −0.5 + 1 i, image 0.87']"  # 1 + 0.2455 s, once it is drawn
    page.wait_for_selector(spoken)
    run_cell(page, 4)
    page.wait_for_function("document.querySelector('[name=preset]').value === 'stiff'")
    page.wait_for_function("document.querySelectorAll('[role=slider]').length === 2")
    page.wait_for_function("document.querySelector('[data-parameter=dt] b').textContent === '0.1'")


@of_wkv
def test_keys_channels_and_time_reach_python_and_the_op_takes_them(page):
    before = seen(page)
    assert "even 16 [" in before
    pen = page.locator("[role=slider]")
    pen.scroll_into_view_if_needed()
    pen.focus()
    page.keyboard.press("PageUp")
    page.focus("[name=decay]")
    page.keyboard.press("Home")
    page.click("[name=step]")
    after = seen_other_than(page, before)
    assert "custom 17 [" in after
    assert "10.0" in after
    assert "0.02" not in after
    run_cell(page, 2)
    assert "agree: True" in printed(page, 2, "agree:")


@of_wkv
def test_python_moves_keys_channels_and_time(page):
    run_cell(page, 3)
    page.wait_for_function("document.querySelector('.now').textContent === 't = 3'")
    page.wait_for_function("document.querySelector('[data-parameter=decay] b').textContent === '0'")
    expect(page.locator("[name=preset]")).to_have_value("custom")


@of_selection
def test_a_stream_that_is_typed_and_a_step_that_is_lifted_reach_python(page):
    before = seen(page)
    assert before.split()[1:5] == ["silence", "cd····················12", "model", "6"]
    page.fill("[name=text]", "ab.cd2")
    typed = seen_other_than(page, before)
    assert typed.split()[1:5] == ["custom", "ab·cd2", "model", "5"]
    assert typed.split()[-1] == "2"
    pen = page.locator("[role=slider]")
    pen.focus()
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    lowered = seen_other_than(page, typed)
    assert lowered.split()[3:5] == ["custom", "0"]
    assert float(lowered.split()[5]) == pytest.approx(float(typed.split()[5]) / 10**0.25, rel=1e-3)


@of_selection
def test_python_sets_text_and_steps(page):
    run_cell(page, 2)
    page.wait_for_function("document.querySelector('[name=text]').value === 'cd·2'")
    page.wait_for_function("document.querySelector('[name=rule]').value === 'custom'")
    page.wait_for_function(
        "document.querySelector('.pen').getAttribute('aria-valuetext') === 'Δ of token 4 = 4'"
    )


def test_it_follows_the_theme(page):
    for theme in ("Dark", "Light"):
        page.click("text=Settings")
        page.click("[data-type=submenu]:has-text('Theme')")
        page.click(f"li:has-text('JupyterLab {theme}') >> nth=-1")
        page.wait_for_function(
            "(shade) => document.querySelector('.explorer-panel').dataset.shade === shade", arg=theme.lower()
        )


@of_recall
def test_a_typed_sequence_and_a_dragged_tap_reach_python_and_python_sets_them(page):
    before = seen(page)
    assert before.split()[1:4] == ["frequent", "a2b3c3d3a", "8"]
    page.fill("[name=sequence]", "b1c2b")
    page.locator("[name=sequence]").press("Tab")
    page.locator("[role=slider]").first.press("PageUp")
    after = seen_other_than(page, before)
    assert after.split()[1:4] == ["custom", "b1c2b", "4"]
    assert "[0.25, 1.0, 0.0, 0.0]" in after
    run_cell(page, 2)
    page.wait_for_function("document.querySelector('.now').textContent === 't = 2 of 2'")
    expect(page.locator("[name=sequence]")).to_have_value("d4d")
