"""The explorer's JavaScript mathematics, run by Node, against NumPy on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator
from scipy.optimize import linear_sum_assignment

from seqlab.explorers import EigenvalueExplorer
from seqlab.explorers.eigenvalues import Mulberry32
from seqlab.nn import eigenvalues as law
from seqlab.nn import responses

evaluate = evaluator("eigenvalues/mathematics.mjs")
SEEDS = [0, 1, 12345, 2**32 - 1]
CONTINUOUS = {
    "s4dLin": law.s4d_lin,
    "s4dInv": law.s4d_inv,
    "s4dReal": law.s4d_real,
    "hippoLegsNormal": law.hippo_legs_normal,
}


def modes(lam):
    return {"re": lam.real.tolist(), "im": lam.imag.tolist()}


def distance(found, truth):
    """The largest distance between eigenvalues paired so that the distances sum to the least."""
    cost = np.abs(found[:, None] - truth[None, :])
    return cost[linear_sum_assignment(cost)].max()


class Given:
    """Uniform numbers that were drawn before."""

    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def random(self, size):
        values = self.drawn.pop(0)
        assert len(values) == size
        return values


def test_one_seed_means_the_same_numbers_in_both_languages():
    for seed, drawn in zip(SEEDS, evaluate(*[("draw", seed, 1000) for seed in SEEDS]), strict=True):
        first = Mulberry32(seed)
        np.testing.assert_array_equal(drawn, np.concatenate([first.random(300), first.random(700)]))


def test_the_numbers_are_spread_evenly_and_unrelated():
    u = Mulberry32(7).random(100_000)
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.004
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("count", [1, 8, 999])
def test_normal_numbers(count):
    (drawn,) = evaluate(("normals", {"uniforms": 3}, count))
    np.testing.assert_allclose(drawn, Mulberry32(3).standard_normal((count,)), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("r_min", "r_max", "max_phase"), [(0, 1, 2 * np.pi), (0.9, 0.999, np.pi / 10), (1, 1, 0)]
)
def test_ring(r_min, r_max, max_phase):
    u1, u2 = np.random.default_rng(0).random((2, 200))
    u1[:2] = 0, 1
    drawn, on_axis = evaluate(
        ("ring", u1.tolist(), u2.tolist(), r_min, r_max, max_phase), ("real", u1.tolist(), r_min, r_max)
    )
    np.testing.assert_allclose(
        drawn, law.ring(200, r_min, r_max, max_phase, Given(u1, u2)), rtol=0, atol=1e-15
    )
    np.testing.assert_allclose(on_axis, law.real(200, r_min, r_max, Given(u1)), rtol=0, atol=1e-15)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 256])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_eigenvalues(name, size):
    (found,) = evaluate((name, size))
    truth = CONTINUOUS[name](size)
    # LAPACK's own error is relative to the largest eigenvalue, so that is what the bound is relative to.
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12 * np.abs(truth).max())


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize("dt", [1e-4, 0.01, 1.0])
def test_discretization(dt, method):
    continuous = np.concatenate([formula(32) for formula in CONTINUOUS.values()])
    (found,) = evaluate(("discretize", modes(continuous), dt, method))
    truth = law.discretize_eigenvalues(continuous, dt, method)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)


def hard_matrices():
    rng = np.random.default_rng(5)
    graded = rng.standard_normal((20, 20)) * 10.0 ** -np.arange(20)[:, None]
    symmetric = rng.standard_normal((30, 30))
    return {
        "zero": np.zeros((4, 4)),
        "identity": np.eye(5),
        "cycle, which needs a shift that breaks the symmetry": np.roll(np.eye(16), 1, axis=0),
        "two equal pairs": np.kron(np.eye(2), [[0.6, -0.8], [0.8, 0.6]]),
        "triangular": np.triu(rng.standard_normal((6, 6))) + np.diag(np.arange(6)),
        "symmetric": symmetric + symmetric.T,
        "rank one": np.outer(np.arange(1, 9), np.ones(8)),
        "rows of very different size": graded,
        "large": 1e150 * rng.standard_normal((12, 12)),
        "small": 1e-150 * rng.standard_normal((12, 12)),
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 61, 128, 256])
def test_matrix_eigenvalues_of_glorot_matrices(size):
    matrix = np.random.default_rng(size).standard_normal((size, size)) / np.sqrt(size)
    (found,) = evaluate(("matrixEigenvalues", matrix.ravel().tolist(), size))
    truth = np.linalg.eigvals(matrix)
    # A stable method errs by eps ‖A‖ times the eigenvalue's condition number, a few hundred at most here.
    assert distance(found, truth) < 1e-12
    assert abs(found.sum() - np.trace(matrix)) < 1e-12
    assert (np.sort(found.imag) == -np.sort(found.imag)[::-1]).all()  # exact pairs


@pytest.mark.parametrize("name", hard_matrices())
def test_matrix_eigenvalues_of_hard_matrices(name):
    matrix = hard_matrices()[name]
    (found,) = evaluate(("matrixEigenvalues", matrix.ravel().tolist(), len(matrix)))
    norm = np.linalg.norm(matrix, 2) or 1.0
    assert distance(found / norm, np.linalg.eigvals(matrix) / norm) < 1e-12


def test_matrix_eigenvalues_of_a_shift_matrix_err_as_much_as_its_condition_says():
    """All eigenvalues 0 in one Jordan block: an error of eps in the matrix moves them by eps^(1/N)."""
    (found,) = evaluate(("matrixEigenvalues", np.eye(8, k=-1).ravel().tolist(), 8))
    assert np.abs(found).max() < (100 * np.finfo(float).eps) ** (1 / 8)


evaluate = evaluator("eigenvalues/mathematics.mjs")
LAM = law.ring(256, 0.3, 0.999, 2 * np.pi, np.random.default_rng(9))


@pytest.mark.parametrize("weights", [np.ones(256), responses.gamma(LAM)], ids=["plain", "gamma"])
def test_responses(weights):
    omega = np.linspace(0, np.pi, 301)
    K, H = evaluate(
        ("impulseResponse", modes(LAM), 1001, weights.tolist()),
        ("magnitudeResponse", modes(LAM), omega.tolist(), weights.tolist()),
    )
    np.testing.assert_allclose(K, responses.impulse_response(LAM, 1001, weights), rtol=0, atol=1e-13)
    np.testing.assert_allclose(H, responses.magnitude_response(LAM, omega, weights), rtol=1e-12)


def test_gradient_norm():
    k = np.array([0, 1, 7, 200, 1000])
    (found,) = evaluate(("gradientNorm", modes(LAM), k.tolist()))
    rms, largest = responses.gradient_norm(LAM, k)
    np.testing.assert_allclose(found["rms"], rms, rtol=1e-12)
    np.testing.assert_allclose(found["largest"], largest, rtol=1e-12)


def test_a_mode_at_zero_forgets_at_once():
    (found,) = evaluate(("gradientNorm", modes(np.zeros(2, dtype=complex)), [0, 1, 5]))
    np.testing.assert_array_equal(found["rms"], [1, 0, 0])
    np.testing.assert_array_equal(found["largest"], [1, 0, 0])


def test_half_life_and_gamma():
    radii = np.array([0, 1e-3, 0.5, 0.9, 0.9999, 1 - 1e-12, 1, 1.5])
    found = evaluate(*[(name, r) for name in ("halfLife", "gamma") for r in radii])
    np.testing.assert_allclose(found[:8], responses.half_life(radii), rtol=1e-14)
    np.testing.assert_allclose(found[8:], responses.gamma(radii), rtol=1e-14)


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize(
    "initialization", ["ring", "real", "glorot", "s4d_lin", "s4d_inv", "s4d_real", "hippo_legs"]
)
def test_the_same_parameters_give_the_same_points_in_both_languages(initialization, method):
    explorer = EigenvalueExplorer(
        initialization=initialization, method=method, state_size=33, seed=4, dt=0.003
    )
    (found,) = evaluate(("initialize", explorer.parameters()))
    assert distance(found, explorer.eigenvalues) < 1e-12
