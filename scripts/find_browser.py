"""Print the browser that the site's tests will use, installing one where there is none.

Chromium on the PATH; else from apt where this is Debian or Ubuntu and we are root; else Playwright's own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def on_path() -> str | None:
    """A Chromium on the PATH; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def playwrights_own() -> str | None:
    """The Chromium that Playwright installed; None where it did not."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def ways_to_install() -> Iterator[list[list[str]]]:
    """Commands that install a browser, the first way first."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        packages = ["chromium", "fonts-dejavu-core"]
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        yield [["apt-get", "update", "--quiet"], install]
    yield [[sys.executable, "-m", "playwright", "install", "chromium"]]


def install() -> str | None:
    """Try each way to install one; None where none worked."""
    for commands in ways_to_install():
        if all(subprocess.run(command).returncode == 0 for command in commands):
            return on_path() or playwrights_own()
    return None


if __name__ == "__main__":
    found = on_path() or playwrights_own() or install()
    if found is None:
        sys.exit(
            "No Chromium was found and none could be installed: the tests of the site need one on the PATH."
        )
    print(found)
