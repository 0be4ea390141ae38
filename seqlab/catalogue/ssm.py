"""Diagonal state-space models, x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t): the
recurrence, the convolution, and the form with many inputs and outputs."""

from collections.abc import Callable, Mapping
from itertools import product
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
)
from seqlab.ops.ssm import reference


def _loop(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    length = u.shape[1]
    A, B = ([M] * length if M.ndim == 2 else M.unbind(1) for M in (A_bar, B_bar))
    y: list[Any] = [None] * length
    first = A_bar.new_zeros((len(u), *A_bar.shape[-2:]))
    last = first if state is None else state
    for t, u_t in enumerate(u.unbind(1)):
        last = A[t] * last + B[t] * u_t[..., None]
        y[t] = _real(C * last).sum(-1)
    return torch.stack(y, dim=1), last


def _mimo_loop(
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    u: Tensor,
    state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    length, u_t = u.shape[1], u.to(B_bar.dtype).unbind(1)
    y: list[Any] = [None] * length
    last = A_bar.new_zeros((len(u), len(A_bar))) if state is None else state
    for t in reversed(range(length)) if reverse else range(length):
        last = A_bar * last + u_t[t] @ B_bar.mT
        y[t] = _real(last @ C.mT)
    return torch.stack(y, dim=1), last


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x


def _moderate(letters: str) -> Distribution:
    return uniform(0.3, 0.99, letters)


_HARD: dict[str, Callable[[str], Distribution]] = {
    "|a| near 1": lambda letters: 1 - log_uniform(1e-7, 1e-3, letters),
    "|a| = 1": lambda letters: constant(1, letters),
    "some a = 0": lambda letters: _moderate(letters) * bits(letters),
    "tiny a": lambda letters: log_uniform(1e-37, 1e-20, letters),
}


def _sample(
    name: str,
    modulus: Callable[[str], Distribution] = _moderate,
    *,
    letters: str = "DN",
    imaginary: bool = False,
    state: bool = True,
    hard: bool = False,
    gain: float | Distribution = 1.0,
    **insisted: int,
) -> Sample:
    """Decays of the given modulus: with random signs, or with random phases when
    ``imaginary``."""
    direction = phases(letters) if imaginary else signs(letters)
    arguments: Arguments = {
        "A_bar": modulus(letters) * direction,
        "B_bar": gain * normal(letters, imaginary),
        "C": normal("DN", imaginary),
        "u": normal("BLD"),
    }
    if state:
        arguments["state"] = normal("BDN", imaginary)
    kind = f"{'complex' if imaginary else 'real'}, {'fixed' if letters == 'DN' else 'varying'}"
    name = f"{name}: {kind}{'' if state else ', no state'}"
    return Sample(name, arguments, hard, insisted)


def _samples(all_letters: tuple[str, ...]) -> tuple[Sample, ...]:
    kinds = tuple(product(all_letters, (True, False)))
    return (
        *(_sample("moderate a", letters=x, imaginary=i) for x, i in kinds),
        _sample("moderate a", imaginary=True, state=False),
        *(
            _sample(name, modulus, letters=x, imaginary=i, hard=True)
            for name, modulus in _HARD.items()
            for x, i in kinds
        ),
        # As sampled with a tiny dt: a = exp(-dt / 2), b = dt.
        _sample(
            "tiny dt",
            lambda letters: 1 - log_uniform(5e-7, 5e-6, letters),
            imaginary=True,
            state=False,
            hard=True,
            gain=1e-5,
        ),
        *(
            _sample(f"N = {N}", imaginary=i, hard=True, states=N)
            for N in (1, 7)
            for i in (True, False)
        ),
    )


def _workload(letters: str, imaginary: bool) -> Workload:
    """Decays with a modulus between 0.9 and 1, as a layer with long memory has them."""
    modulus = uniform(0.9, 0.999, letters)
    arguments = {
        "A_bar": modulus * phases(letters) if imaginary else modulus,
        "B_bar": constant(1, letters) + (0j if imaginary else 0),
        "C": normal("DN", imaginary),
        "u": normal("BLD"),
    }
    kind = f"{'complex' if imaginary else 'real'} {'fixed' if letters == 'DN' else 'varying'}"
    full_precision = ("A_bar", "B_bar", "C")
    return Workload(kind, arguments, (torch.float32, torch.bfloat16), full_precision)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads u and writes y, backward reads u and the gradient of y and writes that
    of u; where A_bar and B_bar change in time they are read too, and their gradients
    written."""
    u, A_bar = arguments["u"].nbytes, arguments["A_bar"]
    varying = 2 * A_bar.nbytes if A_bar.ndim == 4 else 0
    return 2 * u + varying, 3 * u + 2 * varying


def recurrence_operations(A_bar: Any, numbers: int) -> tuple[int, int]:
    """For each number and mode a product of A_bar, one of B_bar with its sum, and the real
    part of one of C with its sum; backward the state again, the same of the adjoint, and
    three products for the gradients."""
    forward, backward = (14, 52) if _is_complex(A_bar) else (5, 14)
    count = numbers * A_bar.shape[-1]
    return forward * count, backward * count


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    return recurrence_operations(arguments["A_bar"], int(np.prod(arguments["u"].shape)))


def _convolution_operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """The same, of which products of tiles take more, but on faster units."""
    return on_float32_units(arguments["u"], *_operations(arguments))


def _mimo_bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """u and y, as above; backward takes the states too, which forward writes."""
    u, A_bar = arguments["u"], arguments["A_bar"]
    states = u.shape[0] * u.shape[1] * A_bar.nbytes
    return 2 * u.nbytes + states, 3 * u.nbytes + states


def _mimo_operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Two products with matrices of N by D modes forward, of real numbers with the parts
    of complex ones; four backward; and the scan."""
    A_bar, u = arguments["A_bar"], arguments["u"]
    parts, scan = (2, 8) if _is_complex(A_bar) else (1, 2)
    steps, N = u.shape[0] * u.shape[1], len(A_bar)
    matrix = 2 * parts * N * u.shape[2]
    return steps * (2 * matrix + scan * N), steps * (4 * matrix + 2 * scan * N)


def _is_complex(x: Any) -> bool:
    return x.is_complex() if isinstance(x, Tensor) else np.iscomplexobj(x)


_FULL_PRECISION = ("A_bar", "B_bar", "C", "state")
_DIFFERENTIABLE = ("A_bar", "B_bar", "C", "u", "state")
_LINEAR = {"y": ("u", "state"), "last": ("u", "state")}
_SIZES = {
    "portable": (
        sizes(2, 133, 3, states=4),
        sizes(3, 1, 2, states=3),
        sizes(1, 64, 2, states=2),
    ),
    "interpreter": (sizes(2, 11, 3, states=3), sizes(1, 1, 2, states=2)),
    "cuda": (
        sizes(2, 67, 5, states=4),
        sizes(3, 1, 2, states=3),
        sizes(3, 1000, 66, states=16),
        sizes(1, 6200, 5, states=9),
    ),
}

SSM_SCAN = Pairing(
    equation="x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t)",
    chapter=6,
    op=ops.ssm_scan,
    reference=reference.ssm_scan,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=_DIFFERENTIABLE,
    full_precision=_FULL_PRECISION,
    samples=_samples(("DN", "BLDN")),
    kinds=(
        "moderate a: real, fixed",
        "moderate a: complex, fixed",
        "moderate a: real, varying",
        "moderate a: complex, varying",
    ),
    sizes=_SIZES,
    carry=sizes(2, 4500, 12, states=16),
    workloads=(
        _workload("DN", True),
        _workload("BLDN", True),
        _workload("BLDN", False),
    ),
    workload_sizes={
        "cuda": (sizes(8, 2048, 256, states=16),),
        "cpu": (sizes(8, 196, 32, states=8),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.ssm_scan_step,
    linear=_LINEAR,
    # The portable form multiplies by matrices where A_bar is fixed.
    nan_spreads={"y": (1,), "grad u": (1,)},
)

SSM_CONVOLUTION = Pairing(
    equation="y_t = sum_j Re(C A_bar^j B_bar) u_{t-j} + Re(C A_bar^{t+1} x_0)",
    chapter=6,
    op=ops.ssm_convolution,
    reference=reference.ssm_convolution,
    loop=_loop,
    outputs=("y", "last"),
    differentiable=_DIFFERENTIABLE,
    full_precision=_FULL_PRECISION,
    samples=_samples(("DN",)),
    kinds=("moderate a: real, fixed", "moderate a: complex, fixed"),
    sizes=_SIZES,
    carry=sizes(2, 4500, 12, states=16),
    workloads=(_workload("DN", True),),
    workload_sizes={
        "cuda": (
            sizes(8, 2048, 1024, states=32),
            sizes(8, 8192, 1024, states=32),
            sizes(2, 65536, 1024, states=32),
        ),
        "cpu": (sizes(8, 784, 64, states=16),),
    },
    fewest_bytes=_bytes,
    operations=_convolution_operations,
    step=ops.ssm_scan_step,
    linear=_LINEAR,
    nan_spreads={"y": (1,), "grad u": (1,)},
)


def _mimo_sample(
    name: str,
    modulus: Callable[[str], Distribution] = _moderate,
    *,
    imaginary: bool = True,
    state: bool = True,
    reverse: bool = False,
    hard: bool = False,
    **insisted: int,
) -> Sample:
    direction = phases("N") if imaginary else signs("N")
    arguments: Arguments = {
        "A_bar": modulus("N") * direction,
        "B_bar": normal("ND", imaginary),
        "C": normal("DN", imaginary),
        "u": normal("BLD"),
    }
    if state:
        arguments["state"] = normal("BN", imaginary)
    if reverse:
        arguments["reverse"] = True
    kind = "complex" if imaginary else "real"
    details = ("" if state else ", no state") + (", reversed" if reverse else "")
    return Sample(f"{name}: {kind}{details}", arguments, hard, insisted)


SSM_MIMO = Pairing(
    equation="x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t), B_bar and C matrices",
    chapter=6,
    op=ops.ssm_mimo,
    reference=reference.ssm_mimo,
    loop=_mimo_loop,
    outputs=("y", "last"),
    differentiable=_DIFFERENTIABLE,
    full_precision=_FULL_PRECISION,
    samples=(
        _mimo_sample("moderate a"),
        _mimo_sample("moderate a", reverse=True),
        _mimo_sample("moderate a", imaginary=False),
        _mimo_sample("moderate a", state=False),
        *(
            _mimo_sample(name, modulus, imaginary=i, reverse=i, hard=True)
            for name, modulus in _HARD.items()
            for i in (True, False)
        ),
        _mimo_sample("N = 1", hard=True, states=1),
        _mimo_sample("N = 7", hard=True, states=7),
    ),
    kinds=(
        "moderate a: real",
        "moderate a: complex",
        "moderate a: complex, reversed",
    ),
    sizes=_SIZES,
    carry=sizes(2, 4500, 12, states=16),
    workloads=(
        Workload(
            "S5",
            {
                "A_bar": uniform(0.9, 0.999, "N") * phases("N"),
                "B_bar": normal("ND", imaginary=True),
                "C": normal("DN", imaginary=True),
                "u": normal("BLD"),
            },
            (torch.float32,),
        ),
    ),
    workload_sizes={
        "cuda": (sizes(8, 8192, 256, states=128),),
        "cpu": (sizes(8, 784, 64, states=32),),
    },
    fewest_bytes=_mimo_bytes,
    operations=_mimo_operations,
    step=ops.ssm_mimo_step,
    linear=_LINEAR,
    # What is not finite meets zeros in products by matrices.
    nan_spreads={},
)
