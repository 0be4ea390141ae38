"""Print the browser that the site's tests will use, installing one where there is none.

Chromium's headless shell, on the PATH, or from apt where this is Debian and we are root; else any Chromium on the PATH;
else Playwright's own, or one more try with apt.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import sync_playwright

SHELLS = (
    "chromium-headless-shell",
    "chrome-headless-shell",
)  # Chromium without windows: tests take half the time
NAMES = (*SHELLS, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def on_path(names: Iterable[str] = NAMES) -> str | None:
    """The first of these on the PATH; None where there is none."""
    return next(filter(None, map(shutil.which, names)), None)


def playwrights_own() -> str | None:
    """The Chromium that Playwright installed; None where it did not."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def from_apt(package: str) -> str | None:
    """A Chromium that apt installed just now; None where it cannot."""
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
    for command in (["apt-get", "update", "--quiet"], [*install, package, "fonts-dejavu-core"]):
        if subprocess.run(command, stdout=sys.stderr).returncode:
            return None
    return on_path()


def from_playwright() -> str | None:
    """The Chromium that Playwright installed just now; None where it cannot."""
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], stdout=sys.stderr)
    return playwrights_own()


def find() -> str | None:
    """The best browser that is there or can be had."""
    return (
        on_path(SHELLS)
        or from_apt(SHELLS[0])
        or on_path()
        or playwrights_own()
        or from_apt("chromium")
        or from_playwright()
    )


if __name__ == "__main__":
    found = find()
    if found is None:
        sys.exit(
            "No Chromium was found and none could be installed: the tests of the site need one on the PATH."
        )
    print(found)
