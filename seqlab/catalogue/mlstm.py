"""xLSTM's matrix memory, C_t = sigmoid(f_t) C_{t-1} + e^i_t k_t v_t^T."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    Sizes,
    constant,
    every_third,
    normal,
    signs,
    uniform,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Bound,
    Pairing,
    Sample,
    Workload,
    on_float32_units,
    state_in_parts,
)
from seqlab.ops.xlstm import reference

PARTS = ("C", "n", "m")


def _loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None = None,
    n: Tensor | None = None,
    m: Tensor | None = None,
) -> tuple[Tensor, ...]:
    k = k.shape[-1] ** -0.5 * k
    n = torch.zeros_like(k[:, 0]) if n is None else n
    C = k.new_zeros((*n.shape, v.shape[-1])) if C is None else C
    m = n[..., 0] + reference.LOWEST if m is None else m
    h = []
    inputs = (x.unbind(1) for x in (q, k, v, i, f))
    for q_t, k_t, v_t, i_t, f_t in zip(*inputs, strict=True):
        past = torch.nn.functional.logsigmoid(f_t) + m
        m = torch.maximum(past, i_t)
        decay, weight = torch.exp(past - m)[..., None], torch.exp(i_t - m)[..., None]
        C = decay[..., None] * C + (weight * k_t)[..., None] * v_t[..., None, :]
        n = decay * n + weight * k_t
        nq = (n * q_t).sum(-1).abs()
        size = torch.maximum(nq, torch.exp(-m))
        h.append((q_t[..., None] * C).sum(-2) / size[..., None])
    return torch.stack(h, dim=1), C, n, m


# Queries and keys that point the same way: n . q is no small difference of large sums,
# by which errors would be divided.
_ALIKE = 0.5 + uniform(0, 1, "BLHK")


_LARGE_M = Bound(
    30, "they are in units of e^m, of which rounding makes more the larger m is"
)


def _sample(
    name: str,
    *,
    q: Distribution | None = None,
    k: Distribution | None = None,
    i: Distribution | None = None,
    f: Distribution | None = None,
    state: bool = True,
    hard: bool = False,
    several: bool = False,
) -> Sample:
    arguments: Arguments = {
        "q": _ALIKE if q is None else q,
        "k": _ALIKE if k is None else k,
        "v": normal("BLHV"),
        "i": normal("BLH") if i is None else i,
        "f": 2 + normal("BLH") if f is None else f,
    }
    if state:
        arguments |= {
            "C": normal("BHKV"),
            "n": uniform(0.5, 2, "BHK"),
            "m": normal("BH"),
        }
    # Products of matrices over chunks of steps.
    spread = ["h", *(f"grad {key}" for key in ("q", "k", "v", "i", "f"))]
    return Sample(
        name,
        arguments,
        hard,
        # Of one step alone h is v: its gradient to q is 0, with nothing to compare.
        {"length": 11} if several else {},
        bounds=dict.fromkeys(("C", "n"), _LARGE_M) if hard and i else {},
        nan_spreads=dict.fromkeys(spread, (1,)),
    )


_SIXTY = 60 * signs("BLH") + normal("BLH")  # no two exponents are equal

_SAMPLES = (
    _sample("moderate gates"),
    _sample("moderate gates, no state", state=False, several=True),
    _sample(
        "gates of +-60",
        i=every_third(_SIXTY, normal("BLH")),
        f=every_third(_SIXTY, 2 + normal("BLH")),
        hard=True,
    ),
    _sample("i = -200", i=normal("BLH") - 200, state=False, hard=True),
    _sample(
        "some i of +-200",
        i=every_third(200 * signs("BLH"), normal("BLH")),
        hard=True,
    ),
    _sample("hardly anything is forgotten", f=uniform(4, 9, "BLH"), hard=True),
    _sample(
        "some forget all",
        f=every_third(constant(-1e3, "BLH"), 2 + normal("BLH")),
        hard=True,
    ),
    _sample("far below the bound", i=normal("BLH") - 12, state=False, hard=True),
)

_MLSTM = Workload(
    # Gates as its layers begin: forget gates open, input gates small.
    "mLSTM",
    {
        "q": normal("BLHK"),
        "k": normal("BLHK"),
        "v": normal("BLHV"),
        "i": normal("BLH") - 10,
        "f": uniform(3, 6, "BLH"),
    },
    (torch.float32, torch.bfloat16),
    full_precision=("i", "f"),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads q, k, v and the gates and writes h; backward reads these and the
    gradient of h, and writes those of q, k, v and the gates."""
    q, v, i = (arguments[key].nbytes for key in ("q", "v", "i"))
    inputs = 2 * q + v + 2 * i
    return inputs + v, 2 * inputs + v


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """As for gated linear attention: 5 for every number of the state and step, backward
    14."""
    steps = int(np.prod(arguments["q"].shape)) * (arguments["v"].shape[-1] + 1)
    return on_float32_units(arguments["q"], 5 * steps, 14 * steps)


def _sizes(batch: int, length: int, heads: int, keys: int, values: int) -> Sizes:
    return {
        "batch": batch,
        "length": length,
        "heads": heads,
        "keys": keys,
        "values": values,
    }


MLSTM = Pairing(
    equation="C_t = sigmoid(f_t) C_{t-1} + e^i_t k_t v_t^T, h_t = q_t C_t / max(|n_t . q_t|, 1)",
    chapter=9,
    op=state_in_parts(ops.mlstm, PARTS),
    reference=state_in_parts(reference.mlstm, PARTS),
    loop=_loop,
    outputs=("h", "C", "n", "m"),
    differentiable=("q", "k", "v", "i", "f", *PARTS),
    full_precision=("i", "f", *PARTS),
    samples=_SAMPLES,
    kinds=("moderate gates",),
    sizes={
        "portable": (_sizes(2, 67, 2, 5, 3), _sizes(3, 1, 1, 2, 4)),
        "interpreter": (_sizes(1, 11, 2, 5, 3), _sizes(1, 1, 1, 2, 2)),
        "cuda": (
            _sizes(2, 67, 2, 5, 3),
            _sizes(3, 1, 1, 2, 4),
            _sizes(2, 300, 3, 64, 64),
            _sizes(1, 700, 2, 96, 160),
        ),
    },
    carry=_sizes(2, 2100, 3, 24, 72),
    workloads=(_MLSTM,),
    workload_sizes={
        "cuda": (
            _sizes(8, 2048, 8, 128, 256),
            _sizes(4, 8192, 8, 256, 512),
            _sizes(8, 2048, 16, 64, 64),
        ),
        "cpu": (_sizes(4, 512, 2, 16, 16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=state_in_parts(ops.mlstm_step, PARTS),
    states=PARTS,
    no_state={"m": -np.inf},
    linear={"h": ("v", "C"), "C": ("v", "C")},
)
