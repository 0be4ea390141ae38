"""S4's state-space model in NumPy: the step, the kernel step by step, by the Cauchy trick
and from dense matrices.

The system is x' = Λ x - 2 P Re(P* x) + B u, y = Re(C x): one mode of each conjugate pair,
of which A = Λ - P P* holds both, discretized by the bilinear transform. Shapes: D
channels, N modes; ``Lambda``, ``P``, ``B`` and ``C`` are complex, (D, N), ``dt`` is (D,).
"""

import numpy as np

from seqlab.ops.discretize.reference import discretize


def dplr_step(Lambda, P, B, C, dt, u_t, state):
    """One step of x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t) in O(N): u_t (B, D),
    state (B, D, N)."""
    h = dt[:, None] / 2
    right = state + h * derivative(Lambda, P, state) + 2 * h * B * u_t[..., None]
    x = solve(Lambda, P, h, right)  # eq. 6.14
    return (C * x).real.sum(-1), x


def derivative(Lambda, P, x):
    """A x = Λ x - 2 P Re(P* x)."""
    return Lambda * x - 2 * P * (P.conj() * x).sum(-1, keepdims=True).real


def solve(Lambda, P, h, y):
    """The x of (I - h A) x = y: a diagonal matrix and one product of vectors more, so its
    inverse is one as well (Sherman and Morrison, 1950; Woodbury, 1950)."""
    R = 1 / (1 - h * Lambda)
    along = (P.conj() * R * y).sum(-1, keepdims=True).real
    gain = (P.conj() * R * P).sum(-1, keepdims=True).real
    return R * (y - 2 * h * P * along / (1 + 2 * h * gain))


def dplr_scan(Lambda, P, B, C, dt, u, state=None):
    """Step by step: y (B, L, D) and the last state (B, D, N) for u (B, L, D)."""
    y = np.zeros(u.shape)
    x = np.zeros((len(u), *Lambda.shape), complex) if state is None else state
    for t in range(u.shape[1]):
        y[:, t], x = dplr_step(Lambda, P, B, C, dt, u[:, t], x)
    return y, x


def dplr_kernel(Lambda, P, B, C, dt, L):
    """K_j = Re(C A_bar^j B_bar), (D, L): the response to an impulse, step by step."""
    impulse = np.zeros((1, L, len(Lambda)))
    impulse[:, 0] = 1
    return dplr_scan(Lambda, P, B, C, dt, impulse)[0][0].T


def dplr_dense(Lambda, P, B, C):
    """The real system of 2 N states, (Re x, Im x): A (D, 2N, 2N), B and C (D, 2N)."""
    p = np.concatenate([P.real, P.imag], axis=1)
    A = matrix(Lambda) - 2 * p[:, :, None] * p[:, None]
    return (
        A,
        np.concatenate([B.real, B.imag], axis=1),
        np.concatenate([C.real, -C.imag], axis=1),
    )


def matrix(diagonal):
    """The real matrices (D, 2N, 2N) of products with complex numbers (D, N)."""
    re, im = (
        part[..., None] * np.eye(part.shape[1])
        for part in (diagonal.real, diagonal.imag)
    )
    return np.block([[re, -im], [im, re]])


def dplr_kernel_dense(Lambda, P, B, C, dt, L):
    """The kernel from dense matrices: what the Cauchy trick spares."""
    K = np.zeros((len(Lambda), L))
    for d, (A, b, c) in enumerate(zip(*dplr_dense(Lambda, P, B, C), strict=True)):
        A_bar, x = discretize(A, b, dt[d], "bilinear")
        for j in range(L):
            K[d, j] = c @ x
            x = A_bar @ x
    return K


def dplr_kernel_cauchy(Lambda, P, B, C, dt, L):
    """The kernel from its generating function, the sum of K_j z^j, at the roots of unity
    z = e^{-2 pi i k / L}: a Fourier transform away.

    There it is C (I - A_bar^L) (I - z A_bar)^-1 B_bar, and the inverse is again a diagonal
    matrix and one product of vectors more. Multiplied through by 1 + z it is finite at
    z = -1.
    """
    truncated = dplr_truncated(Lambda, P, C, dt, L)  # eq. 6.11
    theta = np.pi * np.arange(L // 2 + 1) / L
    cos, g = np.cos(theta), 2j / dt[:, None] * np.sin(theta)
    below, above = (  # of each mode and of its conjugate
        1 / (g[:, None] - cos * eigenvalue[..., None])  # eq. 6.12
        for eigenvalue in (Lambda, Lambda.conj())
    )

    def cauchy(v):
        return (v[..., None] * below + v.conj()[..., None] * above).sum(1)

    k00, k01 = cauchy(truncated * B / 2), cauchy(truncated * P / 2)
    k10, k11 = cauchy(P.conj() * B), cauchy(P.conj() * P)
    spectrum = np.exp(1j * theta) * (k00 - cos * k01 * k10 / (1 + cos * k11))
    return np.fft.irfft(spectrum, L)  # of eq. 6.13


def dplr_truncated(Lambda, P, C, dt, L):
    """C (I - A_bar^L), which ends the kernel after L steps, as complex numbers (D, N)."""
    A, _, c = dplr_dense(Lambda, P, C, C)
    left = np.empty_like(c)
    for d in range(len(c)):
        A_bar, _ = discretize(A[d], c[d], dt[d], "bilinear")
        left[d] = c[d] - c[d] @ np.linalg.matrix_power(A_bar, L)
    re, im = np.split(left, 2, axis=1)
    return re - 1j * im
