"""An op over a sequence in pieces, each from the state after the one before, is the op over the whole of it."""

import inspect
import itertools

import torch
from every_call import INTERPRETED, PORTABLE, close, over, piece, state_after
from op_calls import equal, noise_like, with_leaves

from seqlab.catalogue import PAIRINGS


def in_pieces(call, arguments, length, cuts, **state):
    """The outputs of a run in pieces, each from the state after the one before."""
    bounds = [0, *cuts, length]
    reverse = arguments.get("reverse", False)
    found = []
    for start, stop in itertools.pairwise(bounds):
        seen = start
        if reverse:
            start, stop = length - stop, length - start
        resumed = call.pairing.resume(arguments, seen) if len(bounds) > 2 else {}
        outputs = call.op(**{**piece(call, arguments, start, stop), **resumed, **state})
        found.append(outputs)
        state = state_after(call.pairing, outputs)
    results = [
        torch.cat([outputs[i] for outputs in (reversed(found) if reverse else found)], dim=1)
        if call.op(**arguments)[i].shape[1] == length
        else found[-1][i]
        for i in range(call.pairing.results)
    ]
    return [*results, *found[-1][call.pairing.results :]]


def has_state(pairing):
    return set(pairing.states) <= set(inspect.signature(pairing.op).parameters)


stateful = over([form for form in PORTABLE + INTERPRETED if has_state(PAIRINGS[form[0]])])


@stateful
def test_a_run_in_pieces_is_one_run(call):
    """Cut anywhere, into pieces of one step too, with gradients that flow through the states between."""
    dtype, bound = call.precise
    length = 11 if call.backend == "portable" else 5
    arguments = call.arguments({**call.sizes, "length": length}, dtype)
    everything, leaves = with_leaves(call.pairing, arguments)
    whole = call.op(**everything)
    cotangents = [noise_like(x, seed) for seed, x in enumerate(whole)]
    expected = torch.autograd.grad(whole, list(leaves.values()), cotangents)
    for cuts in ((1,), (4,), (length - 1,), (2, 3, 9)) if call.backend == "portable" else ((1, 3),):
        outputs = in_pieces(call, everything, length, cuts)
        close(outputs, whole, bound)
        close(torch.autograd.grad(outputs, list(leaves.values()), cotangents), expected, 10 * bound)


@stateful
def test_no_state_is_one_of_zeros_or_what_else_the_catalogue_says(call):
    arguments = call.arguments()
    nothing = call.pairing.no_state
    state = {
        name: torch.empty_like(x).copy_(
            torch.as_tensor(nothing.get(name, 0.0) if isinstance(nothing, dict) else nothing)
        )
        for name, x in state_after(call.pairing, call.op(**arguments)).items()
    }
    # A projection that weighs its history by a count must be told one that is not 0.
    resumed = call.pairing.resume(arguments, 4)
    found = call.op(**{**arguments, **resumed, **state})
    assert equal(found, call.op(**{**arguments, **resumed, **dict.fromkeys(state)}))
