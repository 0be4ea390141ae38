"""The finished page: explorers beside it, nothing in it without a use, markup that a screen reader reads."""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

EXPLORERS = Path("seqlab") / "explorers"


def place_explorers(app: Sphinx) -> None:
    """Copy the explorers' modules from the package to where the site serves them."""
    target = Path(app.srcdir) / "book" / "assets" / "explorers"
    target.mkdir(parents=True, exist_ok=True)
    for module in (Path(app.srcdir) / EXPLORERS).glob("*.mjs"):
        shutil.copyfile(module, target / module.name)


def lighten(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out what this page has no use for: the state of widgets (no kernel here), the styles of cards."""
    unneeded = ["widget-state"]
    if "sd-card" not in context.get("body", ""):
        unneeded += ["sphinx-design", "design-tabs"]
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context[kind] if not any(name in told(file) for name in unneeded)]


def told(file: Any) -> str:
    """Whatever a style sheet or script says of itself: its name and its attributes."""
    return f"{file.filename} {file.attributes}"


def open_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """An entry of the bibliography, without the role that docutils gives it, which is deprecated."""
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def close_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """The end of the entry."""
    self.body.append("</div>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Place the explorers before static files are gathered, and finish each page after everyone else."""
    app.connect("builder-inited", place_explorers)
    app.connect("html-page-context", lighten, priority=900)
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
