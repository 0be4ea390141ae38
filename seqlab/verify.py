"""Is the fast op the same function as its readable reference? Values and every
gradient, on every backend.

The truth is float64. Values come from the NumPy reference; gradients come from autograd
through a plain loop, and that loop is itself held to the reference: its values
directly, its gradients by finite differences.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.catalogue import PAIRINGS, Arguments, Pairing, Sample, Sizes
from seqlab.ops.backends import has_triton

BACKENDS = {
    "portable": ("portable", "cpu"),
    "interpreter": ("triton", "cpu"),
    "cuda": ("triton", "cuda"),
}
"""For each name: the backend as the op calls it, and the device its tensors live on."""

VALUE_BOUNDS = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-2}
GRADIENT_BOUNDS = {"float64": 1e-11, "float32": 1e-4, "bfloat16": 1e-2, "float16": 1e-2}
FINITE_DIFFERENCE_BOUND = 1e-7

COMPLEX = {"float64": "complex128", "float32": "complex64"}
GRADIENT = "grad "

LINE = 88
"""As many characters of the table as a page of the book shows without scrolling."""
OK, OVER = "    ok", "  OVER"


@dataclass(frozen=True)
class Row:
    """The relative errors of one op on one backend, dtype and sample.

    Each error is the largest over the sizes tried; ``where`` has the sizes that gave it.
    ``reasons`` says of some quantities why this sample's bound is a wider one.
    """

    op: str
    backend: str
    dtype: str
    sample: str
    hard: bool
    errors: dict[str, float]
    bounds: dict[str, float]
    where: dict[str, Sizes]
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every error is within its bound; an error that is not a number never
        is."""
        return self.within(self.bounds)

    def within(self, names: Iterable[str]) -> bool:
        """Whether these errors are."""
        return all(
            self.errors[name] <= self.bounds[name]
            for name in names
            if name in self.bounds
        )


def verify(
    names: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    quick: bool = False,
) -> list[Row]:
    """Compare ops with their references.

    names: ops of the catalogue, all if None. backends: keys of ``BACKENDS``, those this
    machine has if None. quick: ordinary inputs of one size alone, in the two widest
    dtypes of each backend. Raises ``ValueError`` for an op or a backend that does not
    exist or that this machine does not have, and for an op that has none of the
    backends.
    """
    chosen = comparisons(names, backends, quick)
    rows: dict[Comparison, Row] = {}
    for together in by_sample(chosen):
        rows |= run_together(together)
    return [rows[each] for each in chosen]


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
            return _check_loop(self.op, pairing, sample)
        sizes = pairing.sizes[self.backend]
        if self.quick:
            sizes = sizes[:1]
        return _check_op(self.op, pairing, sample, self.backend, self.precision, sizes)


def comparisons(
    names: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    quick: bool = False,
) -> list[Comparison]:
    """What ``verify`` compares, for those who spread the work over processes.

    The interpreter, which is slow, tries float16 on one sample of each kind: such
    numbers are loaded and stored by the same lines whatever they are, and computed in
    float32.
    """
    missing = absent_backends()
    chosen_names = _chosen("names", names, PAIRINGS)
    chosen_backends = (
        [name for name in BACKENDS if name not in missing]
        if backends is None
        else _chosen("backends", backends, BACKENDS)
    )
    for name in chosen_backends:
        if name in missing:
            raise ValueError(f"backends: {name!r} cannot run here: {missing[name]}")
    for name in chosen_names:
        own = PAIRINGS[name].sizes
        if names is not None and not set(own) & set(chosen_backends):
            raise ValueError(
                f"backends: expected one that {name} has, {' or '.join(own)}, "
                f"got {', '.join(chosen_backends)}"
            )
    found = []
    for name in chosen_names:
        samples = [
            (number, sample)
            for number, sample in enumerate(PAIRINGS[name].samples)
            if not (quick and sample.hard)
        ]
        found += [Comparison(name, number) for number, _ in samples]
        for backend in (
            each for each in chosen_backends if each in PAIRINGS[name].sizes
        ):
            precisions = _precisions(backend)
            for precision in precisions[:2] if quick else precisions:
                found += [
                    Comparison(name, number, backend, precision, quick)
                    for number, sample in samples
                    if precision in COMPLEX or not sample.imaginary
                    if sample.has_kernel or backend != "interpreter"
                    if not (backend == "interpreter" and precision not in COMPLEX)
                    or sample.name in PAIRINGS[name].kinds
                ]
    return found


