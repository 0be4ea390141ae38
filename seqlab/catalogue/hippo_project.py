"""The HiPPO projection, c_k = A_bar_k c_{k-1} + B_bar_k f_k: four measures, several
methods, every coefficient or the last ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.distributions import Distribution, Size, constant, normal
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
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


def _sample(
    name: str,
    signal: Distribution | None = None,
    *,
    order: int | None = None,
    start: int = 0,
    state: bool = True,
    hard: bool = False,
    **options: Any,
) -> Sample:
    """A signal, white noise if None, with ``options`` of the op, after ``start``
    samples that a ``state`` may remember."""
    arguments = {"f": signal or normal("BLD"), "N": Size("N"), **options}
    if start:
        arguments = {"dt": 0.05, **arguments, "start": start}
        if state:
            arguments["state"] = normal("BDN")
    measure = arguments.get("measure", "legs")
    has_kernel = measure == "legs" and arguments.get("method") != "zoh"
    nan_spreads: dict[str, tuple[int, ...]] = {}
    if measure != "legs":  # a chunk of time is one product
        nan_spreads["c"] = (1, -1) if arguments.get("return_all", True) else (-1,)
        nan_spreads["grad f"] = (1,)
    return Sample(
        name,
        arguments,
        hard,
        {} if order is None else {"order": order},
        nan_spreads=nan_spreads,
        has_kernel=has_kernel,
    )


_SAMPLES = (
    *(
        _sample(f"{measure}, {method}", measure=measure, method=method, theta=0.7)
        for measure in reference.MEASURES
        for method in ("bilinear", "backward_euler")
    ),
    *(
        _sample(f"{measure}, zoh", measure=measure, method="zoh", theta=0.7)
        for measure in reference.MEASURES
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
        "legs, from its millionth sample",
        100 * normal("BLD"),
        start=10**6,
        state=False,
        hard=True,
    ),
    _sample("legs, a constant", normal("B1D") * constant(1, "BLD"), hard=True),
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
    arguments = {"f": normal("BLD"), "N": Size("N"), **options}
    return Workload(name, arguments, (torch.float32,))


def _resume(arguments: Arguments, steps: int) -> Arguments:
    """The step count goes on, and a time step that was 1 / L is said."""
    dt = arguments.get("dt") or 1 / arguments["f"].shape[1]
    return {"start": arguments.get("start", 0) + steps, "dt": dt}


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
    kinds=(
        "legs, bilinear",
        "legs, zoh",
        "legs, from a state",
        "legs, last alone",
        "legt, bilinear",
        "lagt, from a state",
        "fourier, last alone",
    ),
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
    carry=sizes(3, 1100, 2, order=256),
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
    step=ops.hippo_project_step,
    resume=_resume,
    linear={"c": ("f", "state"), "state": ("f", "state")},
    # A product with a triangular A_bar multiplies NaN by zeros.
    nan_spreads={"c": (-1,), "state": (-1,), "grad state": (-1,)},
)
