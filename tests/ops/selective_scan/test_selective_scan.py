"""What the catalogue cannot know of the selective scan: its other forms, packed sequences, its limits."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqlab import ops
from seqlab.catalogue import PAIRINGS, Workload, sizes
from seqlab.ops.backends import has_triton
from seqlab.ops.selective_scan import portable, reference

SIZES = sizes(2, 23, 3, states=4)
BACKENDS = ("portable", *(("triton",) if has_triton() else ()))
both = pytest.mark.parametrize("backend", BACKENDS)
with_kernel = pytest.mark.skipif(not has_triton(), reason="no Triton")


def drawn(name="the scan alone", seed=0, **other):
    (sample,) = (sample for sample in PAIRINGS["selective_scan"].samples if sample.name == name)
    return sample.draw(np.random.default_rng(seed), {**SIZES, **other})


def as_tensors(arguments, dtype=torch.float32):
    return {
        key: torch.from_numpy(x).to(dtype.to_complex() if np.iscomplexobj(x) else dtype)
        if isinstance(x, np.ndarray)
        else x
        for key, x in arguments.items()
    }


def relative(found, true):
    return (found - true).norm() / true.norm()


# ------------------------------------------------------------------------------------------------ the reference


@pytest.mark.parametrize("name", ["the scan alone", "complex A, zero-order hold"])
def test_chunks_are_the_loop(name):
    arguments = drawn(name) | {"discretization": "euler"}
    y, last = reference.selective_scan(**arguments)
    del arguments["discretization"]
    found, after = reference.selective_scan_chunked(**arguments, chunk=5)
    np.testing.assert_allclose(found, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(after, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["the scan alone", "complex A, zero-order hold"])
@pytest.mark.parametrize("rule", reference.DISCRETIZATIONS)
def test_gradients_written_out_are_those_of_the_op(name, rule):
    arguments = drawn(name)
    arguments.setdefault(
        "state", np.random.default_rng(1).standard_normal((2, 3, 4)).astype(arguments["A"].dtype)
    )
    names = ("u", "delta", "A", "B", "C", "state")
    leaves = {key: torch.from_numpy(arguments[key]).requires_grad_() for key in names}
    y, last = ops.selective_scan(**leaves, discretization=rule)
    random = torch.Generator().manual_seed(2)
    dy, dlast = (torch.randn(x.shape, dtype=x.dtype, generator=random) for x in (y, last))
    expected = torch.autograd.grad((y, last), list(leaves.values()), (dy, dlast))
    found = reference.selective_scan_gradients(
        *(arguments[key] for key in names), dy.numpy(), dlast.numpy(), rule
    )
    for x, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, true.numpy(), rtol=1e-10, atol=1e-10)


def test_zero_order_hold_makes_the_gate_of_a_gated_rnn_and_euler_does_not():
    """Theorem 1 of the paper: with N = 1, A = -1 and B = 1, h = (1 - g) h + g u, g = sigmoid(delta)."""
    random = np.random.default_rng(0)
    u, delta = random.standard_normal((2, 1, 50, 3))
    one = np.ones((1, 50, 1))
    h, gated = np.zeros((1, 3)), []
    for t in range(50):
        g = 1 / (1 + np.exp(-delta[:, t]))
        h = (1 - g) * h + g * u[:, t]
        gated.append(h)
    arguments = {"u": u, "delta": delta, "A": -np.ones((3, 1)), "B": one, "C": one, "delta_softplus": True}
    held, _ = reference.selective_scan(**arguments, discretization="zoh")
    np.testing.assert_allclose(held, np.stack(gated, axis=1), rtol=0, atol=1e-15)
    stepped, _ = reference.selective_scan(**arguments)
    assert np.abs(stepped - held).max() > 0.1


def test_what_does_not_change_in_time_is_a_convolution():
    arguments = drawn()
    for key in ("delta", "B", "C"):
        arguments[key] = np.repeat(arguments[key][:, :1], SIZES["length"], axis=1)
    y, _ = reference.selective_scan(**arguments)
    dt, A, B, C = (arguments[key] for key in ("delta", "A", "B", "C"))
    for entry in range(2):
        ages = np.arange(SIZES["length"])[:, None, None]
        steps = dt[entry, 0][:, None]
        kernel = (C[entry, 0] * np.exp(ages * steps * A) * steps * B[entry, 0]).sum(-1)
        for channel in range(3):
            full = np.convolve(kernel[:, channel], arguments["u"][entry, :, channel])
            np.testing.assert_allclose(y[entry, :, channel], full[: SIZES["length"]], rtol=1e-12, atol=1e-13)


def test_the_step_of_the_papers_code_is_far_from_the_papers_equation_unless_dt_is_small():
    """For B the code takes Euler's step, which a large dt takes far beyond what a hold would."""
    arguments = drawn(length=200)
    random = np.random.default_rng(3)
    arguments["A"] = -np.arange(1.0, 17) * np.ones((3, 1))
    arguments["B"], arguments["C"] = random.standard_normal((2, 2, 200, 16))
    arguments["delta"] = random.uniform(0.1, 0.3, (2, 200, 3))

    def difference():
        y, _ = reference.selective_scan(**arguments)
        held, _ = reference.selective_scan(**arguments, discretization="zoh")
        return np.linalg.norm(y - held) / np.linalg.norm(held)

    assert difference() > 0.5
    arguments["delta"] = arguments["delta"] / 100
    assert difference() < 0.05


