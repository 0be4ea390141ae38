"""Interactive figures: each is one ES module, shown by the website as it is and by
notebooks as a widget."""

from seqlab.explorers.eigenvalues import EigenvalueExplorer
from seqlab.explorers.function import FunctionExplorer
from seqlab.explorers.poles import PoleExplorer

__all__ = ["EigenvalueExplorer", "FunctionExplorer", "PoleExplorer"]
