"""Arguments that are wrong are named, in a sentence; numbers of NumPy are not wrong."""

import inspect
import re

import numpy as np
import pytest
import torch
from every_call import BACKENDS, every_kind, said
from op_calls import equal, tensors_in


def refused(call, arguments, *names):
    """The op refuses the arguments in a sentence that begins with one of the names."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call.op(**arguments)
    assert re.match(rf"({'|'.join(map(said, names))}): expected .+, got .+", str(caught.value)), caught.value


@every_kind
def test_a_tensor_that_is_wrong_is_named(call):
    arguments = call.arguments()
    tensors = tensors_in(arguments)
    names = tuple(tensors)
    for name, x in tensors.items():
        for wrong in ([0.5], "text", np.ones(x.shape, np.float32), x.to_sparse()):
            refused(call, arguments | {name: wrong}, name)
        refused(call, arguments | {name: x.real.long()}, name)
        refused(call, arguments | {name: x.real > 0}, name)
        if len(names) > 1:
            refused(call, arguments | {name: x.to(torch.promote_types(x.dtype, torch.float64))}, *names)
            refused(call, arguments | {name: x.to("meta")}, *names)
        for axis in range(x.ndim):
            refused(call, arguments | {name: x.narrow(axis, 0, 0)}, *names)
        if name not in call.pairing.any_shape:
            refused(call, arguments | {name: x[None]}, *names)
            refused(call, arguments | {name: x[0]}, *names)


@every_kind
def test_sizes_that_do_not_match_are_named(call):
    """Any axis that the argument shares with another, or has twice."""
    arguments = call.arguments()
    everywhere = "".join(call.letters.values())
    for name, letters in call.letters.items():
        for axis, letter in enumerate(letters):
            if everywhere.count(letter) > 1:
                x = arguments[name]
                longer = torch.cat([x, x.narrow(axis, 0, 1)], axis)
                sharing = [key for key, other in call.letters.items() if letter in other]
                refused(call, arguments | {name: longer}, *sharing)


WRONG = {
    int: (1.5, "2", None, True, -1),
    float: ("1", [1.0], True, float("nan"), 1e400),
    bool: ("no", 2, None),
    str: ("no such", 3, None),
}


@every_kind
def test_an_option_that_is_wrong_is_named(call):
    arguments = call.arguments()
    parameters = inspect.signature(call.pairing.op).parameters
    options = {
        name: next((kind for kind in WRONG if kind.__name__ in str(parameter.annotation).split(" | ")), None)
        or parameter.annotation
        for name, parameter in parameters.items()
        if name not in tensors_in(arguments) and "Tensor" not in str(parameter.annotation)
    }
    for name, kind in options.items():
        optional = "None" in str(parameters[name].annotation)
        for wrong in WRONG[kind]:
            if not (wrong is None and optional):
                with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected .+, got .+"):
                    call.pairing.op(**{"backend": BACKENDS[call.backend], **arguments, name: wrong})


@every_kind
def test_numbers_of_numpy_are_numbers(call):
    arguments = call.arguments()
    numpy = {bool: np.bool_, int: np.int64, float: np.float64}
    converted = {key: numpy.get(type(x), lambda x: x)(x) for key, x in arguments.items()}
    assert equal(call.op(**converted), call.op(**arguments))
