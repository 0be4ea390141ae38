"""The shift state space model, y_t = sum over j < M of taps_j k_{t-j}."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import (
    Distribution,
    every_third,
    log_uniform,
    normal,
    signs,
)
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
from seqlab.ops.shift_ssm import reference


def _loop(
    k: Tensor, taps: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    batch, _, channels = k.shape
    memory = taps.shape[1] - 1
    window = k.new_zeros((batch, memory, channels)) if state is None else state
    y: list[Tensor] = []
    for k_t in k.unbind(1):
        window = torch.cat([window, k_t[:, None]], dim=1)
        y.append((window.flip(1) * taps.mT).sum(1))
        window = window[:, 1:]
    return torch.stack(y, dim=1), window


def _sample(
    name: str,
    M: int = 4,
    *,
    k: Distribution | None = None,
    taps: Distribution | None = None,
    state: bool = True,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    arguments: Arguments = {
        "k": normal("BLD") if k is None else k,
        "taps": normal(f"D{M}") if taps is None else taps,
    }
    if state:
        arguments["state"] = normal(f"B{M - 1}D")
    return Sample(name, arguments, hard, insisted)


_SAMPLES = (
    _sample("four taps"),
    _sample("four taps, no state", state=False),
    _sample("one tap", 1, state=False, hard=True),
    _sample("two taps", 2, hard=True),
    _sample("nine taps", 9, hard=True),
    _sample("more taps than times", 9, hard=True, length=3),
    _sample("one time", hard=True, length=1),
    _sample(
        "numbers of all sizes",
        k=every_third(1e3 * normal("BLD"), 1e-3 * normal("BLD")),
        taps=log_uniform(1e-6, 1e3, "D4") * signs("D4"),
        hard=True,
    ),
)

_MAMBA = Workload(
    "Mamba's convolution",
    {"k": normal("BLD"), "taps": normal("D4")},
    (torch.float32, torch.bfloat16),
    full_precision=("taps",),
)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads k and writes y; backward reads k and the gradient of y, and writes
    that of k."""
    array = arguments["k"].nbytes
    return 2 * array, 3 * array


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """A product and a sum for each tap, and twice that backward."""
    forward = 2 * arguments["taps"].shape[1] * int(np.prod(arguments["k"].shape))
    return forward, 2 * forward


SHIFT_SSM = Pairing(
    equation="y_t = sum over j < M of taps_j k_{t-j}",
    chapter=7,
    op=ops.shift_ssm,
    reference=reference.shift_ssm,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=("k", "taps", "state"),
    full_precision=("taps",),
    samples=_SAMPLES,
    kinds=("four taps",),
    sizes={
        "portable": (sizes(2, 67, 5), sizes(3, 1, 2)),
        "interpreter": (sizes(2, 11, 3), sizes(1, 1, 2)),
        "cuda": (
            sizes(2, 67, 5),
            sizes(3, 1, 2),
            sizes(3, 1000, 130),
            sizes(1, 4099, 33),
        ),
    },
    carry=sizes(2, 4100, 140),
    workloads=(_MAMBA,),
    workload_sizes={
        "cuda": (sizes(8, 2048, 1024), sizes(1, 65536, 2048)),
        "cpu": (sizes(8, 784, 64),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.shift_ssm_step,
    linear={"y": ("k", "state"), "last": ("k", "state")},
)
