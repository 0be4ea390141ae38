"""Ops as PyTorch sees them: registered, compiled and exported."""

import pytest
import torch
from every_call import BACKENDS, INTERPRETED, PORTABLE, TINY, close, every_op, over
from op_calls import registered_calls, tensors_in, values_and_gradients
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton


def opcheck(call, *checks):
    """Hold every registered op, forward and backward, that a compiled call reaches to these checks of PyTorch."""
    calls = registered_calls(call.pairing, call.arguments(TINY), backend=BACKENDS[call.backend])
    if not calls:
        # An op that is made of PyTorch's own has nothing to register.
        assert "interpreter" not in call.pairing.sizes
        return
    assert len(calls) >= 2
    for function, args, kwargs in calls:
        assert set(torch.library.opcheck(function, args, kwargs, test_utils=checks).values()) == {"SUCCESS"}


@over([form for form in PORTABLE + INTERPRETED if form[1] == PAIRINGS[form[0]].kinds[0]])
def test_registration_passes_opcheck(call):
    # What is registered for gradients is the same for both backends, and kernels are interpreted slowly.
    gradients = ["test_autograd_registration"] * (call.backend == "portable")
    opcheck(call, "test_schema", "test_faketensor", *gradients)


@pytest.mark.thorough  # one compiled graph serves all lengths, with gradients: the next test
@every_op
def test_registration_passes_opcheck_where_it_is_traced_with_symbols(call):
    opcheck(call, "test_aot_dispatch_dynamic")


@every_op
def test_one_compiled_graph_serves_all_lengths(call):
    """One for the first length and one for all others, with the values and gradients of eager calls."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(call.op, backend=counter, fullgraph=True)
    for length in (4, 6, 7, 9, 5):
        arguments = call.arguments({**TINY, "length": length})
        actual = values_and_gradients(call.pairing, arguments, op=compiled)
        close(actual, call.run(arguments), 1e-6)
    assert counter.frame_count <= 2
    torch._dynamo.reset()


KEPT_BETWEEN = {"ssm_scan", "ssm_convolution", "h3"}


@over([form for form in INTERPRETED if form[0] in KEPT_BETWEEN])
def test_one_graph_serves_lengths_of_one_chunk_and_of_more(call):
    """Of one chunk these kernels have no states between to keep."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(call.op, backend=counter, fullgraph=True)
    for length in (6, 9, 12, 3):
        arguments = call.arguments({**TINY, "length": length})
        close(values_and_gradients(call.pairing, arguments, op=compiled), call.run(arguments), 1e-6)
    assert counter.frame_count <= 2
    torch._dynamo.reset()


@over([form for form in PORTABLE if form[0] in KEPT_BETWEEN and form[1] == PAIRINGS[form[0]].kinds[0]])
def test_one_graph_serves_all_sizes(call):
    """Where every size is a symbol from the first call on."""
    torch._dynamo.reset()
    compiled = torch.compile(call.op, backend="aot_eager", fullgraph=True, dynamic=True)
    arguments = call.arguments({**TINY, "channels": 2})
    close(values_and_gradients(call.pairing, arguments, op=compiled), call.run(arguments), 1e-6)
    torch._dynamo.reset()


EXPORTED = [form for form in PORTABLE if form[1] == PAIRINGS[form[0]].kinds[0]]
EXPORTED += INTERPRETED
EXPORTED += [("selective_scan", "complex A", "interpreter")] * has_triton()


@over(EXPORTED)
def test_export_with_dynamic_batch_and_length(call):
    class Module(torch.nn.Module):
        def forward(self, tensors):
            return call.op(**options, **tensors)

    arguments = call.arguments(TINY)
    options = {key: x for key, x in arguments.items() if not isinstance(x, Tensor)}
    dims = {"B": torch.export.Dim("B", max=64), "L": torch.export.Dim("L", max=512)}
    letters = call.letters
    shapes = {
        key: {letters[key].index(letter): dim for letter, dim in dims.items() if letter in letters[key]}
        for key in tensors_in(arguments)
    }
    exported = torch.export.export(Module(), (tensors_in(arguments),), dynamic_shapes=(shapes,))
    for batch, length in ((2, 3), (3, 5), (4, 8)):
        other = call.arguments({**TINY, "batch": batch, "length": length}) | options
        found = exported.module()(tensors_in(other))
        close(found, call.op(**other), 1e-6)
