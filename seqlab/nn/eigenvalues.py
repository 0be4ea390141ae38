"""Eigenvalues of a diagonal linear recurrence h_t = λ h_{t-1} + u_t: where to put them.
What they do there is in ``seqlab.nn.responses``.

``ring``, ``real`` and ``glorot`` draw discrete eigenvalues λ, ready for the recurrence.
``s4d_lin``, ``s4d_inv``, ``s4d_real`` and ``hippo_legs_normal`` are fixed lists of
*continuous* eigenvalues a of h'(t) = a h(t) + u(t); ``discretize_eigenvalues`` samples
them with step dt.

``state_size`` is always the number of eigenvalues returned. A layer's output is the
real part of a sum over modes, so one eigenvalue of each conjugate pair is enough. The
S4D papers count a pair as two states: their N is twice our ``state_size``, and their n
runs over 0 .. N/2 - 1, as ours does. Only ``glorot`` returns both of a pair, because it
returns all the eigenvalues of one real matrix.

NumPy, float64 and complex128 throughout.
"""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seqlab.ops import discretize
from seqlab.ops.hippo.reference import hippo_transition

__all__ = [
    "discretize_eigenvalues",
    "glorot",
    "hippo_legs_dplr",
    "hippo_legs_normal",
    "real",
    "ring",
    "s4d_inv",
    "s4d_lin",
    "s4d_real",
]

Complex = NDArray[np.complex128]


class Draws(Protocol):
    """What the random initializations ask of a generator; ``numpy.random.Generator``
    has it."""

    def random(self, size: Any) -> Any: ...

    def standard_normal(self, size: Any) -> Any: ...


# -------------------------------------------------------------------------------- discrete, drawn at random


def ring(
    state_size: int, r_min: float, r_max: float, max_phase: float, rng: Draws
) -> Complex:
    """Uniform by area on the part of the ring r_min <= abs(λ) <= r_max with phase
    between 0 and max_phase.

    abs(λ)^2 = u1 (r_max^2 - r_min^2) + r_min^2 and phase = max_phase u2, with u1 and
    then u2 uniform on [0, 1): the *squared* radius is uniform, because a ring's area
    grows with the square of its radius. Source: the sampling lemma of Orvieto et al.
    2023 (arXiv 2303.06349), section 3.2.

    Args:
        state_size: number of eigenvalues N, at least 1.
        r_min, r_max: inner and outer radius, 0 <= r_min <= r_max <= 1.
        max_phase: largest phase in radians, 0 to 2π. The paper takes 2π, and π/10 for
            the longest sequences.
        rng: where the draws come from.

    Returns:
        complex array (N,).

    Raises:
        TypeError, ValueError: an argument outside its range.
    """
    _check_size(state_size)
    _check_radii(r_min, r_max)
    if not 0 <= max_phase <= 2 * np.pi:
        raise ValueError(
            f"max_phase: expected radians from 0 to 2π = 6.283..., got {max_phase}"
        )
    u1, u2 = rng.random(state_size), rng.random(state_size)
    modulus = np.sqrt(u1 * (r_max**2 - r_min**2) + r_min**2)  # eq. 3.5
    return modulus * np.exp(1j * max_phase * u2)


def real(state_size: int, r_min: float, r_max: float, rng: Draws) -> Complex:
    """The ring's radii at phase 0: N exponential moving averages, λ^2 uniform on
    [r_min^2, r_max^2].

    Source: the gates of De et al. 2024 (Griffin, arXiv 2402.19427), which start with
    r_min = 0.9 and r_max = 0.999. Arguments, result (complex (N,), imaginary parts 0)
    and errors as for ``ring``.
    """
    _check_size(state_size)
    _check_radii(r_min, r_max)
    u1 = rng.random(state_size)
    return np.sqrt(u1 * (r_max**2 - r_min**2) + r_min**2).astype(complex)


def glorot(state_size: int, rng: Draws) -> Complex:
    """The N eigenvalues of a real N x N matrix of independent normal entries, variance
    1/N (Glorot, square).

    They fill the unit disk uniformly as N grows (the circular law); at finite N some
    lie outside it. Real ones come alone, the others as conjugate pairs side by side, in
    LAPACK's order. Source: Orvieto et al. 2023, section 3.2; Glorot and Bengio 2010.

    Returns:
        complex array (N,).
    """
    _check_size(state_size)
    matrix = rng.standard_normal((state_size, state_size)) / np.sqrt(state_size)
    return np.linalg.eigvals(matrix).astype(complex)


# ---------------------------------------------------------------------------------------- continuous, fixed


def s4d_lin(state_size: int) -> Complex:
    """S4D-Lin: a_n = -1/2 + i π n, n = 0 .. state_size - 1. Source: Gu et al. 2022
    (arXiv 2206.11893)."""
    _check_size(state_size)
    return (-0.5 + 1j * np.pi * np.arange(state_size)).astype(complex)


