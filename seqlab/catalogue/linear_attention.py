"""Linear attention, the mean of the values so far by weights q . k of features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    Sizes,
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
    on_float32_units,
)
from seqlab.ops.attention import reference


def _loop(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    S = k.new_zeros((*k[:, 0].shape, v.shape[-1])) if state is None else state[..., :-1]
    z = k.new_zeros(k[:, 0].shape) if state is None else state[..., -1]
    y = []
    for q_t, k_t, v_t in zip(q.unbind(1), k.unbind(1), v.unbind(1), strict=True):
        S = S + k_t[..., None] * v_t[..., None, :]
        z = z + k_t
        weights = (q_t * z).sum(-1, keepdim=True)
        y.append((q_t[..., None] * S).sum(-2) / weights)
    return torch.stack(y, dim=1), torch.cat([S, z[..., None]], dim=-1)


def _features(letters: str) -> Distribution:
    return uniform(0.1, 2, letters)


def _sample(
    name: str,
    q: Distribution,
    k: Distribution,
    *,
    state: bool = True,
    hard: bool = False,
) -> Sample:
    arguments: Arguments = {"q": q, "k": k, "v": normal("BLHV")}
    if state:
        arguments["state"] = Distribution("BHKX", False, _draw_state)
    # Products of matrices over groups of steps.
    spread = dict.fromkeys(("y", "grad q", "grad k", "grad v"), (1,))
    bound = Bound(
        4, "y is a mean, and its slope in q a difference of means that is far smaller"
    )
    return Sample(name, arguments, hard, bounds={"grad q": bound}, nan_spreads=spread)


def _draw_state(source: Any, sizes: Sizes) -> Any:
    """Sums of values, V of them, and of keys, at least 0.5."""
    shape = tuple(sizes[key] for key in ("batch", "heads", "keys"))
    return 0.5 + source.uniform((*shape, sizes["values"] + 1))


_SAMPLES = (
    _sample("features", _features("BLHK"), _features("BLHK")),
    _sample("features, no state", _features("BLHK"), _features("BLHK"), state=False),
    _sample(
        "keys of all sizes",
        _features("BLHK"),
        log_uniform(1e-3, 1e3, "BLHK"),
        hard=True,
    ),
    _sample(
        "some queries of all sizes",
        every_third(log_uniform(1e-4, 1e3, "BLHK"), _features("BLHK")),
        _features("BLHK"),
        state=False,
        hard=True,
    ),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads q, k and v and writes y; backward reads these and the gradient of y,
    and writes those of q, k and v."""
    q, v = arguments["q"].nbytes, arguments["v"].nbytes
    return 2 * q + 2 * v, 4 * q + 3 * v


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """A product and a sum for each number of the state that is written and read, and
    twice that backward, where the state is formed once more."""
    columns = arguments["v"].shape[-1] + 1
    forward = 4 * int(np.prod(arguments["q"].shape)) * columns
    return on_float32_units(arguments["q"], forward, 3 * forward)


def _sizes(batch: int, length: int, heads: int, keys: int, values: int) -> Sizes:
    return {
        "batch": batch,
        "length": length,
        "heads": heads,
        "keys": keys,
        "values": values,
    }


LINEAR_ATTENTION = Pairing(
    equation="S_t = S_{t-1} + k_t (v_t, 1)^T, y_t = q_t S_t over its last number",
    chapter=7,
    op=ops.linear_attention,
    reference=reference.linear_attention,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("q", "k", "v", "state"),
    full_precision=("state",),
    samples=_SAMPLES,
    kinds=("features",),
    # Its kernels are those of gated linear attention, and verified as such.
    sizes={
        "portable": (_sizes(2, 67, 2, 5, 3), _sizes(3, 9, 1, 2, 4)),
    },
    carry=None,
    workloads=(
        Workload(
            "a layer",
            {
                "q": uniform(0, 1, "BLHK"),
                "k": uniform(0, 1, "BLHK"),
                "v": normal("BLHV"),
            },
            (torch.bfloat16,),
        ),
    ),
    workload_sizes={
        "cuda": (_sizes(8, 2048, 8, 64, 64),),
        "cpu": (_sizes(4, 512, 2, 16, 16),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.linear_attention_step,
)
