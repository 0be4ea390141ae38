"""Every op with its reference: the one list that verification, benchmarks, tests and
the book's tables read.

A ``Pairing`` says what an op computes, twice (as the op and as its NumPy reference),
which inputs to try it on, and the least it could cost. To add an op: a folder under
``seqlab/ops``, its pairing in a file here, and one entry in ``PAIRINGS``. The words that
inputs are written in are those of ``seqlab.catalogue.distributions``.
"""

from seqlab.catalogue.causal_convolution import CAUSAL_CONVOLUTION
from seqlab.catalogue.decayed_logsumexp import DECAYED_LOGSUMEXP
from seqlab.catalogue.discretize import DISCRETIZE, DISCRETIZE_DENSE
from seqlab.catalogue.distributions import Sizes
from seqlab.catalogue.dplr_kernel import DPLR_KERNEL
from seqlab.catalogue.flashconv import FLASHCONV
from seqlab.catalogue.gated_linear_attention import GATED_LINEAR_ATTENTION
from seqlab.catalogue.h3 import H3
from seqlab.catalogue.hippo_project import HIPPO_PROJECT
from seqlab.catalogue.hyena import HYENA
from seqlab.catalogue.linear_attention import LINEAR_ATTENTION
from seqlab.catalogue.linear_scan import LINEAR_SCAN
from seqlab.catalogue.mlstm import MLSTM
from seqlab.catalogue.pairing import (
    Arguments,
    Bound,
    Pairing,
    Sample,
    Workload,
    sizes,
)
from seqlab.catalogue.selective_scan import SELECTIVE_SCAN
from seqlab.catalogue.shift_ssm import SHIFT_SSM
from seqlab.catalogue.slstm import SLSTM
from seqlab.catalogue.ssm import SSM_CONVOLUTION, SSM_MIMO, SSM_SCAN
from seqlab.catalogue.ssm_kernel import SSM_KERNEL
from seqlab.catalogue.wkv import WKV

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
    "ssm_scan": SSM_SCAN,
    "ssm_convolution": SSM_CONVOLUTION,
    "ssm_mimo": SSM_MIMO,
    "ssm_kernel": SSM_KERNEL,
    "causal_convolution": CAUSAL_CONVOLUTION,
    "dplr_kernel": DPLR_KERNEL,
    "wkv": WKV,
    "gated_linear_attention": GATED_LINEAR_ATTENTION,
    "shift_ssm": SHIFT_SSM,
    "selective_scan": SELECTIVE_SCAN,
    "h3": H3,
    "flashconv": FLASHCONV,
    "hyena": HYENA,
    "linear_attention": LINEAR_ATTENTION,
    "mlstm": MLSTM,
    "slstm": SLSTM,
}
