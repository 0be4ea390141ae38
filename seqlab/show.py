"""Source views: a function as the installed package holds it, its equation tags turned
into links, alone or beside the same lines in another library."""

import html
import inspect
import itertools
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from seqlab import address
from seqlab.chapters import CHAPTERS

EQUATION_TAG = re.compile(r"\beq\. (\d+)\.(\d+)")
"""How code names the equation it implements: ``# eq. 3.2``, the second equation of chapter 3."""

_groups = itertools.count(1)

# Colors with a contrast of at least 4.5 on their own background, for notebooks: the website brings its own.
_NOTEBOOK_COLORS = """<style>
.seqlab-source pre { background: #f6f8fa; color: #1f2328; padding: 0.8em; overflow-x: auto; line-height: 1.4 }
.seqlab-source pre :is(.k, .kn, .kc, .ow, .o) { color: #a0111f }
.seqlab-source pre :is(.c1, .sd, .s1, .s2) { color: #4d5560 }
.seqlab-source pre :is(.nf, .nc, .fm, .nd) { color: #6639ba }
.seqlab-source pre :is(.mi, .mf, .nb, .bp) { color: #0550ae }
.seqlab-source pre a { color: #0550ae }
</style>"""


class Source:
    """The source text of something in Python, as a notebook shows it; ``print`` gives
    the plain text."""

    def __init__(self, name: str, place: str, text: str):
        self.name = name
        self.place = place
        self.text = text

    def __str__(self) -> str:
        return f"# {self.place}\n{self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        code = highlight(
            self.text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)
        )
        colors = "" if _on_the_website() else _NOTEBOOK_COLORS
        return (
            f'{colors}<div class="seqlab-source highlight" role="region" tabindex="0"'
            f' aria-label="Source of {html.escape(self.name)}">'
            f"<div><code>{html.escape(self.place)}</code></div><pre>{link_equations(code)}</pre></div>"
        )


def show(thing: object) -> None:
    """Display the source of ``thing`` from the installed package.

    ``thing``: a function, method, class, module, Triton kernel or PyTorch op; of any
    other object, its class is shown. Every tag such as ``# eq. 3.2`` becomes a link to
    that equation: on the website always, elsewhere once the book has a public address.
    Raises ``TypeError`` where there is no Python source, as for functions written in C.
    """
    from IPython.display import display

    display(source(thing))


Forms = object | tuple[object, ...] | None


class Tabs:
    """The same lines in several forms: tabs on the website, one after the other
    elsewhere; ``print`` gives the plain text."""

    def __init__(self, forms: dict[str, list[Source]]):
        self.forms = forms

    def __str__(self) -> str:
        return "\n".join(
            f"# {name}\n" + ("\n".join(map(str, sources)) or f"# {_missing(name)}\n")
            for name, sources in self.forms.items()
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        listings = {
            name: "".join(source._repr_html_() for source in sources)
            or f"<p>{html.escape(_missing(name))}</p>"
            for name, sources in self.forms.items()
        }
        if not _on_the_website():
            return "".join(
                f"<p><strong>{html.escape(name)}</strong></p>{listing}"
                for name, listing in listings.items()
            )
        # The markup of sphinx-design, whose style sheet the website has: radio buttons, no script.
        group = f"tabs-{next(_groups)}"
        parts = "".join(
            f'<input type="radio" name="{group}" id="{group}-{number}"{" checked" * (number == 0)}>'
            f'<label class="sd-tab-label" for="{group}-{number}">{html.escape(name)}</label>'
            f'<div class="sd-tab-content">{listing}</div>'
            for number, (name, listing) in enumerate(listings.items())
        )
        return f'<div class="sd-tab-set">{parts}</div>'


def _missing(name: str) -> str:
    return f"{name}: not installed on this machine."


def show_tabs(**forms: Forms) -> None:
    """Display the same lines in several forms, each from the installed package.

    forms: under the name of its tab what ``show`` takes, several of them as a tuple, or
    None for a form that cannot be imported here: ``show_tabs(NumPy=reference.phi,
    PyTorch=portable.phi, Triton=kernel.phi if has_triton() else None)``. Raises
    ``TypeError`` as ``show`` does.
    """
    from IPython.display import display

    display(tabs(**forms))


def tabs(**forms: Forms) -> Tabs:
    """What ``show_tabs`` displays, as an object."""
    several = {
        name: () if form is None else form if isinstance(form, tuple) else (form,)
        for name, form in forms.items()
    }
    return Tabs({name: list(map(source, things)) for name, things in several.items()})


def source(thing: object) -> Source:
    """What ``show`` displays, as an object."""
    written = _as_written(thing)
    try:
        lines, first = inspect.getsourcelines(written)
        path = Path(inspect.getsourcefile(written) or "")
    except (TypeError, OSError) as error:
        raise TypeError(
            f"thing: expected something with Python source, got {thing!r}"
        ) from error
    name = getattr(written, "__qualname__", path.stem)
    place = _inside_package(path)
    if not isinstance(written, ModuleType):
        place += f", lines {first} to {first + len(lines) - 1}"
    return Source(name, place, inspect.cleandoc("\n" + "".join(lines)) + "\n")


def equation_address(chapter: int, number: int) -> str | None:
    """Address of an equation as seen from a chapter's page; None while the book has no
    public address."""
    page = f"{CHAPTERS[chapter]}.html#eq-{chapter}-{number}"
    if _on_the_website():
        return page
    return f"{address.SITE}/notebooks/{page}" if address.SITE else None


def link_equations(code: str) -> str:
    """``code`` (HTML) with every equation tag as a link where there is something to
    link to."""

    def link(tag: re.Match[str]) -> str:
        target = (
            equation_address(int(tag[1]), int(tag[2]))
            if int(tag[1]) in CHAPTERS
            else None
        )
        return f'<a href="{target}">{tag[0]}</a>' if target else tag[0]

    return EQUATION_TAG.sub(link, code)


def _as_written(thing: Any) -> Any:
    """The plain function, class or module behind ``thing``."""
    while not (
        inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing)
    ):
        # Triton wraps a kernel's function as .fn, the interpreter and the autotuner do so again;
        # torch.library keeps the function it was given as ._init_fn.
        for wrapped in ("fn", "_init_fn"):
            if hasattr(thing, wrapped):
                thing = getattr(thing, wrapped)
                break
        else:
            thing = type(thing)
    return inspect.unwrap(thing) if callable(thing) else thing


def _inside_package(path: Path) -> str:
    root = Path(__file__).parent.parent
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _on_the_website() -> bool:
    return os.environ.get("SEQLAB_BOOK") == "1"
