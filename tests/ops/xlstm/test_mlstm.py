"""What the catalogue cannot know of mLSTM: properties, special values, and what its state may be."""

import numpy as np
import pytest
import torch

from seqlab.ops import MLSTMState, mlstm, mlstm_step
from seqlab.ops.backends import has_triton
from seqlab.ops.xlstm import reference

INF = float("inf")
every_backend = pytest.mark.parametrize(
    "backend",
    ["portable", pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))],
)


def draw(length=11, batch=1, heads=2, keys=3, values=4, seed=0):
    """q, k, v, i and f in float32."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, length, heads, width) for width in (keys, keys, values)]
    q, k, v = (torch.randn(shape, generator=generator) for shape in shapes)
    i, f = torch.randn(2, batch, length, heads, generator=generator)
    return q, k, v, i, f


def of_reference(*inputs):
    h, (C, n, m) = reference.mlstm(*(x.double().numpy() for x in inputs))
    return [torch.from_numpy(x).float() for x in (h, C, n, m)]


@every_backend
def test_a_state_holds_what_the_equation_says(backend):
    inputs = draw()
    h, state = mlstm(*inputs, backend=backend)
    assert isinstance(state, MLSTMState)
    for found, true in zip((h, *state), of_reference(*inputs), strict=True):
        torch.testing.assert_close(found, true, rtol=1e-4, atol=1e-5)


@every_backend
@pytest.mark.parametrize("size", [60, 200, 1e7])
def test_gates_overflow_nothing(size, backend):
    q, k, v, i, f = draw()
    h, state = mlstm(q, k, v, size * i, size * f, backend=backend)
    assert all(x.isfinite().all() for x in (h, *state))


@every_backend
@pytest.mark.parametrize("size", [-2e7, 2e7])
def test_a_decay_is_not_lost_beside_a_large_exponent(size, backend):
    """A decay of 0.6 a step, where float32 has no digit after the point."""
    q, k, v, i, f = draw()
    i[:, 0], f = size, torch.full_like(f, float(torch.tensor(0.6).logit()))
    i[:, 1:] = i[:, 1:] + size if size < 0 else i[:, 1:]
    h, _ = mlstm(q, k, v, i, f, backend=backend)
    torch.testing.assert_close(h, of_reference(q, k, v, i, f)[0], rtol=1e-4, atol=1e-5)


@every_backend
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_gates_keep_the_digits_that_rounding_takes_off_h(dtype, backend):
    """They are differences of sums over h: from h as it is returned they have an error of 3e-3 in bfloat16."""
    q, k, v, i, f = draw(10, keys=6, values=6)
    inputs = *(x.to(dtype) for x in (q, k, v)), i, f + 3
    found = torch.autograd.grad(*with_noise(inputs, backend))
    true = torch.autograd.grad(*with_noise([x.double() for x in inputs], "portable"))
    for x, y, bound in zip(found, true, [3e-3] * 3 + [3e-5] * 2, strict=True):
        assert (x.double() - y).norm() < bound * y.norm()


@every_backend
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_state_of_16_bit_inputs_has_17_binary_digits_or_more(dtype, backend):
    """Finer by far than what it is made of, and than h, which bfloat16 rounds to 8."""
    q, k, v, i, f = draw(23, keys=6, values=6)
    inputs = *(x.to(dtype) for x in (q, k, v)), i, f + 3
    _, state = mlstm(*inputs, backend=backend)
    _, true = mlstm(*(x.double() for x in inputs), backend="portable")
    for x, y in zip(state, true, strict=True):
        assert (x.double() - y).norm() < 2**-17 * y.norm()


def with_noise(inputs, backend):
    """h, the inputs, and a gradient of h."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    h, _ = mlstm(*leaves, backend=backend)
    noise = torch.randn(h.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    return h, leaves, noise.to(h.dtype)


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_a_shift_of_all_input_gates_is_seen(shift):
    q, k, v, i, f = draw()
    before, _ = mlstm(q, k, v, i, f)
    after, _ = mlstm(q, k, v, i + shift, f)
    assert (after - before).norm() > 0.3 * before.norm()


@every_backend
def test_a_state_of_the_same_raw_units_with_another_exponent_is_the_same(backend):
    """What (C, n, m) stands for is C e^m and n e^m; h does not see how they are split."""
    first, second = (draw(seed=seed) for seed in (0, 1))
    _, (C, n, m) = mlstm(*first, backend=backend)
    shift = torch.tensor([[2.0, -3.0]])
    moved = C * torch.exp(-shift)[..., None, None], n * torch.exp(-shift)[..., None], m + shift
    h, _ = mlstm(*second, (C, n, m), backend=backend)
    torch.testing.assert_close(mlstm(*second, moved, backend=backend)[0], h, rtol=1e-4, atol=1e-5)


def test_the_memory_over_the_normalizer_of_a_lone_key_is_a_softmax_weighted_mean():
    q, k, v, i, f = draw(keys=1)
    k = torch.ones_like(k)
    _, (C, n, _) = mlstm(q, k, v, i, f)
    F = torch.nn.functional.logsigmoid(f).cumsum(1)
    weights = torch.softmax(F[:, -1:] - F + i, dim=1)
    mean = (weights[..., None] * v).sum(1)
    torch.testing.assert_close((C / n[..., None])[:, :, 0], mean, rtol=1e-4, atol=1e-5)


@every_backend
def test_steps_without_weight_on_the_left_change_nothing(backend):
    q, k, v, i, f = draw()
    i = i.clone()
    i[:, :9] = -INF
    h, state = mlstm(q, k, v, i, f, backend=backend)
    own, own_state = mlstm(*(x[:, 9:] for x in (q, k, v, i, f)), backend=backend)
    assert (h[:, :9] == 0).all()
    for found, true in zip((h[:, 9:], *state), (own, *own_state), strict=True):
        torch.testing.assert_close(found, true, rtol=1e-5, atol=1e-6)


@every_backend
def test_a_forget_gate_of_minus_infinity_forgets_all(backend):
    q, k, v, i, f = draw()
    f = f.clone()
    f[:, 9] = -INF
    h, _ = mlstm(q, k, v, i, f, backend=backend)
    own, _ = mlstm(*(x[:, 9:] for x in (q, k, v, i, f)), backend=backend)
    torch.testing.assert_close(h[:, 9:], own, rtol=1e-5, atol=1e-6)


@every_backend
@pytest.mark.parametrize("size", [95, 150])
def test_a_query_that_reads_nothing_gets_nothing(size, backend):
    """n . q = 0 beside any m, of which e^-m has few digits when it is large, and then none."""
    q, k, v, i, f = draw(5)
    q = q.clone().requires_grad_()
    with torch.no_grad():
        q[:, 3] = 0
    h, _ = mlstm(q, k, v, i + size, f, backend=backend)
    assert (h[:, 3] == 0).all()
    h[:, 4:].sum().backward()
    assert q.grad.isfinite().all()


@every_backend
def test_what_is_too_large_for_a_number_is_not_taken_for_a_small_one(backend):
    """Keys that cancel in n and values that do not in C: h is C q e^m."""
    q, k = torch.ones(1, 2, 1, 1), torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    v = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    f = torch.full((1, 2, 1), INF)
    for size, true in ((50.0, -float(np.exp(50.0))), (95.0, -INF), (150.0, -INF)):
        h, _ = mlstm(q, k, v, torch.full_like(f, size), f, backend=backend)
        torch.testing.assert_close(h.flatten(), torch.tensor([1.0, true]), rtol=1e-5, atol=0)


@every_backend
def test_gradients_go_through_the_normalizer(backend):
    """Not as if it were a constant, which is right for gradients of h that are orthogonal to h alone."""
    q, k, v, i, f = draw()
    grad_h = torch.randn(v.shape, generator=torch.Generator().manual_seed(1))
    leaves = [x.requires_grad_() for x in (q, k, v, i, f)]
    h, state = mlstm(*leaves, backend=backend)
    found = torch.autograd.grad(h, leaves, grad_h)
    zeros = [np.zeros(x.shape) for x in state]
    arrays = [x.detach().double().numpy() for x in leaves]
    *true, _ = reference.mlstm_gradients(*arrays, None, grad_h.double().numpy(), zeros)
    for one, other in zip(found, true, strict=True):
        torch.testing.assert_close(one, torch.from_numpy(other).float(), rtol=1e-3, atol=1e-4)


def a_tie():
    """q, k, v, i, f and a gradient of h, with n . q = e^-m = 1 at the only step."""
    one = torch.ones(1, 1, 1, 1)
    return (one, one.clone(), torch.tensor([2.0, -3.0]).view(1, 1, 1, 2), 0 * one[..., 0], one[..., 0]), (
        torch.tensor([0.5, 4.0]).view(1, 1, 1, 2)
    )


@pytest.mark.parametrize("form", ["reference", "step", "portable", "triton"])
def test_where_the_normalizer_equals_its_bound_the_bound_wins(form):
    """Of the two slopes there, always the same: h = C q as if nothing divided it, so that dq = dk = di = v . dh."""
    if form == "triton" and not has_triton():
        pytest.skip("no Triton")
    inputs, grad_h = a_tie()
    leaves = [x.requires_grad_() for x in inputs]
    if form == "reference":
        zeros = np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1)), np.zeros((1, 1))
        arrays = [x.detach().double().numpy() for x in leaves]
        *found, _ = reference.mlstm_gradients(*arrays, None, grad_h.double().numpy(), zeros)
    elif form == "step":
        nothing = MLSTMState(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1), torch.full((1, 1), -INF))
        h_t, _ = mlstm_step(*(x[:, 0] for x in leaves), nothing)
        found = torch.autograd.grad(h_t, leaves, grad_h[:, 0])
    else:
        found = torch.autograd.grad(mlstm(*leaves, backend=form)[0], leaves, grad_h)
    product = (inputs[2] * grad_h).sum().item()
    assert [float(x.sum()) for x in found[:2]] == [product, product]
    assert float(found[3].sum()) == product
    np.testing.assert_array_equal(found[2].reshape(-1), grad_h.flatten())