def by_sample(chosen: Iterable[Comparison]) -> list[list[Comparison]]:
    """The comparisons on each sample of an op, which find its truth once where one
    process runs them one after another."""
    found: dict[tuple[str, int], list[Comparison]] = {}
    for each in chosen:
        found.setdefault((each.op, each.sample), []).append(each)
    return list(found.values())


def run_together(chosen: Iterable[Comparison]) -> dict[Comparison, Row]:
    """The row of each comparison."""
    return {each: each.run() for each in chosen}


def _chosen(
    argument: str, words: Iterable[str] | None, known: Mapping[str, Any]
) -> list[str]:
    """The words, all that are known if None; ``ValueError`` for another one, or for
    none."""
    if words is None:
        return list(known)
    expected = f"{argument}: expected some of {', '.join(known)}"
    if isinstance(words, str):
        raise TypeError(f"{argument}: expected a list of names, got the text {words!r}")
    chosen = list(words)
    if not chosen:
        raise ValueError(f"{expected}, got none")
    for word in chosen:
        if word not in known:
            raise ValueError(f"{expected}, got {word!r}")
    return chosen


def absent_backends() -> dict[str, str]:
    """The backends that cannot run on this machine, each with the reason."""
    absent = {}
    if not has_triton():
        absent = dict.fromkeys(
            ("interpreter", "cuda"),
            "Triton is not installed (it exists for Linux only)",
        )
    if not torch.cuda.is_available():
        absent["cuda"] = "there is no CUDA GPU"
    return absent


def table(rows: Iterable[Row]) -> str:
    """The rows as text: for each op, backend and dtype the largest errors, in several
    parts where there are many quantities, then every row over its bound."""
    rows = list(rows)
    lines: list[str] = []
    for op in dict.fromkeys(row.op for row in rows):
        of_op = [row for row in rows if row.op == op]
        quantities = list(dict.fromkeys(name for row in of_op for name in row.bounds))
        lines += [
            "",
            f"{op}: relative error against float64, the largest over samples and sizes",
            "",
        ]
        for part in _parts(quantities):
            head = "".join(f"{name:>{_width(name)}}" for name in part)
            head = _start("backend", "dtype", "inputs") + head
            lines += [head, "-" * (len(head) + len(OVER))]
            for backend, dtype, hard in dict.fromkeys(
                (row.backend, row.dtype, row.hard) for row in of_op
            ):
                group = [
                    row
                    for row in of_op
                    if (row.backend, row.dtype, row.hard) == (backend, dtype, hard)
                ]
                within = all(row.within(part) for row in group)
                lines.append(
                    _start(backend, dtype, "hard" if hard else "ordinary")
                    + "".join(
                        f"{_largest(group, name):>{_width(name)}}" for name in part
                    )
                    + (OK if within else OVER)
                )
            lines.append("")
        lines.pop()
    over = [row for row in rows if not row.passed]
    lines += [
        "",
        f"{len(rows) - len(over)} of {len(rows)} comparisons are within their bounds.",
    ]
    wider = {
        f"wider: {row.op}, {row.sample}, {name}: {reason}"
        for row in rows
        for name, reason in row.reasons.items()
    }
    lines += sorted(wider)
    for row in over:
        lines.append(f"over: {row.op}, {row.backend}, {row.dtype}, {row.sample}:")
        for name, bound in row.bounds.items():
            if not row.errors[name] <= bound:
                at = ", ".join(f"{key} {size}" for key, size in row.where[name].items())
                lines.append(
                    f"    {name}: {row.errors[name]:.1e}, bound {bound:.0e}, at {at}"
                )
    return "\n".join(lines[1:])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``run`` reads."""
    parser.add_argument(
        "--ops",
        nargs="+",
        metavar="OP",
        choices=PAIRINGS,
        help="default: all of the catalogue",
    )
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        help="default: those that this machine can run",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="ordinary inputs of one size, in the two widest dtypes",
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify, print the table, and return 0 if every error is within its bound, 1 if
    not, 2 for bad input."""
    try:
        rows = verify(arguments.ops, arguments.backends, arguments.quick)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    if arguments.backends is None:
        for backend, reason in absent_backends().items():
            print(f"Not run: {backend}, because {reason}.")
    return 0 if all(row.passed for row in rows) else 1


