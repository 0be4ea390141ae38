"""The HiPPO projection beside its NumPy reference, on one machine.

``python -m benchmarks.hippo_against_numpy --out benchmarks/results/hippo_against_numpy_DEVICE.json``

LegS with the bilinear step, white noise. The reference runs in float64 on the CPU, on as many threads as NumPy
takes; the op runs in float32, on the GPU where there is one. The reference is a loop that does the same at every
sample, so where all of them would take minutes it runs on the first ones alone. The record says how many these
were and how long they took; the time for all is that times the ratio of the lengths. On these samples the op is
held to the reference, on all of them to what the reference becomes when it goes on with the O(N) steps of
equation 4.19, in float64 too.

The op keeps what depends on the length alone. Its first call makes that, later calls find it. The kernels are
compiled before both, by a call of another length, whose leavings are cleared.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.timed_rungs import out_and_quick, relative_error
from seqlab import ops
from seqlab.benchmark import called_milliseconds, processor, provenance
from seqlab.benchmark.comparison import device_here
from seqlab.ops.hippo import reference


@dataclass(frozen=True)
class Projection:
    """Signals (batch, length, 1), projected to ``order`` coefficients after every sample or after the last one
    alone; the reference gets the first ``reference_length`` samples."""

    batch: int
    length: int
    order: int
    return_all: bool
    reference_length: int


PROJECTIONS = (
    Projection(64, 4096, 64, True, 4096),
    Projection(8, 65_536, 256, False, 1024),
    Projection(1, 1_000_000, 256, False, 1024),
)
QUICK = (Projection(4, 64, 8, True, 64), Projection(1, 1000, 8, False, 16))


def main() -> None:
    """Compare at each size, print a line for each, keep the record up to date on disk."""
    arguments = out_and_quick(__doc__)
    device = device_here()
    record: dict[str, Any] = {
        **provenance(device),
        "numpy": np.__version__,
        "processor": processor(),
        "cores": os.cpu_count(),
        "projections": [],
    }
    for projection in QUICK if arguments.quick else PROJECTIONS:
        found = compare(projection, device)
        record["projections"].append(found)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")
        print(
            f"{found['shape']}: reference {found['reference_seconds_for_all']:.3g} s, "
            f"op {found['first_call_seconds']:.3g} s, then {found['later_call_seconds']:.3g} s, "
            f"errors {found['relative_error_to_reference']:.1e}, {found['relative_error_to_float64']:.1e}"
        )


def compare(projection: Projection, device: torch.device) -> dict[str, Any]:
    """The seconds that the reference and the op take, and how far apart they are on the samples of both."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (projection.batch, projection.length, 1)
    f = torch.randn(shape, dtype=torch.float32, generator=generator, device=device)
    wanted: dict[str, Any] = {"N": projection.order, "return_all": projection.return_all}

    beginning = f[:, : projection.reference_length]
    samples = beginning.cpu().numpy().astype(np.float64)
    reference.hippo_project(samples[:, :8], **wanted)  # libraries are loaded, threads started
    reference_seconds, (truth, state) = clock(lambda: reference.hippo_project(samples, **wanted))
    c, _ = ops.hippo_project(beginning, **wanted)
    to_reference = relative_error(c, truth)

    ops.hippo_project(f[:, 1:], **wanted)  # compiles
    ops.clear_cache()
    first_call_seconds, (c, _) = clock(lambda: ops.hippo_project(f, **wanted))
    if projection.length > projection.reference_length:
        assert not projection.return_all
        truth = go_on(state, f[:, projection.reference_length :].cpu().numpy(), projection.reference_length)
    to_float64 = relative_error(c, truth)
    later = called_milliseconds([lambda: ops.hippo_project(f, **wanted)], device)
    return {
        "measure": "legs",
        "shape": {"batch": shape[0], "length": shape[1], "channels": 1, "order": projection.order},
        "coefficients": "all" if projection.return_all else "last",
        "reference_length": projection.reference_length,
        "reference_seconds": reference_seconds,
        "reference_seconds_for_all": reference_seconds * projection.length / projection.reference_length,
        "first_call_seconds": first_call_seconds,
        "later_call_seconds": 1e-3 * later,
        "relative_error_to_reference": to_reference,
        "relative_error_to_float64": to_float64,
    }


def go_on(c: np.ndarray, f: np.ndarray, before: int) -> np.ndarray:
    """LegS in float64 over the samples f (batch, length, 1) that come after ``before`` others, from their state c
    (batch, 1, N). Nothing underflows if a N^2 < 300, with a = 1 / (2 before)."""
    n = np.arange(c.shape[-1])
    r = np.sqrt(2 * n + 1)
    for k, sample in enumerate(np.moveaxis(f.astype(np.float64), 1, 0)[..., None], before + 1):
        a = 0.5 / k
        below, above = 1 - a * n, 1 + a * (n + 1)
        product = np.cumprod(below / above)
        sums = np.cumsum(r / (above * product) * c, axis=-1)
        slope = (r * product * (sample - sums) + n * c) / below  # eq. 4.19
        c = c + (a + 0.5 / (k - 1)) * slope  # eq. 4.18
    return c


def clock(call: Callable[[], tuple[Any, Any]]) -> tuple[float, tuple[Any, Any]]:
    """The seconds that a call takes until its results are there, and the results."""
    wait()
    started = time.perf_counter()
    results = call()
    wait()
    return time.perf_counter() - started, results


def wait() -> None:
    """Until the GPU, if there is one, has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
