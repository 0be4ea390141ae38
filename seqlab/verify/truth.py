"""What an op is held to on a sample: values by the reference, gradients by the loop, and the
slopes of the reference that the loop's gradients are held to."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.catalogue import Arguments, Pairing, Sample, Sizes

COMPLEX = {"float64": "complex128", "float32": "complex64"}
"""For each dtype as wide as that: the complex one of the same precision."""
GRADIENT = "grad "


@dataclass(frozen=True)
class Truth:
    """What an op of a sample is held to: ``values`` by the reference, ``looped`` by the
    loop, and the gradients that it sends back from the cotangents."""

    values: tuple[np.ndarray, ...]
    looped: list[np.ndarray]
    cotangents: list[Tensor]
    gradients: dict[str, np.ndarray]


@lru_cache(maxsize=8)  # a sample at all sizes of one backend
def truth_of(
    pairing: Pairing, sample: Sample, sizes: tuple[tuple[str, int], ...], precision: str
) -> Truth:
    """The truth of the numbers of a precision, found once where the loop is checked and
    an op after it."""
    _, exact = draw(pairing, sample, dict(sizes), precision)
    values = pairing.reference(**{key: as_array(value) for key, value in exact.items()})
    cotangents = draw_cotangents(values, precision)
    if precision not in COMPLEX:
        cotangents = pairing.without_jumps(values, cotangents)
    outputs, gradients = gradients_of(pairing, pairing.loop, exact, cotangents)
    return Truth(values, [as_array(x) for x in outputs], cotangents, gradients)


def slopes_along(
    pairing: Pairing,
    arrays: Arguments,
    key: str,
    direction: np.ndarray,
    cotangents: list[Tensor],
) -> list[np.ndarray]:
    """How fast the outputs, weighted by the cotangents, change as one argument moves:
    by central differences of the reference.

    Two steps: what rounding adds shrinks with a longer one, what the curvature adds
    grows. Outputs are subtracted before they are summed, so that large ones leave no
    error of rounding behind.
    """
    slopes = []
    for step in (1e-6, 1e-5):
        ahead, behind = (
            pairing.reference(**{**arrays, key: arrays[key] + side * step * direction})
            for side in (1, -1)
        )
        changes = [
            np.vdot(as_array(c), x - y).real
            for c, x, y in zip(cotangents, ahead, behind, strict=True)
        ]
        slopes.append(np.array(sum(changes) / (2 * step)))
    return slopes


def draw(
    pairing: Pairing, sample: Sample, sizes: Sizes, precision: str
) -> tuple[Arguments, Arguments]:
    """Arguments rounded to a precision as an op takes them, and the same rounded
    numbers in float64."""
    arguments: Arguments = {}
    exact: Arguments = {}
    full_precision = {*pairing.full_precision, *sample.full_precision}
    for key, value in sample.draw(np.random.default_rng(0), sizes).items():
        if not isinstance(value, np.ndarray):
            arguments[key] = exact[key] = value
            continue
        narrow = (
            "float32"
            if key in full_precision and precision not in COMPLEX
            else precision
        )
        exact_dtype = torch.from_numpy(value).dtype
        dtype = getattr(torch, COMPLEX[narrow] if exact_dtype.is_complex else narrow)
        arguments[key] = torch.from_numpy(value).to(dtype)
        exact[key] = arguments[key].to(exact_dtype)
    return arguments, exact


def draw_cotangents(values: tuple[np.ndarray, ...], precision: str) -> list[Tensor]:
    """Random gradients to send back from each output, rounded to a precision but in
    float64."""
    generator = np.random.default_rng(2)
    wide = [torch.from_numpy(noise(generator, value)) for value in values]
    narrow = [
        getattr(torch, COMPLEX[precision] if x.is_complex() else precision)
        for x in wide
    ]
    return [x.to(dtype).to(x.dtype) for x, dtype in zip(wide, narrow, strict=True)]


def gradients_of(
    pairing: Pairing,
    function: Any,
    arguments: Arguments,
    cotangents: list[Tensor],
    **options: str,
) -> tuple[tuple[Tensor, ...], dict[str, np.ndarray]]:
    """Outputs of ``function``, and the gradient that the cotangents send to each
    differentiable argument."""
    leaves = {
        key: arguments[key].detach().requires_grad_()
        for key in pairing.differentiable
        if key in arguments
    }
    outputs = function(**{**arguments, **leaves}, **options)
    # An output of a wrong shape is an error of its own, and sends nothing back.
    sent = [
        c.to(output.device, output.dtype)
        if c.shape == output.shape
        else torch.zeros_like(output)
        for c, output in zip(cotangents, outputs, strict=True)
    ]
    gradients = torch.autograd.grad(outputs, list(leaves.values()), sent)
    return outputs, {
        GRADIENT + key: as_array(g) for key, g in zip(leaves, gradients, strict=True)
    }


def noise(generator: np.random.Generator, like: np.ndarray) -> np.ndarray:
    real = generator.standard_normal(like.shape)
    return (
        real + 1j * generator.standard_normal(like.shape)
        if np.iscomplexobj(like)
        else real
    )


def as_array(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return (
        value.detach()
        .to("cpu", torch.complex128 if value.is_complex() else torch.float64)
        .numpy()
    )
