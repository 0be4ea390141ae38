"""Releases that readers have and the lock file does not: python scripts/releases.py unpacks them into build/releases.

Each is a folder to put before the environment on PYTHONPATH; tests/test_releases.py runs the kernels with it.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "releases"

NEWEST_TRITON = "3.9.0"
NEWEST_NUMPY = "2.5.5" if sys.version_info >= (3, 12) else "2.4.6"


def floors() -> dict[str, str]:
    """The oldest version of each package that the metadata admits."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    return dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(project["dependencies"]), re.M))


def releases() -> dict[str, list[str]]:
    """For each folder, what is in it.

    torch is the locked one throughout: older ones exist for Linux only with gigabytes of CUDA libraries.
    """
    found = {
        "newest": [f"triton=={NEWEST_TRITON}", f"numpy=={NEWEST_NUMPY}"],
        "colab-triton": ["triton==3.6.0", f"numpy=={NEWEST_NUMPY}"],
    }
    if sys.version_info < (3, 12):  # newer Pythons have no wheels of the oldest
        oldest = [f"{name}=={version}" for name, version in floors().items() if name != "torch"]
        # With what IPython 7 and ipywidgets 7 import and newer ones do not.
        found["oldest"] = [*oldest, "backcall", "decorator", "pickleshare", "ipython-genutils"]
    return found


def unpack(name: str, packages: list[str]) -> None:
    """Install the packages into their folder, unless they are there."""
    folder, listing = FOLDER / name, "\n".join(packages)
    record = folder / "packages.txt"
    if record.exists() and record.read_text() == listing:
        return
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-compile", "--target", folder, *packages], check=True)
    record.write_text(listing)


if __name__ == "__main__":
    if sys.platform != "linux":
        print("Nothing to do: Triton exists for Linux only.")
        sys.exit()
    for name, packages in releases().items():
        unpack(name, packages)
