"""Fail unless every page in the table of contents was built, and the index of the search: python scripts/check_pages.py
_build/html
"""

import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent


def named_pages() -> list[str]:
    """Every page in ``_toc.yml``, without a suffix."""
    contents: dict[str, Any] = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [contents["root"], *(c["file"] for part in contents["parts"] for c in part["chapters"])]


def missing_pages(site: Path) -> list[str]:
    """Pages of the table of contents that are not in the built site, or are empty there; and the search's index."""
    built = {page: site / f"{page}.html" for page in [*named_pages(), "index", "search"]}
    built["the index of the search"] = site / "pagefind" / "pagefind-entry.json"
    return [page for page, file in built.items() if not (file.is_file() and file.stat().st_size)]


if __name__ == "__main__":
    missing = missing_pages(Path(sys.argv[1]))
    if missing:
        sys.exit(f"pages that were not built: {', '.join(missing)}")
    print(f"{len(named_pages())} pages, all there")
