"""The rungs of the ladder are the recurrences that they say they are."""

import copy

import numpy as np
import pytest
import torch

from seqlab.nn import LRU
from seqlab.nn.ladder import Cartesian, DenseLinear, DenseTanh, Exponential, StableExponential, rungs

DIAGONAL = [Cartesian, Exponential, StableExponential]


def ring(size, r_min=0.0, r_max=1.0):
    rng = np.random.default_rng(0)
    modulus = np.sqrt(rng.uniform(r_min**2, r_max**2, size))
    return modulus * np.exp(1j * rng.uniform(0.01, 2 * np.pi, size))


@pytest.mark.parametrize("rung", [DenseLinear, DenseTanh])
@pytest.mark.parametrize("length", [1, 2, 3, 8, 31, 100])
@pytest.mark.parametrize("given", [False, True])
def test_dense_is_the_loop(rung, length, given):
    torch.manual_seed(0)
    layer = rung(4, 6).double()
    u = torch.randn(3, length, 4, dtype=torch.float64)
    start = torch.randn(3, 6, dtype=torch.float64) if given else None
    y, last = layer(u, start)
    h = np.zeros((3, 6)) if start is None else start.numpy()
    A, B, C, D = (getattr(layer, name).detach().numpy() for name in "ABCD")
    for t in range(length):
        h = h @ A.T + u[:, t].numpy() @ B.T
        h = np.tanh(h) if rung is DenseTanh else h
        expected = h @ C.T + D * u[:, t].numpy()
        np.testing.assert_allclose(y[:, t].detach().numpy(), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(last.detach().numpy(), h, rtol=1e-9, atol=1e-9)


def test_dense_linear_gradients():
    torch.manual_seed(0)
    layer, u = DenseLinear(2, 3).double(), torch.randn(2, 11, 2, dtype=torch.float64, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(u, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (u,))

    assert torch.autograd.gradcheck(call, (u, *values))


@pytest.mark.parametrize("rung", DIAGONAL)
def test_diagonal_rungs_start_from_the_eigenvalues_given(rung):
    lam = ring(20)
    layer = rung(4, lam)
    np.testing.assert_allclose(layer.eigenvalues.detach().numpy(), lam, rtol=0, atol=1e-6)
    assert torch.all(layer.input_gain == 1)


def test_the_last_rung_adds_only_the_gain():
    lam = ring(20, 0.9, 0.99)
    without, lru = StableExponential(4, lam), LRU.from_eigenvalues(4, lam)
    shared = without.state_dict()
    assert set(lru.state_dict()) - set(shared) == {"gamma_log"}
    with torch.no_grad():
        lru.load_state_dict(shared, strict=False)
        u = torch.randn(2, 30, 4)
        assert not torch.allclose(lru(u)[0], without(u)[0], atol=1e-2)
        lru.gamma_log.zero_()
        assert torch.equal(lru(u)[0], without(u)[0])


@pytest.mark.parametrize("rung", DIAGONAL)
def test_diagonal_rungs_learn_their_eigenvalues(rung):
    torch.manual_seed(0)
    layer = rung(4, ring(20, 0.5, 0.9))
    layer(torch.randn(2, 30, 4))[0].square().sum().backward()
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().min() > 0, name


@pytest.mark.parametrize("rung", DIAGONAL)
def test_diagonal_rungs_keep_the_digits_of_the_default_dtype(rung):
    lam = ring(20)
    torch.set_default_dtype(torch.float64)
    try:
        layer = rung(4, lam)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(layer.eigenvalues.detach().numpy(), lam, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("rung", "eigenvalue"),
    [
        (StableExponential, 1.1),
        (StableExponential, 1.0),
        (StableExponential, 0.0),
        (StableExponential, float("nan")),
        (Exponential, 0.0),
        (Exponential, float("inf")),
        (Cartesian, float("nan")),
    ],
)
def test_diagonal_rungs_refuse_eigenvalues_that_they_cannot_hold(rung, eigenvalue):
    with pytest.raises(ValueError, match=r"eigenvalues: expected 0 <=? \|λ\| < .*, got 1 outside.* index 1"):
        rung(4, [0.5, eigenvalue])
    with pytest.raises(ValueError, match=r"eigenvalues: expected shape \(state_size,\)"):
        rung(4, [[0.5]])


def test_outside_the_disk_is_where_some_rungs_may_be():
    for rung in (Cartesian, Exponential):
        lam = rung(4, [1.25j]).eigenvalues
        assert torch.allclose(lam, torch.tensor([1.25j]), atol=1e-6)
    assert Cartesian(4, [0.0]).eigenvalues.item() == 0


def test_a_phase_of_zero_has_a_finite_parameter():
    layer = StableExponential(4, [0.5])
    assert torch.isfinite(layer.theta_log).all()
    assert layer.eigenvalues.item() == pytest.approx(0.5)


@pytest.mark.parametrize("rung", [DenseLinear, DenseTanh])
def test_dense_weights_stay_tied_to_where_cudnn_reads_them(rung):
    layer = copy.deepcopy(rung(4, 6)).double()
    assert [name for name, _ in layer.named_parameters()] == ["B", "A", "C", "D"]
    assert layer.A is layer.recurrence.weight_hh_l0
    assert layer.B is layer.recurrence.weight_ih_l0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"state_size": 0}, ValueError, "state_size: expected"),
        ({"state_size": "6"}, TypeError, "state_size: expected an integer, got str"),
        ({"r_min": 0.9, "r_max": 0.5}, ValueError, "r_min, r_max: expected r_min <= r_max, got 0.9 and 0.5"),
        ({"r_max": 1.5}, ValueError, "r_max: expected a number from 0 to 1, got 1.5"),
    ],
)
def test_rungs_refuse(options, error, message):
    with pytest.raises(error, match=message):
        rungs(**{"state_size": 6, "rng": np.random.default_rng(0), **options})


def test_every_rung_in_float64_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        for make in rungs(6, np.random.default_rng(0)).values():
            assert make(4)(torch.randn(2, 9, 4))[0].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
