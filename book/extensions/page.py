"""The finished page: the explorers' modules beside it, and markup that assistive technology understands."""

import shutil
from pathlib import Path

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


def open_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """An entry of the bibliography, without the role that docutils gives it, which is deprecated."""
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def close_citation(self: HTML5Translator, node: nodes.citation) -> None:
    """The end of the entry."""
    self.body.append("</div>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Place the explorers before static files are gathered; write citations in our own way."""
    app.connect("builder-inited", place_explorers)
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
