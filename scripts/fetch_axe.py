"""Fetch the accessibility checker from npm: python scripts/fetch_axe.py build/axe-core-4.11.0/axe.min.js"""

import sys
from pathlib import Path

from npm_package import NotFetchedError, fetch

AXE = "axe-core@4.11.0"


def main(target: Path) -> None:
    """Write the checker to ``target``, or stop with what npm said."""
    try:
        script = fetch(AXE, ["axe.min.js"])["axe.min.js"]
    except NotFetchedError as error:
        sys.exit(str(error))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(script)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