def s4d_inv(state_size: int) -> Complex:
    """S4D-Inv: a_n = -1/2 + i (N/π) (N/(2n+1) - 1), n = 0 .. N/2 - 1; N = 2 state_size
    counts both of a pair.

    Frequencies fall from N(N-1)/π, close to those of ``hippo_legs_normal``.
    Source: Gu et al. 2022 (arXiv 2206.11893).
    """
    _check_size(state_size)
    N = 2 * state_size
    return (-0.5 + 1j * N / np.pi * (N / (2 * np.arange(state_size) + 1) - 1)).astype(
        complex
    )


def s4d_real(state_size: int) -> Complex:
    """S4D-Real: a_n = -(n + 1), n = 0 .. state_size - 1, the eigenvalues of HiPPO-LegS
    (arXiv 2206.11893)."""
    _check_size(state_size)
    return -(np.arange(state_size) + 1.0).astype(complex)


def hippo_legs_normal(state_size: int) -> Complex:
    """The normal part of HiPPO-LegS, one eigenvalue of each pair, in order of growing
    frequency.

    HiPPO-LegS is the A of ``seqlab.ops.hippo_transition("legs", N)``, N = 2 state_size.
    Its eigenvectors are too ill-conditioned to use. With P_n = sqrt(n + 1/2), A + P P^T
    is -I/2 + S with S skew-symmetric, so every real part is -1/2 and the frequencies
    are the eigenvalues of the Hermitian matrix iS. Source: Gu et al. 2022 (arXiv
    2111.00396), Theorem 1; used alone as S4D-LegS (arXiv 2206.11893).

    Returns:
        complex array (state_size,), real parts -1/2, imaginary parts positive.
    """
    _check_size(state_size)
    A, _ = hippo_transition("legs", 2 * state_size)
    S = (A - A.T) / 2  # P P^T and I are symmetric
    frequency = np.linalg.eigvalsh(1j * S)[state_size:]
    return (-0.5 + 1j * frequency).astype(complex)


def hippo_legs_dplr(state_size: int) -> tuple[Complex, Complex, Complex, Complex]:
    """HiPPO-LegS as diagonal plus low rank, one mode of each conjugate pair.

    With the eigenvectors V (N, state_size) of the normal part, N = 2 state_size, that
    belong to positive frequencies, and z = V* x, the system x' = A x + B u, y = c x is z' =
    Λ z - 2 P Re(P* z) + B u, y = 2 Re(c V z). Source: Gu et al. 2022 (arXiv 2111.00396),
    Theorem 1.

    Returns:
        Λ, as ``hippo_legs_normal``, P and B, complex (state_size,), and V.
    """
    _check_size(state_size)
    A, B = hippo_transition("legs", 2 * state_size)
    P = np.sqrt(np.arange(2 * state_size) + 0.5)
    frequency, V = np.linalg.eigh(-0.5j * (A - A.T))
    V = V[:, state_size:]
    return -0.5 + 1j * frequency[state_size:], V.conj().T @ P, V.conj().T @ B, V


def discretize_eigenvalues(
    lambda_continuous: ArrayLike, dt: float, method: str = "zoh"
) -> Complex:
    """Sample h'(t) = a h(t) with step dt: the discrete eigenvalue of each continuous
    one, A_bar of ``seqlab.ops.discretize``.

    Args:
        lambda_continuous: continuous eigenvalues a, any shape.
        dt: step, from 0 up, in the units of 1 / a.
        method: "zoh", λ = exp(dt a), "bilinear", λ = (1 + dt a/2) / (1 - dt a/2), or
            another method of ``seqlab.ops.discretize`` that needs no ``alpha``.

    Returns:
        complex array of the same shape. By "zoh" and "bilinear" abs(λ) < 1 wherever
        Re a < 0 and dt > 0; bilinear sends a large abs(dt a) close to -1.

    Raises:
        TypeError, ValueError: ``dt`` or ``method`` is not as described.
    """
    a = torch.from_numpy(np.array(lambda_continuous, complex)[..., None])
    A_bar, _ = discretize(a, torch.ones_like(a), dt, method, diagonal=True)
    return A_bar[..., 0].numpy()


# --------------------------------------------------------------------------------------------------- checks


def _check_size(state_size: int) -> None:
    if isinstance(state_size, bool) or not isinstance(state_size, int | np.integer):
        raise TypeError(f"state_size: expected an integer, got {state_size!r}")
    if state_size < 1:
        raise ValueError(f"state_size: expected at least 1, got {state_size}")


def _check_radii(r_min: float, r_max: float) -> None:
    if not 0 <= r_min <= r_max <= 1:
        raise ValueError(
            f"r_min, r_max: expected 0 <= r_min <= r_max <= 1, got {r_min} and {r_max}"
        )
