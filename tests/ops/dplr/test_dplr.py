"""S4's system: its kernel by the Cauchy trick, its dense matrices, its scan and its step are one."""

import numpy as np
import pytest
import torch

from seqlab.nn.eigenvalues import hippo_legs_dplr
from seqlab.ops import discretize as discretize_op
from seqlab.ops import dplr_kernel, dplr_scan, dplr_step, ssm_kernel
from seqlab.ops.backends import has_triton
from seqlab.ops.dplr import portable, reference
from seqlab.ops.dplr.system import dense
from seqlab.ops.hippo.reference import hippo_transition

TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
every_backend = pytest.mark.parametrize("backend", ["portable", pytest.param("triton", marks=TRITON)])
LENGTHS = [1, 2, 3, 8, 9, 64, 65, 200]


def system(D=2, N=3, seed=0, dtype=torch.complex128, dt=(0.01, 0.3)):
    generator = torch.Generator().manual_seed(seed)

    def noise():
        return torch.randn(D, N, dtype=torch.complex128, generator=generator)

    def uniform(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    Lambda = torch.complex(-0.1 - uniform(D, N), 20 * uniform(D, N))
    step = dt[0] + (dt[1] - dt[0]) * uniform(D)
    real = torch.float32 if dtype == torch.complex64 else torch.float64
    return [*(x.to(dtype) for x in (Lambda, noise(), noise(), noise())), step.to(real)]


def arrays(tensors):
    return [x.detach().numpy() for x in tensors]


@pytest.mark.parametrize("L", LENGTHS)
def test_the_kernel_is_that_of_the_dense_bilinear_system(L):
    """Even and odd lengths: at even ones a root of unity is -1, where the bilinear transform has its pole."""
    given = system()
    expected = reference.dplr_kernel_dense(*arrays(given), L)
    for form in (reference.dplr_kernel, reference.dplr_kernel_cauchy):
        np.testing.assert_allclose(form(*arrays(given), L), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(dplr_kernel(*given, L), expected, rtol=0, atol=1e-13)


@TRITON
@pytest.mark.parametrize("L", [1, 2, 9, 12])
def test_cauchy_products_of_the_kernel_in_float64(L):
    given = [x.requires_grad_() for x in system(dtype=torch.complex64)]
    wide = [x.detach().to(torch.promote_types(x.dtype, torch.float64)).requires_grad_() for x in given]
    K, true = dplr_kernel(*given, L, backend="triton"), dplr_kernel(*wide, L)
    assert (K - true).norm() < 1e-6 * true.norm()
    grad_K = torch.randn(K.shape, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad(K, given, grad_K)
    expected = torch.autograd.grad(true, wide, grad_K.double())
    for x, y in zip(found, expected, strict=True):
        assert (x - y).norm() < 1e-5 * y.norm()


@pytest.mark.parametrize("L", [1, 4, 5])
def test_gradients_are_those_of_finite_differences(L):
    given = [x.requires_grad_() for x in system()]
    assert torch.autograd.gradcheck(lambda *x: dplr_kernel(*x, L), given, atol=1e-7)


def test_blocks_of_frequencies_make_no_difference(monkeypatch):
    given = [x.requires_grad_() for x in system()]

    def run():
        K = dplr_kernel(*given, 50)
        return [K, *torch.autograd.grad(K.square().sum(), given)]

    whole = run()
    monkeypatch.setattr(portable, "NUMBERS", 20)
    for x, y in zip(run(), whole, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@every_backend
def test_it_is_finite_at_minus_one(backend):
    """Of length 2 the roots of unity are 1 and -1; at -1 the sum is that of dt / 2 ~C B."""
    given = system(dtype=torch.complex64)
    K = dplr_kernel(*given, 2, backend=backend).double()
    Lambda, P, B, C, dt = arrays(given)
    truncated = reference.dplr_truncated(Lambda, P, C, dt, 2)
    np.testing.assert_allclose(K[:, 0] - K[:, 1], (truncated * B).real.sum(1) * dt / 2, rtol=1e-5)


def test_without_a_low_rank_part_it_is_s4d_by_the_bilinear_transform():
    Lambda, P, B, C, dt = system()
    A_bar, B_bar = discretize_op(Lambda, B, dt, "bilinear", diagonal=True)
    expected = ssm_kernel(A_bar, B_bar, C, 60)
    found = dplr_kernel(Lambda, torch.zeros_like(P), B, C, dt, 60)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("L", LENGTHS)
def test_scan_kernel_and_steps_agree(L):
    """One chunk, several, a ragged one; from nothing and from a state."""
    given = system()
    generator = torch.Generator().manual_seed(5)
    u = torch.randn(2, L, 2, dtype=torch.float64, generator=generator)
    first = torch.randn(2, 2, 3, dtype=torch.complex128, generator=generator)
    for state in (None, first):
        y, last = dplr_scan(*given, u, state)
        x = torch.zeros_like(first) if state is None else state
        for t in range(L):
            y_t, x = dplr_step(*given, u[:, t], x)
            torch.testing.assert_close(y_t, y[:, t], rtol=0, atol=1e-11)
        torch.testing.assert_close(x, last, rtol=0, atol=1e-11)
        expected = reference.dplr_scan(*arrays(given), u.numpy(), None if state is None else first.numpy())
        np.testing.assert_allclose(y, expected[0], rtol=0, atol=1e-11)
        np.testing.assert_allclose(last, expected[1], rtol=0, atol=1e-11)
    impulse = torch.zeros(1, L, 2, dtype=torch.float64)
    impulse[:, 0] = 1
    K = dplr_scan(*given, impulse)[0][0].T
    torch.testing.assert_close(K, dplr_kernel(*given, L), rtol=0, atol=1e-12)


def test_vmap_over_any_argument_of_scan_and_step_is_a_loop():
    generator = torch.Generator().manual_seed(3)
    u = torch.randn(2, 5, 2, dtype=torch.float64, generator=generator)
    state = torch.randn(2, 2, 3, dtype=torch.complex128, generator=generator)
    for function, inputs in ((dplr_scan, u), (dplr_step, u[:, 0])):
        given = [*system(), inputs, state]
        for i, x in enumerate(given):
            axes = [0 if j == i else None for j in range(len(given))]
            found = torch.vmap(function, tuple(axes))(*given[:i], torch.stack([x, x / 2]), *given[i + 1 :])
            looped = [function(*given[:i], each, *given[i + 1 :]) for each in (x, x / 2)]
            for one, others in zip(found, zip(*looped, strict=True), strict=True):
                torch.testing.assert_close(one, torch.stack(others), rtol=1e-11, atol=1e-12)


def test_short_steps_in_float32_do_not_drift():
    """Rounding of A_bar, where a step changes the state by 1e-4 of it, would come back with every step."""
    Lambda, P, B = (torch.from_numpy(x).expand(3, -1) for x in hippo_legs_dplr(8)[:3])
    dt = torch.tensor([1e-4, 1e-2, 1.0])
    given = [x.to(torch.complex64) for x in (Lambda, P, B, B)] + [dt]
    u = torch.randn(1, 500, 3, generator=torch.Generator().manual_seed(0)) + 1
    wide = [x.to(torch.complex128) for x in given[:4]] + [dt.double()]
    expected, _ = dplr_scan(*wide, u.double())
    x, y = torch.zeros(1, 3, 8, dtype=torch.complex64), []
    for u_t in u.unbind(1):
        y_t, x = dplr_step(*given, u_t, x)
        y.append(y_t)
    error = (torch.stack(y, 1) - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 3e-6


def test_the_dense_matrix_is_the_inverse_of_woodbury():
    Lambda, P, B, C, dt = system()
    A, b, _ = reference.dplr_dense(*arrays((Lambda, P, B, C)))
    N = Lambda.shape[1]
    apart = np.r_[0 : 2 * N : 2, 1 : 2 * N : 2]  # the reference has all real parts first
    for d, each in enumerate(dense(Lambda, P, dt)[:, apart][:, :, apart]):
        A_bar, _ = reference.discretize(A[d], b[d], dt[d].item(), "bilinear")
        np.testing.assert_allclose(each, A_bar, rtol=0, atol=1e-13)


def test_kernels_of_two_lengths_have_the_same_beginning():
    """C belongs to no length: what ends the kernel is recomputed for each."""
    given = system()
    torch.testing.assert_close(dplr_kernel(*given, 300)[:, :77], dplr_kernel(*given, 77), rtol=0, atol=1e-12)


@pytest.mark.parametrize("L", [255, 256, 1024])
def test_hippo_legs_in_float32(L):
    """N = 64 states, of frequencies up to a thousand: what S4 starts from; float32 keeps five digits."""
    Lambda, P, B, V = (torch.from_numpy(x)[None] for x in hippo_legs_dplr(32))
    c = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    C = 2 * (c.to(V.dtype) @ V[0])[None]
    dt = torch.tensor([0.01], dtype=torch.float64)
    # In HiPPO's own coordinates: the same response to an impulse.
    A_bar, x = reference.discretize(*hippo_transition("legs", 64), 0.01, "bilinear")
    own = []
    for _ in range(L):
        own.append(c.numpy() @ x)
        x = A_bar @ x
    K = dplr_kernel(Lambda, P, B, C, dt, L)[0]
    np.testing.assert_allclose(K, own, rtol=0, atol=1e-10 * np.abs(own).max())
    narrow = [x.to(torch.complex64) for x in (Lambda, P, B, C)]
    found = dplr_kernel(*narrow, dt.float(), L)
    exact = dplr_kernel(*(x.to(torch.complex128) for x in narrow), dt.float().double(), L)
    assert (found - exact).norm() < 1e-5 * exact.norm()


def test_arguments_that_are_wrong_are_named():
    Lambda, P, B, C, dt = system()
    with pytest.raises(TypeError, match=r"Lambda: expected one of complex64, complex128, got torch\.float64"):
        dplr_kernel(Lambda.real, P, B, C, dt, 4)
    with pytest.raises(TypeError, match=r"dt: expected dtype torch\.float64 for a Lambda of"):
        dplr_kernel(Lambda, P, B, C, dt.float(), 4)
    with pytest.raises(ValueError, match=r"P: expected shape \(channels, modes\) = \(2, 3\) like Lambda"):
        dplr_kernel(Lambda, P[:, :2], B, C, dt, 4)
    u = torch.zeros(1, 5, 2)
    with pytest.raises(TypeError, match=r"Lambda: expected dtype torch\.complex64 for a u of"):
        dplr_scan(Lambda, P, B, C, dt, u)
    with pytest.raises(ValueError, match=r"Lambda: expected shape \(channels, modes\) = \(3, \*\) like u"):
        dplr_scan(Lambda, P, B, C, dt, torch.zeros(1, 5, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"state: expected a torch\.Tensor"):
        dplr_step(Lambda, P, B, C, dt, u[:, 0].double(), None)
