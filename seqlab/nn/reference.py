"""The LRU, and the way to it from a dense recurrence: NumPy, float64, one line per
equation (chapter 3)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from seqlab.ops.linear_scan.reference import linear_scan


def diagonalize(A: NDArray, B: NDArray, C: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """h_t = A h_{t-1} + B u_t, y_t = C h_t in the coordinates of A's eigenvectors.

    A (N, N), B (N, inputs), C (outputs, N) -> eigenvalues (N,), B and C in the new
    coordinates, all complex. Raises numpy.linalg.LinAlgError where A has no basis of
    eigenvectors; close to such an A up to seven digits are lost.
    """
    lam, P = np.linalg.eig(A)  # eq. 3.2
    # Rounding hides a missing eigenvector: it comes out 1e-8 or less away from another.
    if not np.linalg.cond(P) < 1e7:
        raise np.linalg.LinAlgError("A: expected a basis of eigenvectors, got none")
    return lam, np.linalg.solve(P, B.astype(complex)), C @ P


def lru(
    parameters: Mapping[str, NDArray], u: NDArray, state: NDArray | None = None
) -> tuple[NDArray, NDArray]:
    """u (batch, length, width) -> y of the same shape and the last state, complex
    (batch, state_size).

    `parameters` maps the names of the parameters of `seqlab.nn.LRU` to arrays. Source:
    Orvieto et al. (2023).
    """
    p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    lam = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))  # eq. 3.4
    B, C = p["B_re"] + 1j * p["B_im"], p["C_re"] + 1j * p["C_im"]
    b = np.exp(p["gamma_log"]) * (u @ B.T)  # eq. 3.7
    h, last = linear_scan(lam, b, state)  # eq. 3.3
    return (h @ C.T).real + p["D"] * u, last  # eq. 3.9
