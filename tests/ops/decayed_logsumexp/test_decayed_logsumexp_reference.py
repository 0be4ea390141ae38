"""The NumPy forms of the running log-sum-exp agree with each other, with SciPy and with finite differences."""

import numpy as np
import pytest
from scipy.special import logsumexp

from seqlab.ops.decayed_logsumexp.reference import (
    combine,
    decayed_logsumexp,
    decayed_logsumexp_chunked,
    decayed_logsumexp_gradients,
    decayed_logsumexp_step,
)
from seqlab.ops.linear_scan.reference import linear_scan


def draw(length, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, length, 3)), rng.random(3), rng.standard_normal((2, 3))


def test_every_input_counts_with_its_age():
    x, w, _ = draw(12)
    m, last = decayed_logsumexp(x, w)
    for t in range(12):
        age = np.arange(t, -1, -1)[:, None]
        np.testing.assert_allclose(m[:, t], logsumexp(x[:, : t + 1] - age * w, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(last, m[:, -1])


def test_it_is_the_logarithm_of_a_linear_recurrence():
    x, w, state = draw(20)
    h, _ = linear_scan(np.exp(-w), np.exp(x), np.exp(state))
    np.testing.assert_allclose(decayed_logsumexp(x, w, state)[0], np.log(h), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("length", [1, 3, 4, 5, 16, 17])
def test_chunks_are_the_loop(length, given):
    x, w, state = draw(length)
    state = state if given else None
    m, last = decayed_logsumexp(x, w, state)
    for chunk in (1, 4, 100):
        chunked, chunked_last = decayed_logsumexp_chunked(x, w, state, chunk)
        np.testing.assert_allclose(chunked, m, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(chunked_last, last, rtol=1e-12, atol=1e-14)


def test_combine_is_associative_and_does_not_commute():
    rng = np.random.default_rng(1)
    e1, e2, e3 = [(rng.random(50), 3 * rng.standard_normal(50)) for _ in range(3)]
    left, right = combine(combine(e1, e2), e3), combine(e1, combine(e2, e3))
    np.testing.assert_allclose(left, right, rtol=1e-13, atol=1e-14)
    assert np.abs(combine(e1, e2)[1] - combine(e2, e1)[1]).max() > 0.1


def test_a_step_is_one_time_of_the_loop():
    x, w, state = draw(4)
    m, _ = decayed_logsumexp(x, w, state)
    for t in range(4):
        m_t, state = decayed_logsumexp_step(x[:, t], w, state)
        np.testing.assert_array_equal(m_t, m[:, t])


def test_gradients_are_those_of_finite_differences():
    inputs = list(draw(6))
    weight, _, weight_last = draw(6, seed=2)

    def loss(*inputs):
        m, last = decayed_logsumexp(*inputs)
        return (weight * m).sum() + (weight_last * last).sum()

    gradients = decayed_logsumexp_gradients(*inputs, weight, weight_last)
    for position, gradient in enumerate(gradients):
        assert gradient.shape == inputs[position].shape
        for index in np.ndindex(gradient.shape):
            moved = [x.copy() for x in inputs]
            moved[position][index] += 1e-6
            above = loss(*moved)
            moved[position][index] -= 2e-6
            slope = (above - loss(*moved)) / 2e-6
            assert slope == pytest.approx(gradient[index], rel=1e-6, abs=1e-8)
