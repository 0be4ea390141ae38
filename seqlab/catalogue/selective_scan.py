"""Mamba's selective scan, h_t = e^{dt_t A} h_{t-1} + B_bar_t u_t, y_t = Re(C_t h_t)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    constant,
    every_third,
    log_uniform,
    normal,
    uniform,
)
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
from seqlab.ops.selective_scan import reference


def _loop(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    state: Tensor | None = None,
    discretization: str = "euler",
) -> tuple[Tensor, Tensor]:
    dt = delta if delta_bias is None else delta + delta_bias
    if delta_softplus:
        dt = dt.clamp(min=0) + torch.log1p(torch.exp(-dt.abs()))
    last = A.new_zeros((len(u), *A.shape)) if state is None else state
    y = []
    inputs = (dt[..., None], B[:, :, None], C[:, :, None], u[..., None])
    for dt_t, B_t, C_t, u_t in zip(*(x.unbind(1) for x in inputs), strict=True):
        x = dt_t * A
        gain = dt_t * _phi(x) if discretization == "zoh" else dt_t
        last = torch.exp(x) * last + gain * B_t * u_t
        read = C_t * last
        y.append((read.real if read.is_complex() else read).sum(-1))
    result = torch.stack(y, dim=1)
    result = result if D is None else result + D * u
    return (result if z is None else result * z * torch.sigmoid(z)), last


def _phi(z: Tensor) -> Tensor:
    """(e^z - 1) / z, whose slope loses no digits to autograd: below 1 by its series."""
    near = z.abs() < 1
    away, within = torch.where(near, 1, z), torch.where(near, z, 0)
    series, term = torch.zeros_like(z), 1.0
    terms = [term := term / k for k in range(1, 21)]
    for term in reversed(terms):
        series = series * within + term
    return torch.where(near, series, torch.expm1(away) / away)


def _sample(
    name: str,
    *,
    delta: Distribution | None = None,
    A: Distribution | None = None,
    whole: bool = True,
    state: bool = True,
    zoh: bool = False,
    imaginary: bool = False,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    """All that the op takes where ``whole``, else its five tensors, with steps as they
    are."""
    arguments: Arguments = {
        "u": normal("BLD"),
        "delta": delta if delta is not None else uniform(0.01, 0.5, "BLD"),
        "A": A if A is not None else _decay_rates(imaginary),
        "B": normal("BLN", imaginary),
        "C": normal("BLN", imaginary),
    }
    if whole:
        arguments |= {
            "D": normal("D"),
            "z": normal("BLD"),
            "delta_bias": uniform(-3, -1, "D"),
            "delta_softplus": True,
        }
    if state:
        arguments["state"] = normal("BDN", imaginary)
    if zoh:
        arguments["discretization"] = "zoh"
    return Sample(name, arguments, hard, insisted)


def _decay_rates(imaginary: bool) -> Distribution:
    rates = -log_uniform(0.2, 4, "DN")
    return rates + 3j * normal("DN") if imaginary else rates


_SMALL = every_third(log_uniform(1e-7, 1e-4, "BLD"), uniform(0.01, 0.5, "BLD"))
_HUGE = every_third(constant(1e3, "BLD"), uniform(0.01, 0.5, "BLD"))
_NONE = every_third(constant(0, "BLD"), uniform(0.01, 0.5, "BLD"))

_SAMPLES = (
    _sample("all of it"),
    _sample("zero-order hold", zoh=True),
    _sample("complex A", imaginary=True),
    _sample("complex A, zero-order hold", imaginary=True, zoh=True, whole=False),
    _sample("the scan alone", whole=False, state=False),
    _sample(
        "some delta from -30 to 100",
        delta=every_third(uniform(-30, 100, "BLD"), normal("BLD")),
        hard=True,
    ),
    _sample("dt = 0", delta=constant(0, "BLD"), whole=False, hard=True),
    _sample(
        "some dt = 1e3",
        delta=_HUGE,
        whole=False,
        hard=True,
    ),
    _sample(
        "some dt = 1e3, zero-order hold",
        delta=_HUGE,
        whole=False,
        zoh=True,
        hard=True,
    ),
    _sample("some dt near 0", delta=_SMALL, whole=False, hard=True),
    _sample(
        "some dt near 0, zero-order hold",
        delta=_SMALL,
        whole=False,
        zoh=True,
        hard=True,
    ),
    _sample("A_log = 10", A=constant(-np.exp(10), "DN"), hard=True),
    _sample(
        "A = 0, zero-order hold", A=constant(0, "DN"), zoh=True, whole=False, hard=True
    ),
    _sample(
        "complex A, some dt = 0, zero-order hold",
        delta=_NONE,
        whole=False,
        imaginary=True,
        zoh=True,
        hard=True,
    ),
    _sample(
        "complex A, some dt = 1e3",
        delta=_HUGE,
        whole=False,
        imaginary=True,
        hard=True,
    ),
    _sample(
        "complex A, some dt near 0, zero-order hold",
        delta=_SMALL,
        whole=False,
        imaginary=True,
        zoh=True,
        hard=True,
    ),
    _sample("Re A = 0", A=3j * normal("DN"), whole=False, imaginary=True, hard=True),
    _sample("N = 1", hard=True, states=1),
    _sample("N = 7", hard=True, states=7),
)

_MAMBA_LAYER: Arguments = {
    # As its layers initialize them: steps of 1e-3 to 1e-1, A from -1 to -N.
    "u": normal("BLD"),
    "delta": 0.5 * normal("BLD"),
    "A": -uniform(1, 16, "DN"),
    "B": normal("BLN"),
    "C": normal("BLN"),
    "D": normal("D"),
    "z": normal("BLD"),
    "delta_bias": uniform(-6.9, -2.3, "D"),
    "delta_softplus": True,
}
_FULL_PRECISION = ("A", "D", "delta_bias")
_WORKLOADS = (
    Workload("Mamba", _MAMBA_LAYER, (torch.bfloat16, torch.float32), _FULL_PRECISION),
    Workload(
        "complex A",
        {
            **_MAMBA_LAYER,
            "A": -uniform(1, 16, "DN") + 16j * normal("DN"),
            "B": normal("BLN", True),
            "C": normal("BLN", True),
        },
        (torch.float32,),
        _FULL_PRECISION,
    ),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads u, delta, z, B and C and writes y; backward reads these and the
    gradient of y, and writes those of the former."""
    u, B = arguments["u"].nbytes, arguments["B"].nbytes
    wide = 3 if arguments.get("z") is not None else 2
    return (wide + 1) * u + 2 * B, (2 * wide + 1) * u + 4 * B


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward an exponential of a product, two products and two sums for each number of
    the state, and a product and a sum for what is read; backward these once more, and 14
    of its own. Of a complex A, whose exponential takes a cosine and a sine as well, they
    are 21, and backward 36 more."""
    A = arguments["A"]
    states = int(np.prod(arguments["u"].shape)) * A.shape[1]
    imaginary = A.is_complex() if isinstance(A, Tensor) else np.iscomplexobj(A)
    return (21 * states, 57 * states) if imaginary else (7 * states, 21 * states)


SELECTIVE_SCAN = Pairing(
    equation="h_t = e^(dt_t A) h_{t-1} + dt_t B_t u_t, y_t = C_t h_t",
    chapter=10,
    op=ops.selective_scan,
    reference=reference.selective_scan,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "state"),
    full_precision=(*_FULL_PRECISION, "state"),
    samples=_SAMPLES,
    kinds=("all of it", "complex A"),
    sizes={
        "portable": (
            sizes(2, 67, 5, states=4),
            sizes(3, 1, 2, states=3),
            sizes(1, 150, 3, states=2),
        ),
        "interpreter": (sizes(2, 5, 3, states=3), sizes(1, 9, 2, states=2)),
        "cuda": (
            sizes(2, 67, 5, states=4),
            sizes(3, 1, 2, states=3),
            sizes(2, 1000, 130, states=16),
            sizes(1, 4099, 33, states=20),
        ),
    },
    carry=sizes(3, 4500, 140, states=16),  # two waves going back, the second not full
    workloads=_WORKLOADS,
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 2048, states=16),
            sizes(1, 16384, 4096, states=16),
            sizes(64, 512, 1024, states=16),
        ),
        "cpu": (sizes(8, 512, 64, states=16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.selective_scan_step,
    linear={"y": ("u", "state"), "last": ("u", "state")},
)
