"""RWKV-4's WKV, y_t = sum_i e^(k_i - (t-1-i) w) v_i / sum_i e^(k_i - (t-1-i) w)."""

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
    signs,
    uniform,
)
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
from seqlab.ops.wkv import reference

Sums = tuple[Tensor, Tensor, Tensor]


def _loop(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    nothing = torch.zeros_like(v[:, 0])
    past = nothing, nothing, nothing + reference.LOWEST
    if state is not None:
        past = state[:, 0], state[:, 1], state[:, 2]
    y = []
    for k_t, v_t in zip(k.unbind(1), v.unbind(1), strict=True):
        a, b, _ = _join(past, 0 * w, (v_t, torch.ones_like(v_t), u + k_t))
        y.append(a / b)
        past = _join(past, w, (v_t, torch.ones_like(v_t), k_t))
    a, b, m = past
    last = torch.stack([a / b, b / b, m + torch.log(b)], dim=1)
    return torch.stack(y, dim=1), last


def _join(first: Sums, w: Tensor, second: Sums) -> Sums:
    (a1, b1, m1), (a2, b2, m2) = first, second
    m = torch.maximum(m1 - w, m2)
    p, q = torch.exp(m1 - w - m), torch.exp(m2 - m)
    return p * a1 + q * a2, p * b1 + q * b2, m


def _moderate(letters: str) -> Distribution:
    return uniform(0.01, 1.0, letters)


def _sample(
    name: str,
    *,
    w: Callable[[str], Distribution] = _moderate,
    k: Distribution | None = None,
    state: bool = True,
    hard: bool = False,
) -> Sample:
    arguments: Arguments = {
        "w": w("D"),
        "u": normal("D"),
        "k": normal("BLD") if k is None else k,
        "v": normal("BLD"),
    }
    if state:
        arguments["state"] = uniform(0.2, 2, "B3D")
    return Sample(name, arguments, hard)


_SAMPLES = (
    _sample("moderate w"),
    _sample("moderate w, no state", state=False),
    _sample("w = 0", w=lambda letters: constant(0, letters), hard=True),
    _sample("w near 0", w=lambda letters: log_uniform(1e-7, 1e-3, letters), hard=True),
    _sample("w = 1e3", w=lambda letters: constant(1e3, letters), hard=True),
    _sample("huge w", w=lambda letters: log_uniform(1e2, 1e30, letters), hard=True),
    _sample("k = +-200", k=200 * signs("BLD"), hard=True),
    _sample("k = +-200, no state", k=200 * signs("BLD"), state=False, hard=True),
    _sample(
        "some |k| of hundreds",
        k=every_third(100 * normal("BLD"), normal("BLD")),
        hard=True,
    ),
    _sample(
        "some k = -6e4",
        k=every_third(constant(-6e4, "BLD"), normal("BLD")),
        hard=True,
    ),
    _sample("k far below the state", k=normal("BLD") - 100, hard=True),
    _sample("k growing", k=30 * uniform(0, 1, "BLD"), state=False, hard=True),
)

_RWKV = Workload(
    # Decay rates as its layers initialize them: from e^-5 to e^3 over the channels.
    "RWKV-4",
    {
        "w": log_uniform(np.exp(-5), np.exp(3), "D"),
        "u": normal("D"),
        "k": normal("BLD"),
        "v": normal("BLD"),
    },
    (torch.float32, torch.bfloat16),
    full_precision=("w", "u"),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads k and v and writes y; backward reads k, v and the gradient of y, and
    writes those of k and v."""
    array = arguments["k"].nbytes
    return 3 * array, 5 * array


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward joins a token to two sums twice, 11 operations each; backward takes these
    steps once more, and 20 of its own."""
    elements = int(np.prod(arguments["k"].shape))
    return 22 * elements, 42 * elements


WKV = Pairing(
    equation="y_t = (sum_{i<t} e^(k_i - (t-1-i) w) v_i + e^(k_t + u) v_t) / (the same without v)",
    chapter=8,
    op=ops.wkv,
    reference=reference.wkv,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("w", "u", "k", "v", "state"),
    full_precision=("w", "u", "state"),
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
        "cuda": (
            sizes(8, 1024, 2048),
            sizes(8, 4096, 2048),
            sizes(1, 16384, 2048),
            sizes(32, 1024, 1024),
        ),
        "cpu": (sizes(8, 784, 64),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.wkv_step,
    no_state=np.array([[0], [0], [-np.inf]]),
    # A key that is NaN makes NaN of all three numbers of a state.
    nan_spreads={"last": (1,)},
)
