"""The step of an op is the op, one time after another."""

import inspect

import pytest
import torch
from every_call import PORTABLE, SIZES, close, over, piece, said, state_after
from op_calls import equal, noise_like, tensors_in, with_leaves

from seqlab.catalogue import PAIRINGS


def step_arguments(call, arguments, t):
    """What a step takes, at time t, of the arguments of a whole sequence."""
    taken = {}
    for name in inspect.signature(call.pairing.step).parameters:
        key = name.removesuffix("_t")
        if key in arguments:
            time = call.letters.get(key, "").find("L")
            taken[name] = arguments[key] if time < 0 else arguments[key].select(time, t)
    return taken


@over([form for form in PORTABLE if PAIRINGS[form[0]].step])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_steps_are_the_op(call, dtype):
    """One by one they give the run, and what they take and return shares no memory."""
    arguments = call.arguments(dtype=dtype)
    whole = call.op(**arguments)
    times = list(range(SIZES["length"]))
    if arguments.get("reverse"):
        times.reverse()
    results = {}
    state = {key: x for key, x in arguments.items() if key in call.pairing.states}
    for seen, t in enumerate(times):
        at = {**arguments, **call.pairing.resume(arguments, seen), **state}
        outputs = call.pairing.step(**step_arguments(call, at, t))
        owners = {x.untyped_storage().data_ptr() for x in (*outputs, *state.values())}
        assert len(owners) == len(outputs) + len(state)
        results[t], *last = outputs
        state = state_after(call.pairing, outputs)
    all_times = whole[0].shape[1] == len(times)
    result = torch.stack([results[t] for t in sorted(times)], dim=1) if all_times else results[times[-1]]
    close(
        [result, *last], [whole[0], *whole[call.pairing.results :]], 1e-13 if dtype == torch.float64 else 2e-6
    )


@over([form for form in PORTABLE if PAIRINGS[form[0]].step])
def test_gradients_of_a_step_are_those_of_the_op(call):
    """Of a step after a run, which PyTorch differentiates, to all that it takes."""
    arguments = call.arguments(dtype=torch.float64)
    state = state_after(call.pairing, call.op(**arguments))
    resumed = call.pairing.resume(arguments, SIZES["length"])
    one = {**piece(call, arguments, 0, 1), **resumed, **state}
    everything, leaves = with_leaves(call.pairing, one)
    outputs = call.op(**everything)
    step = call.pairing.step(**step_arguments(call, everything, 0))
    if outputs[0].shape != step[0].shape:
        step = step[0][:, None], *step[1:]
    sent = [noise_like(x, seed) for seed, x in enumerate(outputs)]
    expected, found = (
        torch.autograd.grad(each, list(leaves.values()), sent, allow_unused=True) for each in (outputs, step)
    )
    for name, one, other in zip(leaves, found, expected, strict=True):
        zeros = torch.zeros_like(leaves[name])
        pair = (zeros if x is None else x for x in (one, other))
        torch.testing.assert_close(*pair, rtol=1e-9, atol=1e-9, msg=name)


def later_step(call):
    """What the step takes that follows a run."""
    arguments = call.arguments()
    state = state_after(call.pairing, call.op(**arguments))
    resumed = call.pairing.resume(arguments, SIZES["length"])
    return step_arguments(call, {**arguments, **resumed, **state}, 0)


@over([form for form in PORTABLE if PAIRINGS[form[0]].step])
def test_modes_of_the_caller_make_no_difference_to_a_step(call):
    taken = later_step(call)
    expected = call.pairing.step(**taken)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            assert equal(call.pairing.step(**taken), expected)


@over(
    [form for form in PORTABLE if PAIRINGS[form[0]].step and form[1] == PAIRINGS[form[0]].kinds[0]],
    thorough=[form for form in PORTABLE if PAIRINGS[form[0]].step and form[1] != PAIRINGS[form[0]].kinds[0]],
)
def test_a_step_is_one_compiled_graph(call):
    torch._dynamo.reset()
    taken = later_step(call)
    compiled = torch.compile(call.pairing.step, backend="aot_eager", fullgraph=True)
    close(compiled(**taken), call.pairing.step(**taken), 1e-6)


@over([form for form in PORTABLE if PAIRINGS[form[0]].step])
def test_a_tensor_that_is_wrong_in_a_step_is_named(call):
    taken = later_step(call)
    parameters = inspect.signature(call.pairing.step).parameters
    for name, x in tensors_in(taken).items():
        for wrong in (0.5, x.to_sparse(), None):
            if wrong is None and parameters[name].default is None:
                continue
            with pytest.raises(TypeError, match=rf"^{said(name)}: expected .+, got .+"):
                call.pairing.step(**{**taken, name: wrong})
