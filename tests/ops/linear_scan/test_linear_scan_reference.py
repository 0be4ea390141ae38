"""The NumPy forms of the linear recurrence agree with each other, with closed forms and with SciPy."""

import numpy as np
import pytest
from scipy.signal import lfilter

from seqlab.ops.linear_scan.reference import (
    combine,
    linear_scan,
    linear_scan_chunked,
    linear_scan_gradients,
    linear_scan_step,
    linear_scan_tree,
    prefixes,
)


def draw(length, fixed=False, complex_=False, seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        real = rng.standard_normal(shape)
        return real + 1j * rng.standard_normal(shape) if complex_ else real

    a = 0.5 * normal(3) if fixed else 0.5 * normal(2, length, 3)
    return a, normal(2, length, 3), normal(2, 3)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 33])
def test_loop_tree_and_chunks_agree(length, fixed, complex_):
    a, b, state = draw(length, fixed, complex_)
    h, last = linear_scan(a, b, state)
    for other, other_last in (linear_scan_tree(a, b, state), linear_scan_chunked(a, b, state, chunk=5)):
        np.testing.assert_allclose(other, h, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(other_last, last, rtol=1e-12, atol=1e-13)


def test_a_fixed_decay_is_an_infinite_impulse_response_filter():
    a, b, _ = draw(50, fixed=True)
    h, _ = linear_scan(a, b)
    for channel in range(3):
        filtered = lfilter([1.0], [1.0, -a[channel]], b[:, :, channel], axis=1)
        np.testing.assert_allclose(h[:, :, channel], filtered, rtol=1e-12)


def test_a_constant_input_gives_the_geometric_sum():
    a, steps = 0.9, np.arange(1, 31)
    h, _ = linear_scan(np.full((1, 30, 1), a), np.ones((1, 30, 1)))
    np.testing.assert_allclose(h[0, :, 0], (1 - a**steps) / (1 - a), rtol=1e-13)


def test_combine_is_associative_and_the_forgetful_one_is_not():
    rng = np.random.default_rng(1)
    x, y, z = [(rng.standard_normal(4), rng.standard_normal(4)) for _ in range(3)]
    np.testing.assert_allclose(combine(combine(x, y), z), combine(x, combine(y, z)), rtol=1e-12)

    def forgetful(first, second):
        return second[0], second[0] * first[1] + second[1]

    left, right = forgetful(forgetful(x, y), z), forgetful(x, forgetful(y, z))
    assert np.abs(left[1] - right[1]).max() > 0.1


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 13, 64, 100])
def test_the_tree_needs_fewer_than_two_combinations_an_element(length):
    count = 0

    def add(first, second):
        nonlocal count
        count += 1
        return first + second

    assert prefixes(list(range(length)), add) == list(np.cumsum(range(length)))
    assert count < 2 * length


def test_splitting_and_resuming_is_the_whole():
    a, b, state = draw(20)
    h, last = linear_scan(a, b, state)
    first, middle = linear_scan(a[:, :7], b[:, :7], state)
    second, end = linear_scan(a[:, 7:], b[:, 7:], middle)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), h)
    np.testing.assert_array_equal(end, last)


def test_reverse_is_the_recurrence_on_flipped_time():
    a, b, state = draw(9)
    h, last = linear_scan(a, b, state, reverse=True)
    flipped, flipped_last = linear_scan(a[:, ::-1], b[:, ::-1], state)
    np.testing.assert_array_equal(h, flipped[:, ::-1])
    np.testing.assert_array_equal(last, flipped_last)


def test_a_step_is_one_time_of_the_loop():
    a, b, state = draw(4)
    h, _ = linear_scan(a, b, state)
    for t in range(4):
        h_t, state = linear_scan_step(a[:, t], b[:, t], state)
        np.testing.assert_array_equal(h_t, h[:, t])


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_gradients_are_those_of_finite_differences(fixed, complex_):
    a, b, state = draw(6, fixed, complex_)
    weight, weight_last = draw(6, fixed, complex_, seed=2)[1:]

    def loss(*inputs):
        h, last = linear_scan(*inputs)
        return (weight.conj() * h).real.sum() + (weight_last.conj() * last).real.sum()

    gradients = linear_scan_gradients(a, b, state, weight, weight_last)
    inputs = [a, b, state]
    directions = (1.0, 1j) if complex_ else (1.0,)
    for position, gradient in enumerate(gradients):
        assert gradient.shape == inputs[position].shape
        for index in np.ndindex(gradient.shape):
            for direction in directions:
                moved = [x.astype(np.result_type(x, direction)) for x in inputs]
                moved[position][index] += 1e-6 * direction
                above = loss(*moved)
                moved[position][index] -= 2e-6 * direction
                slope = (above - loss(*moved)) / 2e-6
                component = gradient[index].imag if direction == 1j else gradient[index].real
                assert slope == pytest.approx(component, rel=1e-6, abs=1e-7)
