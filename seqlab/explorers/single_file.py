"""An explorer's modules as one source: a notebook holds a widget's module by itself, where
``import "../base/panel.mjs"`` would find nothing."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "(\.\.?/[\w/]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(
    r"^export (?:(?=(?:const|function|class) (\w+))|\{ ([\w, ]+) \};\n)", re.MULTILINE
)
_DEFAULT = "export default { render };\n"


def single_file(name: str) -> str:
    """The module of the explorer ``name`` with what it imports, and what that imports,
    each once, before those that need it.

    Each module becomes a function of its own that returns what it exports, so that two
    of them may use one name for different things.

    Raises:
        ValueError: an import or export that is not written as all others are, or
            modules that import each other in a circle.
    """
    parts: dict[Path, str] = {}
    _add(FOLDER / name / "explorer.mjs", parts, ())
    whole = "".join(parts.values())
    return f"{whole}export default {_variable(FOLDER / name / 'explorer.mjs')};\n"


def _add(path: Path, parts: dict[Path, str], importers: tuple[Path, ...]) -> None:
    if path in parts:
        return
    shown = path.relative_to(FOLDER).as_posix()
    if path in importers:
        raise ValueError(f"{shown}: expected no circle of imports, got one")
    source = path.read_text("utf-8")

    def imported(match: re.Match[str]) -> str:
        other = (path.parent / match[2]).resolve()
        _add(other, parts, (*importers, path))
        return f"const {match[1].replace(' as ', ': ')} = {_variable(other)};\n"

    exports: list[str] = []

    def exported(match: re.Match[str]) -> str:
        exports.extend([match[1]] if match[1] else match[2].split(", "))
        return ""

    if source.endswith(_DEFAULT):
        source, exports = source.removesuffix(_DEFAULT), ["render"]
    body = _EXPORT.sub(exported, _IMPORT.sub(imported, source))
    if left := re.search(r"^(import|export)\b.*", body, re.MULTILINE):
        raise ValueError(
            f'{shown}: expected `import {{ names }} from "./module.mjs";` and `export` before '
            f"const, function or class, got `{left[0]}`"
        )
    parts[path] = (
        f"// {shown}\nconst {_variable(path)} = (() => {{\n{body}\n"
        f"return {{ {', '.join(exports)} }};\n}})();\n\n"
    )


def _variable(path: Path) -> str:
    return "module_" + "_".join(path.relative_to(FOLDER).with_suffix("").parts)
