"""What the catalogue cannot know of sLSTM: properties, special values, and what its state may be."""

import pytest
import torch

from seqlab.catalogue import PAIRINGS
from seqlab.ops import SLSTMState, slstm, slstm_step
from seqlab.ops.backends import has_triton

INF = float("inf")
every_backend = pytest.mark.parametrize(
    "backend",
    ["portable", pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))],
)
every_forget = pytest.mark.parametrize("forget", ["sigmoid", "exp"])


def draw(length=5, batch=3, heads=2, width=3, seed=0):
    """gates, R and b in float32."""
    generator = torch.Generator().manual_seed(seed)
    gates = torch.randn(batch, length, 4, heads, width, generator=generator)
    R = 0.3 * torch.randn(4, heads, width, width, generator=generator)
    return gates, R, torch.randn(4, heads, width, generator=generator)


@every_backend
@every_forget
def test_h_does_not_see_m(forget, backend):
    """A state of the same raw units with another exponent is the same, and its gradients are those of these units."""
    gates, R, b = draw()
    _, (c, n, m, h) = slstm(*draw(seed=1), forget=forget, backend=backend)
    shift = torch.randn(m.shape, generator=torch.Generator().manual_seed(2))
    moved = SLSTMState(c * torch.exp(-shift), n * torch.exp(-shift), m + shift, h)
    y, _ = slstm(gates, R, b, (c, n, m, h), forget, backend)
    torch.testing.assert_close(slstm(gates, R, b, moved, forget, backend)[0], y, rtol=1e-4, atol=1e-6)


@every_forget
def test_what_verify_sends_back_in_16_bits_does_not_jump_where_two_exponents_are_equal(forget):
    """The m returned is the larger of two, and c and n are in its units, so rounding picks their gradients."""
    gates, R, b = (x.double() for x in draw())
    _, state = slstm(gates[:, :-1], R, b, forget=forget)
    with_h = gates[:, -1] + torch.einsum("ghde,bhe->bghd", R, state.h) + b
    past = (with_h[:, 1].sigmoid().log() if forget == "sigmoid" else with_h[:, 1]) + state.m
    found = {}
    for side in (-1, 1):
        moved = gates.clone()
        moved[:, -1, 0] += past - with_h[:, 0] + side * 1e-9
        moved.requires_grad_()
        y, (c, n, m, h) = slstm(moved, R, b, forget=forget)
        outputs = y, c, n, m, h
        generator = torch.Generator().manual_seed(3)
        sent = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in outputs]
        without = PAIRINGS["slstm"].without_jumps(tuple(x.detach().numpy() for x in outputs), sent)
        for name, each in (("as drawn", sent), ("without jumps", without)):
            (found[name, side],) = torch.autograd.grad(outputs, moved, each, retain_graph=True)
    torch.testing.assert_close(found["without jumps", -1], found["without jumps", 1], rtol=1e-6, atol=1e-7)
    assert (found["as drawn", -1] - found["as drawn", 1]).abs().max() > 0.1


@every_backend
def test_from_nothing_a_shift_of_all_input_gates_changes_nothing(backend):
    gates, R, b = draw()
    moved = gates.clone()
    moved[:, :, 0] += 5
    y, _ = slstm(gates, R, b, backend=backend)
    torch.testing.assert_close(slstm(moved, R, b, backend=backend)[0], y, rtol=1e-4, atol=1e-6)


@every_backend
def test_what_is_said_is_at_most_one(backend):
    gates, R, b = draw()
    for size in (1, 60, 200, 1e7):
        y, (c, n, m, _) = slstm(size * gates, R, b, backend=backend)
        assert (y.abs() <= 1).all()
        assert ((c / n).abs() <= 1 + 1e-6).all()
        assert m.isfinite().all()


@every_backend
def test_a_first_input_gate_of_minus_200_is_no_division_by_zero(backend):
    gates, R, b = draw()
    gates[:, 0, 0] = -200
    y, _ = slstm(gates, R, b, backend=backend)
    _, _, z, o = (gates[:, 0] + b).unbind(1)
    torch.testing.assert_close(y[:, 0], torch.sigmoid(o) * torch.tanh(z))
    assert y.isfinite().all()


@every_backend
def test_steps_without_weight_on_the_left_change_nothing(backend):
    """As they say nothing either."""
    gates, R, b = draw()
    gates[:, :2, 0] = -INF
    y, state = slstm(gates, R, b, backend=backend)
    own, own_state = slstm(gates[:, 2:], R, b, backend=backend)
    assert (y[:, :2] == 0).all()
    for found, true in zip((y[:, 2:], *state), (own, *own_state), strict=True):
        torch.testing.assert_close(found, true)


@every_backend
def test_heads_and_entries_do_not_meet(backend):
    gates, R, b = draw()
    y, _ = slstm(gates, R, b, backend=backend)
    alone, _ = slstm(gates[1:2, :, :, 1:], R[:, 1:], b[:, 1:], backend=backend)
    torch.testing.assert_close(alone, y[1:2, :, 1:])


def test_features_of_a_head_meet():
    """What one of them is told, the others know a step later."""
    gates, R, b = draw()
    moved = gates.clone()
    moved[0, 1, :, 0, 0] += 1
    changed = slstm(moved, R, b)[0] != slstm(gates, R, b)[0]
    assert changed[0, 1, 0].tolist() == [True, False, False]
    assert changed[0, 2:, 0].all()
    assert not changed[0, :, 1].any()
    assert not changed[1:].any()


