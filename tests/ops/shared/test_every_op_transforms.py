"""``torch.func`` on every op: right, or refused in a sentence."""

import re

import torch
from every_call import PORTABLE, TINY, close, every_kind, is_real, over
from op_calls import noise_like
from torch.autograd import forward_ad

from seqlab.catalogue import PAIRINGS


def loss_of(call, arguments, names):
    """The sum of squares of all outputs, as a function of the named arguments."""

    def loss(*leaves):
        outputs = call.op(**{**arguments, **dict(zip(names, leaves, strict=True))})
        return sum(x.abs().square().sum() for x in outputs)

    return loss


def leaves_in(call, arguments):
    names = [key for key in call.pairing.differentiable if key in arguments]
    return names, tuple(arguments[key] for key in names)


@every_kind
def test_func_grad_and_vjp_are_backward(call):
    arguments = call.arguments(TINY)
    names, leaves = leaves_in(call, arguments)
    expected = call.run(arguments)[len(call.pairing.outputs) :]
    places = tuple(range(len(names)))
    close(torch.func.grad(loss_of(call, arguments, names), places)(*leaves), expected, 1e-6)
    _, pull = torch.func.vjp(loss_of(call, arguments, names), *leaves)
    close(pull(torch.ones(())), expected, 1e-6)


@over([form for form in PORTABLE if form[1] == PAIRINGS[form[0]].kinds[0] and is_real(*form[:2])])
def test_func_jacrev_is_backward_row_by_row(call):
    arguments = call.arguments(TINY)
    names, leaves = leaves_in(call, arguments)

    def first(*leaves):
        return call.op(**{**arguments, **dict(zip(names, leaves, strict=True))})[0]

    found = torch.func.jacrev(first, tuple(range(len(names))))(*leaves)
    live = [x.clone().requires_grad_() for x in leaves]
    output = first(*live)
    rows = [torch.autograd.grad(x, live, retain_graph=True, allow_unused=True) for x in output.flatten()]
    for i, jacobian in enumerate(found):
        own = [torch.zeros_like(live[i]) if row[i] is None else row[i] for row in rows]
        close([jacobian.flatten(0, output.ndim - 1)], [torch.stack(own)], 1e-6)


@every_kind
def test_vmap_is_a_loop(call):
    """Over a new axis of every tensor, and over one of them alone; and gradients for each sample, which are vmap of
    grad."""
    arguments = call.arguments(TINY)
    names, leaves = leaves_in(call, arguments)
    stacked = tuple(torch.stack([x, 0.5 * x, -0.25 * x]) for x in leaves)

    def outputs(*leaves):
        return call.op(**{**arguments, **dict(zip(names, leaves, strict=True))})

    looped = [outputs(*each) for each in zip(*stacked, strict=True)]
    expected = [torch.stack(each) for each in zip(*looped, strict=True)]
    close(torch.func.vmap(outputs)(*stacked), expected, 1e-6)
    one = (stacked[0], *leaves[1:])
    looped = [outputs(x, *leaves[1:]) for x in stacked[0]]
    expected = [torch.stack(each) for each in zip(*looped, strict=True)]
    close(torch.func.vmap(outputs, in_dims=(0, *[None] * (len(leaves) - 1)))(*one), expected, 1e-6)

    gradients = torch.func.grad(loss_of(call, arguments, names), tuple(range(len(names))))
    looped = [gradients(*each) for each in zip(*stacked, strict=True)]
    expected = [torch.stack(each) for each in zip(*looped, strict=True)]
    close(torch.func.vmap(gradients)(*stacked), expected, 1e-6)


REFUSED = r"forward-mode derivatives .*not implemented|second derivatives .*not implemented"


def right_or_refused(derivative, expected):
    """What ``derivative()`` returns is what is expected, or it is refused in a sentence of ours."""
    refusal = None
    try:
        found = derivative()
    except NotImplementedError as error:
        refusal = str(error)
    if refusal is None:
        close(found, expected(), 1e-6)
    else:
        assert re.search(REFUSED, refusal)


@every_kind
def test_forward_mode_is_right_or_refused(call):
    arguments = call.arguments(TINY, torch.float64)
    names, leaves = leaves_in(call, arguments)
    tangents = tuple(noise_like(x, seed) for seed, x in enumerate(leaves))

    def outputs(*leaves):
        return call.op(**{**arguments, **dict(zip(names, leaves, strict=True))})

    def slope():
        ahead, behind = (
            outputs(*(x + step * t for x, t in zip(leaves, tangents, strict=True))) for step in (1e-5, -1e-5)
        )
        return [(x - y) / 2e-5 for x, y in zip(ahead, behind, strict=True)]

    def dual():
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(x, t) for x, t in zip(leaves, tangents, strict=True)]
            return [forward_ad.unpack_dual(x).tangent for x in outputs(*duals)]

    right_or_refused(lambda: torch.func.jvp(outputs, leaves, tangents)[1], slope)
    right_or_refused(dual, slope)


@every_kind
def test_second_derivatives_are_right_or_refused(call):
    arguments = call.arguments(TINY, torch.float64)
    names, leaves = leaves_in(call, arguments)

    def second(op):
        live = [x.clone().requires_grad_() for x in leaves]
        outputs = op(**{**arguments, **dict(zip(names, live, strict=True))})
        loss = sum(x.abs().square().sum() for x in outputs)
        gradients = torch.autograd.grad(loss, live, create_graph=True)
        return torch.autograd.grad(sum(x.abs().square().sum() for x in gradients), live)

    right_or_refused(lambda: second(call.op), lambda: second(call.pairing.loop))
