"""The reference pages, written from the package itself: its docstrings and its catalogue.

Docstrings are read as Markdown, with sections such as ``Args:`` as lists. ``{interface} seqlab.ops``
describes what that module makes public, ``{ops-table}`` lists every op of the catalogue.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Source|Example|Examples):$")
ENTRY = re.compile(r"    (\S.*?): (.*)")
ROLE = re.compile(r":\w+:`~?([^`]+)`")


class Interface(SphinxDirective):
    """Describe the public functions and classes of a module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        introduction = markdown(inspect.getdoc(module) or "")
        entries = [describe(module.__name__, name, thing) for name, thing in public(module)]
        return self.parse_text_to_nodes("\n\n".join([introduction, *entries]))


class OpsTable(SphinxDirective):
    """One row for each op of ``seqlab.catalogue``."""

    def run(self) -> list[nodes.Node]:
        from seqlab.catalogue import PAIRINGS
        from seqlab.chapters import CHAPTERS

        rows = ["| op | equation | backends | chapter |", "|---|---|---|---|"]
        for name, pairing in PAIRINGS.items():
            backends = ", ".join(pairing.sizes)
            page = f"notebooks/{CHAPTERS[pairing.chapter]}"
            chapter = f"{{doc}}`/{page}`" if page in self.env.found_docs else str(pairing.chapter)
            rows.append(f"| `{name}` | `{pairing.equation}` | {backends} | {chapter} |")
        return self.parse_text_to_nodes("\n".join(rows))


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module makes public: what ``__all__`` lists, or else the functions and classes it defines."""
    listed = getattr(module, "__all__", None)
    for name in listed or vars(module):
        thing = getattr(module, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        if listed or (thing.__module__ == module.__name__ and not name.startswith("_")):
            yield name, thing


def describe(module: str, name: str, thing: Any) -> str:
    """One entry as Markdown: the signature, the docstring and, of a class, its public methods."""
    if not inspect.isclass(thing):
        return directive(
            "py:function", f"{module}.{name}{signature(thing)}", markdown(inspect.getdoc(thing) or "")
        )
    parts = [markdown(inspect.getdoc(thing) or "")]
    for member, value in vars(thing).items():
        written = inspect.getdoc(value) or ""
        if member.startswith("_") or not written:
            continue
        if isinstance(value, property):
            parts.append(directive("py:property", member, markdown(written)))
        elif isinstance(value, classmethod | staticmethod):
            bound = getattr(thing, member)
            parts.append(directive("py:classmethod", f"{member}{signature(bound)}", markdown(written)))
        elif inspect.isfunction(value):
            parts.append(directive("py:method", f"{member}{signature(value)}", markdown(written)))
    return directive("py:class", f"{module}.{name}{signature(thing)}", "\n\n".join(parts), fence=":" * 6)


def signature(thing: Any) -> str:
    """The signature without annotations: the docstring says what the arguments are."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return ""
    written = inspect.signature(thing)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in written.parameters.items()
        if name != "self"
    ]
    text = str(written.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    return re.sub(r"<function (\w+)[^>]*>", r"\1", text)


def directive(name: str, argument: str, content: str, fence: str = ":" * 5) -> str:
    """A directive in MyST's colon-fence form."""
    return f"{fence}{{{name}}} {argument}\n\n{content}\n{fence}"


def markdown(docstring: str) -> str:
    """A docstring as Markdown: cross-reference roles as code, sections as a title above a list."""
    lines: list[str] = []
    inside = False
    for line in ROLE.sub(r"`\1`", docstring).splitlines():
        title = SECTION.match(line)
        if title:
            inside = True
            lines += [f"**{title[1]}**", ""]
        elif inside and line and not line.startswith(" "):
            inside = False
            lines.append(line)
        elif inside and line:
            entry = ENTRY.match(line)
            lines.append(
                f"- `{entry[1]}`: {entry[2]}"
                if entry and not line.startswith("     ")
                else f"  {line.strip()}"
            )
        else:
            lines.append(line)
    return "\n".join(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both directives."""
    app.add_directive("interface", Interface)
    app.add_directive("ops-table", OpsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
