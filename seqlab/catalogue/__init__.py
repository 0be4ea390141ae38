"""Every op with its reference: the one list that verification, benchmarks, tests and
the book's tables read.

A ``Pairing`` says what an op computes, twice (as the op and as its NumPy reference),
which inputs to try it on, and the least it could cost. To add an op: a folder under
``seqlab/ops``, its pairing in a file here, and one entry in ``PAIRINGS``. The words that
inputs are written in are those of ``seqlab.catalogue.distributions``.
"""

from seqlab.catalogue.decayed_logsumexp import DECAYED_LOGSUMEXP
from seqlab.catalogue.discretize import DISCRETIZE, DISCRETIZE_DENSE
from seqlab.catalogue.distributions import Sizes
from seqlab.catalogue.hippo_project import HIPPO_PROJECT
from seqlab.catalogue.linear_scan import LINEAR_SCAN
from seqlab.catalogue.pairing import (
    Arguments,
    Bound,
    Pairing,
    Sample,
    Workload,
    sizes,
)

__all__ = [
    "PAIRINGS",
    "Arguments",
    "Bound",
    "Pairing",
    "Sample",
    "Sizes",
    "Workload",
    "sizes",
]

PAIRINGS: dict[str, Pairing] = {
    "linear_scan": LINEAR_SCAN,
    "decayed_logsumexp": DECAYED_LOGSUMEXP,
    "hippo_project": HIPPO_PROJECT,
    "discretize": DISCRETIZE,
    "discretize_dense": DISCRETIZE_DENSE,
}
