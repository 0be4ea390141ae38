"""Train a small model on a small task while watching it: one loop for the chapters and
the command line."""

from seqlab.training.curves import plot_histories
from seqlab.training.history import History
from seqlab.training.loop import evaluate, train

__all__ = ["History", "evaluate", "plot_histories", "train"]
