"""Is the fast op the same function as its readable reference? Values and every
gradient, on every backend.

The truth is float64. Values come from the NumPy reference; gradients come from autograd
through a plain loop, and that loop is itself held to the reference: its values
directly, its gradients by finite differences.
"""

from seqlab.verify.backends import BACKENDS, absent_backends
from seqlab.verify.choice import by_sample, comparisons, run_together, verify
from seqlab.verify.comparison import Comparison
from seqlab.verify.errors import Row, relative_error
from seqlab.verify.report import table

__all__ = [
    "BACKENDS",
    "Comparison",
    "Row",
    "absent_backends",
    "by_sample",
    "comparisons",
    "relative_error",
    "run_together",
    "table",
    "verify",
]