# ------------------------------------------------------------------------------------------------ the op


@both
def test_a_step_of_0_skips_the_token_and_an_endless_one_resets_the_state(backend):
    arguments = as_tensors(drawn(batch=1, length=9, channels=2, states=2))
    arguments["delta"][:, 5] = 0
    y, _ = ops.selective_scan(**arguments, backend=backend)
    changed = {**arguments, "u": arguments["u"].clone()}
    changed["u"][:, 5] = 100
    assert torch.equal(ops.selective_scan(**changed, backend=backend)[0], y)
    arguments["delta"][:, 5] = 1e5
    arguments["u"][:, 5] = 0
    y, _ = ops.selective_scan(**arguments, backend=backend)
    alone, _ = ops.selective_scan(
        **{key: x if key == "A" else x[:, 6:] for key, x in arguments.items()}, backend="portable"
    )
    assert relative(y[:, 6:], alone) < 1e-6


@both
@pytest.mark.parametrize("rule", reference.DISCRETIZATIONS)
def test_where_an_endless_step_leads_is_what_the_two_rules_part_over(backend, rule):
    """To -B u / A by zero-order hold, whatever the step, and to dt B u by Euler's rule."""
    arguments = as_tensors(drawn(batch=1, length=3, channels=2, states=2))
    u, A, B = arguments["u"], arguments["A"], arguments["B"]
    for dt in (1e3, 1e6):
        arguments["delta"][:, -1] = dt
        _, last = ops.selective_scan(**arguments, discretization=rule, backend=backend)
        gain = dt if rule == "euler" else -1 / A
        torch.testing.assert_close(last, gain * u[:, -1, :, None] * B[:, -1, None])


