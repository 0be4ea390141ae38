"""S4's convolution kernel, of a diagonal plus low-rank system."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    Size,
    constant,
    log_uniform,
    normal,
    uniform,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Bound,
    Pairing,
    Sample,
    Workload,
    sizes,
    tuple_of,
)
from seqlab.ops.dplr import reference


def _loop(
    Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor, L: int
) -> tuple[Tensor]:
    """The response to an impulse, by the dense real system of each channel."""
    K = []
    for each in zip(Lambda, P, B, C, dt, strict=True):
        eigenvalue, p, b, c, step = each
        re, im = torch.diag(eigenvalue.real), torch.diag(eigenvalue.imag)
        p, b, c = (torch.cat([x.real, x.imag]) for x in (p, b, c.conj()))
        A = torch.cat([torch.cat([re, -im], 1), torch.cat([im, re], 1)])
        A = A - 2 * torch.outer(p, p)
        identity = torch.eye(len(A), dtype=A.dtype)
        inverse = torch.linalg.inv(identity - step / 2 * A)
        A_bar = inverse @ (identity + step / 2 * A)
        x = inverse @ (step * b)
        outputs = []
        for _ in range(L):
            outputs.append(c @ x)
            x = A_bar @ x
        K.append(torch.stack(outputs))
    return (torch.stack(K),)


def _sample(
    name: str,
    *,
    hard: bool = False,
    damping: Distribution | None = None,
    low_rank: float = 0.5,
    dt: Distribution | None = None,
    bounds: Mapping[str, Bound] | None = None,
    **insisted: int,
) -> Sample:
    damping = damping or uniform(0.2, 1.0, "DN")
    arguments: Arguments = {
        "Lambda": 1j * uniform(0.5, 30.0, "DN") - damping,
        "P": low_rank * normal("DN", imaginary=True),
        "B": normal("DN", imaginary=True),
        "C": normal("DN", imaginary=True),
        "dt": dt or log_uniform(1e-2, 3e-1, "D"),
        "L": Size("L"),
    }
    return Sample(name, arguments, hard, insisted, bounds or {})


_OF_SECOND_ORDER = Bound(
    10.0, "K is of the order of dt, and its slope of that of dt^2: rounding weighs more"
)
_SMALL_STEPS = Bound(10.0, "finite differences of a dt so small have few digits")

_SAMPLES = (
    _sample("moderate dt"),
    _sample("N odd, L odd", states=3, length=15),
    _sample("L = 1", hard=True, length=1),
    _sample("L = 2", hard=True, length=2),
    _sample(
        "tiny dt",
        hard=True,
        dt=log_uniform(1e-4, 1e-3, "D"),
        bounds={
            "grad Lambda": _OF_SECOND_ORDER,
            "grad P": _OF_SECOND_ORDER,
            "grad dt": _SMALL_STEPS,
        },
    ),
    _sample("large dt", hard=True, dt=uniform(1.0, 30.0, "D")),
    _sample("no low rank", hard=True, low_rank=0.0, dt=uniform(0.05, 0.3, "D")),
    _sample("large low rank", hard=True, low_rank=10.0),
    _sample("hardly damped", hard=True, damping=log_uniform(1e-3, 1e-2, "DN")),
)

_S4 = Workload(
    "S4",
    {
        "Lambda": 1j * np.pi * uniform(0.0, 64.0, "DN") - constant(0.5, "DN"),
        "P": normal("DN", imaginary=True),
        "B": normal("DN", imaginary=True),
        "C": normal("DN", imaginary=True),
        "dt": log_uniform(1e-3, 1e-1, "D"),
        "L": Size("L"),
    },
    (torch.complex64,),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads the system and writes K; backward reads these and K's gradient and
    writes theirs."""
    system = 4 * arguments["Lambda"].nbytes + arguments["dt"].nbytes
    K = int(arguments["dt"].nbytes * arguments["L"])
    return system + K, 2 * system + K


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """For each mode and each of L / 2 frequencies, a reciprocal of the mode and of its
    conjugate and four Cauchy products with both: 10 and 16 operations. The gradients of
    the weights take as many as the products, that of the mode 24 more."""
    D, N = (int(size) for size in arguments["Lambda"].shape)
    count = D * N * (arguments["L"] // 2 + 1)
    return count * (2 * 10 + 4 * 8), count * (2 * 10 + 8 * 8 + 24)


DPLR_KERNEL = Pairing(
    equation="K_j = Re(C A_bar^j B_bar), A = Lambda - P P*",
    chapter=6,
    op=tuple_of(ops.dplr_kernel),
    reference=tuple_of(reference.dplr_kernel),
    loop=_loop,
    outputs=("K",),
    differentiable=("Lambda", "P", "B", "C", "dt"),
    samples=_SAMPLES,
    kinds=("moderate dt",),
    sizes={
        "portable": (
            sizes(1, 66, 2, states=4),
            sizes(1, 1, 2, states=1),
            sizes(1, 31, 3, states=2),
        ),
        "interpreter": (sizes(1, 12, 2, states=3), sizes(1, 1, 1, states=1)),
        "cuda": (
            sizes(1, 66, 2, states=4),
            sizes(1, 1, 2, states=1),
            sizes(1, 1500, 5, states=32),
            sizes(1, 2047, 2, states=17),
        ),
    },
    carry=sizes(2, 3000, 5, states=16),
    workloads=(_S4,),
    workload_sizes={
        "cuda": (sizes(1, 8192, 1024, states=64), sizes(1, 1024, 256, states=32)),
        "cpu": (sizes(1, 784, 32, states=16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    linear={"K": ("C",)},
    nan_spreads={"K": (1,)},
)
