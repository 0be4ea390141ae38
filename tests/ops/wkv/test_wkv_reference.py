"""The NumPy forms of WKV agree with each other, with what they come from and with finite differences."""

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops.linear_scan.reference import linear_scan
from seqlab.ops.wkv.ancestors import aft_full, aft_simple, qrnn
from seqlab.ops.wkv.reference import (
    join,
    wkv,
    wkv_chunked,
    wkv_gradients,
    wkv_recurrence,
    wkv_step,
    wkv_sum,
)


def draw(length, seed=0):
    rng = np.random.default_rng(seed)
    k, v = rng.standard_normal((2, 2, length, 3))
    state = 0.5 + rng.random((2, 3, 3))
    return rng.random(3), rng.standard_normal(3), k, v, state


def test_the_sum_the_recurrence_and_the_stable_recurrence_are_one():
    w, u, k, v, _ = draw(30)
    y = wkv_sum(w, u, k, v)
    np.testing.assert_allclose(wkv_recurrence(w, u, k, v), y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(wkv(w, u, k, v)[0], y, rtol=1e-12, atol=1e-14)


def test_the_recurrence_overflows_where_the_stable_one_does_not():
    w, u, k, v, _ = draw(8)
    y, _ = wkv(w, u, k, v)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(wkv_recurrence(w, u, k + 750, v)).all()
    np.testing.assert_allclose(wkv(w, u, k + 750, v)[0], y, rtol=1e-11)


def test_the_newest_past_token_never_decays():
    _, u, k, v, _ = draw(9)
    y = wkv_sum(np.full(3, 1e6), u, k, v)
    past, own = np.exp(k[:, :-1]), np.exp(k[:, 1:] + u)
    np.testing.assert_allclose(y[:, 1:], (past * v[:, :-1] + own * v[:, 1:]) / (past + own))


def test_w_and_u_in_each_others_place_are_another_function():
    """What circulates, e^(k - w) for the present and a decay of e^-u, is WKV after (w, u) -> (-u, w)."""
    w, u, k, v, _ = draw(20)
    y, a, b = np.zeros_like(v), 0.0, 0.0
    for t in range(20):
        own = np.exp(k[:, t] - w)
        y[:, t] = (a + own * v[:, t]) / (b + own)
        a, b = np.exp(-u) * a + np.exp(k[:, t]) * v[:, t], np.exp(-u) * b + np.exp(k[:, t])
    assert np.abs(y - wkv(w, u, k, v)[0]).max() > 0.1
    np.testing.assert_allclose(wkv(u, -w, k, v)[0], y, rtol=1e-12)


def test_a_state_is_its_sums_whatever_the_exponent():
    w, u, k, v, state = draw(10)
    shift = np.array([3.0, -2.0, 0.5])
    other = state * np.exp(-shift)
    other[:, 2] = state[:, 2] + shift
    for one, same in zip(wkv(w, u, k, v, state), wkv(w, u, k, v, other), strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-13)


def test_the_last_state_is_the_average_of_all_and_the_logarithm_of_their_weights():
    w, u, k, v, _ = draw(12)
    _, last = wkv(w, u, k, v)
    weights = np.exp(k - np.arange(11, -1, -1)[:, None] * w)
    np.testing.assert_allclose(last[:, 0], (weights * v).sum(1) / weights.sum(1))
    np.testing.assert_allclose(last[:, 1], 1)
    np.testing.assert_allclose(last[:, 2], np.log(weights.sum(1)))


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("length", [1, 3, 4, 5, 16, 17])
def test_chunks_are_the_loop(length, given):
    *inputs, state = draw(length)
    state = state if given else None
    expected = wkv(*inputs, state)
    for chunk in (1, 4, 100):
        for one, other in zip(wkv_chunked(*inputs, state, chunk), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_join_is_associative_and_does_not_commute():
    rng = np.random.default_rng(1)
    w, (x, y, z) = rng.random((3, 50)), rng.standard_normal((3, 3, 50))
    left = join(join(x, w[1], y), w[2], z)
    right = join(x, w[1] + w[2], join(y, w[2], z))
    np.testing.assert_allclose(left, right, rtol=1e-12)
    assert np.abs(np.subtract(join(x, w[1], y), join(y, w[0], x))).max() > 0.1


def test_a_step_is_one_time_of_the_loop():
    w, u, k, v, state = draw(4)
    y, last = wkv(w, u, k, v, state)
    for t in range(4):
        y_t, state = wkv_step(w, u, k[:, t], v[:, t], state)
        np.testing.assert_allclose(y_t, y[:, t], rtol=1e-13)
    np.testing.assert_allclose(state, last, rtol=1e-13)


def test_gradients_are_those_of_finite_differences():
    inputs = list(draw(6))
    rng = np.random.default_rng(2)
    weight, weight_last = rng.standard_normal((2, 6, 3)), rng.standard_normal((2, 3, 3))

    def loss(*inputs):
        y, last = wkv(*inputs)
        return (weight * y).sum() + (weight_last * last).sum()

    gradients = wkv_gradients(*inputs, weight, weight_last)
    for position, gradient in enumerate(gradients):
        assert gradient.shape == inputs[position].shape
        for index in np.ndindex(gradient.shape):
            moved = [x.copy() for x in inputs]
            moved[position][index] += 1e-6
            above = loss(*moved)
            moved[position][index] -= 2e-6
            slope = (above - loss(*moved)) / 2e-6
            assert slope == pytest.approx(gradient[index], rel=1e-6, abs=1e-7)


def test_the_simple_attention_free_transformer_is_wkv_without_decay_and_bonus():
    _, _, k, v, _ = draw(12)
    q = np.random.default_rng(3).standard_normal(k.shape)
    zero = np.zeros(3)
    np.testing.assert_allclose(aft_simple(q, k, v), wkv_sum(zero, zero, k, v) / (1 + np.exp(-q)), rtol=1e-13)


def test_a_bias_by_distance_is_wkv_with_a_bonus_of_w():
    """AFT takes e^(k_i - (t - i) w): one w more than WKV for the past, and for the present if u = w."""
    _, _, k, v, _ = draw(12)
    t = np.arange(12)
    y = aft_full(np.full(v.shape, 800.0), k, v, -0.3 * (t[:, None] - t))
    w = np.full(3, 0.3)
    np.testing.assert_allclose(y, wkv_sum(w, w, k, v), rtol=1e-13)


def test_a_qrnn_is_a_linear_scan_by_gates_of_its_inputs():
    rng = np.random.default_rng(4)
    z, f, o = rng.standard_normal((2, 11, 3)), rng.random((2, 11, 3)), rng.random((2, 11, 3))
    state = rng.standard_normal((2, 3))
    h, last = linear_scan(f, (1 - f) * z, state)
    np.testing.assert_allclose(qrnn(z, f, None, state)[0], h, rtol=1e-13)
    y, own_last = qrnn(z, f, o, state)
    np.testing.assert_allclose(y, o * h, rtol=1e-13)
    np.testing.assert_allclose(own_last, last, rtol=1e-13)


def test_a_qrnn_is_computed_by_the_parallel_scan():
    """Its gates see inputs alone, so all of them are known before any step is taken."""
    rng = np.random.default_rng(5)
    z, f, state = rng.standard_normal((2, 300, 3)), rng.random((2, 300, 3)), rng.standard_normal((2, 3))
    h, last = ops.linear_scan(*(torch.tensor(x, dtype=torch.float32) for x in (f, (1 - f) * z, state)))
    loop, own_last = qrnn(z, f, None, state)
    np.testing.assert_allclose(h, loop, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(last, own_last, rtol=1e-6, atol=1e-6)
