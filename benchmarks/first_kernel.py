"""The first kernel of a chapter, as its notebook has it: the cells with the tag ``first-kernel``."""

import ast
import json
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from types import ModuleType

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
_folders: list[TemporaryDirectory[str]] = []  # Triton reads the source again when it compiles


@cache
def first_kernel(chapter: str) -> ModuleType:
    """A module of the imports and functions in the ``if HAS_TRITON:`` blocks of these cells."""
    notebook = json.loads((NOTEBOOKS / f"{chapter}.ipynb").read_text("utf8"))
    cells = [cell for cell in notebook["cells"] if "first-kernel" in cell["metadata"].get("tags", ())]
    kept = [part for cell in cells for part in functions("".join(cell["source"]))]
    _folders.append(TemporaryDirectory())
    file = Path(_folders[-1].name) / f"first_kernel_of_{chapter}.py"
    file.write_text(dedent("\n".join(kept)) + "\n", "utf8")
    return load(file)


def functions(source: str) -> list[str]:
    """The imports and functions in the ``if HAS_TRITON:`` block of a cell, still indented."""
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    lines = source.splitlines()
    return [
        "\n".join(lines[first_line(node) - 1 : node.end_lineno])
        for node in block.body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)
    ]


def first_line(node: ast.stmt) -> int:
    """The line where it begins, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    return min(part.lineno for part in (node, *decorators))


def load(file: Path) -> ModuleType:
    """The file as a module."""
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
