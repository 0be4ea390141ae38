"""The HiPPO reference: bases, transitions and memories against closed forms, quadrature and SciPy."""

import itertools

import numpy as np
import pytest
from scipy.linalg import expm, solve_triangular
from scipy.special import eval_legendre

from seqlab.ops.hippo import reference
from seqlab.ops.hippo.reference import (
    MEASURES,
    hippo_basis,
    hippo_project,
    hippo_reconstruct,
    hippo_transition,
    step_matrices,
)

every_measure = pytest.mark.parametrize("measure", MEASURES)


def quadrature(measure, points=400):
    """Nodes and weights that integrate over the measure's s."""
    if measure == "lagt":
        x, w = np.polynomial.laguerre.laggauss(170)
        return x, w * np.exp(x)
    x, w = np.polynomial.legendre.leggauss(points)
    return (x + 1) / 2, w / 2


def signal(t):
    return np.sin(2 * np.pi * 1.5 * t) + 0.5 * np.cos(2 * np.pi * 4 * t + 1)


def middles(length):
    return (np.arange(length) + 0.5) / length


@every_measure
def test_basis_is_orthonormal(measure):
    s, w = quadrature(measure)
    g = hippo_basis(measure, 24, s)
    np.testing.assert_allclose(g * w @ g.T, np.eye(24), atol=1e-11)


@pytest.mark.parametrize(("measure", "order"), [("legs", 16), ("legt", 16), ("fourier", 17)])
@pytest.mark.parametrize("method", ["bilinear", "zoh"])
def test_coefficients_are_inner_products_with_the_basis(measure, order, method):
    length = 4000
    s, w = quadrature(measure)
    theta = 1.0 if measure == "legs" else 0.25
    truth = hippo_basis(measure, order, s) * w @ signal(1 - theta * s)
    c, _ = hippo_project(
        signal(middles(length))[None, :, None], order, measure, method, theta, return_all=False
    )
    error = np.linalg.norm(c[0, 0] - truth) / np.linalg.norm(truth)
    # LegS has no other error than that of the steps; the windows also truncate what they forget.
    assert error < (2e-5 if measure == "legs" else 0.08)


def test_legt_forgets_what_left_its_window_better_with_more_coefficients():
    length, theta = 4000, 0.25
    f = np.where(middles(length) < 0.5, 1.0, 0.0)[None, :, None]
    left = [
        np.abs(hippo_project(f, order, "legt", theta=theta, return_all=False)[0]).max()
        for order in (4, 16, 64)
    ]
    remembered = np.abs(
        hippo_project(f[:, : length // 2], 16, "legt", theta=theta, return_all=False)[0]
    ).max()
    assert left[0] > left[1] > left[2]
    assert left[2] < 0.01 * remembered


def test_lagt_coefficients_are_inner_products_with_its_functions():
    length, theta = 4000, 0.01
    s, w = quadrature("lagt")
    inside = s <= 1 / theta
    truth = (hippo_basis("lagt", 12, s) * w)[:, inside] @ signal(1 - theta * s[inside])
    c, _ = hippo_project(signal(middles(length))[None, :, None], 12, "lagt", "zoh", theta, return_all=False)
    np.testing.assert_allclose(c[0, 0], truth, atol=2e-4)


def test_legs_remembers_a_constant_as_its_first_coefficient():
    A, B = hippo_transition("legs", 64)
    np.testing.assert_allclose(-np.linalg.solve(A, B), np.eye(64)[0], atol=1e-12)
    c, _ = hippo_project(np.full((1, 100, 1), 3.0), 64)
    np.testing.assert_allclose(c[0, :, 0], 3 * np.eye(64)[[0] * 100], atol=1e-10)


def test_impulse_responses_have_their_closed_forms():
    t = np.linspace(0, 4, 21)
    n = np.arange(12)[:, None]
    closed = {
        "legs": np.sqrt(2 * n + 1) * np.exp(-t) * eval_legendre(n, 2 * np.exp(-t) - 1),  # eq. 4.17
        "lagt": hippo_basis("lagt", 12, t),
    }
    for measure, expected in closed.items():
        A, B = hippo_transition(measure, 12)
        response = np.stack([expm(A * x) @ B for x in t], axis=1)
        np.testing.assert_allclose(response, expected, atol=1e-11)


@pytest.mark.parametrize("measure", ["legt", "fourier"])
def test_impulse_response_of_a_window_approaches_its_basis_and_then_nothing(measure):
    inside, after = np.linspace(0.2, 0.8, 25), np.linspace(1.2, 2, 25)
    errors, tails = [], []
    for order in (9, 33):
        A, B = hippo_transition(measure, order)
        low = hippo_basis(measure, 3, inside)
        errors.append(np.sqrt(np.mean((np.stack([(expm(A * x) @ B)[:3] for x in inside], 1) - low) ** 2)))
        tails.append(np.sqrt(np.mean([(expm(A * x) @ B)[:3] ** 2 for x in after])))
    assert errors[1] < 0.6 * errors[0]
    assert tails[1] < 0.6 * tails[0]


@every_measure
def test_transition_never_amplifies(measure):
    A, _ = hippo_transition(measure, 32)
    symmetric = (A + A.T) / 2
    assert np.linalg.eigvalsh(symmetric).max() < 1e-10


def test_legs_spectrum_is_minus_one_to_minus_n_and_cannot_be_diagonalized_in_float64():
    A, _ = hippo_transition("legs", 32)
    np.testing.assert_array_equal(np.diag(A), -np.arange(1.0, 33))
    conditions = [np.linalg.cond(np.linalg.eig(hippo_transition("legs", N)[0])[1]) for N in (8, 16, 32)]
    assert conditions[0] > 1e4
    assert conditions[1] > 1e9
    assert conditions[2] > 1e16


def test_legs_has_no_time_scale():
    """The same function at another sampling rate gives the same coefficients, and dt and theta play no part."""
    slow, fast = (
        hippo_project(signal(middles(L))[None, :, None], 16, return_all=False)[0] for L in (500, 2000)
    )
    np.testing.assert_allclose(slow, fast, atol=2e-3)
    same, _ = hippo_project(signal(middles(500))[None, :, None], 16, theta=7.0, dt=0.3, return_all=False)
    np.testing.assert_array_equal(same, slow)


@pytest.mark.parametrize(("method", "order"), [("backward_euler", 1), ("bilinear", 2), ("zoh", 2)])
def test_legs_steps_converge_at_their_order(method, order):
    s, w = quadrature("legs")
    truth = hippo_basis("legs", 8, s) * w @ signal(1 - s)
    errors = [
        np.linalg.norm(hippo_project(signal(middles(L))[None, :, None], 8, method=method)[1][0, 0] - truth)
        for L in (200, 400, 800)
    ]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes, order, atol=0.15)


def test_frozen_coefficients_of_the_official_code_are_first_order():
    s, w = quadrature("legs")
    truth = hippo_basis("legs", 8, s) * w @ signal(1 - s)
    A, B = hippo_transition("legs", 8)
    errors = []
    for length in (200, 400, 800):
        c = np.zeros(8)
        for k, f_k in enumerate(signal(middles(length)), 1):
            c = np.linalg.solve(np.eye(8) - A / (2 * k), (np.eye(8) + A / (2 * k)) @ c + B * f_k / k)
        errors.append(np.linalg.norm(c - truth))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes, 1, atol=0.15)


