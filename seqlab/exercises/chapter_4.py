"""Chapter 4: HiPPO."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import laguerre

from seqlab.exercises.comparison import compare
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.hippo import reference


def stepped(N, L):
    """W (N, L), a column for each sample: where the exact steps of eq. 4.11 lead it."""
    samples = np.eye(L)[:, :, None]
    _, last = reference.hippo_project(samples, N, method="zoh", return_all=False)
    return last[:, 0].T


def legs_weights(answer: Callable) -> None:
    compare(answer, stepped, [(4, 6), (1, 3), (7, 10)], ("W",))


def faded(N):
    """A and B from eq. 4.1 with L_n(s) exp(-s) beside the signal: its slope as a sum of
    L_m exp(-s), and its value at present."""
    units = np.eye(N)
    slopes = [np.resize([*laguerre.lagder(unit), *np.zeros(N)], N) for unit in units]
    present = [laguerre.lagval(0.0, unit) for unit in units]
    return 0.0 + np.array(slopes) - units, np.array(present)


def laguerre_memory(answer: Callable) -> None:
    compare(answer, faded, [(4,), (1,)], ("A", "B"))


def solved(y, a):
    """(I - a A)^-1 y with the matrix of LegS; y is (N, R)."""
    A, _ = reference.hippo_transition("legs", len(y))  # eq. 4.5
    return np.float32(np.linalg.solve(np.eye(len(y)) - a * A, y))


def legs_solve(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def made(y, a):
        N, R = y.shape
        r, x = np.sqrt(2 * np.arange(N, dtype=np.float32) + 1), unwritten(N, R)
        launch(kernel, (-(-R // 4),), y, r, x, a, N, R, BLOCK=4)
        return x

    y = random.standard_normal((7, 5)).astype(np.float32)
    compare(made, solved, [(y, 0.3), (y[:3], 2.0)], ("x",), tolerance=1e-5)


CHECKS = {"4.5": legs_weights, "4.6": laguerre_memory, "4.8": legs_solve}
