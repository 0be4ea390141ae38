"""The running log-sum-exp with decay, m_t = log(exp(m_{t-1} - w) + exp(x_t))."""

from collections.abc import Callable, Mapping
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
from seqlab.catalogue.pairing import (
    Arguments,
    Bound,
    Pairing,
    Sample,
    Workload,
    sizes,
)
from seqlab.ops.decayed_logsumexp import reference


def _loop(x: Tensor, w: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    m: list[Tensor] = []
    last = torch.full_like(x[:, 0], -torch.inf) if state is None else state
    for x_t in x.unbind(1):
        last = torch.logaddexp(last - w, x_t)
        m.append(last)
    return torch.stack(m, dim=1), last


def _moderate(letters: str) -> Distribution:
    return uniform(0.01, 1.0, letters)


def _sample(
    name: str,
    *,
    w: Callable[[str], Distribution] = _moderate,
    x: Distribution | None = None,
    state: bool = True,
    hard: bool = False,
    bounds: Mapping[str, Bound] | None = None,
) -> Sample:
    arguments: Arguments = {"x": normal("BLD") if x is None else x, "w": w("D")}
    if state:
        arguments["state"] = normal("BD")
    return Sample(name, arguments, hard, bounds=bounds or {})


_SAMPLES = (
    _sample("moderate w"),
    _sample("moderate w, no state", state=False),
    _sample("w = 0", w=lambda letters: constant(0, letters), hard=True),
    _sample("w near 0", w=lambda letters: log_uniform(1e-7, 1e-3, letters), hard=True),
    _sample("huge w", w=lambda letters: log_uniform(1e2, 1e30, letters), hard=True),
    _sample(
        "|x| of thousands",
        x=1e3 * normal("BLD"),
        hard=True,
        bounds=dict.fromkeys(
            ("grad x", "grad w", "grad state"),
            Bound(
                4,
                "a gradient is an exponential of x - m, and float32 numbers near 2000 "
                "lie 1e-4 apart",
            ),
        ),
    ),
    _sample(
        "some x = -6e4",
        x=every_third(constant(-6e4, "BLD"), normal("BLD")),
        hard=True,
    ),
    _sample("x far below the state", x=normal("BLD") - 100, hard=True),
    _sample("x growing", x=30 * uniform(0, 1, "BLD"), state=False, hard=True),
)

_RWKV = Workload(
    # Decay rates as its layers initialize them: from e^-5 to e^3 over the channels.
    "RWKV's denominator",
    {"x": normal("BLD"), "w": log_uniform(np.exp(-5), np.exp(3), "D")},
    (torch.float32, torch.bfloat16),
    full_precision=("w",),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads x and writes m; backward reads x and the gradient of m, and writes
    that of x."""
    array = arguments["x"].nbytes
    return 2 * array, 3 * array


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward a difference, two exponentials, a sum and a logarithm; backward the two
    weights again, and a sum and two products."""
    elements = int(np.prod(arguments["x"].shape))
    return 5 * elements, 9 * elements


DECAYED_LOGSUMEXP = Pairing(
    equation="m_t = log(exp(m_{t-1} - w) + exp(x_t))",
    chapter=2,
    op=ops.decayed_logsumexp,
    reference=reference.decayed_logsumexp,
    loop=_loop,
    outputs=("m", "last"),
    differentiable=("x", "w", "state"),
    full_precision=("w", "state"),
    samples=_SAMPLES,
    kinds=("moderate w",),
    sizes={
        "portable": (sizes(2, 67, 5), sizes(3, 1, 2), sizes(1, 301, 3)),
        "interpreter": (sizes(2, 11, 3), sizes(1, 1, 2)),
        "cuda": (
            sizes(2, 67, 5),
            sizes(3, 1, 2),
            sizes(3, 1000, 130),
            sizes(1, 4099, 33),
        ),
    },
    carry=sizes(2, 8500, 140),
    workloads=(_RWKV,),
    workload_sizes={
        "cuda": (sizes(8, 4096, 1024), sizes(1, 65536, 2048)),
        "cpu": (sizes(8, 784, 64),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.decayed_logsumexp_step,
    no_state=-np.inf,
)
