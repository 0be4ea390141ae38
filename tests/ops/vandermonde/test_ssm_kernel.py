"""The kernel of a diagonal state-space model: its forms, its limits, and what other libraries make of it."""

import numpy as np
import pytest
import torch
from scipy import signal

from seqlab.ops import ssm_kernel
from seqlab.ops.backends import has_triton
from seqlab.ops.vandermonde import reference

TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
every_backend = pytest.mark.parametrize("backend", ["portable", pytest.param("triton", marks=TRITON)])


def system(D, N, imaginary=True, seed=0, low=0.3, high=0.99):
    rng = np.random.default_rng(seed)
    modulus = rng.uniform(low, high, (D, N))
    A = modulus * np.exp(2j * np.pi * rng.uniform(size=(D, N))) if imaginary else modulus
    B, C = (rng.normal(size=(D, N)) + (1j * rng.normal(size=(D, N)) if imaginary else 0) for _ in range(2))
    return A, B, C


def tensors(arrays, dtype=None):
    return [torch.from_numpy(x).to(dtype or x_dtype(x)) for x in arrays]


def x_dtype(x):
    return torch.complex128 if np.iscomplexobj(x) else torch.float64


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("L", [1, 2, 8, 9, 61])
def test_tiles_of_the_reference_are_its_loop(imaginary, L):
    A, B, C = system(3, 5, imaginary)
    expected = reference.ssm_kernel(A, B, C, L)
    np.testing.assert_allclose(reference.ssm_kernel_tiled(A, B, C, L), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ssm_kernel(*tensors((A, B, C)), L), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("imaginary", [False, True])
def test_gradients_of_the_reference_by_finite_differences(imaginary):
    leaves = [x.requires_grad_() for x in tensors(system(2, 3, imaginary))]
    assert torch.autograd.gradcheck(lambda *x: ssm_kernel(*x, 7), leaves)
    K = ssm_kernel(*leaves, 7)
    grad_K = torch.randn(K.shape, dtype=K.dtype, generator=torch.Generator().manual_seed(0))
    arrays = [x.detach().numpy() for x in leaves]
    expected = reference.ssm_kernel_gradients(*arrays, grad_K.numpy())
    for found, true in zip(torch.autograd.grad(K, leaves, grad_K), expected, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-12)


def test_it_is_the_impulse_response_of_scipy_one_sample_earlier():
    """dlsim reads y from the state before the input enters: x_{t+1} = A x_t + B u_t, y_t = C x_t."""
    A, B, C = (x[0] for x in system(1, 4))
    a = np.block([[np.diag(A.real), -np.diag(A.imag)], [np.diag(A.imag), np.diag(A.real)]])
    into, out = np.concatenate([B.real, B.imag])[:, None], np.concatenate([C.real, -C.imag])[None]
    impulse = np.zeros(20)
    impulse[0] = 1
    _, y, _ = signal.dlsim(signal.StateSpace(a, into, out, np.zeros((1, 1)), dt=1), impulse)
    K = ssm_kernel(*tensors((A[None], B[None], C[None])), 20)[0]
    np.testing.assert_allclose(y[0], 0, atol=0)
    np.testing.assert_allclose(y[1:, 0], K[:-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_the_phase_is_kept_to_the_end_of_a_long_kernel(dtype):
    """On the unit circle, at j = 100,000: float32 powers of float32 powers would have lost it."""
    theta = torch.tensor([[1.0, 2.5, 3.1], [1e-5, 0.3, 0.77]], dtype=torch.float64)
    A = torch.polar(torch.ones_like(theta), theta).to(dtype)
    ones = torch.ones_like(A)
    K = ssm_kernel(A, ones, ones, 100_001)
    wide = A.to(torch.complex128).numpy()
    for j in (1, 1000, 65_537, 100_000):
        expected = (wide**j).real.sum(1)
        np.testing.assert_allclose(K[:, j], expected, atol=1e-6 if dtype == torch.complex64 else 1e-9)


@TRITON
def test_the_phase_is_kept_by_the_kernel():
    """Tiles at the end of 5,000 steps, a few modes: what the interpreter runs in seconds."""
    A = torch.polar(torch.ones(1, 2), torch.tensor([[1.0, 0.3]]))
    leaves = [x.clone().requires_grad_() for x in (A, torch.ones_like(A), torch.ones_like(A))]
    wide = [x.detach().to(torch.complex128).requires_grad_() for x in leaves]
    L = 1500
    K, true = ssm_kernel(*leaves, L, backend="triton"), ssm_kernel(*wide, L)
    assert (K - true).abs().max() < 1e-6
    weights = torch.randn(1, L, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad(K, leaves, weights.float())
    expected = torch.autograd.grad(true, wide, weights.float().double())
    for x, y in zip(found, expected, strict=True):
        assert (x - y).norm() < 1e-5 * y.norm()


@every_backend
@pytest.mark.parametrize("imaginary", [False, True])
def test_eigenvalues_of_zero_have_gradients(backend, imaginary):
    """K is then an impulse, and its slope in A_bar is that of K_1."""
    dtype = torch.complex64 if imaginary else torch.float32
    A = torch.zeros(1, 2, dtype=dtype, requires_grad=True)
    B, C = torch.tensor([[2.0, 3.0]], dtype=dtype), torch.tensor([[5.0, 7.0]], dtype=dtype)
    K = ssm_kernel(A, B, C, 5, backend=backend)
    assert K.tolist() == [[31.0, 0.0, 0.0, 0.0, 0.0]]
    (slope,) = torch.autograd.grad(K, A, torch.tensor([[1.0, 10.0, 100.0, 1000.0, 1e4]]))
    assert torch.equal(slope, torch.tensor([[100.0, 210.0]], dtype=dtype))


@every_backend
def test_one_of_each_conjugate_pair_and_c_doubled_is_the_real_system(backend):
    A, B, C = system(2, 3)
    both = [np.concatenate([x, x.conj()], axis=1) for x in (A, B, C)]
    one = tensors((A, B, 2 * C), torch.complex64)
    expected = reference.ssm_kernel(*both, 11)
    np.testing.assert_allclose(ssm_kernel(*one, 11, backend=backend), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("L", [0, -3])
def test_a_kernel_of_no_length_is_refused(L):
    with pytest.raises(ValueError, match="L: expected an integer from 1"):
        ssm_kernel(*tensors(system(1, 2)), L)


def test_the_dtypes_are_those_of_parameters():
    A, B, C = tensors(system(1, 2, imaginary=False), torch.float16)
    with pytest.raises(TypeError, match="A_bar: expected one of float32, float64, complex64, complex128"):
        ssm_kernel(A, B, C, 4)
