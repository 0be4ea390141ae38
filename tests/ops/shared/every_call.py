"""Calls of every op of the catalogue on a CPU, by its portable form and by its kernel in the interpreter, and what the
tests that hold for all of them share."""

import functools
import re

import pytest
import torch
from op_calls import arguments_of, letters_of, values_and_gradients

from seqlab.catalogue import PAIRINGS, sizes
from seqlab.ops.backends import has_triton

BACKENDS = {"portable": "portable", "interpreter": "triton"}
SIZES = sizes(
    2, 8, 3, states=4, order=5, heads=3, keys=4, values=5
)  # of 7 samples some count for nothing in a coefficient, by symmetry
TINY = sizes(2, 3, 1, states=2, order=2, heads=1, keys=2, values=3)
FEW = sizes(1, 5, 2, states=3, order=3, heads=2, keys=3, values=2)
LEAST = sizes(1, 2, 2, states=2, order=2, heads=1, keys=2, values=2)  # one chunk


def forms(name, backend):
    """Every kind of a call, or one of them where numbers take their time: ``verify`` has all in the interpreter."""
    pairing = PAIRINGS[name]
    if backend not in pairing.sizes or not (backend == "portable" or has_triton()):
        return []
    if backend == "interpreter":
        with_kernel = {sample.name for sample in pairing.samples if sample.has_kernel}
        return [(name, kind, backend) for kind in pairing.kinds if kind in with_kernel][:1]
    return [(name, kind, backend) for kind in pairing.kinds]


PORTABLE = [form for name in PAIRINGS for form in forms(name, "portable")]
INTERPRETED = [form for name in PAIRINGS for form in forms(name, "interpreter")]


def over(forms, thorough=()):
    """Run the test for these calls, and where everything is tried for the others too."""
    marked = [(form, ()) for form in forms] + [(form, pytest.mark.thorough) for form in thorough]
    return pytest.mark.parametrize(
        "call", [pytest.param(form, id=", ".join(form), marks=marks) for form, marks in marked], indirect=True
    )


def is_real(name, kind):
    """Whether a call has real arguments, of which alone PyTorch makes Jacobians."""
    return not any(sample.imaginary for sample in PAIRINGS[name].samples if sample.name == kind)


every_form = over(PORTABLE + INTERPRETED)
every_kind = over(PORTABLE)
# Where a test takes seconds, one kind of each op will do.
every_op = over([form for form in PORTABLE if form[1] == PAIRINGS[form[0]].kinds[0]])


class Call:
    """An op of the catalogue, a kind of its calls and a backend."""

    def __init__(self, name, kind, backend):
        self.name, self.kind, self.backend = name, kind, backend
        self.pairing = PAIRINGS[name]
        self.letters = letters_of(self.pairing, kind)
        (sample,) = (sample for sample in self.pairing.samples if sample.name == kind)
        self.nan_spreads = {**self.pairing.nan_spreads, **sample.nan_spreads}
        self.full_precision = self.pairing.full_precision + sample.full_precision
        self.op = functools.partial(self.pairing.op, backend=BACKENDS[backend])

    def arguments(self, sizes=None, dtype=torch.float32):
        return arguments_of(self.pairing, self.kind, sizes or self.sizes, dtype)

    def run(self, arguments, **options):
        return values_and_gradients(self.pairing, arguments, op=self.op, **options)

    @property
    def sizes(self):
        return SIZES if self.backend == "portable" else FEW

    @property
    def precise(self):
        """The widest dtype of the backend, and the relative error that its rounding may come to."""
        return (torch.float64, 1e-11) if self.backend == "portable" else (torch.float32, 2e-5)


def close(one, other, bound):
    """Whether the tensors differ by at most ``bound`` of the larger tensor's norm, one by one."""
    for x, y in zip(one, other, strict=True):
        assert x.shape == y.shape
        assert torch.isfinite(x).all()
        assert (x - y).norm() <= bound * max(x.norm(), y.norm()), ((x - y).norm(), y.norm())


def piece(call, arguments, start, stop):
    """The arguments of times ``start`` to ``stop``."""
    return {
        key: x.narrow(call.letters[key].index("L"), start, stop - start)
        if "L" in call.letters.get(key, "")
        else x
        for key, x in arguments.items()
    }


def state_after(pairing, outputs):
    """The arguments that go on from what an op or a step has returned."""
    return dict(zip(pairing.states, outputs[pairing.results :], strict=True))


def said(name):
    """A pattern of what errors call an argument: a part of a list is ``gates[0]``."""
    return r"(state\.)?" + re.sub(r"_(\d)$", r"\\[\1\\]", name)
