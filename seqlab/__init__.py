"""Recurrent networks to read, run and explore: the package behind the book.

``seqlab.ops`` holds the equations as differentiable PyTorch ops, ``seqlab.nn`` the
layers built on them. Importing the package is light: a subpackage is loaded when it is
first named, so ``import seqlab`` needs neither a GPU nor Triton nor matplotlib.
"""

import importlib
from types import ModuleType

from seqlab.doctor import doctor
from seqlab.exercises import check
from seqlab.show import show, show_tabs

__version__ = (
    "0.1.0"  # pyproject.toml reads it; a copy that is not installed has it too
)
__all__ = [
    "__version__",
    "check",
    "doctor",
    "explorers",
    "nn",
    "ops",
    "show",
    "show_tabs",
    "tasks",
    "training",
]

_LOADED_WHEN_NAMED = {"explorers", "nn", "ops", "tasks", "training"}


def __getattr__(name: str) -> ModuleType:
    if name in _LOADED_WHEN_NAMED:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
