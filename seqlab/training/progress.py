"""Where the reader is watching from, and a progress bar that suits it."""

import os
import sys

from tqdm.auto import tqdm


def building_the_site() -> bool:
    """Whether a chapter is being executed for the website, whose pages hold final
    figures only."""
    return os.environ.get("SEQLAB_BOOK") == "1"


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel (Colab included)."""
    loaded = sys.modules.get("IPython")  # as it is long before a kernel runs a cell
    return loaded is not None and hasattr(loaded.get_ipython(), "kernel")


def progress_bar(steps: int, label: str) -> tqdm:
    """A bar over the steps; silent on the site, and gone from a notebook once the run
    is over."""
    return tqdm(
        total=steps,
        desc=label,
        leave=not in_notebook(),
        disable=building_the_site(),
        unit="step",
    )
