"""The linear recurrence, h_t = a_t h_{t-1} + b_t: real and complex, fixed and varying."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab import ops
from seqlab.catalogue.pairing import Arguments, Pairing, Sample, Sizes, Workload, sizes
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


def _normal(
    generator: np.random.Generator, shape: tuple[int, ...], imaginary: bool
) -> np.ndarray:
    x = generator.standard_normal(shape)
    return x + 1j * generator.standard_normal(shape) if imaginary else x


def _sample(
    name: str,
    modulus: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray],
    *,
    imaginary: bool = False,
    fixed: bool = False,
    state: bool = True,
    reverse: bool = False,
    hard: bool = False,
) -> Sample:
    """Decays of the given modulus: with random signs, or with random phases when
    ``imaginary``."""

    def draw(generator: np.random.Generator, sizes: Sizes) -> Arguments:
        batch, length, channels = sizes["batch"], sizes["length"], sizes["channels"]
        shape = (channels,) if fixed else (batch, length, channels)
        direction = (
            np.exp(2j * np.pi * generator.random(shape))
            if imaginary
            else generator.choice([-1.0, 1.0], shape)
        )
        arguments: Arguments = {
            "a": modulus(generator, shape) * direction,
            "b": _normal(generator, (batch, length, channels), imaginary),
        }
        if state:
            arguments["state"] = _normal(generator, (batch, channels), imaginary)
        if reverse:
            arguments["reverse"] = True
        return arguments

    kind = f"{'complex' if imaginary else 'real'}, {'fixed' if fixed else 'varying'}"
    details = ("" if state else ", no state") + (", reversed" if reverse else "")
    return Sample(f"{name}: {kind}{details}", imaginary, hard, draw)


def _moderate(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.uniform(0.3, 0.99, shape)


def _near_one(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 1 - 10.0 ** generator.uniform(-7, -3, shape)


def _one(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape)


def _some_zero(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return _moderate(generator, shape) * generator.integers(0, 2, shape)


def _tiny(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 10.0 ** generator.uniform(-37, -20, shape)


_SAMPLES = (
    *(
        _sample(
            "moderate a", _moderate, imaginary=imaginary, fixed=fixed, reverse=reverse
        )
        for imaginary in (False, True)
        for fixed in (False, True)
        for reverse in (False, True)
    ),
    _sample("moderate a", _moderate, state=False),
    _sample("moderate a", _moderate, imaginary=True, fixed=True, state=False),
    *(
        _sample(
            name,
            modulus,
            imaginary=imaginary,
            fixed=fixed,
            reverse=imaginary,
            hard=True,
        )
        for name, modulus in {
            "|a| near 1": _near_one,
            "|a| = 1": _one,
            "some a = 0": _some_zero,
            "tiny a": _tiny,
        }.items()
        for imaginary in (False, True)
        for fixed in (False, True)
    ),
)


def _workload(*, imaginary: bool, fixed: bool) -> Workload:
    """Decays with a modulus between 0.9 and 1, as a layer with long memory has them."""

    def draw(
        generator: torch.Generator, sizes: Sizes, dtype: torch.dtype
    ) -> dict[str, Tensor]:
        shape = (sizes["batch"], sizes["length"], sizes["channels"])
        real = torch.float32 if imaginary else dtype
        a = torch.empty(
            shape[2:] if fixed else shape, dtype=real, device=generator.device
        )
        a.uniform_(0.9, 0.999, generator=generator)
        if imaginary:
            phase = torch.empty_like(a).uniform_(0, 2 * torch.pi, generator=generator)
            a = torch.polar(a, phase)
        return {
            "a": a,
            "b": torch.randn(
                shape, dtype=dtype, generator=generator, device=generator.device
            ),
        }

    kind = "complex" if imaginary else "real"
    dtypes = (torch.complex64,) if imaginary else (torch.float32, torch.bfloat16)
    return Workload(f"{kind} {'fixed' if fixed else 'varying'}", dtypes, draw)


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
    sizes={
        "portable": (sizes(2, 67, 5), sizes(3, 1, 2), sizes(1, 301, 3)),
        "interpreter": (sizes(2, 19, 3), sizes(1, 1, 2)),
        "cuda": (
            sizes(2, 67, 5),
            sizes(3, 1, 2),
            sizes(3, 1000, 130),
            sizes(1, 4099, 33),
        ),
    },
    workloads=tuple(
        _workload(imaginary=imaginary, fixed=fixed)
        for imaginary in (False, True)
        for fixed in (False, True)
    ),
    workload_sizes={
        "cuda": (sizes(8, 4096, 1024), sizes(1, 65536, 2048)),
        "cpu": (sizes(8, 784, 64),),
    },
    fewest_bytes=_bytes,
    operations=_operations,
)
