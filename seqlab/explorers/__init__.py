"""Interactive figures: each is one ES module, shown by the website as it is and by
notebooks as a widget."""

from seqlab.explorers.duality import DualityExplorer
from seqlab.explorers.eigenvalues import EigenvalueExplorer
from seqlab.explorers.function import FunctionExplorer
from seqlab.explorers.gates import GatesExplorer
from seqlab.explorers.poles import PoleExplorer
from seqlab.explorers.recall import RecallExplorer
from seqlab.explorers.selection import SelectionExplorer
from seqlab.explorers.wkv import WKVExplorer

__all__ = [
    "DualityExplorer",
    "EigenvalueExplorer",
    "FunctionExplorer",
    "GatesExplorer",
    "PoleExplorer",
    "RecallExplorer",
    "SelectionExplorer",
    "WKVExplorer",
]
