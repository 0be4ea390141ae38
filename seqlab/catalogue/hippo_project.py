"""The HiPPO projection, c_k = A_bar_k c_{k-1} + B_bar_k f_k: four measures, several
methods, every coefficient or the last ones."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Sizes, Workload, sizes
from seqlab.ops.hippo import reference


def _loop(
    f: Tensor,
    N: int,
    measure: str = "legs",
    method: str = "bilinear",
    theta: float = 1.0,
    state: Tensor | None = None,
    dt: float | None = None,
    start: int = 0,
    return_all: bool = True,
) -> tuple[Tensor, Tensor]:
    length = f.shape[1]
    numbers = range(start + 1, start + length + 1)
    steps = reference.step_matrices(
        measure, N, numbers, method, theta, 1 / length if dt is None else dt
    )
    c: list[Tensor] = []
    last: Any = 0 if state is None else state
    for f_k, A_k, B_k in zip(f.unbind(1), *map(torch.from_numpy, steps), strict=True):
        moved = last @ A_k.to(f).mT if isinstance(last, Tensor) else 0
        last = moved + f_k[..., None] * B_k.to(f)
        c.append(last)
    return (torch.stack(c, dim=1) if return_all else last), last


def _signal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.standard_normal(shape)


def _large(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 100 * generator.standard_normal(shape)


def _constant(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (
        np.broadcast_to(generator.standard_normal((shape[0], 1, shape[2])), shape) + 0.0
    )


def _sample(
    name: str,
    signal: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = _signal,
    *,
    order: int | None = None,
    start: int = 0,
    state: bool = True,
    hard: bool = False,
    **options: Any,
) -> Sample:
    """A signal with ``options`` of the op, after ``start`` samples that a ``state`` may
    remember."""

    def draw(generator: np.random.Generator, sizes: Sizes) -> Arguments:
        batch, length, channels = sizes["batch"], sizes["length"], sizes["channels"]
        N = sizes["order"] if order is None else order
        arguments = {
            "f": signal(generator, (batch, length, channels)),
            "N": N,
            **options,
        }
        if start:
            arguments["start"] = start
            if state:
                arguments["state"] = generator.standard_normal((batch, channels, N))
            arguments.setdefault("dt", 0.05)
        return arguments

    return Sample(name, False, hard, draw)


_SAMPLES = (
    *(
        _sample(f"{measure}, {method}", measure=measure, method=method, theta=0.7)
        for measure in reference.MEASURES
        for method in ("bilinear", "backward_euler")
    ),
    *(
        _sample(f"{measure}, zoh", measure=measure, method="zoh", theta=0.7)
        for measure in reference.MEASURES[1:]
    ),
    *(
        _sample(f"{measure}, from a state", measure=measure, start=9)
        for measure in reference.MEASURES
    ),
    *(
        _sample(f"{measure}, last alone", measure=measure, return_all=False)
        for measure in reference.MEASURES
    ),
    *(
        _sample(f"{measure}, N = {order}", measure=measure, order=order, hard=True)
        for measure in reference.MEASURES
        for order in (1, 256)
    ),
    _sample("legs, from its first sample", start=1, hard=True),
    # Each sample counts a millionth, which float16 holds of large ones only.
    _sample(
        "legs, from its millionth sample", _large, start=10**6, state=False, hard=True
    ),
    _sample("legs, a constant", _constant, hard=True),
    *(
        _sample(
            f"{measure}, {name} window", measure=measure, theta=theta, dt=1.0, hard=True
        )
        for measure in reference.MEASURES[1:]
        for name, theta in {"short": 1e-3, "long": 1e4}.items()
    ),
)


def _workload(name: str, **options: Any) -> Workload:
    """White noise, as a layer's features are about."""

    def draw(generator: torch.Generator, sizes: Sizes, dtype: torch.dtype) -> Arguments:
        shape = (sizes["batch"], sizes["length"], sizes["channels"])
        f = torch.randn(
            shape, dtype=dtype, generator=generator, device=generator.device
        )
        return {"f": f, "N": sizes["order"], **options}

    return Workload(name, (torch.float32,), draw)


def _coefficients(arguments: Mapping[str, Any]) -> int:
    """How many coefficients are computed, wanted or not."""
    return int(np.prod(arguments["f"].shape)) * arguments["N"]


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """f is read and the coefficients are written, once; backward the same the other
    way."""
    f = arguments["f"]
    wanted = f.nbytes if arguments.get("return_all", True) else f.nbytes // f.shape[1]
    once = f.nbytes + wanted * arguments["N"]
    return once, once


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """LegS: 11 for each coefficient (equations 4.13 and 4.18). The other measures: a
    row of A_bar."""
    legs = arguments.get("measure", "legs") == "legs"
    each = 11 if legs else 2 * (arguments["N"] + 1)
    return _coefficients(arguments) * each, _coefficients(arguments) * each


HIPPO_PROJECT = Pairing(
    equation="c_k = A_bar_k c_{k-1} + B_bar_k f_k",
    chapter=4,
    op=ops.hippo_project,
    reference=reference.hippo_project,
    loop=_loop,
    outputs=("c", "state"),
    differentiable=("f", "state"),
    full_precision=("state",),
    samples=_SAMPLES,
    sizes={
        "portable": (
            sizes(2, 37, 3, order=6),
            sizes(3, 1, 2, order=5),
        ),
        "interpreter": (sizes(1, 5, 2, order=5), sizes(2, 1, 1, order=4)),
        "cuda": (
            sizes(2, 67, 3, order=6),
            sizes(3, 1, 2, order=5),
            sizes(2, 1000, 5, order=64),
        ),
    },
    workloads=(
        _workload("legs, every coefficient"),
        _workload("legs, last alone", return_all=False),
        _workload("legt, every coefficient", measure="legt"),
    ),
    workload_sizes={
        "cuda": (sizes(64, 4096, 1, order=64), sizes(8, 65536, 1, order=256)),
        "cpu": (sizes(8, 784, 1, order=32),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
)
