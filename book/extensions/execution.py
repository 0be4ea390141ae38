"""Cached executions that are never stale.

The cache knows a notebook's cells, not the package that they call. Its folder therefore carries a digest of
everything else an execution reads: the package, the recorded benchmark results, the locked versions. Folders
of other digests are removed when the whole book is built; a page alone (``make page``) leaves them. Kernels
learn that they run for the website from the variable SEQLAB_BOOK.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

READ_BY_NOTEBOOKS = ("seqlab", "benchmarks/results", "requirements.lock")


def read_files(root: Path) -> Iterator[Path]:
    """Every file that an execution may read, in a fixed order; what tools leave behind is not."""
    for name in READ_BY_NOTEBOOKS:
        place = root / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in found:
            parts = path.relative_to(root).parts
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in parts):
                yield path


def digest(root: Path) -> str:
    """Digest of the files that an execution may read: names and contents."""
    result = hashlib.sha256()
    for path in read_files(root):
        content = path.read_bytes()
        result.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        result.update(content)
    return result.hexdigest()[:16]


def folder(root: Path) -> Path:
    """Where the executions of the files as they are now are kept."""
    return root / "_build" / "executions" / digest(root)


def remove_others(current: Path) -> None:
    """Remove the executions of other digests."""
    for stale in set(current.parent.glob("*")) - {current}:
        shutil.rmtree(stale)


def choose_cache(app: Sphinx, config: Config) -> None:
    """Point the notebook cache at the folder of this digest and remove the folders of others."""
    root = Path(app.srcdir)
    current = folder(root)
    if Path(app.outdir) == root / "_build" / "html":
        remove_others(current)
    config.nb_execution_cache_path = str(current)
    os.environ["SEQLAB_BOOK"] = "1"


def setup(app: Sphinx) -> dict[str, bool]:
    """Choose the cache before the notebook extension reads the configuration."""
    app.connect("config-inited", choose_cache, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
