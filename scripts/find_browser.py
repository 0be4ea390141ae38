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

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Path of a Chromium: on the PATH, or Playwright's own; None where there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def ways_to_install() -> Iterator[list[list[str]]]:
    """Commands that install a browser, the first way first."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        packages = ["chromium", "fonts-dejavu-core"]
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        yield [["apt-get", "update", "--quiet"], install]
    yield [[sys.executable, "-m", "playwright", "install", "chromium"]]


if __name__ == "__main__":
    browser = find()
    for commands in ways_to_install():
        if browser:
            break
        if all(subprocess.run(command).returncode == 0 for command in commands):
            browser = find()
    if not browser:
        sys.exit(
            "No Chromium was found and none could be installed: the tests of the site need one on the PATH."
        )
    print(browser)
