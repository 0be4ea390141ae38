"""Write a small op to start from: the model op of chapter 2 under a new name, whole, exported and in the catalogue.

Run it as ``make new-op NAME=my_scan``. Its tests pass from the first moment; replace its equation file by file.
"""

import re
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODEL = "decayed_logsumexp"
PARTS = (f"seqlab/ops/{MODEL}", f"seqlab/catalogue/{MODEL}.py", f"tests/ops/{MODEL}")


def renamed(text: str, name: str) -> str:
    """The text of the model op, or a path of it, with the new name."""
    return text.replace(MODEL, name).replace(MODEL.upper(), name.upper())


def copies(root: Path, name: str) -> dict[Path, str]:
    """Every file of the model op under the new name: its folder, its pairing, its tests."""
    files = [
        path
        for part in PARTS
        for path in ([root / part] if part.endswith(".py") else (root / part).glob("*.py"))
    ]
    return {
        root / renamed(path.relative_to(root).as_posix(), name): renamed(path.read_text("utf8"), name)
        for path in files
    }


def entries(root: Path, name: str) -> dict[Path, str]:
    """The package's exports and the catalogue, with what they say of the model said again of the new op."""

    def twice(path: str, *statements: str) -> str:
        text = (root / path).read_text("utf8")
        for statement in statements:
            text = re.sub(statement, lambda found: found[0] + renamed(found[0], name), text, flags=re.M)
        return text

    exported = "seqlab/ops/__init__.py"
    listed = "seqlab/catalogue/__init__.py"
    module = rf"^from seqlab\.(ops|catalogue)\.{MODEL} import (\([^)]*\)|.*)\n"
    return {
        root / exported: twice(exported, module, rf'^    "{MODEL}\w*",\n'),
        root / listed: twice(listed, module, rf'^    "{MODEL}\w*": .*\n'),
    }


def add(root: Path, name: str) -> list[Path]:
    """Write the op under ``root``; returns the files that are new or changed.

    Raises:
        ValueError: the name is no name of a Python module, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise ValueError(f"NAME: expected small letters, digits and underscores, got {name!r}")
    taken = [renamed(part, name) for part in PARTS if (root / renamed(part, name)).exists()]
    if taken:
        raise ValueError(f"NAME: expected one that is free, but there is {taken[0]}")
    files = {**copies(root, name), **entries(root, name)}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf8")
    for command in (
        ["check", "--fix"],
        ["format"],
    ):  # imports and lists in their order, lines as long as they may be
        ruff = Path(sys.executable).with_name("ruff")
        subprocess.run([ruff, *command, "--quiet", *files], cwd=root, check=True)
    return list(files)


if __name__ == "__main__":
    try:
        for path in add(ROOT, sys.argv[1] if len(sys.argv) == 2 else ""):
            print(f"wrote {path.relative_to(ROOT)}")
    except ValueError as error:
        sys.exit(str(error))
