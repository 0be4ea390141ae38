"""Chapter 5: discretization."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.discretize import reference


def trapezoid(s, dt):
    """A_bar and the weights of the inputs before and now: both ends of the integrand of
    eq. 5.2, half each."""
    return np.exp(dt * s), dt / 2 * np.exp(dt * s), dt / 2


def repaired_mixture(answer: Callable) -> None:
    inputs = [(-1.0 + 3.0j, 0.2), (0.0, 0.5), (-40.0, 1.5)]
    compare(answer, trapezoid, inputs, ("A_bar", "before", "now"))


def slopes(s, B, dt):
    """Derivatives of eq. 5.6 by the step, mode by mode."""
    return s / (1 - dt * s / 2) ** 2, B / (1 - dt * s / 2) ** 2


def bilinear_slopes(answer: Callable) -> None:
    random = np.random.default_rng(0)
    s, B = random.standard_normal((2, 5)) + 1j * random.standard_normal((2, 5))
    results = ("slope of A_bar", "slope of B_bar")
    inputs = [(s - 1, B, 0.7), (np.array([0.0, -50.0]), np.array([2.0, 3.0]), 0.1)]
    compare(answer, slopes, inputs, results)


def fragile_system(answer: Callable) -> None:
    A, dt = map(np.asarray, unpacked(answer(), ("A", "dt")))
    if A.shape != (2, 2) or not np.isrealobj(A):
        raise Rejected(f"A is {A.dtype} of shape {A.shape}, expected real (2, 2)")
    if dt.shape:
        raise Rejected(f"dt has shape {dt.shape}, expected a number")
    if not A.all():
        raise Rejected("A has a zero in it, and a dense matrix was asked for")
    real = np.linalg.eigvals(A).real
    if not real.max() < 0:
        raise Rejected(f"A has an eigenvalue of real part {real.max():.3g}: not stable")
    share = dt * np.abs(real).max()
    if not 0 < share <= 0.01 * (1 + 1e-9):
        raise Rejected(f"dt times the largest |Re s| is {share:.3g}, expected 0.01")
    A_bar, _ = reference.discretize(A, np.ones(2), dt, "euler")
    radius = np.abs(np.linalg.eigvals(A_bar)).max()
    if not radius > 1:
        raise Rejected(f"Euler does not explode: its largest |λ| is {radius:.6f}")


def bilinear_modes(s, dt):
    """A_bar and B_bar of eq. 5.6 with B = 1; s is (D, N), dt is (D,)."""
    return reference.discretize(s, np.ones_like(s), dt, "bilinear", diagonal=True)


def bilinear_kernel(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def modes(D, N):
        s = random.uniform(-9, -1, (D, N)) + 1j * random.uniform(-9, 9, (D, N))
        return s.astype(np.complex64), random.uniform(0.1, 1, D).astype(np.float32)

    def made(s, dt):
        D, N = s.shape
        A_bar, B_bar = unwritten(D, N, 2), unwritten(D, N, 2)
        pairs = s.view(np.float32).reshape(D, N, 2)
        launch(kernel, (-(-D * N // 8),), pairs, dt, A_bar, B_bar, D, N, BLOCK=8)
        return A_bar.view(np.complex64)[..., 0], B_bar.view(np.complex64)[..., 0]

    inputs = [modes(3, 5), modes(2, 13)]
    compare(made, bilinear_modes, inputs, ("A_bar", "B_bar"), tolerance=1e-5)


CHECKS = {
    "5.4": repaired_mixture,
    "5.6": bilinear_slopes,
    "5.7": fragile_system,
    "5.8": bilinear_kernel,
}
