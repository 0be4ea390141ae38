"""The NumPy forms of sLSTM and mLSTM agree with each other, with what they are averages of and with finite
differences."""

import numpy as np
import pytest

from seqlab.ops.xlstm.reference import (
    log_sigmoid,
    mlstm,
    mlstm_chunked,
    mlstm_gradients,
    mlstm_parallel,
    mlstm_raw,
    mlstm_step,
    slstm,
    slstm_gradients,
    slstm_raw,
    slstm_step,
)

B, H, D, K, V = 2, 3, 4, 4, 5
every_forget = pytest.mark.parametrize("forget", ["sigmoid", "exp"])


def draw_mlstm(length, seed=0, size=1.0):
    """q, k, v, i, f and a state that another run could have left."""
    rng = np.random.default_rng(seed)
    q, k = rng.standard_normal((2, B, length, H, K))
    v = rng.standard_normal((B, length, H, V))
    i, f = size * rng.standard_normal((2, B, length, H))
    state = rng.standard_normal((B, H, K, V)), rng.standard_normal((B, H, K)), rng.standard_normal((B, H))
    return q, k, v, i, f, state


def draw_slstm(length, seed=0):
    """gates, R, b and a state."""
    rng = np.random.default_rng(seed)
    gates = rng.standard_normal((B, length, 4, H, D))
    R, b = 0.4 * rng.standard_normal((4, H, D, D)), rng.standard_normal((4, H, D))
    c, m, h = rng.standard_normal((3, B, H, D))
    return gates, R, b, (c, 0.5 + rng.random((B, H, D)), m, h)


def close(one, other, bound=1e-11):
    for x, y in zip(flat(one), flat(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=bound, atol=bound)


def flat(results):
    """The tensors of a result (h, state), or of gradients."""
    *first, state = results
    return [x for x in (*first, *state) if x is not None]


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 40])
def test_mlstm_step_by_step_all_at_once_and_in_chunks_is_one(length, with_state):
    *inputs, state = draw_mlstm(length)
    state = state if with_state else None
    expected = mlstm(*inputs, state)
    close(mlstm_parallel(*inputs, state), expected)
    for chunk in (1, 3, 7, 16, 64):
        close(mlstm_chunked(*inputs, state, chunk), expected)


def test_gates_of_sixty_change_nothing_about_that():
    q, k, v, i, f, state = draw_mlstm(40)
    expected = mlstm(q, k, v, 60 * i, 60 * f, state)
    assert all(np.isfinite(x).all() for x in flat(expected))
    close(mlstm_parallel(q, k, v, 60 * i, 60 * f, state), expected, 1e-9)
    close(mlstm_chunked(q, k, v, 60 * i, 60 * f, state), expected, 1e-9)


@every_forget
def test_the_stabiliser_changes_no_number(forget):
    *inputs, _ = draw_mlstm(30)
    np.testing.assert_allclose(mlstm(*inputs)[0], mlstm_raw(*inputs), rtol=1e-11)
    gates, R, b, _ = draw_slstm(30)
    h, _ = slstm(gates, R, b, forget=forget)
    np.testing.assert_allclose(h, slstm_raw(gates, R, b, forget), rtol=1e-11)


def test_without_it_an_exponential_overflows():
    q, k, v, i, f, _ = draw_mlstm(5)
    gates, R, b, _ = draw_slstm(5)
    gates = gates.copy()
    gates[:, 2, 0] = i[:, 2] = 800
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(mlstm_raw(q, k, v, i, f)).any()
        assert np.isnan(slstm_raw(gates, R, b)).any()
    assert all(np.isfinite(x).all() for x in flat(mlstm(q, k, v, i, f)))
    assert all(np.isfinite(x).all() for x in flat(slstm(gates, R, b)))


def test_a_bound_of_one_in_stabilised_units_is_another_function():
    """The 1 of the paper is in raw units, which are e^m times those of C and n."""
    q, k, v, i, f, _ = draw_mlstm(40, size=3)
    h, (C, n, m) = mlstm(q, k, v, i, f)
    y, nq = np.einsum("bhk,bhkv->bhv", q[:, -1], C), (q[:, -1] * n).sum(-1)
    np.testing.assert_allclose(h[:, -1], y / np.maximum(abs(nq), np.exp(-m))[..., None], rtol=1e-12)
    assert abs(h[:, -1] - y / np.maximum(abs(nq), 1)[..., None]).max() > 0.1


def test_c_over_n_is_a_softmax_weighted_mean():
    """Of tanh(z): each weighs e^i and the forget gates since."""
    gates, _, _, _ = draw_slstm(12)
    _, (c, n, _, _) = slstm(gates, np.zeros((4, H, D, D)))
    i, f, z, _ = gates.transpose(2, 0, 1, 3, 4)
    F = np.cumsum(log_sigmoid(f), axis=1)
    weights = np.exp(F[:, -1:] - F + i)
    weights /= weights.sum(1, keepdims=True)
    np.testing.assert_allclose(c / n, (weights * np.tanh(z)).sum(1), rtol=1e-12)
    assert (abs(c / n) <= 1).all()


