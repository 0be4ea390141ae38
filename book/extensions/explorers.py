"""Interactive figures: their modules and their style beside the pages, and a directive that shows one on a page of
Markdown, opened where its body says::

    ```{explorer} PoleExplorer
    preset: stiff
    method: euler
    ```
"""

import shutil
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from seqlab import explorers

SOURCE = Path(explorers.__file__).parent
STYLE = """seqlab-explorer { display: block; margin: 1.5rem 0; container: explorer / inline-size }
.explorer-question { margin: 0 0 0.8rem; padding-left: 0.8rem; border-left: 3px solid var(--accent, currentColor) }
.explorer-question:empty { display: none }
seqlab-explorer > .still > p { font-size: 0.9em; text-align: center }
@media (scripting: enabled) { seqlab-explorer > .still > p { visibility: hidden } }
"""


def place(folder: Path) -> None:
    """Copy the explorers' modules from the package to where the site serves them, and write their style there."""
    for module in SOURCE.rglob("*.mjs"):
        target = folder / module.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, target)
    rules = "".join(getattr(explorers, name).page_style() for name in explorers.__all__)
    (folder / "explorers.css").write_text(f"{STYLE}{rules}", "utf8")


class ShowExplorer(Directive):
    """An explorer by its class, with the arguments that the body gives as YAML."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The explorer's element, as a notebook's output has it."""
        name = self.arguments[0]
        if name not in explorers.__all__:
            raise self.error(f"explorer: expected one of {', '.join(explorers.__all__)}, got {name}")
        given: dict[str, Any] = yaml.safe_load("\n".join(self.content)) or {}
        return [nodes.raw("", getattr(explorers, name)(**given).element(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Place the explorers before static files are gathered, and register the directive."""
    app.connect("builder-inited", lambda app: place(Path(app.srcdir) / "book" / "assets" / "explorers"))
    app.add_directive("explorer", ShowExplorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
