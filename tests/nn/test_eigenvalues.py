"""Where the eigenvalues are put, against closed forms and statistics."""

import numpy as np
import pytest
from scipy import signal, stats
from scipy.optimize import brentq

from seqlab.nn import eigenvalues as law

RNG = np.random.default_rng


def legs(N):
    """HiPPO-LegS's A, entry by entry from its definition."""
    A = np.zeros((N, N))
    for n in range(N):
        A[n, n] = -(n + 1)
        for k in range(n):
            A[n, k] = -np.sqrt((2 * n + 1) * (2 * k + 1))
    return A


# --- initializations


@pytest.mark.parametrize(("r_min", "r_max", "max_phase"), [(0.0, 1.0, 2 * np.pi), (0.9, 0.999, np.pi / 10)])
def test_ring_is_uniform_by_area(r_min, r_max, max_phase):
    lam = law.ring(20_000, r_min, r_max, max_phase, RNG(0))
    squared = (np.abs(lam) ** 2 - r_min**2) / (r_max**2 - r_min**2)
    phase = np.mod(np.angle(lam), 2 * np.pi) / max_phase
    assert stats.kstest(squared, "uniform").pvalue > 0.01
    assert stats.kstest(phase, "uniform").pvalue > 0.01
    assert abs(stats.spearmanr(squared, phase).statistic) < 0.03


def test_a_uniform_radius_would_be_noticed():
    lam = np.sqrt(law.ring(20_000, 0.0, 1.0, 2 * np.pi, RNG(0)))
    assert stats.kstest(np.abs(lam) ** 2, "uniform").pvalue < 1e-6


def test_real_has_the_radii_of_the_ring_on_the_positive_axis():
    lam = law.real(20_000, 0.9, 0.999, RNG(1))
    assert (lam.imag == 0).all()
    assert (lam.real >= 0.9).all()
    assert stats.kstest((lam.real**2 - 0.81) / (0.999**2 - 0.81), "uniform").pvalue > 0.01


def test_glorot_eigenvalues_fill_the_disk_and_come_in_pairs():
    lam = law.glorot(400, RNG(2))
    assert 0.95 < np.abs(lam).max() < 1.15
    # The circular law: |λ|² is uniform. No p-value here: eigenvalues repel, they are not independent.
    assert stats.kstest(np.abs(lam) ** 2, "uniform").statistic < 0.06
    assert np.abs(np.sort_complex(lam) - np.sort_complex(lam.conj())).max() < 1e-12
    assert abs(lam.sum().imag) < 1e-12


def test_s4d_closed_forms():
    # Both of a conjugate pair together are the paper's N = 8 states.
    np.testing.assert_allclose(
        law.s4d_lin(4), [-0.5, -0.5 + 1j * np.pi, -0.5 + 2j * np.pi, -0.5 + 3j * np.pi]
    )
    inverse = [8 / np.pi * (8 / m - 1) for m in (1, 3, 5, 7)]
    np.testing.assert_allclose(law.s4d_inv(4), -0.5 + 1j * np.array(inverse))
    np.testing.assert_array_equal(law.s4d_real(3), [-1, -2, -3])


@pytest.mark.parametrize("state_size", [1, 2, 5, 16])
def test_s4d_real_is_the_spectrum_of_legs(state_size):
    np.testing.assert_allclose(np.sort(np.diag(legs(state_size))), np.sort(law.s4d_real(state_size).real))


@pytest.mark.parametrize("state_size", [1, 2, 5, 32])
def test_hippo_legs_normal_is_the_spectrum_of_the_normal_part(state_size):
    N = 2 * state_size
    P = np.sqrt(np.arange(N) + 0.5)
    normal = legs(N) + np.outer(P, P)
    np.testing.assert_allclose(
        normal @ normal.T, normal.T @ normal, rtol=0, atol=1e-12 * np.abs(normal).max() ** 2 * N
    )
    kept = law.hippo_legs_normal(state_size)
    pairs = np.concatenate([kept, kept.conj()])
    truth = np.linalg.eigvals(normal)
    size = np.abs(truth).max()
    np.testing.assert_allclose(truth.real, -0.5, atol=1e-12 * size)
    np.testing.assert_allclose(np.sort(pairs.imag), np.sort(truth.imag), atol=1e-12 * size)
    assert (np.diff(kept.imag) > 0).all()