def relative_error(
    value: np.ndarray, truth: np.ndarray, smallest: float = 0.0
) -> float:
    """The norm of the difference over the norm of the truth; infinite where the shapes
    differ.

    Of the difference in each number ``smallest`` is allowed, and only what is above it
    counts.
    """
    if value.shape != truth.shape:
        return np.inf
    difference = np.abs(value - truth)
    difference = np.where(difference <= smallest, 0, difference)
    size = np.linalg.norm(truth)
    return float(np.linalg.norm(difference) / (size if size > 0 else 1))


def _start(backend: str, dtype: str, inputs: str) -> str:
    return f"{backend:<12}{dtype:<11}{inputs:<9}"


def _width(quantity: str) -> int:
    return max(9, len(quantity) + 2)


def _parts(quantities: Iterable[str]) -> list[list[str]]:
    """The quantities in their order, as many in each part as have room in a line beside
    what a row begins and ends with."""
    room = LINE - len(_start("", "", "")) - len(OVER)
    parts: list[list[str]] = [[]]
    for name in quantities:
        if sum(map(_width, [*parts[-1], name])) > room:
            parts.append([])
        parts[-1].append(name)
    return parts


def _largest(rows: list[Row], quantity: str) -> str:
    errors = [row.errors[quantity] for row in rows if quantity in row.errors]
    return f"{np.max(errors):.1e}" if errors else ""


def _precisions(backend: str) -> list[str]:
    """Names of the real dtypes that a backend computes in as its hardware would.

    That leaves out bfloat16 in Triton's interpreter, which truncates where a GPU
    rounds: errors that point one way add up in sums, and would hide those worth
    finding. It is also left out on GPUs that have none.
    """
    if backend == "portable":
        return ["float64", "float32", "bfloat16", "float16"]
    bfloat16 = backend == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
    return ["float32", "bfloat16", "float16"] if bfloat16 else ["float32", "float16"]


def _check_op(
    name: str,
    pairing: Pairing,
    sample: Sample,
    backend: str,
    precision: str,
    all_sizes: Iterable[Sizes],
) -> Row:
    keyword, device = BACKENDS[backend]
    keyword = keyword if sample.has_kernel else "portable"
    errors = _Errors(sample)
    for sizes in all_sizes:
        arguments, _ = _draw(pairing, sample, sizes, precision)
        truth = _truth(pairing, sample, tuple(sizes.items()), precision)
        on_device = {
            key: value.to(device) if isinstance(value, Tensor) else value
            for key, value in arguments.items()
        }
        outputs, gradients = _gradients(
            pairing, pairing.op, on_device, truth.cotangents, backend=keyword
        )
        computed = (
            dict(zip(pairing.outputs, map(_numpy, outputs), strict=True)) | gradients
        )
        dtypes = {x: y.dtype for x, y in zip(pairing.outputs, outputs, strict=True)}
        dtypes |= {
            key: on_device[key.removeprefix(GRADIENT)].dtype for key in gradients
        }
        true_values = dict(zip(pairing.outputs, truth.values, strict=True))
        for quantity, true in (true_values | truth.gradients).items():
            error = _error_in(dtypes[quantity], computed[quantity], true)
            errors.note(quantity, error, sizes)
    dtype = COMPLEX[precision] if sample.imaginary else precision
    bounds = {
        quantity: (VALUE_BOUNDS if quantity in pairing.outputs else GRADIENT_BOUNDS)[
            precision
        ]
        for quantity in errors.largest
    }
    return errors.row(name, backend, dtype, bounds)


def _error_in(dtype: torch.dtype, value: np.ndarray, truth: np.ndarray) -> float:
    """The relative error, as far as a dtype reaches. What lies beyond its largest
    number can only come out infinite, and then it is right: sums over thousands of
    float16 numbers do. What lies below its smallest normal one may come out as zero."""
    limits = torch.finfo(dtype)
    if not np.iscomplexobj(truth):
        value, truth = (np.clip(x, -limits.max, limits.max) for x in (value, truth))
    return relative_error(value, truth, limits.tiny)