def test_euler_on_legs_explodes():
    f = signal(middles(200))[None, :, None]
    assert np.abs(hippo_project(f, 64, method="euler")[0]).max() > 1e30
    assert np.abs(hippo_project(f, 64, method="bilinear")[0]).max() < 10


@every_measure
@pytest.mark.parametrize("method", reference.METHODS)
def test_step_matrices_are_the_steps(measure, method):
    f = np.random.default_rng(0).standard_normal((1, 9, 1))
    c, last = hippo_project(f, 4, measure, method, theta=0.6, dt=0.1)
    A_bar, B_bar = step_matrices(measure, 4, np.arange(1, 10), method, theta=0.6, dt=0.1)
    walked = np.zeros(4)
    for k in range(9):
        walked = A_bar[k] @ walked + B_bar[k] * f[0, k, 0]
        np.testing.assert_allclose(c[0, k, 0], walked, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(c[:, -1], last)


@every_measure
@pytest.mark.parametrize("method", ["backward_euler", "bilinear", "zoh"])
@pytest.mark.parametrize("length", [1, 8, 45])
def test_chunks_are_the_loop(measure, method, length):
    f = np.random.default_rng(0).standard_normal(length)
    c, _ = hippo_project(f[None, :, None], 7, measure, method)
    chunked = reference.hippo_project_chunked(f, 7, measure, method)
    np.testing.assert_allclose(chunked, c[0, :, 0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 30])
@pytest.mark.parametrize("a", [0.003, 0.5, 1.0])
def test_the_solve_is_scipys(order, a):
    A, _ = hippo_transition("legs", order)
    y = np.random.default_rng(0).standard_normal(order)
    x, A_x = reference.legs_solve(y, a)
    np.testing.assert_allclose(x, solve_triangular(np.eye(order) - a * A, y, lower=True), rtol=1e-10)
    np.testing.assert_allclose(A_x, A @ x, rtol=1e-9)


@pytest.mark.parametrize(("method", "alpha"), [("bilinear", 0.5), ("backward_euler", 1.0)])
@pytest.mark.parametrize("order", [1, 2, 12])
def test_steps_by_a_solve_and_late_steps_are_the_loop(method, alpha, order):
    c = np.random.default_rng(0).standard_normal(order)
    for k in (2, 3, 20, 5000):
        (A_bar,), (B_bar,) = step_matrices("legs", order, [k], method)
        step = A_bar @ c + B_bar * 0.7
        np.testing.assert_allclose(reference.legs_step_by_solve(c, 0.7, k, alpha), step, rtol=0, atol=1e-12)
        if alpha / k * (order - 1) < 1:
            np.testing.assert_allclose(reference.legs_late_step(c, 0.7, k, alpha), step, rtol=0, atol=1e-12)


def test_reconstruction_error_falls_with_the_order():
    f = signal(middles(2000))
    s = np.linspace(0, 1, 200)
    errors = []
    for order in (4, 8, 16, 24):
        c, _ = hippo_project(f[None, :, None], order, return_all=False)
        errors.append(np.sqrt(np.mean((hippo_reconstruct(c, s)[0, 0] - signal(1 - s)) ** 2)))
    assert all(later < 0.7 * earlier for earlier, later in itertools.pairwise(errors))


def test_unknown_measure_is_named():
    with pytest.raises(ValueError, match=r"measure: expected one of .* got 'hermite'"):
        hippo_transition("hermite", 4)