@every_backend
def test_16_bit_numbers_keep_states_in_float32(backend):
    gates, R, b = (x.half() for x in draw())
    y, state = slstm(gates, R, b, backend=backend)
    assert y.dtype == torch.float16
    assert {x.dtype for x in state} == {torch.float32}
    assert torch.equal(state.h, y[:, -1].float())
    true, _ = slstm(gates.double(), R.double(), b.double())
    torch.testing.assert_close(y.double(), true, rtol=3e-3, atol=3e-3)


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [2.0**-40, 2.0**40])
def test_gradients_of_a_state_grow_and_shrink_with_what_is_sent_back(size, dtype, backend):
    """They are float32: no step on the way may take them for numbers of 16 bits, of which the largest is 65504."""
    gates, R, b = (x.to(dtype) for x in draw(length=6))
    _, first = slstm(*draw(seed=1), backend=backend)
    state = SLSTMState(*(x.requires_grad_() for x in first))
    _, (c, n, m, h) = slstm(gates, R, b, state, backend=backend)
    generator = torch.Generator().manual_seed(2)
    sent = [torch.randn(x.shape, generator=generator) for x in (c, n, m, h)]
    once = torch.autograd.grad((c, n, m, h), state, sent, retain_graph=True)
    found = torch.autograd.grad((c, n, m, h), state, [size * x for x in sent])
    for each, true in zip(found, once, strict=True):
        torch.testing.assert_close(each / size, true, rtol=1e-4, atol=1e-6)


def test_gradients_of_steps_are_those_of_the_op():
    gates, R, b = (x.double().requires_grad_() for x in draw())
    expected = torch.autograd.grad(slstm(gates, R, b)[0].square().sum(), (gates, R, b))
    nothing = torch.zeros(3, 2, 3, dtype=torch.float64)
    state, loss = SLSTMState(nothing, nothing, nothing - INF, nothing), 0.0
    for t in range(gates.shape[1]):
        h_t, state = slstm_step(gates[:, t], R, state, b)
        loss = loss + h_t.square().sum()
    for one, other in zip(torch.autograd.grad(loss, (gates, R, b)), expected, strict=True):
        torch.testing.assert_close(one, other)


@every_backend
@every_forget
def test_of_two_equal_exponents_the_gradient_of_m_is_for_the_past(forget, backend, has_gradients_of):
    """In a step as in the op: not a half for each, as of PyTorch's maximum."""
    gates, R, _ = draw(1)
    _, state = slstm(*draw(seed=1), forget=forget)
    R, state = 0 * R, state._replace(h=0 * state.h)
    log_f = 200 if forget == "sigmoid" else 0
    gates = torch.stack([state.m, 0 * state.m + log_f, *gates[:, 0, 2:].unbind(1)], dim=1)[:, None]
    leaves = [x.requires_grad_() for x in (gates, R, *state)]
    y, last = slstm(gates, R, None, SLSTMState(*leaves[2:]), forget, backend)
    h_t, after = slstm_step(gates[:, 0], R, SLSTMState(*leaves[2:]), forget=forget)
    assert torch.equal(last.m, state.m)
    has_gradients_of((h_t[:, None], *after), (y, *last), leaves)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("width", [16, 17, 128])
def test_a_head_may_be_as_wide_as_the_kernel_takes(width):
    gates, R, b = draw(2, 1, 1, width)
    leaves = [x.requires_grad_() for x in (gates, 0.2 * R, b)]
    h, state = slstm(*leaves, backend="triton")
    wide = [x.detach().double().requires_grad_() for x in leaves]
    true, true_state = slstm(*wide, backend="portable")
    for one, other in zip((h, *state), (true, *true_state), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    grads = (torch.autograd.grad(y.square().sum(), x) for y, x in ((h, leaves), (true, wide)))
    for one, other in zip(*grads, strict=True):
        assert (one - other).norm() < 1e-5 * other.norm()


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_heads_wider_than_the_kernel_takes_are_refused_by_it_alone():
    gates, R, b = draw(1, 1, 1, 129)
    assert slstm(gates, R, b)[0].isfinite().all()
    with pytest.raises(ValueError, match=r"backend: expected 'portable' for heads of more than 128 features"):
        slstm(gates, R, b, backend="triton")


def test_a_wrong_state_is_told_what_it_may_be():
    gates, R, b = draw()
    _, state = slstm(gates, R, b)
    with pytest.raises(TypeError, match=r"state: expected a tuple \(c, n, m, h\), got a tuple of 3"):
        slstm(gates, R, b, state[:3])
    with pytest.raises(TypeError, match=r"state\.h: expected a torch.Tensor, got NoneType"):
        slstm(gates, R, b, state._replace(h=None))
    with pytest.raises(
        ValueError, match=r"state\.n: expected shape \(batch, heads, features\) = \(3, 2, 3\)"
    ):
        slstm(gates, R, b, state._replace(n=state.n[:2]))


def test_a_forget_gate_is_one_of_two():
    with pytest.raises(ValueError, match="forget: expected one of 'sigmoid', 'exp', got 'tanh'"):
        slstm(*draw(), forget="tanh")
