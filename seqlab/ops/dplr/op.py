"""S4's convolution kernel as a PyTorch op: argument checks, choice of backend,
registration."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    positive_integer,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.dplr import portable
from seqlab.ops.dplr.system import gradients_of_weights, weights
from seqlab.ops.registration import register

DTYPES = (torch.complex64, torch.complex128)
REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}
KERNEL_DTYPES = (torch.complex64,)


def dplr_kernel(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    L: int,
    backend: str | None = None,
) -> Tensor:
    """The convolution kernel K_j = Re(C A_bar^j B_bar) of S4's state-space model, diagonal
    plus low rank, x' = Λ x - 2 P Re(P* x) + B u, y = Re(C x), discretized by the bilinear
    transform.

    One mode stands for itself and its conjugate: on both of each pair the state matrix is
    Λ - P P*. y is the plain real part over the modes given: a layer whose system is y = C
    x + (C x)^* doubles ``C`` itself.

    The kernel is the inverse Fourier transform of its generating function at the L roots
    of unity, four Cauchy products for each, of which (D, N, L) is never made. What ends it
    after L steps, C (I - A_bar^L), comes from a power of a dense matrix for each channel,
    in float64, so that ``C`` does not depend on L: 8 N^3 log2(L) multiply-adds and 32
    N^2 bytes a channel, some of these for each bit of L in the backward pass.
    Differentiable in everything but L. A NaN spreads over its channel.

    C (I - A_bar^L) keeps digits while dt |λ| lies between about 1e-10 and 1e10. The
    Cauchy products are differences where P and P* are large and all eigenvalues nearly
    0: float32 then loses a factor of |P|²/|λ|. HiPPO's eigenvalues are far from that.

    Args:
        Lambda: eigenvalues, (D, N), with Re <= 0: complex64 or complex128.
        P, B, C: (D, N), of Lambda's dtype.
        dt: step of each channel, (D,), above 0, of Lambda's precision.
        L: length of the kernel, at least 1.
        backend: of the Cauchy products: "triton" (on CPU tensors: in Triton's
            interpreter), "portable", or None, which takes Triton for CUDA tensors of up
            to 32 bits a real number and the portable form for all else.

    Returns:
        K, (D, L), real.

    Raises:
        TypeError: an argument is not of the type or dtype described.
        ValueError: a shape, a device, ``L`` or ``backend`` is not as described, or D or N
            is 0.

    Source: Gu, Goel and Ré, "Efficiently Modeling Long Sequences with Structured State
    Spaces" (2022), theorem 3 and appendix C.3; Goel et al., "It's Raw!" (2022), for P* in
    both places.
    """
    check_system(Lambda, P, B, C, dt)
    length = positive_integer("L", L)
    name = choose_backend(backend, Lambda, KERNEL_DTYPES)
    return _dplr_kernel(Lambda, P, B, C, dt, length, name)[0]


def check_system(Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor) -> None:
    """Raise TypeError or ValueError unless these are a system of (D, N)."""
    check_tensor("Lambda", Lambda)
    check_dtype("Lambda", Lambda, DTYPES)
    check_shape("Lambda", Lambda, "channels, modes")
    check_not_empty("Lambda", Lambda)
    for name, x in (("P", P), ("B", B), ("C", C)):
        check_like(name, x, "Lambda", Lambda, "channels, modes", Lambda.shape)
    real = REAL[Lambda.dtype]
    check_like("dt", dt, "Lambda", Lambda, "channels", Lambda.shape[:1], real)


def _forward(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    length: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """K, and what the backward pass needs: the products' weights, and A_bar."""
    form = kernel_of("dplr") if backend == "triton" else portable
    v, A_bar = weights(length, Lambda, P, B, C, dt)
    v = v.to(Lambda.dtype)
    return torch.fft.irfft(form.spectrum(Lambda, v, dt, length), length), v, A_bar


def _backward(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    v: Tensor,
    A_bar: Tensor,
    grad: Tensor | None,
    grad_v: Tensor | None,
    grad_A_bar: Tensor | None,
    length: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    form = kernel_of("dplr") if backend == "triton" else portable
    grad = dt.new_zeros((len(dt), length)) if grad is None else grad
    # The transform belongs to the op, as what torch.compile makes of its gradient in
    # CUDA graphs is half of it (PyTorch 2.11).
    spectrum = torch.fft.rfft(grad, norm="forward")
    spectrum[:, 1 : (length + 1) // 2] *= 2  # each stands for its conjugate as well
    of_Lambda, of_v, of_dt = form.gradients(Lambda, v, dt, length, spectrum)
    found = gradients_of_weights(length, Lambda, P, B, C, dt, A_bar, of_v)
    grads = (x.to(y.dtype) for x, y in zip(found, (Lambda, P, B, C, dt), strict=True))
    more_of_Lambda, of_P, of_B, of_C, more_of_dt = grads
    return of_Lambda + more_of_Lambda, of_P, of_B, of_C, of_dt + more_of_dt


def _save(arguments, outputs):
    return *arguments[:5], *outputs[1:]


def _fake(Lambda, P, B, C, dt, length, backend):
    D, N = Lambda.shape
    A_bar = dt.new_empty((D, 2 * N, 2 * N), dtype=torch.float64)
    return dt.new_empty((D, length)), Lambda.new_empty((4, D, N)), A_bar


def _fake_backward(Lambda, P, B, C, dt, *others):
    return tuple(x.new_empty(x.shape) for x in (Lambda, P, B, C, dt))


_dplr_kernel = register(
    "dplr_kernel", _forward, _backward, _save, _fake, _fake_backward
)
