"""What tests share: transformers without a network, and for those with a browser Chromium, a server on this machine and
the accessibility checker."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

# Before anything imports transformers: neither models nor kernels come from anywhere but this machine.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["USE_HUB_KERNELS"] = "NO"

ROOT = Path(__file__).parent.parent
sys.path += [str(ROOT / "scripts"), str(ROOT / "book" / "extensions")]

AXE = ROOT / "build" / "axe-core-4.11.0" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The tests of a file run in one process, as they share what they opened, unless they are marked ``spread`` or
    belong to another group."""
    for item in items:
        if not {"spread", "xdist_group"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT).as_posix()))


@pytest.fixture(scope="module")
def launch():
    """launch(*flags) -> a headless Chromium; a test that needs one fails, and says so, where there is none."""
    from find_browser import on_path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = on_path() or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.fail(
                "This test needs Chromium, and there is none on the PATH: run make test, or install it."
            )
        started = []

        def start(*flags):
            started.append(playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags]))
            return started[-1]

        yield start
        for chromium in started:
            chromium.close()


@pytest.fixture(scope="module")
def browser(launch):
    """A headless Chromium."""
    return launch()


class CountingHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log and remembers how many bytes each answer had."""

    def __init__(self, *args, sent, **options):
        self.sent = sent
        super().__init__(*args, **options)

    def send_head(self):
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.sent[self.path] = file.stat().st_size
        return super().send_head()

    def log_message(self, *_):
        pass


class Server:
    """A folder, served at ``address``; ``sent`` maps each path to its bytes, until ``sent.clear()``."""

    def __init__(self, folder):
        self.sent = {}
        handler = functools.partial(CountingHandler, directory=str(folder), sent=self.sent)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(scope="session")
def site():
    """Folder of the built book."""
    folder = ROOT / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.fail("The book is not built, and this test reads it: run make book first.")
    return folder


@pytest.fixture(scope="module")
def server(site):
    """The built book on localhost."""
    server = Server(site)
    yield server
    server.close()


@pytest.fixture(scope="module")
def serve():
    """serve(folder) -> the address at which its files are, until the module's tests are done."""
    servers = []

    def start(folder):
        servers.append(Server(folder))
        return servers[-1].address

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, fetched once."""
    if not AXE.exists():
        command = [sys.executable, str(ROOT / "scripts" / "fetch_axe.py"), str(AXE)]
        fetched = subprocess.run(command, capture_output=True, text=True)
        if fetched.returncode:
            pytest.fail(f"The accessibility checker is missing and could not be fetched: {fetched.stderr}")
    return AXE.read_text()
