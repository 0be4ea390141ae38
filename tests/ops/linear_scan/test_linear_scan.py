"""The op: values and gradients in every form, states, edges, wrong input, and its registration with PyTorch."""

import itertools

import numpy as np
import pytest
import torch

from seqlab.ops import linear_scan, linear_scan_step
from seqlab.ops.backends import has_triton
from seqlab.ops.linear_scan import reference

BACKENDS = [
    "portable",
    pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton")),
]
FORMS = pytest.mark.parametrize(
    ("complex_", "fixed", "reverse"),
    [(c, f, r) for c in (False, True) for f in (False, True) for r in (False, True)],
)


def draw(length, complex_=False, fixed=False, batch=2, channels=3, dtype=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    dtype = dtype or (torch.complex128 if complex_ else torch.float64)
    wide = torch.promote_types(dtype, torch.float32)

    def normal(*shape):
        return torch.randn(*shape, dtype=wide, generator=generator)

    a = 0.6 * (normal(channels) if fixed else normal(batch, length, channels))
    return a.to(dtype), normal(batch, length, channels).to(dtype), normal(batch, channels)


def loop(a, b, state, reverse=False):
    """Autograd through a plain loop: the gradients' oracle."""
    h = [None] * b.shape[1]
    for t in reversed(range(b.shape[1])) if reverse else range(b.shape[1]):
        state = (a if a.ndim == 1 else a[:, t]) * state + b[:, t]
        h[t] = state
    return torch.stack(h, 1), state


def gradients(function, inputs, weights):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    return torch.autograd.grad(function(*leaves), leaves, weights)


def close(actual, expected, bound):
    expected = expected.to(torch.promote_types(expected.dtype, torch.float64))
    return torch.linalg.vector_norm(actual - expected) <= bound * torch.linalg.vector_norm(expected)


@FORMS
@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 50])
def test_portable_form_equals_the_reference(length, complex_, fixed, reverse):
    a, b, state = draw(length, complex_, fixed)
    h, last = linear_scan(a, b, state, reverse)
    expected, expected_last = reference.linear_scan(a.numpy(), b.numpy(), state.numpy(), reverse)
    np.testing.assert_allclose(h, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(last, expected_last, rtol=1e-12, atol=1e-13)


@FORMS
@pytest.mark.parametrize("length", [1, 2, 17])
def test_portable_gradients_equal_those_through_a_loop(length, complex_, fixed, reverse):
    inputs = draw(length, complex_, fixed)
    weights = draw(length, complex_, seed=1)[1:]
    actual = gradients(lambda *x: linear_scan(*x, reverse), inputs, weights)
    expected = gradients(lambda *x: loop(*x, reverse), inputs, weights)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@FORMS
@pytest.mark.parametrize("length", [1, 21])
def test_kernel_equals_the_loop_in_float64(length, complex_, fixed, reverse):
    narrow = draw(length, fixed=fixed, dtype=torch.complex64 if complex_ else torch.float32)
    wide = [x.to(torch.promote_types(x.dtype, torch.float64)) for x in narrow]
    for one, other in zip(linear_scan(*narrow, reverse, backend="triton"), loop(*wide, reverse), strict=True):
        assert close(one, other, 1e-6)
    weights = draw(length, seed=1, dtype=narrow[1].dtype)[1:]
    actual = gradients(lambda *x: linear_scan(*x, reverse, backend="triton"), narrow, weights)
    expected = gradients(lambda *x: loop(*x, reverse), wide, [w.to(wide[1].dtype) for w in weights])
    for one, other in zip(actual, expected, strict=True):
        assert close(one, other, 1e-5)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize(("tiling", "length"), [((16, 8, 2, 1), 65), ((2, 16, 1, 2), 65), ((1, 2, 8, 4), 17)])
@pytest.mark.parametrize(("complex_", "fixed"), [(False, False), (True, True)])
def test_every_tiling_gives_the_same(monkeypatch, tiling, length, complex_, fixed):
    """One long tile, a few, many short ones, none of which ends with the sequence; channels that do not fill theirs."""
    from seqlab.ops.linear_scan import kernel

    monkeypatch.setattr(kernel, "INTERPRETED", (*tiling, 4))
    monkeypatch.setattr(kernel, "plan_launch", kernel.plan_launch.__wrapped__)
    narrow = draw(length, fixed=fixed, batch=3, dtype=torch.complex64 if complex_ else torch.float32)
    wide = [x.to(torch.promote_types(x.dtype, torch.float64)) for x in narrow]
    weights = draw(length, batch=3, seed=1, dtype=narrow[1].dtype)[1:]
    leaves = [x.requires_grad_() for x in narrow]
    found = linear_scan(*leaves, backend="triton")
    for one, other in zip(found, loop(*wide), strict=True):
        assert close(one, other, 1e-6)
    expected = gradients(loop, wide, [w.to(wide[1].dtype) for w in weights])
    for one, other in zip(torch.autograd.grad(found, leaves, weights), expected, strict=True):
        assert close(one, other, 1e-5)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_every_lane_of_a_tiling_has_a_number_of_its_own():
    from seqlab.ops.linear_scan import kernel

    for _, runs, pairs, _, warps in itertools.chain(*kernel.TILINGS.values(), kernel.OF_16_BITS):
        assert runs * 2 * pairs >= 32 * warps


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_words_that_earlier_launches_left_are_never_taken(monkeypatch):
    """Not even where they lie in the same memory: of the same launch, of another shape, and with NaNs in them."""
    a, b, state = draw(65, dtype=torch.float32)
    expected = linear_scan(a, b, state, backend="triton")
    from seqlab.ops.linear_scan import kernel

    kept, launches = torch.full((4096,), -1), itertools.count(1)
    monkeypatch.setattr(kernel, "status_words", lambda number, like: (kept[:number], next(launches)))
    for length in (65, 40, 65):
        noise = torch.full_like(b[:, :length], torch.nan)
        assert linear_scan(a[:, :length], noise, state, backend="triton")[0].isnan().all()
        found = linear_scan(a, b, state, backend="triton")
        assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("reverse", [False, True])
def test_tiles_of_millions_of_channels_count_in_64_bits(monkeypatch, reverse):
    from seqlab.ops.linear_scan import kernel

    def is_far(channels):
        return kernel.plan_launch((1, 40, channels), torch.float32, True, False, True).constants[6]

    assert is_far(16_777_216)
    assert not is_far(4_000_000)
    a, b, state = draw(33, dtype=torch.float32)
    near = linear_scan(a, b, state, reverse, backend="triton")

    def plan(*arguments, of=kernel.plan_launch):
        found = of(*arguments)
        return found._replace(constants=(*found.constants[:6], True, *found.constants[7:]))

    monkeypatch.setattr(kernel, "plan_launch", plan)
    far = linear_scan(a, b, state, reverse, backend="triton")
    assert all(torch.equal(x, y) for x, y in zip(near, far, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_state_means_zeros(backend):
    a, b, state = draw(5, dtype=torch.float32)
    for one, other in zip(
        linear_scan(a, b, backend=backend),
        linear_scan(a, b, torch.zeros_like(state), backend=backend),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_splitting_and_resuming_is_the_whole(backend):
    a, b, state = draw(23, dtype=torch.complex64)
    h, last = linear_scan(a, b, state, backend=backend)
    first, middle = linear_scan(a[:, :9], b[:, :9], state, backend=backend)
    second, end = linear_scan(a[:, 9:], b[:, 9:], middle, backend=backend)
    assert close(torch.cat([first, second], 1), h, 1e-6)
    assert close(end, last, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_steps_are_the_scan(dtype):
    a, b, state = draw(6, dtype=dtype)
    h, last = linear_scan(a, b, state)
    for t in range(6):
        h_t, state = linear_scan_step(a[:, t], b[:, t], state)
        assert close(h_t, h[:, t], 1e-2 if dtype.itemsize == 2 else 1e-6)
    assert close(state, last, 1e-6)


def test_the_past_does_not_feel_the_future():
    a, b, state = draw(12)
    b.requires_grad_()
    h, _ = linear_scan(a, b, state)
    (gradient,) = torch.autograd.grad(h[:, 5].sum(), b)
    assert (gradient[:, 6:] == 0).all()
    assert (gradient[:, :6] != 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_decays_of_zero_and_one_are_exact(backend):
    _, b, state = draw(20, dtype=torch.float32)
    h, _ = linear_scan(torch.zeros(3), b, state, backend=backend)
    torch.testing.assert_close(h, b, rtol=0, atol=0)
    h, last = linear_scan(torch.ones(3), b.round(), state.round(), backend=backend)
    torch.testing.assert_close(h, b.round().cumsum(1) + state.round()[:, None], rtol=0, atol=0)
    torch.testing.assert_close(last, h[:, -1], rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_stays_where_the_recurrence_puts_it(backend):
    a, b, state = draw(30, dtype=torch.float32)
    a[0, 11, 1] = torch.nan
    b[1, 17, 2] = torch.nan
    h, last = linear_scan(a, b, state, backend=backend)
    expected, expected_last = reference.linear_scan(a.numpy(), b.numpy(), state.numpy())
    np.testing.assert_array_equal(h.isnan(), np.isnan(expected))
    np.testing.assert_array_equal(last.isnan(), np.isnan(expected_last))


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensors_need_not_be_contiguous(backend):
    a, b, state = draw(14, dtype=torch.complex64)
    strided = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in (a.conj(), b, state)]
    assert not strided[1].is_contiguous()
    for one, other in zip(
        linear_scan(*strided, backend=backend),
        linear_scan(a.conj().resolve_conj(), b, state, backend=backend),
        strict=True,
    ):
        assert close(one, other, 1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_state_enters_a_half_precision_gradient_unrounded(backend):
    a = torch.ones(1, dtype=torch.float16, requires_grad=True)
    b = torch.zeros(2, 1, 1, dtype=torch.float16)
    _, last = linear_scan(a, b, torch.tensor([[1000.0], [-999.0]]), backend=backend)
    # Nearly all of it cancels between the batch entries, but for what float16 cannot tell apart.
    (grad_a,) = torch.autograd.grad(last, a, torch.tensor([[1 / 3], [1 / 3 + 1e-5]]))
    assert float(grad_a) == pytest.approx(1 / 3 - 999e-5, rel=1e-3)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_decays_near_one_keep_their_digits_over_many_tiles(backend, fixed):
    """At least as many as a loop in the same precision keeps."""
    length = 1500
    phase = torch.tensor([0.3, 2.9], dtype=torch.float64)
    a = torch.polar(torch.full_like(phase, 1 - 1e-6), phase).to(torch.complex64)
    a = a if fixed else a.expand(1, length, 2)
    b = draw(length, True, batch=1, channels=2)[1].to(torch.complex64)
    nothing = torch.zeros_like(b[:, 0])
    truth, _ = loop(*(x.to(torch.complex128) for x in (a, b, nothing)))
    step_by_step, _ = loop(a, b, nothing)
    h, _ = linear_scan(a, b, backend=backend)
    assert (h - truth).norm() < (step_by_step - truth).norm()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_state_in_float32(dtype, backend):
    a, b, state = draw(40, fixed=True, dtype=dtype)
    a = a.clamp(-0.95, 0.95)
    h, last = linear_scan(a, b, state, backend=backend)
    expected, expected_last = loop(a.double(), b.double(), state.double())
    assert h.dtype == dtype
    assert last.dtype == torch.float32
    assert close(h, expected, 1e-2)
    assert close(last, expected_last, 1e-6)


@pytest.mark.thorough  # one of these forms, and its gradient: tests/ops/shared/test_every_op_registration.py
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_registration_passes_opcheck(dtype, fixed):
    a, b, state = (x.requires_grad_() for x in draw(5, fixed=fixed, dtype=dtype))
    for reverse, initial in ((False, state), (True, None)):
        outcome = torch.library.opcheck(
            torch.ops.seqlab.linear_scan.default, (a, b, initial, reverse, "portable")
        )
        assert set(outcome.values()) == {"SUCCESS"}


def wrong(**changes):
    a, b, state = draw(4, dtype=torch.float32)
    return {"a": a, "b": b, "state": state, **changes}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            wrong(b=torch.ones(2, 4)),
            ValueError,
            r"b: expected shape \(batch, length, channels\), got \(2, 4\)",
        ),
        (
            wrong(a=torch.ones(2, 5, 3)),
            ValueError,
            r"a: expected shape .*\(2, 4, 3\).*\(3,\), got \(2, 5, 3\)",
        ),
        (
            wrong(state=torch.ones(3)),
            ValueError,
            r"state: expected shape \(batch, channels\) = \(2, 3\) like b, got \(3,\)",
        ),
        (
            wrong(a=torch.ones(3).double()),
            TypeError,
            r"a: expected dtype torch.float32 like b, got torch.float64",
        ),
        (wrong(b=torch.ones(2, 4, 3).int()), TypeError, r"b: expected one of float16.*got torch.int32"),
        (wrong(state=torch.ones(2, 3).half()), TypeError, r"state: expected dtype torch.float32"),
        (wrong(a=torch.ones(2, 0, 3), b=torch.ones(2, 0, 3)), ValueError, r"b: expected .* at least 1"),
        (wrong(b=torch.ones(0, 4, 3)), ValueError, r"b: expected .* at least 1 long, got \(0, 4, 3\)"),
        (wrong(a=torch.ones(3, device="meta")), ValueError, r"a: expected device cpu like b, got meta"),
        (wrong(state=torch.ones(2, 3, device="meta")), ValueError, r"state: expected device cpu"),
        (wrong(a=0.5), TypeError, r"a: expected a torch.Tensor, got float"),
        (wrong(backend="cuda"), ValueError, r"backend: expected one of .*got 'cuda'"),
        (wrong(state=[1.0]), TypeError, r"state: expected a torch.Tensor, got list"),
    ],
)
def test_wrong_input_names_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        linear_scan(**arguments)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_the_kernel_says_which_dtypes_it_computes():
    with pytest.raises(TypeError, match=r"backend: 'triton' computes .*float64 needs backend='portable'"):
        linear_scan(*draw(4), backend="triton")


def test_without_triton_the_portable_form_still_runs(monkeypatch):
    monkeypatch.setattr("seqlab.ops.backends.has_triton", lambda: False)
    a, b, state = draw(4, dtype=torch.float32)
    linear_scan(a, b, state)
    with pytest.raises(ValueError, match="backend: 'triton' needs the triton package"):
        linear_scan(a, b, state, backend="triton")


def test_a_step_refuses_a_sequence():
    with pytest.raises(ValueError, match=r"b_t: expected shape \(batch, channels\)"):
        linear_scan_step(*draw(4))
    with pytest.raises(TypeError, match=r"a_t: expected dtype"):
        linear_scan_step(torch.ones(3), torch.ones(2, 3).double(), torch.ones(2, 3).double())
