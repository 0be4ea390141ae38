"""NaN comes out where the equation takes it, and numbers may be of any size."""

import functools

import torch
from every_call import every_form
from op_calls import equal, noise_like, tensors_in, with_leaves


def depends(function, arguments, key, place):
    """Where the outputs change with one number of an argument: for certain, and perhaps."""
    moved = arguments[key].clone()
    moved[place] += 0.7
    pairs = list(zip(function(**arguments), function(**{**arguments, key: moved}), strict=True))
    changes = [(y - x).abs() / x.abs().max() for x, y in pairs]
    return [change > 1e-7 for change in changes], [change > 1e-13 for change in changes]


def spread(pattern, axes):
    """The pattern with True wherever it is True elsewhere along the axes."""
    for axis in axes:
        pattern = pattern.any(axis, keepdim=True).expand_as(pattern)
    return pattern


def nan_is_where(found, certain, perhaps, axes, *what):
    assert (found.isnan() | ~certain).all(), ("NaN is lost", *what)
    assert (~found.isnan() | spread(perhaps, axes)).all(), ("NaN spreads", *what)


def middle(x):
    return tuple(size // 2 for size in x.shape)


@every_form
def test_nan_comes_out_where_the_equation_takes_it(call):
    arguments, wide = call.arguments(), call.arguments(dtype=torch.float64)
    for key, x in tensors_in(arguments).items():
        bad = x.clone()
        bad[middle(x)] = torch.nan
        found = call.op(**{**arguments, key: bad})
        certain, perhaps = depends(
            functools.partial(call.pairing.op, backend="portable"), wide, key, middle(x)
        )
        # A maximum takes it from what does not move it.
        plain = call.pairing.loop(**{**wide, key: bad.to(wide[key].dtype)})
        perhaps = [p | y.isnan() for p, y in zip(perhaps, plain, strict=True)]
        for name, *patterns in zip(call.pairing.outputs, found, certain, perhaps, strict=True):
            nan_is_where(*patterns, call.nan_spreads.get(name, ()), key, name)


@every_form
def test_a_nan_that_comes_back_reaches_the_gradients_it_belongs_to(call):
    arguments, wide = call.arguments(), call.arguments(dtype=torch.float64)

    def sender(arguments, op):
        """A function of what is sent back: all of it from one run."""
        everything, leaves = with_leaves(call.pairing, arguments)
        outputs = op(**everything)

        def send(sent):
            sent = [c.to(x.dtype) for c, x in zip(sent, outputs, strict=True)]
            return torch.autograd.grad(outputs, list(leaves.values()), sent, retain_graph=True)

        return outputs, send

    outputs, send_wide = sender(wide, functools.partial(call.pairing.op, backend="portable"))
    _, send = sender(arguments, call.op)
    cotangents = [noise_like(x, seed) for seed, x in enumerate(outputs)]
    names = [key for key in call.pairing.differentiable if key in arguments]

    def send_one(send, i, cotangent):
        return send([*cotangents[:i], cotangent, *cotangents[i + 1 :]])

    for i, output in enumerate(call.pairing.outputs):
        bad = cotangents[i].clone()
        bad[middle(bad)] = torch.nan
        found = send_one(send, i, bad)
        certain, perhaps = depends(
            functools.partial(send_one, send_wide, i), {"cotangent": cotangents[i]}, "cotangent", middle(bad)
        )
        for name, *patterns in zip(names, found, certain, perhaps, strict=True):
            nan_is_where(*patterns, call.nan_spreads.get(f"grad {name}", ()), output, f"grad {name}")


@every_form
def test_what_is_linear_is_so_over_24_decades(call):
    """To the bit, gradients in what is sent back included: a power of two changes exponents alone."""
    arguments = call.arguments()
    everything, leaves = with_leaves(call.pairing, arguments)
    outputs = call.op(**everything)
    cotangents = [noise_like(x, seed) for seed, x in enumerate(outputs)]

    def gradients(scale):
        sent = [scale * c for c in cotangents]
        return torch.autograd.grad(outputs, list(leaves.values()), sent, retain_graph=True)

    expected = gradients(1)
    for scale in (2.0**-40, 2.0**40):
        assert equal(gradients(scale), [scale * x for x in expected])
        for together in set(call.pairing.linear.values()):
            scaled = {key: scale * x if key in together else x for key, x in arguments.items()}
            for name, found, before in zip(call.pairing.outputs, call.op(**scaled), outputs, strict=True):
                if call.pairing.linear.get(name) == together:
                    assert torch.equal(found, scale * before), name
