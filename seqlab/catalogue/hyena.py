"""Hyena: long convolutions and gates in turn, z <- gate (filter * z)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.causal_convolution import convolution_operations
from seqlab.catalogue.distributions import (
    Distribution,
    bits,
    every_third,
    normal,
)
from seqlab.catalogue.pairing import (
    Arguments,
    Pairing,
    Sample,
    Workload,
    in_parts,
    sizes,
    tuple_of,
)
from seqlab.ops.h3 import reference

MOST = 3
"""Gates of a sample."""
_GATES, _FILTERS = (
    tuple(f"{name}_{i}" for i in range(MOST)) for name in ("gates", "filters")
)


def _loop(v: Tensor, **arguments: Tensor) -> tuple[Tensor]:
    z, length = v, v.shape[1]
    for i in range(len(arguments) // 2):
        gate, taps = arguments[f"gates_{i}"], arguments[f"filters_{i}"]
        y = torch.zeros_like(z)
        for j, tap in enumerate(taps.unbind(1)[:length]):
            y = y + torch.nn.functional.pad(tap * z[:, : length - j], (0, 0, j, 0))
        z = gate * y
    return (z,)


def _arguments(
    filters: tuple[Distribution, ...], gate: Distribution | None = None
) -> Arguments:
    gate = normal("BLD") if gate is None else gate
    arguments: Arguments = {"v": normal("BLD")}
    arguments |= {f"gates_{i}": gate for i in range(len(filters))}
    return arguments | {f"filters_{i}": taps for i, taps in enumerate(filters)}


def _sample(
    name: str,
    *filters: Distribution,
    gate: Distribution | None = None,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    return Sample(name, _arguments(filters, gate), hard, insisted)


def _long(letters: str) -> Distribution:
    """So small that outputs stay as large as inputs at most lengths."""
    return 0.1 * normal(letters)


_SAMPLES = (
    _sample("order 2", normal("D4"), _long("DK"), keys=21),
    _sample("order 2, many taps", normal("D4"), _long("DK"), length=18, keys=18),
    _sample("as many taps as times", _long("DL"), _long("DL")),
    _sample("order 1", _long("DL")),
    _sample(
        "order 3, filters of three lengths",
        normal("D3"),
        _long("DK"),
        _long("DL"),
        keys=21,
    ),
    _sample("the single tap 1 first", normal("D1"), _long("DL"), hard=True),
    _sample("one time", normal("D4"), _long("DK"), hard=True, length=1, keys=7),
    _sample(
        "more taps than times", _long("DK"), _long("DK"), hard=True, length=9, keys=140
    ),
    _sample(
        "some gates of 0",
        _long("DL"),
        _long("DL"),
        gate=normal("BLD") * bits("BLD"),
        hard=True,
    ),
    _sample(
        "gates of all sizes",
        normal("D4"),
        _long("DL"),
        gate=every_third(30 * normal("BLD"), 1e-3 * normal("BLD")),
        hard=True,
    ),
)


def _gates(arguments: Mapping[str, Any]) -> int:
    return sum(name in arguments for name in _GATES)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads v, the gates and the filters and writes z; backward reads these and
    z's gradient and writes those of v, the gates and the filters."""
    array, inputs = arguments["v"].nbytes, 1 + _gates(arguments)
    taps = sum(arguments[name].nbytes for name in _FILTERS if name in arguments)
    return (inputs + 1) * array + taps, (2 * inputs + 1) * array + 2 * taps


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Those of each convolution, and a product for each number of a gate, two backward."""
    batch, length, channels = map(int, arguments["v"].shape)
    numbers = batch * length * channels
    forward, backward = 0, 0
    for name in _FILTERS[: _gates(arguments)]:
        taps = arguments[name].shape[1]
        ahead, back = convolution_operations(batch, length, channels, taps)
        forward += ahead + numbers
        backward += back + 2 * numbers
    return forward, backward


HYENA = Pairing(
    equation="z = v, then z <- gate (filter * z) for each gate and filter",
    chapter=7,
    op=tuple_of(in_parts(ops.hyena, gates=_GATES, filters=_FILTERS)),
    reference=tuple_of(in_parts(reference.hyena, gates=_GATES, filters=_FILTERS)),
    loop=_loop,
    outputs=("z",),
    differentiable=("v", *_GATES, *_FILTERS),
    full_precision=_FILTERS,
    samples=_SAMPLES,
    kinds=("order 2", "order 2, many taps"),
    sizes={
        "portable": (sizes(2, 67, 5), sizes(1, 151, 3)),
        # Its kernels are those of the convolution, and tried at more sizes as such.
        "interpreter": (sizes(2, 7, 2),),
        "cuda": (sizes(2, 67, 5), sizes(3, 1000, 130), sizes(1, 4099, 33)),
    },
    carry=sizes(3, 2100, 40),
    workloads=(
        Workload(
            "order 2",
            _arguments((0.03 * normal("DL"), 0.03 * normal("DL"))),
            (torch.float32, torch.bfloat16),
            full_precision=_FILTERS,
        ),
    ),
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 1024),
            sizes(8, 8192, 1024),
            sizes(8, 32768, 1024),
        ),
        "cpu": (sizes(8, 784, 32),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    linear={"z": ("v",)},
    # By Fourier transforms, and the second one reaches what the first has spread to.
    nan_spreads=dict.fromkeys(
        ("z", *(f"grad {name}" for name in ("v", *_GATES, *_FILTERS))), (1,)
    ),
)
