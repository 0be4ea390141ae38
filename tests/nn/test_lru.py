"""The LRU against its equations in NumPy, and the properties that its chapter claims."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from seqlab.nn import LRU
from seqlab.nn.reference import diagonalize, lru
from seqlab.ops.linear_scan.reference import linear_scan

WIDTH, STATE, LENGTH = 6, 10, 50


def layer_and_input(seed=0, batch=3, **options):
    torch.manual_seed(seed)
    return LRU(WIDTH, STATE, **options).double(), torch.randn(batch, LENGTH, WIDTH, dtype=torch.float64)


def numpy_weights(layer):
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    lam = np.exp(-np.exp(weights["nu_log"]) + 1j * np.exp(weights["theta_log"]))
    B = np.exp(weights["gamma_log"])[:, None] * (weights["B_re"] + 1j * weights["B_im"])
    return lam, B, weights["C_re"] + 1j * weights["C_im"], weights["D"]


def test_forward_is_the_dense_recurrence_in_numpy():
    """A dense matrix A = P diag(λ) P⁻¹ in other coordinates gives the same outputs."""
    layer, u = layer_and_input(r_min=0.5, r_max=0.99)
    lam, B, C, D = numpy_weights(layer)
    rng = np.random.default_rng(0)
    P = rng.normal(size=(STATE, STATE)) + 1j * rng.normal(size=(STATE, STATE))
    A = P @ np.diag(lam) @ np.linalg.inv(P)
    for u_one, y_one in zip(u.numpy(), layer(u)[0].detach().numpy(), strict=True):
        h = np.zeros(STATE, complex)
        for u_t, y_t in zip(u_one, y_one, strict=True):
            h = A @ h + P @ B @ u_t
            expected = (C @ np.linalg.inv(P) @ h).real + D * u_t
            np.testing.assert_allclose(y_t, expected, rtol=0, atol=1e-10)


def test_diagonalizing_changes_no_output():
    rng = np.random.default_rng(0)
    A, B, C = (rng.normal(size=shape) / 5 for shape in ((20, 20), (20, 3), (4, 20)))
    u = rng.normal(size=(2, 30, 3))
    h, expected = np.zeros((2, 20)), []
    for t in range(30):
        h = h @ A.T + u[:, t] @ B.T
        expected.append(h @ C.T)
    lam, B, C = diagonalize(A, B, C)
    y = linear_scan(lam, u @ B.T)[0] @ C.T
    np.testing.assert_allclose(y, np.stack(expected, axis=1), rtol=0, atol=1e-11)


def similar_to(J):
    T = np.random.default_rng(7).standard_normal(J.shape)
    return T @ J @ np.linalg.inv(T)


@pytest.mark.parametrize(
    "A",
    [
        np.diag(np.ones(3), -1),
        np.diag(np.ones(1), 1),
        0.5 * np.eye(2) + np.eye(2, k=1),
        0.5 * np.eye(3) + np.eye(3, k=1),
        similar_to(0.5 * np.eye(2) + np.eye(2, k=1)),
        similar_to(np.diag([0.9, 0.9, -0.3, 0.1]) + np.diag([1.0, 0, 0], 1)),
    ],
)
def test_a_matrix_without_a_basis_of_eigenvectors_is_an_error(A):
    with pytest.raises(np.linalg.LinAlgError):
        diagonalize(A, np.ones((len(A), 1)), np.ones((1, len(A))))


def test_equal_eigenvalues_with_eigenvectors_of_their_own_are_no_error():
    lam, B, C = diagonalize(0.5 * np.eye(3), np.ones((3, 1)), np.ones((1, 3)))
    np.testing.assert_array_equal(lam, 0.5)
    np.testing.assert_allclose(C @ B, 3.0)


@pytest.mark.parametrize("given", [False, True])
def test_forward_is_the_reference(given):
    layer, u = layer_and_input(r_min=0.9, r_max=0.999)
    state = torch.randn(3, STATE, dtype=torch.complex128) if given else None
    y, last = layer(u, state)
    parameters = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    expected, expected_last = lru(parameters, u.numpy(), state.numpy() if given else None)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(last.detach().numpy(), expected_last, rtol=0, atol=1e-11)


@pytest.mark.parametrize("length", [1, 2, 7, LENGTH])
def test_forward_is_the_loop_of_steps(length):
    layer, u = layer_and_input()
    u = u[:, :length]
    y, last = layer(u)
    state = None
    for t in range(length):
        y_t, state = layer.step(u[:, t], state)
        assert torch.allclose(y_t, y[:, t], rtol=0, atol=1e-12)
    assert torch.allclose(state, last, rtol=0, atol=1e-12)


def test_split_and_resume():
    layer, u = layer_and_input()
    whole, last = layer(u)
    first, state = layer(u[:, :17])
    second, resumed = layer(u[:, 17:], state)
    assert torch.allclose(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-12)
    assert torch.allclose(resumed, last, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_loop():
    layer, u = layer_and_input(r_min=0.9, r_max=0.999)
    layer(u)[0].square().sum().backward()
    scan = {name: p.grad.clone() for name, p in layer.named_parameters()}
    layer.zero_grad()
    state, loss = None, torch.zeros((), dtype=torch.float64)
    for u_t in u.unbind(dim=1):
        y_t, state = layer.step(u_t, state)
        loss = loss + y_t.square().sum()
    loss.backward()
    for name, p in layer.named_parameters():
        assert torch.allclose(scan[name], p.grad, rtol=1e-10, atol=1e-10), name


def test_finite_differences():
    torch.manual_seed(0)
    layer, u = LRU(2, 3).double(), torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, 3, dtype=torch.complex128, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(u, state, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (u, state))

    assert torch.autograd.gradcheck(call, (u, state, *values))


def test_causal():
    layer, u = layer_and_input(batch=1)
    u.requires_grad_()
    y, _ = layer(u)
    (gradient,) = torch.autograd.grad(y[0, 20].sum(), u)
    assert torch.all(gradient[0, 21:] == 0)
    assert torch.all(gradient[0, :21].abs().sum(dim=-1) > 0)


def test_superposition():
    """γ is a gain, not a normalization: the layer stays linear in its input."""
    layer, u = layer_and_input()
    v = torch.randn_like(u)
    together = layer(2.5 * u - 3 * v)[0]
    assert torch.allclose(together, 2.5 * layer(u)[0] - 3 * layer(v)[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 1.0), (0.9, 0.99), (0.99, 0.999)])
def test_gamma_keeps_the_energy_of_white_noise_at_that_of_its_input(r_min, r_max):
    """E|h|² = γ² E|Bu|² / (1 - |λ|²) in the long run, so the factor γ² / (1 - |λ|²) is 1 for every mode."""
    layer, _ = layer_and_input(r_min=r_min, r_max=r_max)
    factor = layer.input_gain.square() / -torch.expm1(-2 * layer.nu_log.exp())
    assert torch.allclose(factor, torch.ones(STATE, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.thorough  # the same without noise: the test above
def test_gamma_on_noise_that_is_drawn():
    """The mean of |h|² over 40,000 draws of white noise is |B|² in each mode, within five standard errors."""
    torch.manual_seed(0)
    layer = LRU(1, STATE, r_min=0.8, r_max=0.95).double()
    with torch.no_grad():
        _, last = layer(torch.randn(40_000, 200, 1, dtype=torch.float64))
        energy = last.abs().square()
        expected = (layer.B_re.square() + layer.B_im.square())[:, 0]
    assert torch.all((energy.mean(dim=0) - expected).abs() < 5 * energy.std(dim=0) / 200)


@pytest.mark.parametrize("nu_log", [-15.0, -3.0, 0.0, 4.0, 50.0])
def test_stable_for_any_parameters(nu_log):
    layer = LRU(WIDTH, STATE).double()
    torch.nn.init.constant_(layer.nu_log, nu_log)
    torch.nn.init.normal_(layer.theta_log, std=10)
    assert torch.all(layer.eigenvalues.abs() < 1)


def test_ring_law():
    """Uniform in area: |λ|² is uniform on [r_min², r_max²] and the phase on [0, max_phase]."""
    torch.manual_seed(0)
    layer = LRU(1, 20_000, r_min=0.3, r_max=0.9, max_phase=math.pi / 5).double()
    lam = layer.eigenvalues.detach().numpy()
    squared = (np.abs(lam) ** 2 - 0.3**2) / (0.9**2 - 0.3**2)
    assert stats.kstest(squared, "uniform").pvalue > 0.01
    assert stats.kstest(np.angle(lam) / (math.pi / 5), "uniform").pvalue > 0.01


def test_narrow_ring_at_the_circle_keeps_its_gain():
    """float32 has no room between |λ| and 1 here; γ still has its digits, since it is computed from nu."""
    layer = LRU.from_eigenvalues(1, np.array([np.exp(-1e-9 + 1j)]))
    assert layer.gamma_log.dtype == torch.float32
    np.testing.assert_allclose(layer.input_gain.item(), np.sqrt(2e-9), rtol=1e-5)


def test_from_eigenvalues_round_trip():
    rng = np.random.default_rng(0)
    lam = np.sqrt(rng.uniform(size=64)) * np.exp(2j * np.pi * rng.uniform(size=64))
    lam = np.append(lam, [0.5, -0.25, 0.3j, -0.999j])
    layer = LRU.from_eigenvalues(3, lam)
    assert layer.state_size == 68
    np.testing.assert_allclose(layer.eigenvalues.detach().numpy(), lam, rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.input_gain.detach().numpy(), np.sqrt(1 - np.abs(lam) ** 2), rtol=1e-5)
    u = torch.randn(2, 30, 3)
    layer(u)[0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize(
    ("eigenvalues", "message"),
    [
        ([0.5, 1.0], r"expected 0 < \|λ\| < 1 for all, got 1 outside, the first at index 1: 1\+0j"),
        ([0.0], "index 0"),
        ([1.2j, 0.3], "index 0"),
        ([float("nan")], "index 0"),
        ([[0.5]], r"expected shape \(state_size,\), not empty, got \(1, 1\)"),
        ([], "not empty"),
    ],
)
def test_from_eigenvalues_refuses(eigenvalues, message):
    with pytest.raises(ValueError, match=message):
        LRU.from_eigenvalues(4, eigenvalues)


@pytest.mark.parametrize("eigenvalues", ["ring", None, ["a"], [[0.1], [0.2, 0.3]], {"λ": 0.5}])
def test_from_eigenvalues_asks_for_numbers(eigenvalues):
    with pytest.raises(TypeError, match=r"eigenvalues: expected complex numbers, .*got "):
        LRU.from_eigenvalues(4, eigenvalues)


def test_from_eigenvalues_takes_a_tensor():
    lam = torch.tensor([0.5 + 0.1j, 0.3j], requires_grad=True)
    layer = LRU.from_eigenvalues(4, lam.conj())
    assert torch.allclose(layer.eigenvalues, lam.conj(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"r_min": 0.9, "r_max": 0.9}, ValueError, "r_min < r_max"),
        ({"r_max": 1.1}, ValueError, "r_min < r_max <= 1, got 0.0 and 1.1"),
        ({"r_min": -0.1}, ValueError, "r_min"),
        ({"max_phase": 0.0}, ValueError, "max_phase"),
        ({"max_phase": 7.0}, ValueError, "max_phase: expected 0 < max_phase <= 2π, got 7.0"),
        ({"r_min": float("nan")}, ValueError, "r_min"),
        ({"state_size": 0}, ValueError, "state_size: expected an integer from 1 .*, got 0"),
        ({"width": 2.5}, TypeError, "width: expected an integer, got float"),
        ({"r_min": "0"}, TypeError, "r_min: expected a number, got str"),
        ({"max_phase": None}, TypeError, "max_phase: expected a number, got NoneType"),
    ],
)
def test_bad_construction(options, error, message):
    with pytest.raises(error, match=message):
        LRU(**{"width": 4, "state_size": 4, **options})


def test_arguments_may_be_numbers_of_numpy():
    torch.manual_seed(0)
    layer = LRU(np.int64(4), np.int32(5), np.float32(0.25), np.float64(0.5), np.float32(1))
    torch.manual_seed(0)
    same = LRU(4, 5, 0.25, 0.5, 1.0)
    assert all(map(torch.equal, layer.parameters(), same.parameters()))


def test_the_recurrence_is_complex64_in_half_precision():
    """A long memory: rounded to bfloat16 at each step, it would be gone."""
    lam = np.array([np.exp(-1e-4 + 0.3j)])
    layer = LRU.from_eigenvalues(1, lam).bfloat16()
    u = torch.zeros(1, 4000, 1, dtype=torch.bfloat16)
    u[0, 0] = 1
    _, last = layer(u)
    b = layer.input_gain * torch.complex(layer.B_re.float(), layer.B_im.float())[:, 0]
    expected = layer.eigenvalues**3999 * b
    assert last.dtype == torch.complex64
    assert torch.allclose(last[0], expected, rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_from_eigenvalues_in_the_default_dtype(dtype):
    lam = np.array([0.9 * np.exp(1j), 0.5, -0.3, 0.999j])
    torch.set_default_dtype(dtype)
    try:
        layer = LRU.from_eigenvalues(3, lam)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in layer.parameters()} == {dtype}
    error = 1e-15 if dtype == torch.float64 else 5e-3
    np.testing.assert_allclose(layer.eigenvalues.detach().numpy(), lam, rtol=0, atol=error)


def test_non_contiguous_input():
    layer, u = layer_and_input()
    turned = u.transpose(0, 1).contiguous().transpose(0, 1)
    assert not turned.is_contiguous()
    assert torch.equal(layer(turned)[0], layer(u)[0])