@both
@pytest.mark.parametrize(
    "name",
    ["all of it", "zero-order hold", "the scan alone", "complex A", "complex A, zero-order hold"],
)
def test_packed_sequences_are_the_sequences(backend, name):
    """Values and gradients; the first one begins with the state, the state returned is that of the last one."""
    arguments = as_tensors(drawn(name, batch=1, length=14, channels=2, states=2))
    timed = ("u", "delta", "B", "C", "z")
    bounds = [0, 1, 5, 9, 14]
    leaves = {
        key: x.clone().requires_grad_() if isinstance(x, torch.Tensor) else x for key, x in arguments.items()
    }
    names = [key for key, x in leaves.items() if isinstance(x, torch.Tensor)]
    found = ops.selective_scan(**leaves, cu_seqlens=torch.tensor(bounds), backend=backend)
    alone = []
    for start, stop in itertools.pairwise(bounds):
        piece = {key: x[:, start:stop] if key in timed else x for key, x in leaves.items()}
        if start:
            piece["state"] = None
        alone.append(ops.selective_scan(**piece, backend="portable"))
    expected = torch.cat([y for y, _ in alone], dim=1), alone[-1][1]
    for x, true in zip(found, expected, strict=True):
        assert relative(x, true) < 1e-6
    random = torch.Generator().manual_seed(0)
    cotangents = [torch.randn(x.shape, dtype=x.dtype, generator=random) for x in expected]
    tensors = [leaves[key] for key in names]
    for x, true in zip(
        torch.autograd.grad(found, tensors, cotangents),
        torch.autograd.grad(expected, tensors, cotangents),
        strict=True,
    ):
        assert relative(x, true) < 2e-6


@both
def test_a_closed_gate_is_closed_whatever_it_shuts(backend):
    """Its product with what it weighs may be beyond float32."""
    arguments = as_tensors(drawn(batch=1, length=5, channels=2, states=2))
    leaves = {key: x.requires_grad_() for key, x in arguments.items() if isinstance(x, torch.Tensor)}
    z = torch.full_like(arguments["u"], -3e38).requires_grad_()
    y, _ = ops.selective_scan(**arguments, z=z, backend=backend)
    gradients = torch.autograd.grad(y, (z, *leaves.values()), torch.full_like(y, 1e3))
    assert all((x == 0).all() for x in (y, *gradients))


@both
def test_a_rate_of_minus_infinity_keeps_nothing_and_is_no_nan_past_the_end(backend):
    """As A = -exp(A_log) may come to be: steps past the end, of which there is one, are 0."""
    u, delta = torch.rand(2, 1, 13, 1)
    B, C = torch.rand(2, 1, 13, 2)
    A = torch.full((1, 2), -torch.inf)
    y, last = ops.selective_scan(u.requires_grad_(), delta, A, B, C, backend=backend)
    torch.testing.assert_close(y, delta * u * (B * C).sum(-1, keepdim=True))
    torch.testing.assert_close(last[:, 0], (delta * u)[:, -1] * B[:, -1])
    assert torch.autograd.grad(y.sum() + last.sum(), u)[0].isfinite().all()


def test_ends_of_sequences_rise_from_0_to_the_length():
    arguments = as_tensors(drawn())
    y, last = ops.selective_scan(**arguments)
    for bounds in ([0, 23], [0, 0, 23, 23]):
        found = ops.selective_scan(**arguments, cu_seqlens=torch.tensor(bounds, dtype=torch.int32))
        assert torch.equal(found[0], y)
        assert torch.equal(found[1], last)
    for bounds in ([0], [23], [0, 22], [0, 24], [1, 23], [-1, 23], [0, 9, 5, 23], [4, 10, 9]):
        words = rf"^cu_seqlens: expected numbers that rise from 0 to 23, the length of u, got \{bounds}"[:-1]
        with pytest.raises(ValueError, match=words):
            ops.selective_scan(**arguments, cu_seqlens=torch.tensor(bounds))
    with pytest.raises(TypeError, match=r"^cu_seqlens: expected one of int32, int64, got torch.float32"):
        ops.selective_scan(**arguments, cu_seqlens=torch.tensor([0.0, 23.0]))
    with pytest.raises(TypeError, match=r"^cu_seqlens: expected a torch.Tensor, got list"):
        ops.selective_scan(**arguments, cu_seqlens=[0, 23])
    with pytest.raises(ValueError, match=r"^cu_seqlens: expected shape \(sequences \+ 1,\), got \(1, 2\)"):
        ops.selective_scan(**arguments, cu_seqlens=torch.tensor([[0, 23]]))


