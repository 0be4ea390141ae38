"""Gated linear attention, S_t = diag(e^{log_decay_t}) S_{t-1} + k_t v_t^T, y_t = q_t S_t,
with the decays and the bonus of RetNet, GLA and RWKV-5 and 6."""

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
    log_uniform,
    normal,
    uniform,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Pairing,
    Sample,
    Workload,
    on_float32_units,
)
from seqlab.ops.gated_linear_attention import reference


def _loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    if log_decay.ndim in (1, 3):
        log_decay = log_decay[..., None]
    a = torch.exp(log_decay).expand(k.shape)
    S = k.new_zeros((*k[:, 0].shape, v.shape[-1])) if state is None else state
    y = []
    for q_t, k_t, v_t, a_t in zip(*(x.unbind(1) for x in (q, k, v, a)), strict=True):
        kv = k_t[..., None] * v_t[..., None, :]
        before, S = S, a_t[..., None] * S + kv
        read = S if bonus is None else before + bonus[..., None] * kv
        y.append((q_t[..., None] * read).sum(-2))
    return k.shape[-1] ** -0.5 * torch.stack(y, dim=1), S


def _decay(letters: str) -> Distribution:
    return -log_uniform(1e-2, 2, letters)


def _sample(
    name: str,
    log_decay: Distribution,
    *,
    bonus: bool = False,
    state: bool = True,
    hard: bool = False,
    k: Distribution | None = None,
) -> Sample:
    arguments: Arguments = {
        "q": normal("BLHK"),
        "k": normal("BLHK") if k is None else k,
        "v": normal("BLHV"),
        "log_decay": log_decay,
    }
    if bonus:
        arguments["bonus"] = normal("HK")
    if state:
        arguments["state"] = normal("BHKV")
    # Products of matrices over groups of steps.
    spread = ["y", "grad q", "grad k", "grad v"]
    if "L" in log_decay.letters:
        spread.append("grad log_decay")
    return Sample(name, arguments, hard, nan_spreads=dict.fromkeys(spread, (1,)))


_SAMPLES = (
    _sample("a decay a channel", _decay("BLHK")),
    _sample("a decay a channel, bonus", _decay("BLHK"), bonus=True),
    _sample("a decay a head", _decay("BLH")),
    _sample("a decay a head, bonus", _decay("BLH"), bonus=True),
    _sample("a fixed decay a channel, bonus", _decay("HK"), bonus=True),
    _sample("a fixed decay a head", _decay("H")),
    _sample("no state", _decay("BLHK"), state=False),
    _sample("bonus, no state", _decay("HK"), bonus=True, state=False),
    _sample("no decay", constant(0, "H"), hard=True),
    _sample("decays near 1", -log_uniform(1e-6, 1e-2, "BLHK"), hard=True),
    _sample(
        "decays near 1, bonus", -log_uniform(1e-6, 1e-2, "HK"), bonus=True, hard=True
    ),
    _sample("log_decay = -5", constant(-5, "BLHK"), hard=True),
    _sample("log_decay = -5, bonus", constant(-5, "BLH"), bonus=True, hard=True),
    _sample(
        "some decays of 0",
        every_third(constant(-1e3, "BLHK"), -log_uniform(1e-4, 1, "BLHK")),
        hard=True,
    ),
    _sample(
        "some decays of 0, bonus",
        every_third(constant(-1e3, "BLHK"), -log_uniform(1e-4, 1, "BLHK")),
        bonus=True,
        hard=True,
    ),
    _sample(
        "decays from 1 to e^-100",
        -log_uniform(1e-4, 1e2, "BLHK"),
        state=False,
        hard=True,
    ),
    _sample(
        "some keys of thousands",
        _decay("BLH"),
        k=every_third(1e3 * normal("BLHK"), normal("BLHK")),
        hard=True,
    ),
)


def _workload(name: str, log_decay: Distribution, bonus: bool = False) -> Workload:
    arguments: Arguments = {
        "q": normal("BLHK"),
        "k": normal("BLHK"),
        "v": normal("BLHV"),
        "log_decay": log_decay,
    }
    if bonus:
        arguments["bonus"] = normal("HK")
    full_precision = ("log_decay", "bonus") if bonus else ("log_decay",)
    return Workload(name, arguments, (torch.bfloat16,), full_precision)


_WORKLOADS = (
    _workload("a decay a channel", -uniform(1e-3, 0.5, "BLHK")),
    _workload("a decay a head", -uniform(1e-3, 0.5, "BLH")),
    _workload("RWKV-6", -uniform(1e-3, 0.5, "BLHK"), bonus=True),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads q, k, v and the decays and writes y; backward reads these and the
    gradient of y, and writes those of q, k, v and the decays."""
    q, v, log_decay = (arguments[key].nbytes for key in ("q", "v", "log_decay"))
    inputs = 2 * q + v + log_decay
    return inputs + v, 2 * inputs + v


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """For every number of the state a product that decays it, one that is added to it and
    one that is read, 5 operations; backward these again for the flow and the state, and
    two for each of the four gradients."""
    steps = int(np.prod(arguments["q"].shape)) * arguments["v"].shape[-1]
    return on_float32_units(arguments["q"], 5 * steps, 14 * steps)


def _sizes(batch: int, length: int, heads: int, keys: int, values: int) -> Sizes:
    return {
        "batch": batch,
        "length": length,
        "heads": heads,
        "keys": keys,
        "values": values,
    }


GATED_LINEAR_ATTENTION = Pairing(
    equation="S_t = diag(e^log_decay_t) S_{t-1} + k_t v_t^T, y_t = q_t S_t",
    chapter=8,
    op=ops.gated_linear_attention,
    reference=reference.gated_linear_attention,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("q", "k", "v", "log_decay", "bonus", "state"),
    full_precision=("log_decay", "bonus", "state"),
    samples=_SAMPLES,
    kinds=(
        "a decay a channel",
        "a decay a channel, bonus",
        "a decay a head",
        "a decay a head, bonus",
        "a fixed decay a channel, bonus",
        "a fixed decay a head",
    ),
    sizes={
        "portable": (_sizes(2, 67, 2, 5, 3), _sizes(3, 1, 1, 2, 4)),
        "interpreter": (_sizes(1, 19, 2, 3, 5), _sizes(2, 1, 1, 2, 2)),
        "cuda": (
            _sizes(2, 67, 2, 5, 3),
            _sizes(3, 1, 1, 2, 4),
            _sizes(2, 300, 3, 64, 64),
            _sizes(1, 700, 2, 96, 160),
            _sizes(1, 257, 1, 256, 80),
        ),
    },
    carry=_sizes(2, 2100, 3, 24, 72),
    workloads=_WORKLOADS,
    workload_sizes={
        "cuda": (_sizes(8, 2048, 8, 64, 64), _sizes(8, 2048, 8, 128, 128)),
        "cpu": (_sizes(4, 512, 2, 16, 16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.gated_linear_attention_step,
    linear={"y": ("v", "state"), "last": ("v", "state")},
)
