"""Recurrent networks to read, run and explore: the package behind the book.

``seqlab.ops`` holds the equations as differentiable PyTorch ops, ``seqlab.nn`` the
layers built on them. Importing the package is light: a subpackage is loaded when it is
first named, so ``import seqlab`` needs neither a GPU nor Triton nor matplotlib.
"""

import importlib
from importlib.metadata import version
from types import ModuleType

from seqlab.doctor import doctor
from seqlab.show import show

__version__ = version("seqlab")
__all__ = [
    "__version__",
    "doctor",
    "explorers",
    "nn",
    "ops",
    "show",
    "tasks",
    "training",
]

_LOADED_WHEN_NAMED = {"explorers", "nn", "ops", "tasks", "training"}


def __getattr__(name: str) -> ModuleType:
    if name in _LOADED_WHEN_NAMED:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