def test_where_numbers_cannot_be_looked_at_any_order_will_do_and_what_is_no_time_begins_nothing():
    """As on a GPU, and in graphs."""
    arguments = as_tensors(drawn())
    u = arguments.pop("u")

    def packed(bounds):
        def scan(u):
            return ops.selective_scan(u, **arguments, cu_seqlens=torch.tensor(bounds))[0]

        return torch.func.vmap(scan)(u[None])[0]

    expected = ops.selective_scan(u, **arguments, cu_seqlens=torch.tensor([0, 5, 9, 23]))[0]
    for bounds in ([9, 0, 23, 5], [5, 9], [-4, 5, 9, 40]):
        assert torch.equal(packed(bounds), expected)


def test_the_gradient_of_a_step_that_softplus_makes_of_0_is_a_half():
    """Of a step for generation too, which autograd goes through."""
    arguments = as_tensors(drawn("the scan alone", length=1))
    delta = torch.zeros_like(arguments.pop("delta"), requires_grad=True)
    state = arguments.pop("state", None)
    state = torch.zeros(len(delta), *arguments["A"].shape) if state is None else state
    rest = {**arguments, "delta_softplus": True}
    whole, _ = ops.selective_scan(delta=delta, state=state, **rest)
    in_time = {key: rest.pop(key)[:, 0] for key in ("u", "B", "C")}
    step, _ = ops.selective_scan_step(
        delta_t=delta[:, 0], state=state, **{f"{key}_t": x for key, x in in_time.items()}, **rest
    )
    expected, found = (torch.autograd.grad(y.sum(), delta)[0] for y in (whole, step))
    torch.testing.assert_close(found, expected)


