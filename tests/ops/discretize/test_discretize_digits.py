"""Digits that careless forms of discretization lose: steps of no time and huge ones, fast growth and oscillation,
poles, stiff systems and numbers of 16 bits."""

import numpy as np
import pytest
import torch
from systems import BACKENDS, draw, every_method, gradients, options, real_and_complex, widen

from seqlab.ops import discretize
from seqlab.ops.discretize import reference


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
@every_method
def test_a_step_of_no_time_changes_nothing(method, complex_, backend):
    A, B, _ = draw("per channel", complex_, dtype=torch.float32)
    A_bar, B_bar = discretize(A, B, 0.0, method, diagonal=True, backend=backend, **options(method))
    assert (A_bar == 1).all()
    assert (B_bar == 0).all()
    A_bar, B_bar = discretize(torch.diag(A[0]), B[0], 0.0, method, **options(method))
    torch.testing.assert_close(A_bar, torch.eye(3, dtype=A.dtype), rtol=0, atol=0)
    assert (B_bar == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_holds_keep_their_digits_at_tiny_and_zero_z(backend):
    """Where (e^z - 1) / z in float32 is off by 5% (z = 1e-6) or is 0 / 0."""
    A = torch.tensor([0.0, -1e-30, -1e-12, -1e-6, -1e-4, -1e-2])
    for imaginary in (False, True):
        rates = torch.complex(torch.zeros(6), A) if imaginary else A
        B_bar = discretize(rates, torch.ones(6), 1.0, "zoh", True, backend=backend)[1]
        z = widen(rates)
        series = 1 + z / 2 + z**2 / 6 + z**3 / 24 + z**4 / 120
        torch.testing.assert_close(widen(B_bar), series, rtol=2e-7, atol=1e-12)
        before, now = discretize(rates, torch.ones(6), 1.0, "foh", True, backend=backend)[1]
        torch.testing.assert_close(widen(now), 0.5 + z / 6 + z**2 / 24 + z**3 / 120, rtol=2e-7, atol=1e-9)
        torch.testing.assert_close(widen(before), 0.5 + z / 3 + z**2 / 8 + z**3 / 30, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_steps_forget_the_state_and_settle(backend):
    """e^z underflows to 0, and what is left is the steady state -B / A, in the values and in the gradients."""
    A = torch.tensor([-0.5, -3.0, -1e4]).requires_grad_()
    B = torch.tensor([1.0, -2.0, 5.0])
    A_bar, B_bar = discretize(A, B, 1e3, "zoh", True, backend=backend)
    assert (A_bar == 0).all()
    torch.testing.assert_close(B_bar, -B / A, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(B_bar.sum(), A)
    torch.testing.assert_close(gradient, B / A.detach() ** 2, rtol=1e-6, atol=0)
    before, now = discretize(A, B, 1e3, "foh", True, backend=backend)[1]
    z = 1e3 * A.double()
    torch.testing.assert_close(before.double(), 1e3 * B / z**2, rtol=1e-6, atol=0)
    torch.testing.assert_close(now.double(), -1e3 * B / z * (1 + 1 / z), rtol=1e-6, atol=0)
    stiff = discretize(A, B, 1e3, "bilinear", True, backend=backend)[0]
    torch.testing.assert_close(stiff[2].item(), -1.0, rtol=1e-6, atol=0)  # rings
    assert (discretize(A, B, 1e3, "backward_euler", True, backend=backend)[0] < 0.01).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fast_oscillation_keeps_its_phase(backend):
    """dt A is 1e5 radians, where float32 holds two digits behind the point."""
    A = 1j * torch.linspace(0.3, 1.0, 40)
    A_bar, B_bar = discretize(A, torch.ones(40), 1e5, "zoh", True, backend=backend)
    expected = reference.discretize(widen(A).numpy(), np.ones(40), 1e5, "zoh", True)
    np.testing.assert_allclose(A_bar, expected[0], atol=3e-7, rtol=0)
    np.testing.assert_allclose(B_bar, expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["zoh", "foh"])
@pytest.mark.parametrize("dt", [1e-9, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 0.0333, 0.049, 0.06, 0.1, 1.0])
def test_one_small_dense_system_keeps_its_digits(dt, method):
    """Where torch.matrix_exp of a single matrix is off by up to 5e-9."""
    A = torch.tensor([[-1.0]], dtype=torch.float64)
    step = torch.tensor(dt, dtype=torch.float64, requires_grad=True)
    A_bar, B_bar = discretize(A, torch.ones(1, dtype=torch.float64), step, method)
    held = B_bar if method == "zoh" else B_bar.sum(0)
    assert A_bar.item() == pytest.approx(np.exp(-dt), rel=1e-12)
    assert held.item() == pytest.approx(-np.expm1(-dt), rel=1e-12)
    (slope,) = torch.autograd.grad(held, step)
    assert slope.item() == pytest.approx(np.exp(-dt), rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
@pytest.mark.parametrize("method", ["zoh", "foh"])
def test_growth_up_to_the_end_of_float32(method, complex_, backend):
    """e^90 is none of its numbers; (e^90 - 1) / 90 and, for a small dt, what follows are."""
    for dt, largest in ((1.0, 92.0), (1e-6, 105.0)):
        z = torch.linspace(60.0, largest, 9, dtype=torch.float64)
        z = torch.complex(z, torch.linspace(-3.0, 3.0, 9, dtype=torch.float64)) if complex_ else z
        A = (z / dt).to(torch.complex64 if complex_ else torch.float32)
        inputs = [A, torch.ones_like(A), torch.tensor(dt)]
        wide = [widen(x).requires_grad_() for x in inputs]
        narrow = [x.requires_grad_() for x in inputs]
        expected = discretize(*wide, method, diagonal=True)[1]
        actual = discretize(*narrow, method, diagonal=True, backend=backend)[1]
        # float32 knows z to 4e-6 here
        torch.testing.assert_close(widen(actual), expected.detach(), rtol=1e-5, atol=0)
        weight = 1e-9 * torch.ones_like(expected)
        for x, y in zip(
            gradients([actual], narrow[:2], [weight]), gradients([expected], wide[:2], [weight]), strict=True
        ):
            torch.testing.assert_close(widen(x), y, rtol=1e-5, atol=0)


@real_and_complex
def test_growth_up_to_the_end_of_float64(complex_):
    z = np.linspace(690.0, 715.0, 6) + (0.5j if complex_ else 0)
    _, B_bar = discretize(torch.from_numpy(z), torch.ones(6, dtype=torch.float64), 1.0, diagonal=True)
    wide = z.astype(np.clongdouble if complex_ else np.longdouble)
    np.testing.assert_allclose(B_bar, ((np.exp(wide) - 1) / wide).astype(z.dtype), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
def test_a_pole_gives_no_finite_number(complex_, backend):
    A = torch.tensor([2.0, -1.0], dtype=torch.complex64 if complex_ else torch.float32)
    A_bar, B_bar = discretize(A, torch.ones(2), 1.0, "bilinear", True, backend=backend)
    assert not torch.isfinite(A_bar[0])
    assert not torch.isfinite(B_bar[0])
    torch.testing.assert_close(A_bar[1].real.item(), 1 / 3)
    rotation = torch.tensor([[0.0, 2.0], [2.0, 0.0]], dtype=A.dtype)  # eigenvalues 2 and -2
    A_bar, B_bar = discretize(rotation, torch.ones(2), 1.0, "bilinear")
    assert not torch.isfinite(A_bar).any()
    assert not torch.isfinite(B_bar).any()


@pytest.mark.parametrize("dt", [1e-8, 0.1, 1.0, 1e3])
def test_dense_float32_has_all_its_digits(dt):
    """The exponential is taken in float64: HiPPO-LegS has entries from 1 to 60 and eigenvalues down to -32."""
    n = torch.arange(32.0)
    A = -torch.tril(torch.sqrt((2 * n + 1)[:, None] * (2 * n + 1)), -1) - torch.diag(n + 1)
    B = torch.sqrt(2 * n + 1)
    for method in ("zoh", "foh", "bilinear"):
        actual = discretize(A, B, dt, method)
        step = torch.tensor(dt, dtype=torch.float32).double().numpy()
        expected = reference.discretize(A.double().numpy(), B.double().numpy(), step, method)
        for x, y in zip(actual, expected, strict=True):
            assert x.dtype == torch.float32
            assert np.linalg.norm(x.numpy() - y) <= 1e-7 * np.linalg.norm(y)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype, backend):
    A, B, dt = draw("Mamba", dtype=dtype)
    assert dt.dtype == torch.float32
    for step in (dt, dt.to(dtype)):
        actual = discretize(A, B, step, "zoh", diagonal=True, backend=backend)
        expected = discretize(A.double(), B.double(), step.double(), "zoh", diagonal=True)
        for x, y in zip(actual, expected, strict=True):
            assert x.dtype == dtype
            torch.testing.assert_close(x, y.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)
