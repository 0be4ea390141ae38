"""H3, y = q SSM_diagonal(SSM_shift(k) v)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    bits,
    constant,
    log_uniform,
    normal,
    phases,
    signs,
    uniform,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Pairing,
    Sample,
    Workload,
    on_float32_units,
    sizes,
    state_in_parts,
)
from seqlab.catalogue.ssm import recurrence_operations
from seqlab.ops.h3 import reference

M = 4
"""Taps of every sample."""


def _loop(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None = None,
    window: Tensor | None = None,
    memory: Tensor | None = None,
    head_dim: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, channels = k.shape
    heads, N = A_bar.shape
    if window is None:
        window = k.new_zeros((batch, M - 1, channels))
    if memory is None:
        memory = A_bar.new_zeros((batch, channels * head_dim, N))
    x = memory.unflatten(1, (heads, head_dim, head_dim))
    A, B, C = (p[:, None, None] for p in (A_bar, B_bar, C))
    y = []
    for q_t, k_t, v_t in zip(q.unbind(1), k.unbind(1), v.unbind(1), strict=True):
        window = torch.cat([window, k_t[:, None]], dim=1)
        key = (window.flip(1) * shift.mT).sum(1).unflatten(1, (heads, head_dim, 1))
        kv = key * v_t.unflatten(1, (heads, 1, head_dim))
        x = A * x + B * kv[..., None]
        read = C * x
        total = (read.real if read.is_complex() else read).sum(-1)
        if D_skip is not None:
            total = total + D_skip[:, None, None] * kv
        query = q_t.unflatten(1, (heads, head_dim, 1))
        y.append((query * total).sum(2).flatten(1))
        window = window[:, 1:]
    return torch.stack(y, dim=1), window, x.flatten(1, 3)


def _moderate(letters: str) -> Distribution:
    return uniform(0.3, 0.99, letters)


def _sample(
    name: str,
    modulus: Callable[[str], Distribution] = _moderate,
    *,
    imaginary: bool = False,
    skip: bool = True,
    state: bool = True,
    hard: bool = False,
    head_dim: int = 1,
    **insisted: int,
) -> Sample:
    """Decays of the given modulus, in heads of one channel each or in two wider ones."""
    heads = "D" if head_dim == 1 else "2"
    direction = phases(f"{heads}N") if imaginary else signs(f"{heads}N")
    arguments: Arguments = {
        **{key: normal("BLD") for key in ("q", "k", "v")},
        "shift": normal(f"D{M}"),
        "A_bar": modulus(f"{heads}N") * direction,
        "B_bar": normal(f"{heads}N", imaginary),
        "C": normal(f"{heads}N", imaginary),
    }
    if skip:
        arguments["D_skip"] = normal(heads)
    if state:
        arguments["window"] = normal(f"B{M - 1}D")
        products = "D" if head_dim == 1 else str(2 * head_dim**2)
        arguments["memory"] = normal(f"B{products}N", imaginary)
    if head_dim > 1:
        arguments["head_dim"] = head_dim
        insisted["channels"] = 2 * head_dim
    kind = "complex" if imaginary else "real"
    return Sample(f"{name}: {kind}", arguments, hard, insisted)


_SAMPLES = (
    _sample("moderate a"),
    _sample("moderate a", imaginary=True),
    _sample("no skip, no state", imaginary=True, skip=False, state=False),
    _sample("heads of two", imaginary=True, head_dim=2),
    _sample(
        "|a| near 1",
        lambda letters: 1 - log_uniform(1e-7, 1e-3, letters),
        imaginary=True,
        hard=True,
    ),
    _sample("|a| = 1", lambda letters: constant(1, letters), hard=True),
    _sample(
        "some a = 0", lambda letters: _moderate(letters) * bits(letters), hard=True
    ),
    _sample("N = 1", hard=True, states=1),
    _sample("N = 7", imaginary=True, hard=True, states=7),
    _sample("one time", hard=True, length=1),
)


def _workload() -> Workload:
    """Decays with a modulus between 0.9 and 1, as a layer with long memory has them."""
    return Workload(
        "head_dim = 1",
        {
            **{key: normal("BLD") for key in ("q", "k", "v")},
            "shift": normal(f"D{M}"),
            "A_bar": uniform(0.9, 0.999, "DN") * phases("DN"),
            "B_bar": constant(1, "DN") + 0j,
            "C": normal("DN", imaginary=True),
            "D_skip": normal("D"),
        },
        (torch.float32, torch.bfloat16),
        full_precision=("shift", "A_bar", "B_bar", "C", "D_skip"),
    )


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads q, k and v and writes y; backward reads these and the gradient of y,
    and writes those of q, k and v."""
    array = arguments["q"].nbytes
    return 4 * array, 7 * array


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Those of the diagonal recurrence for each product of a head; and for each tap a product
    and a sum, twice that backward."""
    q, head_dim = arguments["q"], arguments.get("head_dim", 1)
    numbers = int(np.prod(q.shape))
    recurrence = recurrence_operations(arguments["A_bar"], numbers * head_dim)
    forward, backward = on_float32_units(q, *recurrence)
    return forward + 2 * numbers * M, backward + 4 * numbers * M


_STATES = ("window", "memory")

H3 = Pairing(
    equation="y = q SSM_diagonal(SSM_shift(k) v)",
    chapter=7,
    op=state_in_parts(ops.h3, _STATES),
    reference=state_in_parts(reference.h3, _STATES),
    loop=_loop,
    outputs=("y", "last window", "last memory"),
    differentiable=(
        "q",
        "k",
        "v",
        "shift",
        "A_bar",
        "B_bar",
        "C",
        "D_skip",
        "window",
        "memory",
    ),
    full_precision=("shift", "A_bar", "B_bar", "C", "D_skip", "memory"),
    states=_STATES,
    samples=_SAMPLES,
    kinds=("moderate a: real", "heads of two: complex"),
    sizes={
        "portable": (sizes(2, 133, 3, states=4), sizes(3, 1, 2, states=3)),
        "interpreter": (sizes(2, 11, 2, states=2), sizes(1, 1, 1, states=2)),
        "cuda": (
            sizes(2, 67, 5, states=4),
            sizes(3, 1, 2, states=3),
            sizes(3, 1000, 66, states=16),
            sizes(1, 6200, 5, states=9),
        ),
    },
    carry=sizes(2, 4500, 12, states=16),
    workloads=(_workload(),),
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 1024, states=32),
            sizes(8, 8192, 1024, states=32),
            sizes(8, 32768, 1024, states=32),
        ),
        "cpu": (sizes(8, 784, 32, states=8),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=state_in_parts(ops.h3_step, _STATES),
    linear={"y": ("q",)},
    # Between the window and the queries these are products of matrices.
    nan_spreads=dict.fromkeys(("y", "grad q", "grad k", "grad v"), (1,)),
)
