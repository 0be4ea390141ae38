"""Notebooks in a real JupyterLab, apart from any settings of one's own."""

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


@contextmanager
def open_notebook(browser, address, name):
    """The page of a notebook, its first cell run and the explorer on the screen."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
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
    """What the second cell prints after "seen:"."""
    run_cell(page, 1)
    return printed(page, 1, "seen:")


def seen_other_than(page, before):
    """What the second cell prints once the kernel has what the browser sent."""
    run_cell(page, 1)
    page.wait_for_function(
        "(before) => ![...document.querySelectorAll('.jp-CodeCell')][1].innerText.includes(before)"
        " && [...document.querySelectorAll('.jp-CodeCell')][1].innerText.includes('seen: ')",
        arg=before,
        timeout=60_000,
    )
    return printed(page, 1, "seen:")
