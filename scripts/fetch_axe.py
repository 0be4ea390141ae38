"""Fetch the accessibility checker axe-core from npm: python scripts/fetch_axe.py build/axe-core/axe.min.js"""

import sys
from pathlib import Path

from npm_package import fetch

AXE = "axe-core@4.10.3"

if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(fetch(AXE, ["axe.min.js"])["axe.min.js"])
