"""The causal convolution, y_t = sum over j <= t of K_j u_{t-j}: with a few taps, and with
as many as there are times."""

from collections.abc import Mapping
from typing import Any

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
from seqlab.catalogue.pairing import Pairing, Sample, Workload, sizes, tuple_of
from seqlab.ops.convolution import reference


def _loop(u: Tensor, K: Tensor) -> tuple[Tensor]:
    length = u.shape[1]
    y = torch.zeros_like(u)
    for j in range(min(K.shape[1], length)):
        y = y + torch.nn.functional.pad(u[:, : length - j], (0, 0, j, 0)) * K[:, j]
    return (y,)


def _sample(
    name: str,
    u: Distribution,
    K: Distribution,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    return Sample(name, {"u": u, "K": K}, hard, insisted)


_SAMPLES = (
    _sample("a few taps", normal("BLD"), normal("DK"), keys=5),
    _sample(
        "many taps",
        normal("BLD"),
        normal("DK"),
        length=151,
        keys=150,
    ),
    _sample("as many taps as times", normal("BLD"), normal("DL")),
    _sample("one tap", normal("BLD"), normal("D1"), hard=True),
    _sample("one time", normal("BLD"), normal("DK"), hard=True, length=1, keys=7),
    _sample(
        "more taps than times", normal("BLD"), normal("DK"), hard=True, length=7, keys=9
    ),
    _sample(
        "more taps than times, many",
        normal("BLD"),
        normal("DK"),
        hard=True,
        length=129,
        keys=400,
    ),
    _sample(
        "K of all sizes",
        normal("BLD"),
        log_uniform(1e-6, 1e3, "DL") * signs("DL"),
        hard=True,
    ),
    _sample(
        "u of all sizes",
        every_third(1e3 * normal("BLD"), 1e-3 * normal("BLD")),
        normal("DL"),
        hard=True,
    ),
)


def _taps(arguments: Mapping[str, Any]) -> int:
    return int(min(arguments["u"].shape[1], arguments["K"].shape[1]))


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads u and K and writes y; backward reads these and y's gradient and writes
    those of u and K."""
    u, K = arguments["u"].nbytes, arguments["K"].nbytes
    return 2 * u + K, 3 * u + 2 * K


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Of the sum, a product and an addition for each tap and number, and twice that
    backward; a Fourier transform needs fewer from some taps on."""
    length, taps = int(arguments["u"].shape[1]), _taps(arguments)
    pairs = length * taps - taps * (taps - 1) // 2
    forward = 2 * pairs * int(arguments["u"].shape[0] * arguments["u"].shape[2])
    return forward, 2 * forward


def _workload(name: str, K: Distribution) -> Workload:
    dtypes = (torch.float32, torch.bfloat16)
    return Workload(name, {"u": normal("BLD"), "K": K}, dtypes, full_precision=("K",))


CAUSAL_CONVOLUTION = Pairing(
    equation="y_t = sum over j <= t of K_j u_{t-j}",
    chapter=6,
    op=tuple_of(ops.causal_convolution),
    reference=tuple_of(reference.causal_convolution),
    loop=_loop,
    outputs=("y",),
    differentiable=("u", "K"),
    full_precision=("K",),
    samples=_SAMPLES,
    kinds=("a few taps", "many taps"),
    sizes={
        "portable": (sizes(2, 67, 5, states=4), sizes(1, 301, 3)),
        "interpreter": (sizes(2, 11, 3), sizes(1, 9, 1)),
        "cuda": (sizes(2, 67, 5), sizes(3, 1000, 130), sizes(1, 4099, 33)),
    },
    carry=sizes(3, 2100, 40),
    workloads=(
        _workload("a few taps", normal("DN")),
        _workload("as many taps as times", normal("DL")),
    ),
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 1024, states=4),
            sizes(8, 8192, 1024, states=64),
            sizes(2, 65536, 1024, states=16),
        ),
        "cpu": (sizes(8, 784, 64, states=4),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    linear={"y": ("u",)},
    nan_spreads={"y": (1,), "grad u": (1,), "grad K": (1,)},
)
