"""The reference pages, written from the package itself: its docstrings and its catalogue.

Docstrings are read as Markdown, with sections such as ``Args:`` as lists. ``{interface} seqlab.ops``
describes what that module makes public, below a table of its names. ``{ops-table}`` lists every op of the
catalogue, and ``{numpy-references}`` prints what each of them is held to.
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
        things = list(public(module))
        names = [(link(f"{module.__name__}.{name}", name), summary(thing)) for name, thing in things]
        contents = table(("name", "what it is"), names) if len(names) > 1 else ""
        entries = [describe(module.__name__, name, thing) for name, thing in things]
        return self.parse_text_to_nodes("\n\n".join([introduction, contents, *entries]))


class OpsTable(SphinxDirective):
    """One row for each op of ``seqlab.catalogue``."""

    def run(self) -> list[nodes.Node]:
        from seqlab.catalogue import PAIRINGS
        from seqlab.chapters import CHAPTERS

        rows = []
        for name, pairing in PAIRINGS.items():
            reference = f"{pairing.reference.__module__}.{pairing.reference.__name__}"
            page = f"notebooks/{CHAPTERS[pairing.chapter]}"
            number = str(pairing.chapter)
            rows.append(
                (
                    link(f"seqlab.ops.{pairing.op.__name__}", name),
                    f"`{pairing.equation}`",
                    link(reference, "loop"),
                    "kernel" if "cuda" in pairing.sizes else "–",
                    f"{{doc}}`{number} </{page}>`" if page in self.env.found_docs else number,
                )
            )
        head = ("op", "equation", "NumPy", "Triton", "chapter")
        return self.parse_text_to_nodes(table(head, rows))


class NumPyReferences(SphinxDirective):
    """What each op of ``seqlab.catalogue`` is held to, with its source."""

    def run(self) -> list[nodes.Node]:
        from seqlab.catalogue import PAIRINGS

        references = dict.fromkeys(pairing.reference for pairing in PAIRINGS.values())
        return self.parse_text_to_nodes("\n\n".join(map(listed, references)))


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


def listed(function: Any) -> str:
    """One entry as Markdown: the signature, the docstring, and the source behind a click."""
    source = f"```python\n{inspect.getsource(function)}```"
    folded = f":::{{dropdown}} Its source\n{source}\n:::"
    name = f"{function.__module__}.{function.__name__}{signature(function)}"
    written = markdown(inspect.getdoc(function) or "")
    # Names as long as these do not fit into the list of contents beside the page.
    return directive("py:function", f"{name}\n:no-contents-entry:", f"{written}\n\n{folded}")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table as Markdown, whose first column holds names, which stay whole."""
    lines = [head, ("---",) * len(head), *rows]
    written = "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
    return f"::::{{table}}\n:class: table-names\n\n{written}\n::::"


def link(target: str, text: str) -> str:
    """A link to the entry of a function or class."""
    return f"{{py:obj}}`{text} <{target}>`"


def summary(thing: Any) -> str:
    """The first sentence of a docstring, on one line."""
    written = markdown(inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:?]) (?=\W?[A-Z`(])", written)[0].rstrip(":,")


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
    """Register the directives."""
    app.add_directive("interface", Interface)
    app.add_directive("ops-table", OpsTable)
    app.add_directive("numpy-references", NumPyReferences)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
