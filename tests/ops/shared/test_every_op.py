"""What holds for every op of the catalogue, on a CPU: by its portable form and by its kernel in the interpreter."""

import functools
import inspect
import itertools
import re

import numpy as np
import pytest
import torch
from op_calls import (
    arguments_of,
    equal,
    letters_of,
    noise_like,
    registered_calls,
    tensors_in,
    values_and_gradients,
    with_leaves,
)
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad

from seqlab import ops
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


@pytest.fixture
def call(request):
    return Call(*request.param)


def close(one, other, bound):
    """Whether the tensors differ by at most ``bound`` of the larger tensor's norm, one by one."""
    for x, y in zip(one, other, strict=True):
        assert x.shape == y.shape
        assert torch.isfinite(x).all()
        assert (x - y).norm() <= bound * max(x.norm(), y.norm()), ((x - y).norm(), y.norm())


# Where tensors lie in memory.


def transposed(x):
    return x.mT.contiguous().mT if x.ndim > 1 else sliced(x)


def sliced(x):
    wide = torch.full((*x.shape[:-1], 2 * x.shape[-1]) if x.ndim else (2,), torch.nan, dtype=x.dtype)
    view = wide[..., ::2] if x.ndim else wide[0]
    return view.copy_(x)


def conjugated(x):
    """The same numbers, of which PyTorch remembers that they are to be conjugated and negated when they are read."""
    negated = torch._neg_view(-x)
    return negated.conj_physical().conj() if x.is_complex() else negated


def offset(x):
    """Not aligned: it begins one number after an allocation's start."""
    flat = torch.full((x.numel() + 1,), torch.nan, dtype=x.dtype)
    return flat[1:].copy_(x.flatten()).view(x.shape)


def moved(arguments, laid_out):
    """The arguments with tensors laid out in another way."""
    return {key: laid_out(x) if isinstance(x, Tensor) else x for key, x in arguments.items()}


@every_form
def test_strides_make_no_difference(call):
    arguments = call.arguments()
    expected = call.op(**arguments)
    for laid_out in (sliced, offset):
        close(call.op(**moved(arguments, laid_out)), expected, 1e-6)


@every_form
def test_numbers_may_wait_to_be_negated_or_conjugated(call):
    """Each alone: of two factors, both with the wrong sign, the product is right."""
    arguments = call.arguments(LEAST if call.backend == "interpreter" else SIZES)
    everything, leaves = with_leaves(call.pairing, arguments)
    outputs = call.op(**everything)
    for name, x in tensors_in(arguments).items():
        close(call.op(**{**arguments, name: conjugated(x)}), outputs, 1e-6)
    sent = [noise_like(x, seed) for seed, x in enumerate(outputs)]

    def gradients(sent):
        return torch.autograd.grad(outputs, list(leaves.values()), sent, retain_graph=True)

    expected = gradients(sent)
    for i, grad in enumerate(sent):
        found = gradients([*sent[:i], conjugated(grad), *sent[i + 1 :]])
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one, other, 1e-4, 1e-5)


@every_form
def test_expanded_or_transposed_arguments_and_gradients_make_no_difference(call):
    """Tensors without a copy for each time; and leaves that are transposed, with the gradient of a sum, which has one
    number in memory."""
    arguments = call.arguments()
    expanded = {
        key: x.narrow(call.letters[key].index("L"), 0, 1).expand_as(x)
        if "L" in call.letters.get(key, "")
        else x
        for key, x in arguments.items()
    }
    copied = {key: x.contiguous() if isinstance(x, Tensor) else x for key, x in expanded.items()}
    everything, leaves = with_leaves(call.pairing, copied)
    outputs = call.op(**everything)
    close(call.op(**expanded), outputs, 1e-6)
    ones = [torch.ones_like(x) for x in outputs]
    expected = torch.autograd.grad(outputs, list(leaves.values()), ones)
    everything, leaves = with_leaves(call.pairing, moved(copied, transposed))
    outputs = call.op(**everything)
    one = [torch.ones((), dtype=x.dtype).expand_as(x) for x in outputs]
    close(torch.autograd.grad(outputs, list(leaves.values()), one), expected, 1e-5)


@every_form
def test_outputs_share_no_memory(call):
    for case in (call.sizes, {**call.sizes, "length": 1}):
        arguments = call.arguments(case)
        before = {key: x.clone() for key, x in tensors_in(arguments).items()}
        outputs = call.op(**arguments)
        owners = [x.untyped_storage().data_ptr() for x in (*outputs, *before.values())]
        owners += [x.untyped_storage().data_ptr() for x in tensors_in(arguments).values()]
        assert len(set(owners)) == len(owners)
        for key, x in before.items():
            assert torch.equal(arguments[key], x)


# Time: pieces and steps.


def piece(call, arguments, start, stop):
    """The arguments of times ``start`` to ``stop``."""
    return {
        key: x.narrow(call.letters[key].index("L"), start, stop - start)
        if "L" in call.letters.get(key, "")
        else x
        for key, x in arguments.items()
    }


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


def state_after(pairing, outputs):
    """The arguments that go on from what an op or a step has returned."""
    return dict(zip(pairing.states, outputs[pairing.results :], strict=True))


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


# Arguments that are wrong.


def said(name):
    """A pattern of what errors call an argument: a part of a list is ``gates[0]``."""
    return r"(state\.)?" + re.sub(r"_(\d)$", r"\\[\1\\]", name)


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


# NaN, and numbers of any size.


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


# The caller's modes.


@every_kind
def test_modes_of_the_caller_make_no_difference(call):
    """Autocast, another default dtype, another default device: the same bits."""
    arguments = call.arguments()
    expected = call.run(arguments)
    ops.clear_cache()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert equal(call.run(arguments), expected)
    ops.clear_cache()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert equal(call.run(arguments), expected)
    finally:
        torch.set_default_dtype(before)
    ops.clear_cache()
    with torch.device("meta"):
        outputs = call.op(**arguments)
    assert equal(outputs, expected[: len(outputs)])


@every_form
def test_training_follows_inference_mode(call):
    """What is kept between calls is no tensor of the mode that it was made in."""
    arguments = call.arguments()
    ops.clear_cache()
    with torch.inference_mode():
        outputs = call.op(**arguments)
    found = call.run(arguments)
    assert equal(found[: len(outputs)], outputs)
    ops.clear_cache()
    assert equal(call.run(arguments), found)


# Registration, compilation, export.


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


# Of one chunk these kernels keep nothing, and of more the states between: two graphs.
TWO_GRAPHS = {"ssm_scan", "ssm_convolution", "h3"}


@over([form for form in INTERPRETED if form[0] in TWO_GRAPHS])
def test_compiled_graphs_serve_lengths_of_one_chunk_and_of_more(call):
    torch._dynamo.reset()
    compiled = torch.compile(call.op, backend="aot_eager", fullgraph=True)
    for length in (6, 9, 12, 3):
        arguments = call.arguments({**TINY, "length": length})
        close(values_and_gradients(call.pairing, arguments, op=compiled), call.run(arguments), 1e-6)
    torch._dynamo.reset()


EXPORTED = [form for form in PORTABLE if form[1] == PAIRINGS[form[0]].kinds[0]]
EXPORTED += [form for form in INTERPRETED if form[0] not in TWO_GRAPHS]
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


# Transforms.


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
