"""Chapter 3: linear recurrent units."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.linear_scan import reference


def on_pairs(lam):
    """Multiplication by lam, on pairs of a real and an imaginary part: where it takes 1
    and i, as columns."""
    return np.array([[lam.real, (lam * 1j).real], [lam.imag, (lam * 1j).imag]])


def real_mode(answer: Callable) -> None:
    inputs = [(0.9 + 0.2j,), (-0.3 - 0.7j,), (0.5 + 0.0j,)]
    compare(answer, on_pairs, inputs, ("R",))


def stationary(lam, q):
    """The mean of abs(h)^2 under inputs whose correlation falls by q a step, from the
    covariance of the pair (h, b): b_t = q b_{t-1} + noise drives both."""
    noise = np.sqrt(1 - q**2) * np.ones((2, 1), complex)
    step = np.array([[lam, q], [0, q]])
    return solve_discrete_lyapunov(step, noise @ noise.T)[0, 0].real


def energy(answer: Callable) -> None:
    inputs = [(0.9 * np.exp(0.4j), 0.5), (0.95 * np.exp(-2j), 0.9), (-0.3 + 0.2j, 0.0)]
    compare(answer, stationary, inputs, ("energy",))


def fragile_matrix(answer: Callable) -> None:
    A = np.asarray(answer())
    if A.shape != (8, 8) or not np.isrealobj(A):
        raise Rejected(f"A is {A.dtype} of shape {A.shape}, expected real (8, 8)")
    if not np.abs(A).max() <= 1:
        raise Rejected(f"A has an entry of modulus {np.abs(A).max():.3g}, above 1")
    lam, P = np.linalg.eig(A)
    radius = np.abs(lam).max()
    if not radius <= 0.5 + 1e-9:
        raise Rejected(f"A has an eigenvalue of modulus {radius:.3g}, above 0.5")
    try:
        rebuilt = (P * lam) @ np.linalg.inv(P)
    except np.linalg.LinAlgError:
        rebuilt = np.full_like(A, np.nan)
    if not np.isfinite(rebuilt).all():
        raise Rejected("the eigenvectors of A have no inverse, which nobody overlooks")
    error = np.linalg.norm(rebuilt - A) / np.linalg.norm(A)
    if not error > 1e-3:
        raise Rejected(f"A comes back with a relative error of {error:.1e} only")


def gradients(lam, h, dh):
    """Of the inputs and of the eigenvalues; h and dh are (L, N)."""
    backward = np.broadcast_to(lam.conj(), dh.shape)
    g = reference.linear_scan(backward[None], dh[None, ::-1])[0][0, ::-1]  # eq. 2.6
    return np.complex64(g), np.complex64(np.sum(g[1:] * h[:-1].conj(), axis=0))


def walk_back(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal((*shape, 2)).astype(np.float32)

    def made(lam, h, dh):
        L, N = h.shape
        pairs = [x.view(np.float32).reshape(*x.shape, 2) for x in (lam, h, dh)]
        db, dlam = unwritten(L, N, 2), unwritten(N, 2)
        launch(kernel, (-(-N // 4),), *pairs, db, dlam, L, N, BLOCK=4)
        return db.view(np.complex64)[..., 0], dlam.view(np.complex64)[..., 0]

    lam, h, dh = (
        x.view(np.complex64)[..., 0] for x in (normal(5), normal(6, 5), normal(6, 5))
    )
    inputs = [(lam, h, dh), (lam[:3], h[:1, :3].copy(), dh[:1, :3].copy())]
    compare(made, gradients, inputs, ("db", "dlam"), tolerance=1e-5)


CHECKS = {
    "3.4": real_mode,
    "3.5": energy,
    "3.6": fragile_matrix,
    "3.7": walk_back,
}
