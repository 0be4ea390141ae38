"""Every op of the catalogue on a real GPU: right, registered, compiled, captured, on any stream and device."""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from seqlab.verify import table, verify

pytestmark = pytest.mark.gpu


def leaves_of(pairing, arguments):
    """The arguments with those that have gradients as new leaves, and these leaves by name."""
    leaves = {
        key: arguments[key].detach().clone().requires_grad_()
        for key in pairing.differentiable
        if key in arguments
    }
    return {**arguments, **leaves}, leaves


def values_and_gradients(pairing, arguments, op=None, **options):
    """Outputs of the op and the gradients of their sum of squares, all of them as tensors."""
    everything, leaves = leaves_of(pairing, arguments)
    outputs = (op or pairing.op)(**everything, **options)
    loss = sum(output.abs().square().sum() for output in outputs)
    return [output.detach() for output in outputs] + list(torch.autograd.grad(loss, list(leaves.values())))


def note(calls, function, args, kwargs):
    """Call the function, and remember the call if it is of an op that this package registers."""
    kwargs = kwargs or {}
    if isinstance(function, torch._ops.OpOverload) and function.namespace == "seqlab":
        calls.append((function, args, kwargs))
    return function(*args, **kwargs)


class ForwardCalls(TorchFunctionMode):
    """Remembers calls as they are made: with arguments that have gradients."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return note(self.seen, function, args, kwargs)


class BackwardCalls(TorchDispatchMode):
    """Remembers the calls that autograd makes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return note(self.seen, function, args, kwargs)


@pytest.mark.timeout(900)
def test_values_and_gradients_equal_the_reference(name):
    rows = verify([name], ["cuda"])
    assert any(row.hard and row.backend == "cuda" for row in rows)
    assert all(row.passed for row in rows), table(rows)


def test_kernels_are_what_runs_on_a_gpu(case):
    """Where an op has one for these inputs; elsewhere it says in a sentence that it has none."""
    pairing, draw = case
    arguments = draw()
    if not draw.args[1].has_kernel:
        with pytest.raises(ValueError, match=r"backend: .*'portable'"):
            pairing.op(**arguments, backend="triton")
        return
    with torch.no_grad():
        default = pairing.op(**arguments)
        kernel = pairing.op(**arguments, backend="triton")
    assert all(torch.equal(x, y) for x, y in zip(default, kernel, strict=True))


def test_runs_do_not_remember_each_other(case):
    """Values and gradients have the same bits again after a run with other inputs, in whose place they are made."""
    pairing, draw = case
    arguments = draw()
    others = tree_map_only(
        Tensor, lambda x: 0.5 * x if x.is_floating_point() or x.is_complex() else x, arguments
    )
    first = values_and_gradients(pairing, arguments)
    values_and_gradients(pairing, others)
    second = values_and_gradients(pairing, arguments)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def test_registration_passes_opcheck(case):
    pairing, draw = case
    arguments = draw()
    everything, leaves = leaves_of(pairing, arguments)
    with ForwardCalls() as forward:
        outputs = pairing.op(**everything)
    with BackwardCalls() as backward:
        torch.autograd.grad(outputs[0].abs().sum(), list(leaves.values()))
    assert forward.seen
    assert backward.seen
    # What autograd calls gets no gradients of its own.
    detached = tree_map_only(Tensor, Tensor.detach, backward.seen)
    for function, args, kwargs in forward.seen + detached:
        outcome = torch.library.opcheck(function, args, kwargs)
        assert set(outcome.values()) == {"SUCCESS"}


def test_nothing_waits_for_the_gpu(case):
    pairing, draw = case
    arguments = draw()
    values_and_gradients(pairing, arguments)  # compiles, and fills what is kept between calls
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        values_and_gradients(pairing, arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.timeout(900)
def test_torch_compile(case):
    pairing, draw = case
    arguments = draw()
    torch._dynamo.reset()
    compiled = torch.compile(pairing.op, fullgraph=True)
    actual = values_and_gradients(pairing, arguments, op=compiled)
    for one, other in zip(actual, values_and_gradients(pairing, arguments), strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.timeout(900)
def test_torch_compile_with_cuda_graphs(case):
    """What is kept between calls must not lie in the memory of a graph."""
    pairing, draw = case
    torch._dynamo.reset()
    compiled = torch.compile(pairing.op, fullgraph=True, mode="reduce-overhead")
    for _ in range(3):  # to warm up, to record, to replay
        arguments = draw()
        torch.compiler.cudagraph_mark_step_begin()
        actual = values_and_gradients(pairing, arguments, op=compiled)
        actual = [value.clone() for value in actual]
    for one, other in zip(actual, values_and_gradients(pairing, arguments), strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_streams_run_at_the_same_time(case):
    pairing, draw = case
    arguments = draw()
    expected = values_and_gradients(pairing, arguments)
    streams = [torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.Stream()]
    torch.cuda.synchronize()
    results = []
    for _ in range(5):
        for stream in streams:
            with torch.cuda.stream(stream):
                results.append(values_and_gradients(pairing, arguments))
    torch.cuda.synchronize()
    for actual in results:
        assert all(torch.equal(x, y) for x, y in zip(actual, expected, strict=True))


def test_a_cuda_graph_replays_with_new_inputs(case):
    pairing, draw = case
    arguments = draw()
    tensors = {key: value for key, value in arguments.items() if isinstance(value, Tensor)}
    with torch.no_grad():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            pairing.op(**arguments)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = pairing.op(**arguments)
        for value in tensors.values():
            value.mul_(0.5)
        graph.replay()
        expected = pairing.op(**arguments)
    for one, other in zip(captured, expected, strict=True):
        assert one.abs().sum() > 0
        assert torch.equal(one, other)


def test_work_is_queued_on_the_current_stream(case):
    pairing, draw = case
    arguments = draw()
    expected = values_and_gradients(pairing, arguments)
    late = {
        key: torch.full_like(value, torch.nan) if isinstance(value, Tensor) else value
        for key, value in arguments.items()
    }
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # The inputs arrive after a while, on this stream: a kernel on any other would read NaN.
        torch.cuda._sleep(50_000_000)
        for key, value in arguments.items():
            if isinstance(value, Tensor):
                late[key].copy_(value)
        actual = values_and_gradients(pairing, late)
    stream.synchronize()
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_tensors_of_a_device_that_is_not_the_current_one(case):
    pairing, draw = case
    arguments = draw()
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU only, and this test needs a second")
    assert torch.cuda.current_device() == 0
    actual = values_and_gradients(pairing, draw("cuda:1"))
    for one, other in zip(actual, values_and_gradients(pairing, arguments), strict=True):
        assert one.device == torch.device("cuda:1")
        assert_close(one.cpu(), other.cpu(), rtol=1e-6, atol=1e-6)