class Largest(TorchDispatchMode):
    """The most numbers of a tensor that was made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for x in found if isinstance(found, (tuple, list)) else [found]:
            if isinstance(x, torch.Tensor):
                self.numbers = max(self.numbers, x.untyped_storage().nbytes() // x.element_size())
        return found


def test_no_tensor_of_all_states_is_ever_made():
    arguments = as_tensors(drawn("all of it", batch=1, length=300, channels=8, states=32))
    del arguments["delta_softplus"]
    inputs = portable.Inputs(**arguments, begins=None)
    with Largest() as largest:
        y, last, starts = portable.scan(inputs, True, False)
        portable.gradients(inputs, starts, torch.ones_like(y), last, True, False)
    assert 0 < largest.numbers < 300 * 8 * 32 / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discretization": "foh"}, "discretization: expected one of 'euler', 'zoh', got 'foh'"),
        ({"delta_softplus": 1}, "delta_softplus: expected True or False, got int"),
        ({"backend": "cuda"}, "backend: expected one of ('triton', 'portable') or None, got 'cuda'"),
    ],
)
def test_a_wrong_option_is_named(change, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        ops.selective_scan(**as_tensors(drawn()), **change)
    assert str(caught.value) == message


def test_A_and_B_must_be_of_one_kind():
    arguments = as_tensors(drawn())
    with pytest.raises(TypeError, match=r"^B: expected dtype torch.complex64"):
        ops.selective_scan(**{**arguments, "A": arguments["A"].to(torch.complex64)})


@both
@pytest.mark.parametrize("x", [-120.0, -80.0, -20.0, -7.0, -1e-3, 0.0, 0.5, 20.0, 120.0])
def test_softplus_has_all_its_digits(x, backend):
    """By way of the op: with A = 0, B = C = u = 1 and one step, y is dt. What is below the least number is 0."""
    one = torch.ones(1, 1, 1)
    arguments = {"delta": torch.full((1, 1, 1), x), "A": torch.zeros(1, 1), "delta_softplus": True}
    y, _ = ops.selective_scan(one, B=one, C=one, **arguments, backend=backend)
    true = reference.softplus(np.float64(np.float32(x)))
    assert true == pytest.approx(np.logaddexp(0, np.float64(np.float32(x))), rel=1e-14)
    assert y.item() == pytest.approx(true, rel=1e-6, abs=1e-45)


@with_kernel
def test_ways_through_the_kernels_that_no_kind_of_call_takes_fit_their_types():
    """For a GPU: zero-order hold, packed sequences, and neither D nor a gate."""
    sys.path.append(str(Path(__file__).parents[1] / "shared"))
    from launches import GeneratorOnGPU, launches_of

    pairing = PAIRINGS["selective_scan"]

    def arguments(name, more):
        (sample,) = (sample for sample in pairing.samples if sample.name == name)
        workload = Workload(name, sample.arguments, (torch.bfloat16,), pairing.full_precision)
        yield workload.draw(GeneratorOnGPU(), pairing.carry, torch.bfloat16) | more

    for name, more in (
        ("zero-order hold", {}),
        ("the scan alone", {}),
        ("all of it", {"cu_seqlens": torch.empty(4, dtype=torch.int64, device="meta")}),
    ):
        grids = []
        found = launches_of(pairing, arguments(name, more), grids)
        assert {launch.name for launch in found} > {"forward_kernel", "flow_kernel", "backward_kernel"}
        waves = [grid for kernel, grid in grids if kernel == "backward_kernel"]
        assert len(set(waves)) == 2  # at the size at which tests on a GPU run, the last one is not full
        for launch in found:
            launch.check_types(90)


# ------------------------------------------------------------------------------------------------ the kernels' launches


def launched(monkeypatch):
    """What kernels of a real A are launched from here on: names and how many programs."""
    from seqlab.ops.selective_scan import kernel

    launches, run = [], kernel.runner

    class Noted:
        def __init__(self, function, like):
            self.function, self.like = function, like

        def __getitem__(self, grid):
            launches.append((self.function.fn.__name__, grid[0]))
            return run(self.function, self.like)[grid]

    monkeypatch.setattr(kernel, "runner", Noted)
    return launches


@with_kernel
@pytest.mark.parametrize(
    ("name", "shape", "waves"),
    [  # of programs, two channels each; chunks have eight steps, and the last one fewer
        ("all of it", (1, 23, 3, 3), (4, 2)),
        ("zero-order hold", (1, 23, 3, 3), (4, 2)),
        ("the scan alone", (3, 9, 5, 2), (6, 6, 6)),  # a wave has all chunks of an entry
        ("all of it", (3, 17, 3, 5), (4, 4, 4, 4, 2)),  # waves begin inside of entries
        ("all of it", (5, 3, 2, 4), (4, 1)),  # an entry is one chunk
        ("all of it", (1, 10, 9, 1), (5, 5)),  # a wave is one chunk
    ],
)
def test_chunks_and_waves_are_the_whole(monkeypatch, name, shape, waves):
    """Values and gradients are those in float64, and have the same bits twice, though waves of the backward pass write
    their sums to one place in turn. Sequences begin with chunks and inside of them, and some are empty."""
    shape = dict(zip(("batch", "length", "channels", "states"), shape, strict=True))
    arguments = drawn(name, **shape)
    length = shape["length"]
    arguments["cu_seqlens"] = torch.tensor([0, 1, 4 * (length > 8), 8 * (length > 8), length]).sort().values
    leaves = {key: x for key, x in arguments.items() if isinstance(x, np.ndarray)}
    random = torch.Generator().manual_seed(1)
    sent = torch.randn(2, max(shape.values()) ** 3, dtype=torch.float64, generator=random)

    def found(dtype, backend):
        tensors = {key: torch.from_numpy(x).to(dtype).requires_grad_() for key, x in leaves.items()}
        results = ops.selective_scan(**{**arguments, **tensors}, backend=backend)
        cotangents = [x[: y.numel()].view(y.shape).to(dtype) for x, y in zip(sent, results, strict=True)]
        return [*results, *torch.autograd.grad(results, list(tensors.values()), cotangents)]

    launches = launched(monkeypatch)
    kernel, again = found(torch.float32, "triton"), found(torch.float32, "triton")
    assert tuple(programs for name, programs in launches if name == "backward_kernel") == waves * 2
    for x, y, true in zip(kernel, again, found(torch.float64, "portable"), strict=True):
        assert torch.equal(x, y)
        assert relative(x, true) < 2e-6


@with_kernel
def test_sums_in_bfloat16_lose_no_more_than_the_gradients_that_they_become():
    """Over 20 blocks of two channels. To one block alone they are rounded twice to the same 8 bits."""
    arguments = as_tensors(drawn(batch=1, length=11, channels=40, states=4), torch.bfloat16)
    arguments["A"] = arguments["A"].float()
    weights = [arguments[name].requires_grad_() for name in ("B", "C")]
    true = [x.detach().double().requires_grad_() for x in weights]
    exact = {key: x.detach().double() for key, x in arguments.items()} | dict(zip("BC", true, strict=True))
    y, _ = ops.selective_scan(**arguments, backend="triton")
    sent = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(y.dtype)
    expected = torch.autograd.grad(ops.selective_scan(**exact)[0], true, sent.double())
    found = torch.autograd.grad(y, weights, sent, retain_graph=True)
    for x, again, goal in zip(found, torch.autograd.grad(y, weights, sent), expected, strict=True):
        assert torch.equal(x, again)
        assert relative(x.double(), goal) < 2 * relative(goal.to(x.dtype).double(), goal)


@with_kernel
@pytest.mark.parametrize("rule", reference.DISCRETIZATIONS)
def test_gradients_before_an_endless_step_are_numbers(rule):
    """Of three states too, which have a tile of four."""
    arguments = as_tensors(drawn(batch=1, length=7, channels=2, states=3))
    arguments["delta"][:, 5] = torch.inf
    names = ("u", "delta", "B", "C")
    for name in names:
        arguments[name].requires_grad_()
    y, last = ops.selective_scan(**arguments, discretization=rule, backend="triton")
    tensors = [arguments[name] for name in names]
    for name, x in zip(names, torch.autograd.grad(y.sum() + last.sum(), tensors), strict=True):
        assert x[:, :5].isfinite().all(), name


@with_kernel
@pytest.mark.parametrize("rule", reference.DISCRETIZATIONS)
def test_negative_steps_with_positive_rates_decay_whatever_the_number_of_states(rule):
    """The fourth state of a tile does not exist, and has no rate of its own."""
    arguments = as_tensors(drawn(batch=1, length=5, channels=2, states=3))
    arguments["A"], arguments["delta"] = -arguments["A"], -1000 * arguments["delta"]
    leaves = [x.requires_grad_() for x in arguments.values()]

    def outputs_and_gradients(backend):
        y, last = ops.selective_scan(**arguments, discretization=rule, backend=backend)
        return y, last, *torch.autograd.grad(y.sum() + last.sum(), leaves)

    for x, true in zip(outputs_and_gradients("triton"), outputs_and_gradients("portable"), strict=True):
        assert relative(x, true) < 1e-5


@pytest.mark.slow
@pytest.mark.thorough
@with_kernel
def test_a_thousand_states_fit_into_the_shared_memory_of_a_consumer_gpu():
    sys.path.append(str(Path(__file__).parents[1] / "shared"))
    from launches import GeneratorOnGPU, launches_of

    pairing = PAIRINGS["selective_scan"]
    (sample,) = (sample for sample in pairing.samples if sample.name == "the scan alone")
    workload = Workload("", sample.arguments, (torch.bfloat16,), pairing.full_precision)
    many = {**pairing.carry, "states": 1024}
    drawn = (workload.draw(GeneratorOnGPU(), each, torch.bfloat16) for each in (many,))
    for launch in launches_of(pairing, drawn):
        if launch.kernel.fn.__module__.endswith("selective_scan.kernel"):
            assert launch.compile(86).metadata.shared <= 99 * 1024
