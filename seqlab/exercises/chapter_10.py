"""Chapter 10: Mamba."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.selective_scan import reference


def slopes(r, h, u):
    """dh_t/dr_t of eq. 10.9, by zero-order hold and by Euler's rule."""
    g = 1 / (1 + np.exp(-r))
    return g * (1 - g) * (u - h), g * u - g * (1 - g) * h


def gate_slopes(answer: Callable) -> None:
    inputs = [(0.3, 0.7, -1.1), (-2.0, 1.5, 0.4), (3.0, -0.6, 2.0)]
    compare(answer, slopes, inputs, ("by_hold", "by_euler"))


def summary(u, delta, A, B):
    """What a chunk leaves of the state before it and makes of nothing, eq. 10.8."""
    _, made = reference.selective_scan(
        u[None, :, None], delta[None, :, None], A[None], B[None], B[None]
    )
    return np.exp(delta.sum() * A), made[0, 0]


def summarize(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def chunk(T, N, largest):
        delta = random.uniform(0, largest, T)
        A = -random.uniform(0.2, 3, N)
        return random.standard_normal(T), delta, A, random.standard_normal((T, N))

    inputs = [chunk(7, 5, 0.6), chunk(6, 3, 400.0), chunk(1, 2, 1.0)]
    compare(answer, summary, inputs, ("decay", "made"))


def quotients(delta):
    """The last h of eq. 10.4 by two cumulative sums, for A = -16 and B u = 1."""
    P = np.exp(-16.0 * np.cumsum(delta))
    return P[-1] * np.sum(delta / P)


def breaking_steps(answer: Callable) -> None:
    delta = np.asarray(answer())
    if delta.shape != (6,):
        raise Rejected(f"delta has shape {delta.shape}, expected (6,)")
    if not ((delta > 0) & (delta <= 8)).all():
        raise Rejected(
            f"delta runs from {delta.min():.6g} to {delta.max():.6g}, expected above 0 "
            "and at most 8"
        )
    delta = delta.astype(float)
    _, h = reference.selective_scan(
        np.ones((1, 6, 1)),
        delta[None, :, None],
        np.array([[-16.0]]),
        *np.ones((2, 1, 6, 1)),
    )
    with np.errstate(all="ignore"):
        found = quotients(delta)
    apart = abs(found - h.item()) / abs(h.item())
    if apart < 1e-3:
        raise Rejected(
            f"the sums give {found:.6g}, which is right, for steps that sum to "
            f"{delta.sum():.6g}"
        )


def stepped(h, u, delta, A, B, C):
    """The state after a token, (D, N), and its output, (D,), of eq. 10.4."""
    y, after = reference.selective_scan_step(
        u[None], delta[None], A, B[None], C[None], h[None]
    )
    return after[0].astype(np.float32), y[0].astype(np.float32)


def step(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def case(D, N):
        h, A = random.standard_normal((2, D, N))
        u, delta = random.standard_normal((2, D))
        B, C = random.standard_normal((2, N))
        arrays = (h, u, np.abs(delta), -np.exp(A), B, C)
        return tuple(x.astype(np.float32) for x in arrays)

    def made(h, u, delta, A, B, C):
        (D, N), h = h.shape, h.copy()
        y = unwritten(D)
        launch(kernel, (-(-D // 4),), h, u, delta, A, B, C, y, D, N, BLOCK=4, MODES=4)
        return h, y

    compare(made, stepped, [case(5, 3), case(3, 4)], ("h", "y"), tolerance=1e-5)


CHECKS = {
    "10.4": gate_slopes,
    "10.5": summarize,
    "10.6": breaking_steps,
    "10.7": step,
}
