"""The duality explorer's JavaScript mathematics, run by Node, against the NumPy reference on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import DualityExplorer
from seqlab.ops.ssm.reference import causal_convolution, ssm_kernel, ssm_scan, ssm_scan_step

evaluate = evaluator("duality/mathematics.mjs")
# On the circle, next to it, tiny, real, negative, turning either way; one to four together.
MODES = [
    [1.0],
    [-1.0],
    [0.001],
    [0.95],
    [0.9 * np.exp(0.6j)],
    [np.exp(2.5j), 0.9999 * np.exp(-0.01j)],
    [0.5, -0.7j, 0.3 + 0.4j],
    [0.95, 0.9 * np.exp(0.5j), 0.5, 0.2 - 0.9j],
]
every_set = pytest.mark.parametrize("modes", MODES, ids=str)
signals = pytest.mark.parametrize("length", [1, 2, 32, 64])


def numbers(z):
    z = np.asarray(z, dtype=complex)
    return {"re": z.real.tolist(), "im": z.imag.tolist()}


def system(modes):
    """A_bar, B_bar and C of the explorer's model: (1, N)."""
    A_bar = np.array(modes, dtype=complex)[None]
    return A_bar, np.ones_like(A_bar), np.ones_like(A_bar) / len(modes)


def drawn(length):
    return np.random.default_rng(length).standard_normal(length)


@every_set
@signals
def test_kernel(modes, length):
    (found,) = evaluate(("kernel", numbers(modes), length))
    np.testing.assert_allclose(found, ssm_kernel(*system(modes), length)[0], rtol=0, atol=1e-13)


@every_set
@signals
def test_states_and_outputs_are_the_recurrences(modes, length):
    u = drawn(length)
    (states,) = evaluate(("states", numbers(modes), u.tolist()))
    trajectories = states.reshape(len(modes), length)
    own, y = evaluate(
        ("ofMode", numbers(states), len(modes) - 1, length), ("outputs", numbers(states), len(modes))
    )
    np.testing.assert_array_equal(own, trajectories[-1])
    A_bar, B_bar, C = system(modes)
    x = np.zeros_like(A_bar)[None]
    for t in range(length):
        _, x = ssm_scan_step(A_bar, B_bar, C, u[None, None, t], x)
        np.testing.assert_allclose(trajectories[:, t], x[0, 0], rtol=0, atol=1e-12)
    truth, _ = ssm_scan(A_bar, B_bar, C, u[None, :, None])
    np.testing.assert_allclose(y, truth[0, :, 0], rtol=0, atol=1e-12)


@every_set
@signals
def test_the_sum_of_the_products_is_the_convolution_at_every_time(modes, length):
    u = drawn(length)
    K = ssm_kernel(*system(modes), length)
    products = evaluate(*[("products", K[0].tolist(), u.tolist(), t) for t in range(length)])
    sums = evaluate(*[("sum", each.tolist()) for each in products])
    y = causal_convolution(u[None, :, None], K)
    np.testing.assert_allclose(np.ravel(sums), y[0, :, 0], rtol=0, atol=1e-12)
    for t, each in enumerate(products):
        np.testing.assert_array_equal(each, K[0, : t + 1] * u[t::-1])


@pytest.mark.parametrize("name", ["slow", "oscillation", "fast", "three"])
def test_modes_are_the_same_in_both_languages(name):
    (found,) = evaluate(("presetModes", name))
    np.testing.assert_allclose(found, DualityExplorer(modes=name).eigenvalues, rtol=1e-15)


@pytest.mark.parametrize("name", ["impulse", "step", "two_pulses", "silence"])
def test_inputs_are_the_same_in_both_languages(name):
    (found,) = evaluate(("presetSignal", name))
    np.testing.assert_array_equal(found, DualityExplorer(input=name).signal)
