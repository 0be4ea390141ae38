"""The NumPy forms of gated linear attention agree with each other, with what they are named after and with finite
differences."""

import numpy as np
import pytest

from seqlab.ops.gated_linear_attention.reference import (
    gated_linear_attention,
    gated_linear_attention_chunked,
    gated_linear_attention_gradients,
    gated_linear_attention_parallel,
    gated_linear_attention_step,
)
from seqlab.ops.linear_scan.reference import linear_scan

B, H, K, V = 2, 3, 4, 5
DECAYS = {"H": (H,), "HK": (H, K), "BLH": None, "BLHK": None}
every_form = pytest.mark.parametrize("letters", DECAYS)
with_and_without_bonus = pytest.mark.parametrize("bonus", [False, True])


def draw(length, letters="BLHK", bonus=False, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"B": B, "L": length, "H": H, "K": K}
    q, k = rng.standard_normal((2, B, length, H, K))
    v = rng.standard_normal((B, length, H, V))
    log_decay = -2 * rng.random([sizes[letter] for letter in letters])
    return (
        q,
        k,
        v,
        log_decay,
        rng.standard_normal((H, K)) if bonus else None,
        rng.standard_normal((B, H, K, V)),
    )


@every_form
@with_and_without_bonus
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 40])
def test_the_recurrence_all_at_once_and_groups_are_one(length, letters, bonus):
    inputs = draw(length, letters, bonus)
    expected = gated_linear_attention(*inputs)
    for form in (gated_linear_attention_parallel, gated_linear_attention_chunked):
        for one, other in zip(form(*inputs), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_one_decay_a_head_is_retention():
    """D_ij = gamma^(i-j) below the diagonal, as RetNet has it."""
    q, k, v, log_decay, _, _ = draw(20, "H")
    ages = np.arange(20)[:, None] - np.arange(20)
    D = np.where(ages >= 0, np.exp(log_decay)[:, None, None] ** np.maximum(ages, 0), 0)
    scores = np.einsum("bthk,bihk->bhti", q, k) * D
    y = np.einsum("bhti,bihv->bthv", scores, v)
    np.testing.assert_allclose(
        gated_linear_attention(q, k, v, log_decay, scale=1)[0], y, rtol=1e-12, atol=1e-13
    )


def test_without_decay_it_is_causal_linear_attention():
    q, k, v, _, _, _ = draw(15)
    kv = np.einsum("bihk,bihv->bihkv", k, v).cumsum(1)
    y = np.einsum("bthk,bthkv->bthv", q, kv)
    np.testing.assert_allclose(
        gated_linear_attention(q, k, v, np.zeros(H), scale=1)[0], y, rtol=1e-12, atol=1e-13
    )


def test_every_number_of_the_state_is_a_linear_scan():
    q, k, v, log_decay, _, state = draw(12)
    a = np.broadcast_to(np.exp(log_decay)[..., None], (B, 12, H, K, V)).reshape(B, 12, -1)
    kv = (k[..., None] * v[..., None, :]).reshape(B, 12, -1)
    states, last = linear_scan(a, kv, state.reshape(B, -1))
    y, own_last = gated_linear_attention(q, k, v, log_decay, None, state)
    np.testing.assert_allclose(own_last, last.reshape(state.shape), rtol=1e-13)
    read = np.einsum("bthk,bthkv->bthv", q, states.reshape(B, 12, H, K, V)) / 2
    np.testing.assert_allclose(y, read, rtol=1e-12, atol=1e-14)


def test_with_a_bonus_the_state_is_read_before_it_is_updated():
    """RWKV-5 and 6: the present counts u, and its own decay does not matter to it."""
    q, k, v, log_decay, bonus, state = draw(1, bonus=True)
    y, _ = gated_linear_attention(q, k, v, log_decay, bonus, state, 1)
    read = state + bonus[..., None] * k[:, 0, ..., None] * v[:, 0, :, None]
    np.testing.assert_allclose(y[:, 0], np.einsum("bhk,bhkv->bhv", q[:, 0], read), rtol=1e-12)


def test_to_read_before_the_update_is_to_read_after_it_with_the_next_decay():
    """The two conventions: what is read before the update has decayed once less, what is written not yet."""
    q, k, v, log_decay, _, _ = draw(14)
    following = np.concatenate([log_decay[:, 1:], log_decay[:, :1]], axis=1)
    past, _ = gated_linear_attention(q, k * np.exp(following), v, following, np.zeros((H, K)), scale=1)
    own = (q * k).sum(-1, keepdims=True) * v
    np.testing.assert_allclose(past + own, gated_linear_attention(q, k, v, log_decay, scale=1)[0], atol=1e-12)


def test_a_decay_of_zero_forgets_and_divides_nothing():
    q, k, v, log_decay, _, state = draw(40)
    log_decay = log_decay.copy()
    log_decay[:, 21] = -np.inf
    y, last = gated_linear_attention_chunked(q, k, v, log_decay, None, state)
    alone, alone_last = gated_linear_attention(q[:, 21:], k[:, 21:], v[:, 21:], log_decay[:, 21:])
    np.testing.assert_allclose(y[:, 21:], alone, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(last, alone_last, rtol=1e-12, atol=1e-14)


@every_form
@with_and_without_bonus
def test_a_step_is_one_time_of_the_loop(letters, bonus):
    q, k, v, log_decay, bonus, state = draw(4, letters, bonus)
    y, last = gated_linear_attention(q, k, v, log_decay, bonus, state)
    for t in range(4):
        now = log_decay[:, t] if "L" in letters else log_decay
        y_t, state = gated_linear_attention_step(q[:, t], k[:, t], v[:, t], now, state, bonus)
        np.testing.assert_allclose(y_t, y[:, t], rtol=1e-12)
    np.testing.assert_allclose(state, last, rtol=1e-12)


@every_form
@with_and_without_bonus
def test_gradients_are_those_of_finite_differences(letters, bonus):
    inputs = list(draw(3, letters, bonus))
    rng = np.random.default_rng(2)
    weight, weight_last = rng.standard_normal((B, 3, H, V)), rng.standard_normal((B, H, K, V))

    def loss(inputs):
        y, last = gated_linear_attention(*inputs)
        return (weight * y).sum() + (weight_last * last).sum()

    gradients = gated_linear_attention_gradients(*inputs, None, weight, weight_last)
    for position, gradient in enumerate(gradients):
        if inputs[position] is None:
            assert gradient is None
            continue
        assert gradient.shape == inputs[position].shape
        direction = rng.standard_normal(gradient.shape)
        ahead, behind = list(inputs), list(inputs)
        ahead[position] = inputs[position] + 1e-6 * direction
        behind[position] = inputs[position] - 1e-6 * direction
        slope = (loss(ahead) - loss(behind)) / 2e-6
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-7)