@every_backend
def test_a_nan_stays_in_its_head(backend):
    q, k, v, i, f = draw()
    i = i.clone()
    i[:, 9, 1] = torch.nan
    h, state = mlstm(q, k, v, i, f, backend=backend)
    assert h[:, 9:, 1].isnan().all()
    assert all(x[:, 1].isnan().all() for x in state)
    assert all(x[:, 0].isfinite().all() for x in (h.transpose(1, 2), *state))


@every_backend
@pytest.mark.parametrize("name", ["q", "k", "v", "i", "f", "C", "n", "m"])
def test_a_nan_is_in_every_gradient_that_the_equation_takes_it_to_and_in_no_other_head(name, backend):
    place = {"C": (0, 1, 1, 1), "n": (0, 1, 1), "m": (0, 1), "i": (0, 5, 1), "f": (0, 5, 1)}
    inputs = dict(zip("qkvif", draw(), strict=True))
    _, state = mlstm(*draw(seed=1))
    inputs |= state._asdict()
    inputs[name] = inputs[name].clone()
    inputs[name][place.get(name, (0, 5, 1, 1))] = torch.nan
    leaves = [x.detach().requires_grad_() for x in inputs.values()]
    outputs = mlstm(*leaves[:5], MLSTMState(*leaves[5:]), backend=backend)
    outputs = outputs[0], *outputs[1]
    sent = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) for x in outputs]
    found = torch.autograd.grad(outputs, leaves, sent)
    arrays = [x.detach().double().numpy() for x in leaves]
    sent = [x.double().numpy() for x in sent]
    *true, of_state = reference.mlstm_gradients(*arrays[:5], arrays[5:], sent[0], sent[1:])
    for which, x, y in zip(inputs, found, (*true, *of_state), strict=True):
        assert (x.isnan() | ~torch.from_numpy(y).isnan()).all(), which
        other = x.select(2 if which in "qkvif" else 1, 0)
        assert other.isfinite().all(), which


