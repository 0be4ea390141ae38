"""The causal convolution, y_t = sum over j <= t of K_j u_{t-j}: with a few taps, and with
as many as there are times."""

import math
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
    for j, K_j in enumerate(K.unbind(1)[:length]):
        y = y + torch.nn.functional.pad(K_j * u[:, : length - j], (0, 0, j, 0))
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


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads u and K and writes y; backward reads these and y's gradient and writes
    those of u and K."""
    u, K = arguments["u"].nbytes, arguments["K"].nbytes
    return 2 * u + K, 3 * u + 2 * K


def convolution_operations(
    batch: int, length: int, channels: int, taps: int
) -> tuple[int, int]:
    """Of a convolution, forward and backward alone, the fewer of two ways.

    A sum: a product and an addition for each tap and number, and twice that backward.
    Fourier transforms of n = L + M - 1 points, of 2 n log_2 n - 4 n + 6 operations each
    (split radix, real numbers): of the input and of its product with the kernel's, and
    for each channel of the kernel; backward as many, the spectra of before at hand, with
    two products.
    """
    taps = min(length, taps)
    rows = batch * channels
    pairs = length * taps - taps * (taps - 1) // 2
    n = length + taps - 1
    transforms = (2 * rows + channels) * (2 * n * math.log2(n) - 4 * n + 6)
    forward = min(2 * pairs * rows, int(transforms + 3 * n * rows))
    backward = min(4 * pairs * rows, int(transforms + 6 * n * rows))
    return forward, backward


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    batch, length, channels = map(int, arguments["u"].shape)
    return convolution_operations(batch, length, channels, arguments["K"].shape[1])


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
