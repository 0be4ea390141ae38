"""What the eigenvalues of a diagonal linear recurrence h_t = λ h_{t-1} + u_t do.

The signal u enters every mode with weight 1 (or ``weights``) and leaves as the mean of
the real parts, y_t = (1/N) Σ_n Re h_{t,n}. NumPy, float64 and complex128 throughout.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "gamma",
    "gradient_norm",
    "half_life",
    "impulse_response",
    "magnitude_response",
]

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


def impulse_response(
    eigenvalues: ArrayLike, length: int, weights: ArrayLike = 1.0
) -> Real:
    """K_t = (1/N) Σ_n w_n Re(λ_n^t), t = 0 .. length - 1: what y does after u = 1, 0,
    0, ...

    Args:
        eigenvalues: discrete λ, (N,).
        length: how many steps, at least 1.
        weights: w, (N,) or a number; ``gamma(eigenvalues)`` gives the LRU's.

    Returns:
        real array (length,).
    """
    lam = _modes(eigenvalues)
    if length < 1:
        raise ValueError(f"length: expected at least 1 step, got {length}")
    powers = lam ** np.arange(length)[:, None]
    return np.mean(np.asarray(weights) * powers.real, axis=1)


def magnitude_response(
    eigenvalues: ArrayLike, frequencies: ArrayLike, weights: ArrayLike = 1.0
) -> Real:
    """abs(H(e^{iω})), the gain for a wave of frequency ω: H is the Fourier transform of
    ``impulse_response``.

    H(e^{iω}) = Σ_t K_t e^{-iωt} = (1/N) Σ_n w_n/2 [1/(1 - λ_n e^{-iω}) + 1/(1 -
    conj(λ_n) e^{-iω})], since Re λ^t = (λ^t + conj(λ)^t) / 2. Where an abs(λ_n) >= 1
    the sum over t diverges and only the right side is left.

    Args:
        eigenvalues: discrete λ, (N,).
        frequencies: ω in radians a step, (F,).
        weights: w, (N,) or a number.

    Returns:
        real array (F,).
    """
    lam = _modes(eigenvalues)
    wave = np.exp(-1j * np.asarray(frequencies, dtype=float))[:, None]
    H = np.mean(
        np.asarray(weights) / 2 * (1 / (1 - lam * wave) + 1 / (1 - lam.conj() * wave)),
        axis=1,
    )
    return np.abs(H)


def half_life(eigenvalues: ArrayLike) -> Real:
    """Steps until a mode has lost half of what it held, ln 2 / (-ln abs(λ)): 0 at 0,
    inf at abs(λ) >= 1."""
    modulus = np.abs(np.asarray(eigenvalues, dtype=complex))
    with np.errstate(divide="ignore"):
        steps = np.log(2) / -np.log(modulus)
    return np.where(modulus < 1, steps, np.inf)


def gradient_norm(eigenvalues: ArrayLike, distance: ArrayLike) -> tuple[Real, Real]:
    """Two norms of ∂h_{t+k}/∂h_t = diag(λ_n^k), for distances k >= 0, (K,).

    Returns:
        rms (K,): root mean square of abs(λ_n)^k, the Frobenius norm divided by sqrt(N).
        largest (K,): max_n abs(λ_n)^k, the spectral norm.
    """
    k = np.asarray(distance, dtype=float)[:, None]
    decay = np.abs(_modes(eigenvalues)) ** k
    return np.sqrt(np.mean(decay**2, axis=1)), decay.max(axis=1)


def gamma(eigenvalues: ArrayLike) -> Real:
    """The LRU's input gain sqrt(1 - abs(λ)^2): with it, white noise of variance 1 gives
    E abs(h)^2 = 1.

    Written sqrt((1 - abs(λ)) (1 + abs(λ))), which loses nothing where abs(λ) is close
    to 1. NaN where abs(λ) > 1: such a mode has no stationary variance. Source: Orvieto
    et al. 2023, section 3.4.
    """
    modulus = np.abs(np.asarray(eigenvalues, dtype=complex))
    with np.errstate(invalid="ignore"):
        return np.sqrt((1 - modulus) * (1 + modulus))  # eq. 3.8


def _modes(eigenvalues: ArrayLike) -> Complex:
    lam = np.asarray(eigenvalues, dtype=complex)
    if lam.ndim != 1 or lam.size == 0:
        raise ValueError(
            f"eigenvalues: expected shape (N,) with N at least 1, got {lam.shape}"
        )
    return lam