class _Errors:
    """The largest error of each quantity on one sample, and the sizes that gave it."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.largest: dict[str, float] = {}
        self.where: dict[str, Sizes] = {}

    def note(self, quantity: str, error: float, sizes: Sizes) -> None:
        """Remember an error that is the largest so far; one that is not a number is
        larger than any."""
        before = self.largest.get(quantity, -1.0)
        if not (error <= before or np.isnan(before)):
            self.largest[quantity] = error
            self.where[quantity] = {**sizes, **self.sample.sizes}

    def row(self, op: str, backend: str, dtype: str, bounds: dict[str, float]) -> Row:
        """The row, with this sample's own bounds where it has any."""
        own = {key: bound for key, bound in self.sample.bounds.items() if key in bounds}
        bounds = bounds | {key: own[key].factor * bounds[key] for key in own}
        reasons = {key: bound.reason for key, bound in own.items()}
        name, hard = self.sample.name, self.sample.hard
        return Row(
            op, backend, dtype, name, hard, self.largest, bounds, self.where, reasons
        )


def _check_loop(name: str, pairing: Pairing, sample: Sample) -> Row:
    """The loop that gives the true gradients against the reference: its values, and one
    slope of each."""
    errors = _Errors(sample)
    generator = np.random.default_rng(1)
    for sizes in pairing.sizes["portable"]:
        _, exact = _draw(pairing, sample, sizes, "float64")
        arrays = {key: _numpy(value) for key, value in exact.items()}
        truth = _truth(pairing, sample, tuple(sizes.items()), "float64")
        for quantity, value, looped in zip(
            pairing.outputs, truth.values, truth.looped, strict=True
        ):
            errors.note(quantity, relative_error(looped, value), sizes)
        for quantity, gradient in truth.gradients.items():
            # Partly along the gradient, so that the slope is not small beside what
            # rounding does to it.
            direction = _noise(generator, gradient)
            direction /= np.linalg.norm(direction)
            direction += gradient / max(np.linalg.norm(gradient), np.finfo(float).tiny)
            key = quantity.removeprefix(GRADIENT)
            expected = np.array(np.vdot(gradient, direction).real)
            slopes = _slopes(pairing, arrays, key, direction, truth.cotangents)
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


@dataclass(frozen=True)
class _Truth:
    """What an op of a sample is held to: ``values`` by the reference, ``looped`` by the
    loop, and the gradients that it sends back from the cotangents."""

    values: tuple[np.ndarray, ...]
    looped: list[np.ndarray]
    cotangents: list[Tensor]
    gradients: dict[str, np.ndarray]


@lru_cache(maxsize=8)  # a sample at all sizes of one backend
def _truth(
    pairing: Pairing, sample: Sample, sizes: tuple[tuple[str, int], ...], precision: str
) -> _Truth:
    """The truth of the numbers of a precision, found once where the loop is checked and
    an op after it."""
    _, exact = _draw(pairing, sample, dict(sizes), precision)
    values = pairing.reference(**{key: _numpy(value) for key, value in exact.items()})
    cotangents = _cotangents(values, precision)
    if precision not in COMPLEX:
        cotangents = pairing.without_jumps(values, cotangents)
    outputs, gradients = _gradients(pairing, pairing.loop, exact, cotangents)
    return _Truth(values, [_numpy(x) for x in outputs], cotangents, gradients)


def _slopes(
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
            np.vdot(_numpy(c), x - y).real
            for c, x, y in zip(cotangents, ahead, behind, strict=True)
        ]
        slopes.append(np.array(sum(changes) / (2 * step)))
    return slopes


def _draw(
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


def _cotangents(values: tuple[np.ndarray, ...], precision: str) -> list[Tensor]:
    """Random gradients to send back from each output, rounded to a precision but in
    float64."""
    generator = np.random.default_rng(2)
    wide = [torch.from_numpy(_noise(generator, value)) for value in values]
    narrow = [
        getattr(torch, COMPLEX[precision] if x.is_complex() else precision)
        for x in wide
    ]
    return [x.to(dtype).to(x.dtype) for x, dtype in zip(wide, narrow, strict=True)]


def _gradients(
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
        GRADIENT + key: _numpy(g) for key, g in zip(leaves, gradients, strict=True)
    }


def _noise(generator: np.random.Generator, like: np.ndarray) -> np.ndarray:
    real = generator.standard_normal(like.shape)
    return (
        real + 1j * generator.standard_normal(like.shape)
        if np.iscomplexobj(like)
        else real
    )


def _numpy(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return (
        value.detach()
        .to("cpu", torch.complex128 if value.is_complex() else torch.float64)
        .numpy()
    )
