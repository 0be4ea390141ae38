"""The entries of a batch do not meet: what an op makes of one is what it makes of that one alone."""

import torch
from every_call import INTERPRETED, PORTABLE, close, over
from op_calls import letters_of, noise_like, with_leaves

from seqlab.catalogue import PAIRINGS


def has_batch(form):
    name, kind, _ = form
    return any("B" in letters for letters in letters_of(PAIRINGS[name], kind).values())


@over([form for form in PORTABLE + INTERPRETED if has_batch(form)])
def test_the_last_entry_of_a_batch_is_that_entry_alone(call):
    """From a state of its own, over several chunks: states between them lie in memory one entry after the other."""
    dtype, bound = call.precise
    arguments = call.arguments({**call.sizes, "batch": 2}, dtype)

    def last(tensors):
        return {
            key: x.narrow(call.letters[key].index("B"), 1, 1) if "B" in call.letters.get(key, "") else x
            for key, x in tensors.items()
        }

    def gradients(outputs, leaves, sent):
        return dict(zip(leaves, torch.autograd.grad(outputs, list(leaves.values()), sent), strict=True))

    everything, leaves = with_leaves(call.pairing, arguments)
    alone, own_leaves = with_leaves(call.pairing, last(arguments))
    outputs, expected = call.op(**everything), call.op(**alone)
    close([x[1:] for x in outputs], expected, bound)
    sent = [noise_like(x, seed) for seed, x in enumerate(expected)]
    # Nothing is sent to the first entry, so what all entries share hears of the last one alone.
    found = gradients(outputs, leaves, [torch.cat([0 * x, x]) for x in sent])
    own = gradients(expected, own_leaves, sent)
    close(last(found).values(), own.values(), 10 * bound)