def test_a_sharp_softmax_finds_the_nearest_neighbour():
    """Input gates 1000 times the similarity, and nothing forgotten: the value of the best match, to the last digit."""
    rng = np.random.default_rng(0)
    similarity, value = rng.standard_normal((B, 50, H, D)), rng.uniform(-1, 1, (B, 50, H, D))
    gates = np.stack([1000 * similarity, np.full_like(value, 1e4), np.arctanh(value), 0 * value], axis=2)
    _, (c, n, _, _) = slstm(gates, np.zeros((4, H, D, D)))
    best = np.take_along_axis(value, similarity.argmax(1)[:, None], axis=1)[:, 0]
    ranked = np.sort(similarity, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 0.05
    assert clear.sum() > B * H * D / 2
    np.testing.assert_allclose((c / n)[clear], best[clear], rtol=1e-12)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(slstm_raw(gates, np.zeros((4, H, D, D)))).any()


@every_forget
def test_slstm_sees_no_m(forget):
    """A state of the same raw units with another exponent leads to the same outputs."""
    gates, R, b, (c, n, m, h) = draw_slstm(10)
    shift = np.random.default_rng(1).uniform(-3, 3, m.shape)
    moved = c * np.exp(-shift), n * np.exp(-shift), m + shift, h
    np.testing.assert_allclose(
        slstm(gates, R, b, moved, forget)[0], slstm(gates, R, b, (c, n, m, h), forget)[0], rtol=1e-11
    )


@pytest.mark.parametrize("shift", [-5, 5])
def test_from_nothing_a_shift_of_all_input_gates_is_for_mlstm_to_see(shift):
    gates, R, b, _ = draw_slstm(20)
    moved = gates.copy()
    moved[:, :, 0] += shift
    np.testing.assert_allclose(slstm(moved, R, b)[0], slstm(gates, R, b)[0], rtol=1e-11, atol=1e-14)
    q, k, v, i, f, _ = draw_mlstm(20)
    before, after = mlstm(q, k, v, i, f)[0], mlstm(q, k, v, i + shift, f)[0]
    assert np.linalg.norm(after - before) > 0.3 * np.linalg.norm(before)


def test_a_first_input_gate_of_minus_200_is_no_division_by_zero():
    gates, R, b, _ = draw_slstm(6)
    gates[:, 0, 0] = -200
    h, _ = slstm(gates, R, b)
    x = gates[:, 0] + b
    np.testing.assert_allclose(h[:, 0], np.tanh(x[:, 2]) / (1 + np.exp(-x[:, 3])), rtol=1e-12)
    assert np.isfinite(h).all()


def test_padding_with_input_gates_of_minus_infinity_changes_nothing():
    q, k, v, i, f, _ = draw_mlstm(9)
    gates, R, b, _ = draw_slstm(9)
    i[:, :4] = gates[:, :4, 0] = -np.inf
    close(
        [x[:, 4:] for x in mlstm(q, k, v, i, f)[:1]] + [()],
        [mlstm(*(x[:, 4:] for x in (q, k, v, i, f)))[0], ()],
    )
    h, _ = slstm(gates, 0 * R, b)
    np.testing.assert_allclose(h[:, 4:], slstm(gates[:, 4:], 0 * R, b)[0], rtol=1e-12)
    assert (h[:, :4] == 0).all()


@every_forget
def test_steps_are_times_of_the_loop(forget):
    gates, R, b, state = draw_slstm(4)
    h, last = slstm(gates, R, b, state, forget)
    for t in range(4):
        h_t, state = slstm_step(gates[:, t], R, state, b, forget)
        np.testing.assert_array_equal(h_t, h[:, t])
    close((state,), (last,), 1e-15)
    *inputs, state = draw_mlstm(4)
    h, last = mlstm(*inputs, state)
    for t in range(4):
        h_t, state = mlstm_step(*(x[:, t] for x in inputs), state)
        np.testing.assert_array_equal(h_t, h[:, t])
    close((state,), (last,), 1e-15)


def slopes_are(function, inputs, state, gradients):
    """Of h and of every number of the state, weighted at random: along each input and each part of the state."""
    rng = np.random.default_rng(2)
    results = flat(function(*inputs, state))
    weights = [rng.standard_normal(x.shape) for x in results]
    everything = [*inputs, *state]

    def loss(everything):
        state = tuple(everything[len(inputs) :])
        return sum(
            (w * x).sum()
            for w, x in zip(weights, flat(function(*everything[: len(inputs)], state)), strict=True)
        )

    found = flat(gradients(*inputs, state, weights[0], tuple(weights[1:])))
    for position, gradient in enumerate(found):
        assert gradient.shape == everything[position].shape
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = list(everything)
            moved[position] = moved[position] + step * direction
            ends.append(loss(moved))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_of_mlstm_are_those_of_finite_differences(seed):
    """Through the normalizer, and through C, n and m as they are returned."""
    *inputs, state = draw_mlstm(5, seed)
    slopes_are(mlstm, inputs, state, mlstm_gradients)


@every_forget
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_of_slstm_are_those_of_finite_differences(forget, seed):
    *inputs, state = draw_slstm(5, seed)
    slopes_are(
        lambda *inputs: slstm(*inputs, forget),
        inputs,
        state,
        lambda *inputs: slstm_gradients(*inputs[:4], forget, *inputs[4:]),
    )
