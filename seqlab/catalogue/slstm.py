"""xLSTM's scalar memory, c_t = sigmoid(f) c_{t-1} + e^i tanh(z), h_t = sigmoid(o) c_t / n_t."""

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
    mixing,
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
    state_in_parts,
)
from seqlab.ops.xlstm import reference

PARTS = ("c", "n", "m", "h")


def _loop(
    gates: Tensor,
    R: Tensor,
    b: Tensor | None = None,
    c: Tensor | None = None,
    n: Tensor | None = None,
    m: Tensor | None = None,
    h: Tensor | None = None,
    forget: str = "sigmoid",
) -> tuple[Tensor, ...]:
    nothing = torch.zeros_like(gates[:, 0, 0])
    c, n, h = (nothing if part is None else part for part in (c, n, h))
    m = nothing + reference.LOWEST if m is None else m
    y = []
    for x in gates.unbind(1):
        x = x + torch.einsum("ghde,bhe->bghd", R, h)
        i, f, z, o = (x if b is None else x + b).unbind(1)
        past = (torch.nn.functional.logsigmoid(f) if forget == "sigmoid" else f) + m
        m = torch.maximum(past, i)
        decay, weight = torch.exp(past - m), torch.exp(i - m)
        c = decay * c + weight * torch.tanh(z)
        n = decay * n + weight
        h = torch.sigmoid(o) * c / n
        y.append(h)
    return torch.stack(y, dim=1), c, n, m, h


_LARGE_M = Bound(
    30, "they are in units of e^m, of which rounding makes more the larger m is"
)


def _sample(
    name: str,
    gates: Distribution | None = None,
    *,
    bias: bool = True,
    state: bool = True,
    forget: str | None = None,
    hard: bool = False,
) -> Sample:
    arguments: Arguments = {
        "gates": normal("BL4HK") if gates is None else gates,
        "R": 0.5 * mixing("4HKK"),
    }
    if bias:
        arguments["b"] = normal("4HK")
    if state:
        arguments |= {
            "c": uniform(-1, 1, "BHK"),
            "n": uniform(0.5, 2, "BHK"),
            "m": normal("BHK"),
            "h": uniform(-1, 1, "BHK"),
        }
    if forget:
        arguments["forget"] = forget
    bounds = dict.fromkeys(("c", "n"), _LARGE_M) if hard else {}
    return Sample(name, arguments, hard, bounds=bounds)


_SIXTY = every_third(60 * signs("BL4HK") + normal("BL4HK"), normal("BL4HK"))

_SAMPLES = (
    _sample("sigmoid"),
    _sample("exp, no bias", bias=False, forget="exp"),
    _sample("no state", state=False),
    _sample("gates of +-60", _SIXTY, hard=True),
    _sample("gates of +-60, no state", _SIXTY, state=False, hard=True),
    _sample("gates of +-60, exp", _SIXTY, forget="exp", hard=True),
    _sample(
        "some gates of -200",
        every_third(constant(-200, "BL4HK"), normal("BL4HK")),
        state=False,
        hard=True,
    ),
    _sample("all gates near 10", 10 + normal("BL4HK"), forget="exp", hard=True),
)

_SLSTM = Workload(
    "sLSTM",
    {"gates": normal("BL4HK"), "R": 0.1 * normal("4HKK"), "b": normal("4HK")},
    (torch.float32, torch.bfloat16),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads the gates and R and writes h, a quarter of them; backward reads these
    and the gradient of h, and writes those of gates and R."""
    gates, R = arguments["gates"].nbytes, arguments["R"].nbytes
    return gates + gates // 4 + R, 2 * gates + gates // 2 + 2 * R


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward a product by R and 20 more for each feature; backward the same product, two
    for its gradients, and 60."""
    gates, width = arguments["gates"], arguments["R"].shape[-1]
    numbers = int(np.prod(gates.shape))
    return (2 * width + 5) * numbers, (6 * width + 15) * numbers


def _without_jumps(outputs: tuple[np.ndarray, ...], sent: list[Tensor]) -> list[Tensor]:
    """m is a maximum, and c and n are in units of e^m, so their gradients jump from one
    term to the other where rounding takes the other for the larger one. Those of c e^m and
    n e^m do not."""
    _, c, n, _, _ = map(torch.from_numpy, outputs)
    y, to_c, to_n, _, h = sent
    return [y, to_c, to_n, c * to_c + n * to_n, h]


def _sizes(batch: int, length: int, heads: int, features: int) -> Sizes:
    return {"batch": batch, "length": length, "heads": heads, "keys": features}


SLSTM = Pairing(
    equation="c_t = sigmoid(f) c_{t-1} + e^i tanh(z), h_t = sigmoid(o) c_t / n_t",
    chapter=9,
    op=state_in_parts(ops.slstm, PARTS),
    reference=state_in_parts(reference.slstm, PARTS),
    loop=_loop,
    outputs=("y", *PARTS),
    differentiable=("gates", "R", "b", *PARTS),
    full_precision=PARTS,
    samples=_SAMPLES,
    kinds=("sigmoid", "exp, no bias"),
    sizes={
        "portable": (_sizes(3, 19, 2, 3), _sizes(2, 1, 1, 4)),
        "interpreter": (_sizes(3, 3, 2, 3), _sizes(1, 1, 1, 2)),
        "cuda": (
            _sizes(3, 19, 2, 3),
            _sizes(2, 1, 1, 4),
            _sizes(20, 130, 3, 64),
            _sizes(5, 40, 2, 128),
        ),
    },
    carry=_sizes(33, 64, 3, 24),
    workloads=(_SLSTM,),
    workload_sizes={
        "cuda": (
            _sizes(16, 1024, 4, 64),
            _sizes(16, 1024, 12, 64),
            _sizes(64, 256, 4, 128),
        ),
        "cpu": (_sizes(4, 128, 2, 16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=state_in_parts(ops.slstm_step, PARTS),
    states=PARTS,
    no_state={"m": -np.inf},
    without_jumps=_without_jumps,
)
