"""How fast is each op, beside other people's kernels and beside the least time that it
could take?

Protocol: every implementation is first checked against float64; inputs are random and
rotated past the last level of cache; the median of many calls is kept. A call is timed
twice: *as called*, one at a time, the caller waiting until the result is there, so that
Python and the launches count; and *queued*, many calls ahead of the GPU, so that the
GPU's own time is left. (On a CPU a call is there when it returns, and both are one.)
The floor is the larger of two times: the fewest bytes an op must move over the
bandwidth of a large copy, and the operations it needs over the rate of a large matrix
product, both measured on the same device in the same run. "forward" runs without
gradients, "forward+backward" asks for the gradient of every floating input given one of
the result. Peers are handed in; they get inputs in their own layout, made beforehand.
Peak memory is what a call allocates beyond its inputs, and what is kept for later ones.
A peer of another framework is timed by the host, as events of PyTorch do not see its
streams: queued is then the time of many calls, divided, launches included.
"""

from seqlab.benchmark.clock import called_milliseconds, queued_milliseconds
from seqlab.benchmark.comparison import benchmark
from seqlab.benchmark.implementation import (
    Absent,
    Call,
    Framework,
    Implementation,
    plain_call,
)
from seqlab.benchmark.limits import arithmetic_rate, copy_bandwidth
from seqlab.benchmark.origin import ROOT, processor, provenance
from seqlab.benchmark.records import recorded, rungs, tabulate
from seqlab.benchmark.report import table

__all__ = [
    "ROOT",
    "Absent",
    "Call",
    "Framework",
    "Implementation",
    "arithmetic_rate",
    "benchmark",
    "called_milliseconds",
    "copy_bandwidth",
    "plain_call",
    "processor",
    "provenance",
    "queued_milliseconds",
    "recorded",
    "rungs",
    "table",
    "tabulate",
]
