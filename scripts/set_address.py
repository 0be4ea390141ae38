"""Rewrite what follows from seqlab/address.py: set-up cells, the README's badges, the citation file.

Run it as ``make address`` after changing the address. What is built (launch buttons, links in source views)
follows by itself.
"""

import re
import runpy
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parent.parent
BADGES = re.compile(r"(<!-- badges: written by make address -->\n).*?(<!-- /badges -->)", re.DOTALL)
CITATION_LINES = re.compile(r"^(repository-code|url): .*\n", re.MULTILINE)


def badges(address: dict[str, Any], chapters: list[str]) -> str:
    """Markdown for the README: the book's site and each chapter on Colab; nothing without an address."""
    repository, site = address["REPOSITORY"], address["SITE"]
    lines = []
    if site:
        lines.append(f"[Read the book]({site})")
    if repository:
        lines += [f"[{Path(c).stem} on Colab]({address['colab_url'](c, repository)})" for c in chapters]
    return " ·\n".join(lines) + "\n\n" if lines else ""


def readme(text: str, address: dict[str, Any], chapters: list[str]) -> str:
    """The README with its badges written anew."""
    return BADGES.sub(lambda found: found[1] + badges(address, chapters) + found[2], text)


def citation(text: str, address: dict[str, Any]) -> str:
    """The citation file with the addresses, or without while there are none."""
    text = CITATION_LINES.sub("", text)
    for key, name in (("repository-code", "REPOSITORY"), ("url", "SITE")):
        if address[name]:
            text += f'{key}: "{address[name]}"\n'
    return text


def notebook(text: str, address: dict[str, Any]) -> str:
    """A chapter with its set-up cell written anew; as it is where that cell is already right."""
    chapter = nbformat.reads(text, as_version=4)
    setup = address["setup_cell"](address["REPOSITORY"])
    wrong = [c for c in chapter.cells if "setup" in c.metadata.get("tags", []) and c.source != setup]
    for cell in wrong:
        cell.source = setup
    return nbformat.writes(chapter) + "\n" if wrong else text


def rewritten(root: Path) -> dict[Path, str]:
    """Every file under ``root`` that follows from the address there, with the text that it should have."""
    address = runpy.run_path(str(root / "seqlab" / "address.py"))
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    chapters = [path.relative_to(root).as_posix() for path in notebooks]
    return {
        root / "README.md": readme((root / "README.md").read_text("utf8"), address, chapters),
        root / "CITATION.cff": citation((root / "CITATION.cff").read_text("utf8"), address),
        **{path: notebook(path.read_text("utf8"), address) for path in notebooks},
    }


def rewrite(root: Path) -> list[Path]:
    """Rewrite what disagrees with the address; returns what changed."""
    changed = {path: text for path, text in rewritten(root).items() if path.read_text("utf8") != text}
    for path, text in changed.items():
        path.write_text(text, "utf8")
    return list(changed)


if __name__ == "__main__":
    for path in rewrite(ROOT):
        print(f"rewrote {path.relative_to(ROOT)}")
