"""The linear recurrence, h_t = a_t h_{t-1} + b_t: real and complex, fixed and varying."""

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
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Workload, sizes
from seqlab.ops.linear_scan import reference


def _loop(
    a: Tensor, b: Tensor, state: Tensor | None = None, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    length = b.shape[1]
    a_t, b_t = a.unbind(1) if a.ndim == 3 else [a] * length, b.unbind(1)
    h: list[Any] = [None] * length
    last = torch.zeros_like(b_t[0]) if state is None else state
    for t in reversed(range(length)) if reverse else range(length):
        last = h[t] = a_t[t] * last + b_t[t]
    return torch.stack(h, dim=1), last


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
    modulus: Callable[[str], Distribution],
    *,
    imaginary: bool = False,
    fixed: bool = False,
    state: bool = True,
    reverse: bool = False,
    hard: bool = False,
) -> Sample:
    """Decays of the given modulus: with random signs, or with random phases when
    ``imaginary``."""
    letters = "D" if fixed else "BLD"
    direction = phases(letters) if imaginary else signs(letters)
    arguments: Arguments = {
        "a": modulus(letters) * direction,
        "b": normal("BLD", imaginary),
    }
    if state:
        arguments["state"] = normal("BD", imaginary)
    if reverse:
        arguments["reverse"] = True
    kind = f"{'complex' if imaginary else 'real'}, {'fixed' if fixed else 'varying'}"
    details = ("" if state else ", no state") + (", reversed" if reverse else "")
    return Sample(f"{name}: {kind}{details}", arguments, hard)


_KINDS = tuple(product((False, True), repeat=2))

_SAMPLES = (
    *(
        _sample(
            "moderate a", _moderate, imaginary=imaginary, fixed=fixed, reverse=reverse
        )
        for imaginary, fixed in _KINDS
        for reverse in (False, True)
    ),
    _sample("moderate a", _moderate, state=False),
    _sample("moderate a", _moderate, imaginary=True, fixed=True, state=False),
    *(
        _sample(name, modulus, imaginary=i, fixed=f, reverse=i, hard=True)
        for name, modulus in _HARD.items()
        for i, f in _KINDS
    ),
)


def _workload(*, imaginary: bool, fixed: bool) -> Workload:
    """Decays with a modulus between 0.9 and 1, as a layer with long memory has them."""
    letters = "D" if fixed else "BLD"
    modulus = uniform(0.9, 0.999, letters)
    arguments = {
        "a": modulus * phases(letters) if imaginary else modulus,
        "b": normal("BLD", imaginary),
    }
    kind = "complex" if imaginary else "real"
    dtypes = (torch.complex64,) if imaginary else (torch.float32, torch.bfloat16)
    return Workload(f"{kind} {'fixed' if fixed else 'varying'}", arguments, dtypes)


def _bytes(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Forward reads a, b and writes h; backward reads a, h and its gradient and writes
    those of a and b."""
    array = arguments["b"].nbytes
    if arguments["a"].ndim == 3:
        return 3 * array, 5 * array
    return 2 * array, 3 * array  # a fixed decay, and its gradient, are next to nothing


def _operations(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """A multiplication and an addition an element; the same backward, and a product for
    the gradient of a."""
    b, fixed = arguments["b"], arguments["a"].ndim == 1
    imaginary = b.is_complex() if isinstance(b, Tensor) else np.iscomplexobj(b)
    multiply, add = (6, 2) if imaginary else (1, 1)
    elements = int(np.prod(b.shape))
    return elements * (multiply + add), elements * (
        2 * multiply + add + (add if fixed else 0)
    )


LINEAR_SCAN = Pairing(
    equation="h_t = a_t h_{t-1} + b_t",
    chapter=2,
    op=ops.linear_scan,
    reference=reference.linear_scan,
    loop=_loop,
    outputs=("h", "last"),
    differentiable=("a", "b", "state"),
    full_precision=("state",),
    samples=_SAMPLES,
    kinds=(
        "moderate a: real, varying",
        "moderate a: real, fixed, reversed",
        "moderate a: complex, varying, reversed",
        "moderate a: complex, fixed",
    ),
    sizes={
        "portable": (sizes(2, 67, 5), sizes(3, 1, 2), sizes(1, 131, 2)),
        "interpreter": (sizes(1, 19, 3), sizes(2, 1, 2)),
        "cuda": (
            sizes(2, 67, 5),
            sizes(3, 1, 2),
            sizes(3, 1000, 130),
            sizes(1, 4099, 33),
        ),
    },
    carry=sizes(3, 2100, 40),
    workloads=tuple(_workload(imaginary=i, fixed=f) for i, f in _KINDS),
    workload_sizes={
        "cuda": (sizes(8, 4096, 1024), sizes(1, 65536, 2048)),
        "cpu": (sizes(8, 784, 64),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
    step=ops.linear_scan_step,
    linear={"h": ("b", "state"), "last": ("b", "state")},
)