@pytest.mark.parametrize("state_size", [1, 3, 32])
def test_hippo_legs_normal_solves_the_phase_equation(state_size):
    """The frequencies μ solve Σ_n arctan(2μ / (2n+1)) = (m + 1/2) π, as the explorer finds them."""
    odd = 2 * np.arange(2 * state_size) + 1.0
    for m, frequency in enumerate(law.hippo_legs_normal(state_size).imag):
        mu = brentq(
            lambda x, m=m: np.arctan(2 * x / odd).sum() - (m + 0.5) * np.pi, 0, odd.size**2, xtol=1e-14
        )
        assert abs(frequency - mu) < 1e-13 * odd.size**2


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_discretization_is_scipys(method):
    A = legs(6) + np.diag([0.3, 0, 0, 0, 0, 0])
    continuous = np.linalg.eigvals(A)
    sampled, *_ = signal.cont2discrete((A, np.ones((6, 1)), np.ones((1, 6)), 0), 0.07, method=method)
    np.testing.assert_allclose(
        np.sort(law.discretize_eigenvalues(continuous, 0.07, method).real),
        np.sort(np.linalg.eigvals(sampled).real),
        rtol=1e-10,
    )


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_discretized_eigenvalues_lie_inside_the_disk(method):
    for continuous in (law.s4d_lin(64), law.s4d_inv(64), law.s4d_real(64), law.hippo_legs_normal(64)):
        for dt in (1e-4, 0.01, 1.0):
            assert (np.abs(law.discretize_eigenvalues(continuous, dt, method)) < 1).all()


def test_discretized_eigenvalues_keep_their_shape():
    a = np.array([[-1.0, -2.0], [0.5j, 0.0]])
    np.testing.assert_allclose(law.discretize_eigenvalues(a, 0.3), np.exp(0.3 * a), rtol=1e-15)
    assert law.discretize_eigenvalues(-1.0, 0.3) == np.exp(-0.3)


def test_bilinear_sends_fast_modes_to_minus_one():
    assert abs(law.discretize_eigenvalues([-1e6], 1.0, "bilinear")[0] + 1) < 1e-5
    assert law.discretize_eigenvalues([-1e6], 1.0, "zoh")[0] == 0


# --- wrong input


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: law.ring(0, 0.1, 0.9, 1.0, RNG(0)), ValueError, "state_size: expected at least 1, got 0"),
        (lambda: law.ring(2.5, 0.1, 0.9, 1.0, RNG(0)), TypeError, "state_size: expected an integer, got 2.5"),
        (lambda: law.ring(3, 0.9, 0.1, 1.0, RNG(0)), ValueError, "r_min, r_max: expected .* got 0.9 and 0.1"),
        (lambda: law.ring(3, 0.1, 1.1, 1.0, RNG(0)), ValueError, "r_min, r_max: expected .* got 0.1 and 1.1"),
        (
            lambda: law.ring(3, np.nan, 0.9, 1.0, RNG(0)),
            ValueError,
            "r_min, r_max: expected .* got nan and 0.9",
        ),
        (lambda: law.ring(3, 0.1, 0.9, 7.0, RNG(0)), ValueError, "max_phase: expected radians .* got 7.0"),
        (lambda: law.real(3, -0.1, 0.9, RNG(0)), ValueError, "r_min, r_max: expected .* got -0.1 and 0.9"),
        (lambda: law.glorot(True, RNG(0)), TypeError, "state_size: expected an integer, got True"),
        (lambda: law.discretize_eigenvalues([-1], -0.1), ValueError, "dt: expected .* got -0.1"),
        (
            lambda: law.discretize_eigenvalues([-1], 0.1, "tustin"),
            ValueError,
            "method: expected .* got 'tustin'",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
