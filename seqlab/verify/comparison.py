"""One comparison: of an op with the truth, or of the loop that gives the true gradients with
the reference."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from seqlab.catalogue import PAIRINGS, Pairing, Sample, Sizes
from seqlab.verify.backends import BACKENDS
from seqlab.verify.errors import (
    FINITE_DIFFERENCE_BOUND,
    GRADIENT_BOUNDS,
    VALUE_BOUNDS,
    Errors,
    Row,
    error_in,
    relative_error,
)
from seqlab.verify.truth import (
    COMPLEX,
    GRADIENT,
    as_array,
    draw,
    gradients_of,
    noise,
    slopes_along,
    truth_of,
)


@dataclass(frozen=True)
class Comparison:
    """One row to find: of an op's sample on a backend in a precision, or, without a
    backend, of the loop that gives the true gradients."""

    op: str
    sample: int
    backend: str | None = None
    precision: str | None = None
    quick: bool = False

    def run(self) -> Row:
        """Compare; takes up to some seconds."""
        pairing = PAIRINGS[self.op]
        sample = pairing.samples[self.sample]
        if self.backend is None or self.precision is None:
            return check_loop(self.op, pairing, sample)
        sizes = pairing.sizes[self.backend]
        if self.quick:
            sizes = sizes[:1]
        return check_op(self.op, pairing, sample, self.backend, self.precision, sizes)


def check_op(
    name: str,
    pairing: Pairing,
    sample: Sample,
    backend: str,
    precision: str,
    all_sizes: Iterable[Sizes],
) -> Row:
    """The op's values and gradients on a backend against the truth of the same numbers,
    which are those of a precision."""
    keyword, device = BACKENDS[backend]
    keyword = keyword if sample.has_kernel else "portable"
    errors = Errors(sample)
    for sizes in all_sizes:
        arguments, _ = draw(pairing, sample, sizes, precision)
        truth = truth_of(pairing, sample, tuple(sizes.items()), precision)
        on_device = {
            key: value.to(device) if isinstance(value, Tensor) else value
            for key, value in arguments.items()
        }
        outputs, gradients = gradients_of(
            pairing, pairing.op, on_device, truth.cotangents, backend=keyword
        )
        computed = (
            dict(zip(pairing.outputs, map(as_array, outputs), strict=True)) | gradients
        )
        dtypes = {x: y.dtype for x, y in zip(pairing.outputs, outputs, strict=True)}
        dtypes |= {
            key: on_device[key.removeprefix(GRADIENT)].dtype for key in gradients
        }
        true_values = dict(zip(pairing.outputs, truth.values, strict=True))
        for quantity, true in (true_values | truth.gradients).items():
            error = error_in(dtypes[quantity], computed[quantity], true)
            errors.note(quantity, error, sizes)
    dtype = COMPLEX[precision] if sample.imaginary else precision
    bounds = {
        quantity: (VALUE_BOUNDS if quantity in pairing.outputs else GRADIENT_BOUNDS)[
            precision
        ]
        for quantity in errors.largest
    }
    return errors.row(name, backend, dtype, bounds)


def check_loop(name: str, pairing: Pairing, sample: Sample) -> Row:
    """The loop that gives the true gradients against the reference: its values, and one
    slope of each."""
    errors = Errors(sample)
    generator = np.random.default_rng(1)
    for sizes in pairing.sizes["portable"]:
        _, exact = draw(pairing, sample, sizes, "float64")
        arrays = {key: as_array(value) for key, value in exact.items()}
        truth = truth_of(pairing, sample, tuple(sizes.items()), "float64")
        for quantity, value, looped in zip(
            pairing.outputs, truth.values, truth.looped, strict=True
        ):
            errors.note(quantity, relative_error(looped, value), sizes)
        for quantity, gradient in truth.gradients.items():
            # Partly along the gradient, so that the slope is not small beside what
            # rounding does to it.
            direction = noise(generator, gradient)
            direction /= np.linalg.norm(direction)
            direction += gradient / max(np.linalg.norm(gradient), np.finfo(float).tiny)
            key = quantity.removeprefix(GRADIENT)
            expected = np.array(np.vdot(gradient, direction).real)
            slopes = slopes_along(pairing, arrays, key, direction, truth.cotangents)
            error = np.min([relative_error(expected, slope) for slope in slopes])
            errors.note(quantity, float(error), sizes)
    bounds = {
        quantity: VALUE_BOUNDS["float64"]
        if quantity in pairing.outputs
        else FINITE_DIFFERENCE_BOUND
        for quantity in errors.largest
    }
    dtype = "complex128" if sample.imaginary else "float64"
    return errors.row(name, "(truth)", dtype, bounds)
