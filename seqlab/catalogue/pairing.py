"""What the catalogue says of an op: its reference, the inputs to try it on, and the
least it could cost."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.catalogue.distributions import Arrays, Distribution, Size, Sizes, Tensors

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Bound:
    """What one sample allows a quantity beyond the bound of its dtype, and why.

    ``factor`` multiplies the bound. The reason is printed with the errors: a fact of
    the equation, such as a sum that cancels, never of one implementation.
    """

    factor: float
    reason: str


@dataclass(frozen=True, eq=False)
class Sample:
    """Inputs to verify an op on.

    Attributes:
        name: what is particular about them; no two samples of an op share it.
        arguments: of the op, by name: a ``Distribution`` or an array for each tensor, a
            ``Size`` for an integer that is a size, anything else as it is.
        hard: whether a careless implementation breaks on them: decays at the edge of
            stability, exact zeros.
        sizes: sizes that these inputs insist on, in place of those asked for.
        bounds: wider bounds, by quantity ("h", "grad a").
        nan_spreads: as of a ``Pairing``, in whose place it is for these inputs.
        full_precision: further arguments that stay float32, beside those of the
            ``Pairing``.
        has_kernel: whether the op has a Triton kernel for them; without, the portable
            form runs on a GPU as well, and the interpreter has nothing to run.
    """

    name: str
    arguments: Mapping[str, Any]
    hard: bool = False
    sizes: Sizes = field(default_factory=dict)
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    nan_spreads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    full_precision: tuple[str, ...] = ()
    has_kernel: bool = True

    @property
    def imaginary(self) -> bool:
        """Whether an argument is complex. Such inputs are verified in complex64 and
        complex128 alone, as no op computes them any narrower."""
        return any(
            value.imaginary
            if isinstance(value, Distribution)
            else np.iscomplexobj(value)
            for value in self.arguments.values()
        )

    def draw(self, generator: np.random.Generator, sizes: Sizes) -> Arguments:
        """The arguments, with new arrays in float64 or complex128."""
        return _draw(self.arguments, Arrays(generator), {**sizes, **self.sizes})


@dataclass(frozen=True)
class Workload:
    """Inputs to time an op on.

    Attributes:
        name: what they resemble; no two workloads of an op share it.
        arguments: as of a ``Sample``.
        dtypes: those to time.
        full_precision: arguments that stay float32 when the dtype is narrower.
    """

    name: str
    arguments: Mapping[str, Any]
    dtypes: tuple[torch.dtype, ...]
    full_precision: tuple[str, ...] = ()

    def draw(
        self, generator: torch.Generator, sizes: Sizes, dtype: torch.dtype
    ) -> Arguments:
        """The arguments on the generator's device: tensors of ``dtype``, real ones of
        its real partner where it is complex, complex ones never narrower than
        complex64."""
        real = dtype.to_real()
        wide = torch.promote_types(real, torch.float32)
        arguments = _draw(self.arguments, Tensors(generator, wide), sizes)
        for key, value in arguments.items():
            if isinstance(value, Tensor):
                narrow = wide if key in self.full_precision else real
                as_drawn = wide.to_complex() if value.is_complex() else narrow
                arguments[key] = value.to(as_drawn)
        return arguments


@dataclass(frozen=True, eq=False)
class Pairing:
    """An op and its reference, with everything that is needed to compare, to test and
    to time them.

    Attributes:
        equation: what is computed, in a line of plain text, for tables.
        chapter: number of the chapter that derives it.
        op: the function of ``seqlab.ops``. It returns a tuple of tensors; one that
            returns a tensor stands here as ``tuple_of`` it, and so does its reference.
        reference: the function of the same name and arguments in the op's
            ``reference`` module: NumPy arrays in, a tuple of float64 or complex128
            arrays out.
        loop: the equation as a plain loop of PyTorch operations on float64 tensors,
            with the op's arguments less ``backend``: autograd through it gives the true
            gradients. ``seqlab.verify`` holds it to the reference.
        outputs: a name for each tensor that the op returns.
        differentiable: the arguments that have gradients, whether a sample has them or
            not.
        samples: inputs to verify on, ordinary and hard ones.
        kinds: names of ordinary samples, one for each way that a call may take through
            the op: what the tests over all ops call it with.
        sizes: for each backend of ``seqlab.verify`` that the op has, the sizes to
            verify at, the first of them for ``quick``. A backend that is missing is one
            that the op does not have. A few numbers for the interpreter, which takes
            some microseconds for each.
        carry: sizes at which a kernel's state passes from chunk to chunk and from group
            to group of programs on a GPU, several of each: what streams, graphs and
            repeated launches are tested at. None where there is no kernel.
        workloads: inputs to time.
        workload_sizes: for each type of device, the sizes to time at.
        fewest_bytes: from the arguments, tensors or arrays, the bytes that must at
            least be moved: forward, and backward alone. Every input is read once and
            every output written once; what stays on the chip costs nothing.
        operations: likewise the real multiplications and additions that the equation
            needs, forward and backward alone. A complex product is 6, a complex sum 2;
            a division or an exponential counts as one multiplication.
        full_precision: arguments that stay float32 when the others are float16 or
            bfloat16, such as states.
        results: how many of the outputs, from the first, are results of one shape; the
            rest are states, which ``seqlab.benchmark`` leaves alone.
        step: one step of the op, for generation, if there is one. Where the op has an
            argument x along time, the step has x or x_t, without that axis.
        resume: ``resume(arguments, steps)`` gives the arguments without tensors, such
            as a time of start, of a call that goes on from the state after so many
            steps; for an op without any, nothing changes.
        states: the arguments that are the state, in the order in which the op returns
            them, if it has one.
        no_state: the number that a state is full of where none is given, or numbers that
            are broadcast to one; for a state in parts, those of parts where it is not 0.
        linear: for an output, the arguments in which it is jointly linear.
        nan_spreads: for an output or a gradient ("grad f"), its axes along which a NaN
            may come out further than the equation takes it, as it does when the
            arithmetic is a product by a matrix or a Fourier transform along them.
        any_shape: arguments that may have any number of axes, or are broadcast.
        without_jumps: from the outputs and the numbers to send back from each, both in
            float64, such numbers that the gradients do not jump where rounding decides
            between two terms of a maximum. ``seqlab.verify`` sends them in 16 bits.
    """

    equation: str
    chapter: int
    op: Callable[..., tuple[Tensor, ...]]
    reference: Callable[..., tuple[np.ndarray, ...]]
    loop: Callable[..., tuple[Tensor, ...]]
    outputs: tuple[str, ...]
    differentiable: tuple[str, ...]
    samples: tuple[Sample, ...]
    kinds: tuple[str, ...]
    sizes: Mapping[str, tuple[Sizes, ...]]
    carry: Sizes | None
    workloads: tuple[Workload, ...]
    workload_sizes: Mapping[str, tuple[Sizes, ...]]
    fewest_bytes: Callable[[Mapping[str, Any]], tuple[int, int]]
    operations: Callable[[Mapping[str, Any]], tuple[int, int]]
    full_precision: tuple[str, ...] = ()
    results: int = 1
    step: Callable[..., tuple[Tensor, ...]] | None = None
    resume: Callable[[Arguments, int], Arguments] = lambda arguments, steps: {}
    states: tuple[str, ...] = ("state",)
    no_state: float | np.ndarray | Mapping[str, float] = 0.0
    linear: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nan_spreads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    any_shape: tuple[str, ...] = ()
    without_jumps: Callable[[tuple[np.ndarray, ...], list[Tensor]], list[Tensor]] = (
        lambda outputs, sent: sent
    )


def tuple_of(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """An op that returns one tensor, or its reference, as one that returns a tuple of
    it."""

    @wraps(function)
    def one(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        return (function(*arguments, **options),)

    return one


def state_in_parts(
    function: Callable[..., Any], parts: tuple[str, ...]
) -> Callable[..., tuple[Any, ...]]:
    """An op whose state is a tuple, its step or its reference, as a function of the parts
    by name, which it returns one by one."""
    signature = inspect.signature(function)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == "state":
            kind = "Tensor" if parameter.default is parameter.empty else "Tensor | None"
            each = parameter.replace(annotation=kind)
            parameters += [each.replace(name=name) for name in parts]
        else:
            parameters.append(parameter)

    @wraps(function)
    def flat(**arguments: Any) -> tuple[Any, ...]:
        state = tuple(arguments.pop(name, None) for name in parts)
        if any(part is not None for part in state):
            arguments["state"] = state
        result, last = function(**arguments)
        return (result, *last)

    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return flat


def in_parts(
    function: Callable[..., Any], **parts: tuple[str, ...]
) -> Callable[..., Any]:
    """An op that takes several tensors as one argument, a tuple or a list, its step or its
    reference, as a function of these by name: what is given of the parts of an argument
    is its tuple. One that may also be a single tensor is among its own parts. The parts
    of a list are named ``gates_0`` and so on, where the op says ``gates[0]``."""
    signature = inspect.signature(function)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        each = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        one = each.replace(annotation="Tensor | None", default=None)
        names = parts.get(parameter.name)
        parameters += [one.replace(name=name) for name in names] if names else [each]

    @wraps(function)
    def flat(**arguments: Any) -> Any:
        for name, own in parts.items():
            given = {part: arguments.pop(part, None) for part in own}
            alone = given.pop(name, None)
            several = tuple(part for part in given.values() if part is not None)
            arguments[name] = several if alone is None else alone
        return function(**arguments)

    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return flat


def sizes(batch: int, length: int, channels: int, **more: int) -> Sizes:
    """Sizes of an op on (batch, length, channels) tensors, and what ``more`` it has: an
    order, a state size. Their letters are in ``distributions.LETTERS``."""
    return {"batch": batch, "length": length, "channels": channels, **more}


def _draw(
    arguments: Mapping[str, Any], source: Arrays | Tensors, sizes: Sizes
) -> Arguments:
    drawn: Arguments = {}
    for key, value in arguments.items():
        if isinstance(value, Distribution | Size):
            drawn[key] = value.draw(source, sizes)
        else:
            drawn[key] = np.copy(value) if isinstance(value, np.ndarray) else value
    return drawn


def on_float32_units(like: Tensor, forward: int, backward: int) -> tuple[int, int]:
    """The operations of products of tiles that a floor at float32's rate counts: none for
    inputs of 16 bits, as these are tensor cores' work, whose rate is not measured."""
    return (0, 0) if like.itemsize == 2 else (forward, backward)