@every_backend
@pytest.mark.parametrize("giants", [slice(0, 2), slice(6, 8)])
def test_giants_leave_gradients_of_other_forget_gates_alone(giants, backend):
    """Within a chunk: a sum over some steps is not that over all less that over others."""
    q, k, v, i, f = draw(8, heads=1)
    v[:, giants] *= 1e8
    f[:, giants.stop if giants.start == 0 else giants.start] = -INF  # what comes later does not see what was
    expected, found = (
        torch.autograd.grad(mlstm(q, k, v, i, x, backend=backend)[0].sum(), x)[0]
        for q, k, v, i, x, backend in (
            (*(x.double() for x in (q, k, v, i)), f.double().requires_grad_(), "portable"),
            (q, k, v, i, f.requires_grad_(), backend),
        )
    )
    rest = slice(3, 8) if giants.start == 0 else slice(0, 6)
    torch.testing.assert_close(found[:, rest].double(), expected[:, rest], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [-INF, -1e4, -95.0, 0.0, 95.0, 1e4])
def test_gradients_of_a_first_step_are_those_of_the_op(size):
    q, k, v, i, f = draw(1, batch=2)
    leaves = [x.requires_grad_() for x in (q, k, v, torch.full_like(i, size), f)]
    nothing = mlstm(q, k, v, torch.full_like(i, -INF), f)[1]
    expected = torch.autograd.grad(mlstm(*leaves)[0].sum(), leaves)
    h_t, _ = mlstm_step(*(x[:, 0] for x in leaves), MLSTMState(*(x.detach() for x in nothing)))
    for one, other in zip(torch.autograd.grad(h_t.sum(), leaves), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@every_backend
def test_of_two_equal_exponents_the_gradient_of_m_is_for_the_past(backend, has_gradients_of):
    """In a step as in the op: not a half for each, as of PyTorch's maximum."""
    q, k, v, _, f = draw(1, batch=2)
    _, state = mlstm(*draw(seed=1, batch=2))
    leaves = [
        x.requires_grad_() for x in (q, k, v, state.m[:, None].clone(), torch.full_like(f, 200), *state)
    ]
    h, last = mlstm(*leaves[:5], MLSTMState(*leaves[5:]), backend=backend)
    h_t, after = mlstm_step(*(x[:, 0] for x in leaves[:5]), MLSTMState(*leaves[5:]))
    assert torch.equal(last.m, state.m)
    has_gradients_of((h_t[:, None], *after), (h, *last), leaves)


def test_a_step_keeps_gates_and_states_in_float32():
    q, k, v, i, f = draw(1, batch=2)
    _, state = mlstm(*draw(5, batch=2))
    narrow = (x[:, 0].bfloat16() for x in (q, k, v))
    h_t, after = mlstm_step(*narrow, i[:, 0], f[:, 0], state)
    assert (h_t.dtype, {x.dtype for x in after}) == (torch.bfloat16, {torch.float32})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.C, TypeError, r"state: expected a tuple \(C, n, m\), got Tensor"),
        (lambda s: (*s, s.m), TypeError, r"state: expected a tuple \(C, n, m\), got a tuple of 4"),
        (lambda s: s._replace(m=None), TypeError, r"state\.m: expected a torch.Tensor, got NoneType"),
        (lambda s: s._replace(n=s.n.double()), TypeError, r"state\.n: expected dtype torch.float32"),
        (
            lambda s: s._replace(C=s.C.mT),
            ValueError,
            r"state\.C: expected shape \(batch, heads, keys, values\) = \(1, 2, 3, 4\) like q",
        ),
    ],
)
def test_a_wrong_state_is_told_what_it_may_be(change, error, words):
    inputs = draw(5)
    _, state = mlstm(*inputs)
    with pytest.raises(error, match=words):
        mlstm(*inputs, change(state))
