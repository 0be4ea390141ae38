"""The function explorer's JavaScript mathematics, run by Node, against NumPy on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import FunctionExplorer
from seqlab.explorers.function import _PRESETS
from seqlab.ops.discretize.reference import discretize
from seqlab.ops.hippo import reference

evaluate = evaluator("function/mathematics.mjs", "function/signals.mjs")
MEASURES = list(reference.MEASURES)
WINDOWED = [measure for measure in MEASURES if measure != "legs"]
ORDERS = [1, 2, 3, 16, 63, 64]
SIGNAL = np.random.default_rng(0).standard_normal(200).cumsum() / 10


def flat(array):
    return np.ravel(array).tolist()


@pytest.mark.parametrize("N", ORDERS)
@pytest.mark.parametrize("measure", WINDOWED)
def test_short_and_long_steps(measure, N):
    """One sample of height 1, then nothing: A_bar^m B_bar."""
    steps, times = (1e-4, 0.02, 3.0), (1, 2, 50)
    impulse = [1.0] + [0.0] * 49
    found = iter(evaluate(*[("coefficients", measure, N, h, impulse, k) for h in steps for k in times]))
    for h in steps:
        A_bar, B_bar = discretize(*reference.hippo_transition(measure, N), h, "bilinear")
        for k in times:
            truth = np.linalg.matrix_power(A_bar, k - 1) @ B_bar
            np.testing.assert_allclose(next(found), truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("theta", [0.02, 0.25, 1.0])
@pytest.mark.parametrize("N", ORDERS)
def test_coefficients_at_every_time(N, theta):
    L = len(SIGNAL)
    seen = [1, 2, 7, 120, 200]
    f = SIGNAL.tolist()
    calls = [("coefficients", measure, N, 1 / L / theta, f, k) for measure in MEASURES for k in seen]
    found = iter(evaluate(*calls))
    for measure in MEASURES:
        truth, _ = reference.hippo_project(SIGNAL[None, :, None], N, measure, theta=theta)
        for k in seen:
            np.testing.assert_allclose(next(found), truth[0, k - 1, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("N", ORDERS)
@pytest.mark.parametrize("measure", MEASURES)
def test_bases_and_reconstructions(measure, N):
    s = np.linspace(0, 50 if measure == "lagt" else 1, 101)
    c = np.random.default_rng(N).standard_normal(N)
    g = reference.hippo_basis(measure, N, s)
    found, values = evaluate(("basis", measure, N, s.tolist()), ("reconstruct", c.tolist(), flat(g)))
    np.testing.assert_allclose(np.reshape(found, g.shape), g, rtol=0, atol=1e-11)
    np.testing.assert_allclose(values, reference.hippo_reconstruct(c, s, measure), rtol=0, atol=1e-12)


def test_error_over_what_was_seen():
    """Points before the signal's start do not count; between the middles of two samples the signal is straight."""
    f = np.array([1.0, 2.0, 3.0, 4.0])
    s = (np.arange(4) + 0.5) / 4
    whole, part, between, alone = evaluate(
        ("rootMeanSquareError", f.tolist(), 4, 1.0, s.tolist(), [4.0, 3.0, 2.0, 3.0]),
        ("rootMeanSquareError", f.tolist(), 2, 1.0, s.tolist(), [2.0, 1.5, 99.0, 99.0]),
        ("rootMeanSquareError", f.tolist(), 3, 0.75, [0.0, 1 / 3, 0.5, 1.0], [3.0, 2.5, 2.0, 1.0]),
        ("rootMeanSquareError", f.tolist(), 1, 1.0, [0.0, 0.2], [1.5, 0.5]),
    )
    assert whole == 1.0  # one of four wrong by 2
    np.testing.assert_allclose(part, np.sqrt(0.5**2 / 2))
    np.testing.assert_allclose(between, 0, atol=1e-15)
    assert alone == 0.5


@pytest.mark.parametrize("name", _PRESETS)
def test_presets_are_the_same_in_both_languages(name):
    (found,) = evaluate(("preset", name, 512))
    signal = FunctionExplorer(preset=name).signal
    np.testing.assert_allclose(found, signal, rtol=0, atol=1e-13)
    assert np.abs(signal).max() <= 1.2


@pytest.mark.parametrize("measure", ["legs", "legt"])
def test_a_smooth_signal_is_remembered_better_with_more_coefficients(measure):
    """The whole chain, from the signal to the error that the page shows."""
    f = FunctionExplorer(preset="two_tones").signal
    s = (np.arange(256) + 0.5) / 256
    window = 1 if measure == "legs" else 0.25
    errors = []
    for N in (4, 32):
        c, _ = reference.hippo_project(f[None, :, None], N, measure, theta=0.25, return_all=False)
        (values,) = evaluate(("reconstruct", c[0, 0].tolist(), flat(reference.hippo_basis(measure, N, s))))
        (error,) = evaluate(("rootMeanSquareError", f.tolist(), len(f), window, s.tolist(), values.tolist()))
        errors.append(error)
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.02
