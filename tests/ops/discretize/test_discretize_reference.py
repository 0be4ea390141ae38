"""The NumPy forms of discretization against SciPy's, against exact solutions, and by the order that each has."""

from math import factorial

import numpy as np
import pytest
from scipy.integrate import quad_vec, solve_ivp
from scipy.signal import cont2discrete

from seqlab.ops.discretize import reference
from seqlab.ops.discretize.reference import ALPHAS, discretize, phi

SCIPY = {
    "euler": "euler",
    "backward_euler": "backward_diff",
    "bilinear": "bilinear",
    "gbt": "gbt",
    "zoh": "zoh",
    "foh": "foh",
}
every_method = pytest.mark.parametrize("method", SCIPY)


def draw(states=4, inputs=2, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((states, states)) - 1.5 * np.eye(states)
    return A, rng.standard_normal((states, inputs))


def options(method):
    return {"alpha": 0.3} if method == "gbt" else {}


@every_method
@pytest.mark.parametrize("dt", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("inputs", [1, 3])
def test_dense_is_what_scipy_has(method, dt, inputs):
    A, B = draw(inputs=inputs)
    system = (A, B, np.eye(4), np.zeros((4, inputs)))
    expected_A, expected_B, _, expected_D, _ = cont2discrete(system, dt, SCIPY[method], **options(method))
    A_bar, B_bar = discretize(A, B, dt, method, **options(method))
    np.testing.assert_allclose(A_bar, expected_A, rtol=1e-12, atol=1e-14)
    if method == "foh":  # SciPy moves the state so that only u_k enters, and the output takes its part of u_k
        before, now = B_bar
        np.testing.assert_allclose(expected_B, A_bar @ now + before, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(expected_D, now, rtol=1e-12, atol=1e-14)
    else:
        np.testing.assert_allclose(B_bar, expected_B, rtol=1e-12, atol=1e-14)


@every_method
@pytest.mark.parametrize("complex_", [False, True])
def test_diagonal_is_dense_on_a_diagonal_matrix(method, complex_):
    rng = np.random.default_rng(1)
    A = rng.standard_normal(5) + (1j * rng.standard_normal(5) if complex_ else 0)
    A[0] = 0
    B = rng.standard_normal(5)
    dt = np.array([[0.0, 0.01, 0.3], [1.0, 1.7, 4.0]])
    A_bar, B_bar = discretize(A, B, dt, method, diagonal=True, **options(method))
    matrix, column = discretize(np.diag(A), B, dt, method, **options(method))
    assert A_bar.shape == (2, 3, 5)
    assert B_bar.shape == ((2, 2, 3, 5) if method == "foh" else (2, 3, 5))
    np.testing.assert_allclose(A_bar[..., None] * np.eye(5), matrix, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(B_bar, column, rtol=1e-12, atol=1e-13)


@every_method
def test_gbt_contains_the_others_and_a_batch_of_steps_is_a_loop(method):
    A, B = draw()
    dt = np.array([0.1, 0.5, 1.3])
    A_bar, B_bar = discretize(A, B, dt, method, **options(method))
    for i, each in enumerate(dt):
        one_A, one_B = discretize(A, B, each, method, **options(method))
        np.testing.assert_allclose(A_bar[i], one_A, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(B_bar[..., i, :, :], one_B, rtol=1e-13, atol=1e-15)
    if method in ALPHAS:
        for x, y in zip((A_bar, B_bar), discretize(A, B, dt, "gbt", alpha=ALPHAS[method]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("method", "order"), [("euler", 1), ("backward_euler", 1), ("gbt", 1), ("bilinear", 2)]
)
def test_order_of_convergence(method, order):
    """The error at a fixed time, of a system without input, falls as dt^order."""
    A, B = draw()
    start = np.ones(4)
    exact = discretize(A, B, 1.0, "zoh")[0] @ start
    errors = []
    for steps in (64, 128, 256):
        A_bar, _ = discretize(A, B, 1 / steps, method, **options(method))
        errors.append(np.linalg.norm(np.linalg.matrix_power(A_bar, steps) @ start - exact))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(rates, order, atol=0.1)


@pytest.mark.parametrize(("method", "order"), [("zoh", 1), ("foh", 2)])
def test_order_of_the_holds_on_a_smooth_input(method, order):
    """What a hold is wrong by is its idea of the input between the samples."""
    A, B = draw(inputs=1)
    exact = solve_ivp(
        lambda t, x: A @ x + B[:, 0] * np.cos(3 * t), (0, 1), np.zeros(4), rtol=1e-12, atol=1e-13
    ).y[:, -1]
    errors = []
    for steps in (64, 128, 256):
        u = np.cos(3 * np.arange(steps + 1) / steps)
        A_bar, B_bar = discretize(A, B[:, 0], 1 / steps, method)
        x = np.zeros(4)
        for k in range(1, steps + 1):
            x = A_bar @ x + (B_bar[0] * u[k - 1] + B_bar[1] * u[k] if method == "foh" else B_bar * u[k])
        errors.append(np.linalg.norm(x - exact))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(rates, order, atol=0.1)


@pytest.mark.parametrize("A", [draw()[0], np.array([[0.0, 1.0], [0.0, 0.0]])])
@pytest.mark.parametrize("dt", [0.3, 2.0])
def test_holds_are_exact_for_inputs_of_their_kind(A, dt):
    """A held and a linear input, through the integral that the steps solve."""
    states = len(A)
    B, x = np.arange(1.0, states + 1), np.linspace(-1, 1, states)
    u_before, u_now = 0.7, -1.9

    def flow(s):
        return discretize(A, B, s, "zoh")[0]

    def solution(u):
        integral, _ = quad_vec(lambda s: flow(dt - s) @ B * u(s), 0, dt, epsabs=1e-13, epsrel=1e-13)
        return flow(dt) @ x + integral

    A_bar, B_bar = discretize(A, B, dt, "zoh")
    np.testing.assert_allclose(A_bar @ x + B_bar * u_now, solution(lambda s: u_now), rtol=1e-11)
    A_bar, (before, now) = discretize(A, B, dt, "foh")
    linear = solution(lambda s: u_before + (u_now - u_before) * s / dt)
    np.testing.assert_allclose(A_bar @ x + before * u_before + now * u_now, linear, rtol=1e-11)


@pytest.mark.parametrize("dt", [0.0, 1e-12, 1e-3, 0.3, 1e3])
def test_the_double_integrator_has_a_closed_form(dt):
    """A is singular: position and velocity under a force."""
    A, B = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([0.0, 1.0])
    A_bar, B_bar = discretize(A, B, dt, "zoh")
    np.testing.assert_allclose(A_bar, [[1, dt], [0, 1]], rtol=1e-14)
    np.testing.assert_allclose(B_bar, [dt**2 / 2, dt], rtol=1e-14)
    _, (before, now) = discretize(A, B, dt, "foh")
    np.testing.assert_allclose(before, [dt**2 / 3, dt / 2], rtol=1e-14)
    np.testing.assert_allclose(now, [dt**2 / 6, dt / 2], rtol=1e-14)


def test_where_there_is_an_inverse_the_exponential_is_the_formula_with_it():
    A, B = draw()
    A_bar, B_bar = discretize(A, B, 0.7, "zoh")
    np.testing.assert_allclose(B_bar, np.linalg.solve(A, (A_bar - np.eye(4)) @ B), rtol=1e-12)


def test_stability_regions():
    """Where each method puts the left half plane."""
    rng = np.random.default_rng(2)
    z = -(10 ** rng.uniform(-3, 3, 4000)) + 1j * rng.standard_normal(4000) * 10 ** rng.uniform(-3, 3, 4000)

    def step(method, z=z, **more):
        return discretize(z, np.ones(z.shape), 1.0, method, diagonal=True, **more)[0]

    for method in ("zoh", "foh", "bilinear", "backward_euler"):
        assert (np.abs(step(method)) <= 1).all()
    assert (np.abs(step("backward_euler") - 1 / 2) <= 1 / 2 + 1e-12).all()  # into a small disk
    assert (np.abs(step("backward_euler", -z)) < 1).any()  # and unstable systems may come out stable
    np.testing.assert_array_equal(np.abs(step("euler")) <= 1, np.abs(1 + z) <= 1)
    assert (np.abs(step("euler")) > 1).any()
    assert (np.abs(step("gbt", alpha=0.7)) <= 1).all()
    assert (np.abs(step("gbt", alpha=0.3)) > 1).any()
    axis = 1j * np.array([0.01, 1.0, 30.0])
    np.testing.assert_allclose(np.abs(step("bilinear", axis)), 1, rtol=1e-14)
    np.testing.assert_allclose(np.angle(step("bilinear", axis)), 2 * np.arctan(axis.imag / 2), rtol=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_phi_keeps_its_digits_everywhere(k):
    """Against the integral's series in extended precision near 0, and against the recursion there far from it."""
    assert phi(k, 0.0) == 1 / factorial(k)
    small = np.concatenate([[1e-300, 1e-30, 1e-9, 1e-4], np.linspace(0.01, 2.5, 60)])
    for direction in (1, -1, 1j, -1j, (1 + 1j) / 2, (1j - 1) / 2):
        z = direction * small
        wide = z.astype(np.clongdouble)
        series = sum(wide**j / np.longdouble(factorial(j + k)) for j in range(28))
        np.testing.assert_allclose(phi(k, z), series.astype(complex), rtol=5e-15)
    for z in (-3.0, -50.0, -1e6, 20.0, 30j, -5 + 100j):
        value = np.exp(np.clongdouble(z))
        for j in range(k):
            value = (value - 1 / np.longdouble(factorial(j))) / np.clongdouble(z)
        np.testing.assert_allclose(phi(k, z), complex(value), rtol=1e-14)


def test_a_pole_that_the_method_meets_is_an_error_when_dense():
    with pytest.raises(np.linalg.LinAlgError):
        discretize(np.eye(2), np.ones(2), 2.0, "bilinear")


def test_matrices_are_exponentiated_one_by_one(monkeypatch):
    """SciPy 1.18.0 errs by 100% for several at once."""
    A, B = draw()
    dt = np.array([[0.1, 0.5], [1.3, 0.0]])
    expected = discretize(A, B, dt, "foh")

    def alone(matrix, expm=reference.expm):
        assert matrix.ndim == 2
        return expm(matrix)

    monkeypatch.setattr(reference, "expm", alone)
    for x, y in zip(discretize(A, B, dt, "foh"), expected, strict=True):
        np.testing.assert_array_equal(x, y)
