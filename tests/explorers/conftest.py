"""A real browser, a server on this machine only, and axe-core from npm for the accessibility check."""

import functools
import http.server
import shutil
import sys
import tarfile
import threading
from pathlib import Path
from subprocess import run

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
AXE = "axe-core@4.11.0"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("This test needs Chromium or Chrome on the PATH, and there is none.", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def serve():
    """serve(folder) -> the address of a server of that folder's files."""
    servers = []

    def start(folder):
        handler = functools.partial(QuietHandler, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, kept under build/ once fetched."""
    folder = ROOT / "build" / AXE.replace("@", "-")
    script = folder / "axe.min.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = Path(sys.executable).with_name("npm")
        done = run(
            [npm, "pack", AXE, "--silent", "--pack-destination", folder], capture_output=True, text=True
        )
        if done.returncode:
            pytest.fail(f"The accessibility check needs {AXE}, and npm could not fetch it: {done.stderr}")
        with tarfile.open(next(folder.glob("*.tgz"))) as package:
            script.write_bytes(package.extractfile("package/axe.min.js").read())
    return script.read_text()
