"""The explorer in a real JupyterLab: dragging a point in the browser changes what Python trains from."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.error import URLError

import nbformat
import pytest

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
def lab(tmp_path_factory):
    """The address of a JupyterLab whose folder holds notebook.ipynb, apart from any settings of one's own."""
    home = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), home / "notebook.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kinds = (
        "JUPYTER_CONFIG",
        "JUPYTER_DATA",
        "JUPYTER_RUNTIME",
        "JUPYTERLAB_SETTINGS",
        "JUPYTERLAB_WORKSPACES",
    )
    own = {"IPYTHONDIR": str(home / "IPYTHON"), **{f"{kind}_DIR": str(home / kind) for kind in kinds}}
    quiet = home / "JUPYTERLAB_SETTINGS" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    options = {"port": port, "ip": "127.0.0.1", "root_dir": home}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--IdentityProvider.token="]
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    log = (home / "log.txt").open("w")
    server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, home / "log.txt")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def wait_for(address, server, log, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
            return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)  # no browser is open yet, so nothing is kept waiting
    pytest.fail(f"JupyterLab did not answer at {address}:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def page(lab, browser):
    """The notebook, its first cell run and the explorer on the screen."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.goto(f"{lab}/lab/tree/notebook.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    run_cell(page, 0)
    page.wait_for_selector("[role=slider]", timeout=60_000)
    yield page
    context.close()


def run_cell(page, n):
    page.locator(".jp-CodeCell").nth(n).locator(".jp-InputArea-prompt").click()
    page.keyboard.press("Shift+Enter")


def printed(page, n, pattern):
    output = page.locator(".jp-CodeCell").nth(n).locator(".jp-OutputArea-output")
    output.filter(has_text=re.compile(pattern)).wait_for(timeout=60_000)
    return output.inner_text()


def seen(page):
    run_cell(page, 1)
    return printed(page, 1, "seen:")


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


def seen_other_than(page, before):
    """What the cell prints once the kernel has what the browser sent."""
    run_cell(page, 1)
    page.wait_for_function(
        "(before) => ![...document.querySelectorAll('.jp-CodeCell')][1].innerText.includes(before)"
        " && [...document.querySelectorAll('.jp-CodeCell')][1].innerText.includes('seen: ')",
        arg=before,
        timeout=60_000,
    )
    return printed(page, 1, "seen:")


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
