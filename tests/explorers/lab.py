"""Notebooks in a real JupyterLab, apart from any settings of one's own."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from urllib.error import URLError

import nbformat
import pytest
from playwright.sync_api import expect

PATIENCE = 60_000  # milliseconds: JupyterLab beside other tests
IDLE = "Python 3 (ipykernel) | Idle"


@contextmanager
def serve_notebooks(home, notebooks):
    """The address of a JupyterLab whose folder holds a notebook by each name, with a cell for each of its sources."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, sources in notebooks.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), home / f"{name}.ipynb")
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
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    }
    for name, values in settings.items():
        file = home / "JUPYTERLAB_SETTINGS" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
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


@contextmanager
def open_notebook(browser, address, name):
    """The page of a notebook, its first cell run and the explorer on the screen."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text(IDLE).wait_for()
    run_cell(page, 0)
    page.wait_for_selector("[role=slider]")
    yield page
    context.close()


def run_cell(page, n):
    """Run a cell to its end, without an error. What the browser sends while a cell ends, a kernel may answer without a
    word that it is done, and then the page keeps to itself whatever comes next."""
    cell = page.locator(".jp-CodeCell").nth(n)
    prompt = cell.locator(".jp-InputArea-prompt")
    before = prompt.inner_text()
    prompt.click()
    expect(cell).to_have_class(re.compile("jp-mod-active"), timeout=PATIENCE)
    page.wait_for_function(
        "document.activeElement.closest('.explorer-panel') === null"
    )  # which has keys of its own
    page.keyboard.press("Shift+Enter")
    expect(prompt).not_to_have_text(before, timeout=PATIENCE)
    expect(prompt).to_have_text(re.compile(r"\d"), timeout=PATIENCE)
    page.get_by_text(IDLE).wait_for()
    assert (
        cell.locator(".jp-OutputArea-output", has_text="Traceback (most recent call last)").all_inner_texts()
        == []
    )


def printed(page, n, pattern):
    output = page.locator(".jp-CodeCell").nth(n).locator(".jp-OutputArea-output")
    output.filter(has_text=re.compile(pattern)).wait_for()
    return output.inner_text()


def seen(page):
    """What the second cell prints after "seen:"."""
    run_cell(page, 1)
    return printed(page, 1, "seen:")


def seen_other_than(page, before):
    """What the second cell prints once the kernel has all that the browser sent: twice the same, not that before."""
    deadline = time.monotonic() + PATIENCE / 1000
    last, now = before, seen(page)
    while now in (before, "") or now != last:
        assert time.monotonic() < deadline, f"Python still has {now!r}, before it had {before!r}"
        last, now = now, seen(page)
    return now
