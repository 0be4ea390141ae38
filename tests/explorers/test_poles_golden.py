"""The pole playground's JavaScript mathematics, run by Node, against NumPy on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import PoleExplorer
from seqlab.nn import eigenvalues as law
from seqlab.ops.discretize.reference import discretize

evaluate = evaluator("poles/mathematics.mjs")
METHODS = ["euler", "backward_euler", "bilinear", "zoh"]
PRESETS = ["s4d_lin", "s4d_real", "oscillator", "stiff", "integrator", "aliasing"]
# Tiny, at 0, at whole turns a step, fast, slow, unstable, and on both axes.
POLES = np.concatenate(
    [
        [0, 1e-12, -1e-9 + 1e-9j, 1e-5j, -1e-3, 2j, -0.5, 0.3, 0.3 - 4j, -2e3, -5 + 40j, -0.1 + 2j],
        2 * np.pi * np.array([1j, 10j, 1j / 0.7, -1e-8 + 1j]),
        law.s4d_lin(32),
        law.s4d_real(8),
        law.hippo_legs_normal(8),
    ]
)
STEPS = [1e-4, 0.013, 0.7, 1.0, 8.0]


def numbers(z):
    z = np.asarray(z, dtype=complex)
    return {"re": z.real.tolist(), "im": z.imag.tolist()}


def reference(poles, dt, method):
    return discretize(poles, np.ones(1), dt, method, diagonal=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dt", STEPS)
def test_images_and_gains(dt, method):
    poles = POLES[np.abs(reference_denominator(POLES * dt, method)) > 1e-3]  # elsewhere a method has a pole
    assert len(poles) > 50
    images, gains = evaluate(("images", numbers(poles), dt, method), ("gains", numbers(poles), dt, method))
    A_bar, B_bar = reference(poles, dt, method)
    # An angle of y radians cannot be known better than to eps y, in either language.
    error = 1e-14 * (1 + np.abs(poles * dt))
    np.testing.assert_array_less(np.abs(images - A_bar), error * np.abs(A_bar) + 1e-300)
    np.testing.assert_array_less(np.abs(gains - B_bar), error * np.maximum(np.abs(B_bar), dt / 1e3))


def reference_denominator(z, method):
    return {"backward_euler": 1 - z, "bilinear": 1 - z / 2}.get(method, np.ones_like(z))


@pytest.mark.parametrize("method", ["backward_euler", "bilinear"])
def test_where_a_method_has_a_pole_the_image_is_no_number_and_unstable(method):
    s = {"backward_euler": 1.0, "bilinear": 2.0}[method]
    images, fates = evaluate(("images", numbers([s]), 1.0, method), ("fates", numbers([s]), 1.0, method))
    assert not np.isfinite(images[0])
    assert fates == ["unstable"]


def test_continuous_response():
    t = 0.05 + 0.02 * np.arange(300)
    poles = POLES[POLES.real <= 1]
    (found,) = evaluate(("continuousResponse", numbers(poles), 0.05, 0.02, 300))
    np.testing.assert_allclose(found, np.exp(np.outer(t, poles)).real.mean(1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stride", [1, 7])
def test_sampled_response(method, stride):
    dt, poles = 0.01, np.concatenate([law.s4d_lin(20), law.s4d_real(20), [0, 0.4 - 1j]])
    A_bar, B_bar = reference(poles, dt, method)
    j = stride * np.arange(50)
    truth = (A_bar ** j[:, None] * B_bar / dt).real.mean(1)
    (found,) = evaluate(("sampledResponse", numbers(poles), dt, method, stride, 50))
    np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12 * np.abs(truth).max())


def test_the_sampled_response_is_what_the_recurrence_does_with_one_sample():
    dt, s = 0.2, -0.3 + 2j
    A_bar, B_bar = reference(np.array([s]), dt, "bilinear")
    x, seen = 0, []
    for u in [1 / dt, *np.zeros(29)]:
        x = A_bar[0] * x + B_bar[0] * u
        seen.append(x.real)
    (found,) = evaluate(("sampledResponse", numbers([s]), dt, "bilinear", 1, 30))
    np.testing.assert_allclose(found, seen, atol=1e-14)


def test_zero_order_hold_is_the_mean_of_the_continuous_response_over_each_step():
    dt, s = 0.5, -0.3 + 2j
    (found,) = evaluate(("sampledResponse", numbers([s]), dt, "zoh", 1, 10))
    points, weights = np.polynomial.legendre.leggauss(20)
    t = dt * (np.arange(10)[:, None] + (points + 1) / 2)
    np.testing.assert_allclose(found, np.exp(s * t).real @ weights / 2, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("s", [-0.5 + 3j, -2.0, 0.2 + 1j, 0.0])
def test_error_against_the_step(s, method):
    duration, dts = 6.0, np.array([0.02, 0.13, 0.5, 4.0, 9.0])
    (found,) = evaluate(("errorAgainstStep", np.real(s), np.imag(s), duration, method, dts.tolist()))
    truth = []
    for dt in dts:
        last = max(0, int(duration / dt) - 1)
        j = np.floor(np.linspace(0, last, min(last, 31) + 1) + 0.5)
        A_bar, B_bar = reference(np.array([s]), dt, method)
        error = np.abs(A_bar**j * B_bar / dt - np.exp(s * dt * (j + 0.5)))
        truth.append(error.max() / max(1, np.exp(np.real(s) * duration)))
    np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("method", "order"), list(zip(METHODS, [1, 1, 2, 2], strict=True)))
def test_the_error_falls_with_the_order_of_the_method(method, order):
    dts = [2e-3, 1e-3]
    (found,) = evaluate(("errorAgainstStep", -0.5, 3.0, 6.0, method, dts))
    assert abs(np.log2(found[0] / found[1]) - order) < 0.02


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dt", [0.01, 0.3, 1.0, 2.5])
def test_fates(dt, method):
    rng = np.random.default_rng(3)
    poles = -5 * rng.random(400) + 1 + 8j * rng.standard_normal(400)
    poles[:40] = poles[:40].real
    (found,) = evaluate(("fates", numbers(poles), dt, method))
    A_bar, _ = reference(poles, dt, method)
    turn = np.abs(poles.imag * dt)
    ringing = (np.abs(A_bar) > 0.1) & (np.abs(np.angle(A_bar)) > 0.75 * np.pi) & (turn < np.pi / 2)
    cases = [np.abs(A_bar) > 1 + 1e-12, turn > np.pi, ringing]
    np.testing.assert_array_equal(found, np.select(cases, ["unstable", "aliased", "ringing"], "stable"))


@pytest.mark.parametrize(
    ("s", "dt", "method", "fate"),
    [
        (-1.0, 2.5, "euler", "unstable"),
        (-1.0, 1.8, "euler", "ringing"),
        (-1.0, 1e4, "backward_euler", "stable"),
        (-1.0, 1e4, "bilinear", "ringing"),
        (-1.0, 1e4, "zoh", "stable"),
        (4j, 1.0, "zoh", "aliased"),
        (4j, 1.0, "euler", "unstable"),
        (0.1, 1e3, "backward_euler", "stable"),  # it hides a pole that grows
        (0.0, 1.0, "bilinear", "stable"),
    ],
)
def test_fates_that_the_chapter_speaks_of(s, dt, method, fate):
    (found,) = evaluate(("fates", numbers([s]), dt, method))
    assert found == [fate]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_same_in_both_languages(preset):
    explorer = PoleExplorer(preset=preset)
    poles, usual = evaluate(("presetPoles", preset, explorer.state_size), ("presetTimes", preset))
    np.testing.assert_allclose(poles, explorer.poles, rtol=1e-15)
    np.testing.assert_array_equal(usual, [explorer.dt, explorer.duration])


def test_zero_order_hold_makes_one_pair_of_the_poles_beyond_the_nyquist_frequency():
    explorer = PoleExplorer(preset="aliasing")
    np.testing.assert_allclose(explorer.images[1], explorer.images[0].conj(), atol=1e-15)
