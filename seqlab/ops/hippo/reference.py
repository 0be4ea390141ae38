"""HiPPO in NumPy: the four measures with their bases and transitions, and the memory
that they give, step by step.

One sentence holds for all of them. With s >= 0 the time ago, in units of the measure's
window, c_n(t) is the integral of f(t - window s) g_n(s) ds. The window is theta, and
for ``legs`` the whole history, t. Shapes: B batch, L length, D channels, N order.
"""

import numpy as np
from scipy.linalg import expm, solve_triangular
from scipy.special import eval_laguerre, eval_legendre

from seqlab.ops.discretize.reference import discretize

MEASURES = ("legs", "legt", "lagt", "fourier")
METHODS = ("euler", "backward_euler", "bilinear", "zoh")
ALPHA = {"euler": 0.0, "bilinear": 0.5, "backward_euler": 1.0}


def hippo_transition(measure, N):
    """A (N, N) and B (N,) of c' = (A c + B f) / window."""
    n = np.arange(N)
    r = np.sqrt(2 * n + 1)
    if measure == "legs":
        A = -np.tril(np.outer(r, r), -1) - np.diag(n + 1.0)  # eq. 4.5
        B = r
    elif measure == "legt":
        sign = np.where(n[:, None] < n, (-1.0) ** (n[:, None] - n), 1.0)
        A = -np.outer(r, r) * sign  # eq. 4.6
        B = r
    elif measure == "lagt":
        A = -np.tril(np.ones((N, N)), -1) - np.eye(N) / 2  # eq. 4.7
        B = np.ones(N)
    elif measure == "fourier":
        g_0 = hippo_basis(measure, N, np.zeros(1))[:, 0]
        turn = np.where(n % 2 == 1, np.pi * (n + 1), 0.0)[:-1]  # 2 pi m, then 0
        A = np.diag(turn, -1) - np.diag(turn, 1) - 2 * np.outer(g_0, g_0)  # eq. 4.8
        B = 2 * g_0
    else:
        raise ValueError(f"measure: expected one of {MEASURES}, got {measure!r}")
    return A, B


def hippo_basis(measure, N, s):
    """g_n(s), (N, P), at P times ago: s in [0, 1], or s >= 0 for ``lagt``."""
    n = np.arange(N)[:, None]
    if measure in ("legs", "legt"):
        return np.sqrt(2 * n + 1) * eval_legendre(n, 1 - 2 * s)
    if measure == "lagt":
        return np.exp(-s / 2) * eval_laguerre(n, s)
    m = (n + 1) // 2  # the frequency
    wave = np.where(n % 2 == 1, np.cos(2 * np.pi * m * s), np.sin(2 * np.pi * m * s))
    return np.where(n == 0, 1.0, np.sqrt(2) * wave)


def hippo_reconstruct(c, points, measure="legs"):
    """The remembered function (..., P) at ``points`` (P,), in windows ago."""
    return c @ hippo_basis(measure, c.shape[-1], points)  # eq. 4.2


def step_matrices(measure, N, k, method="bilinear", theta=1.0, dt=1.0):
    """A_bar (K, N, N) and B_bar (K, N) of the steps number k (K,), counted from 1."""
    A, B = hippo_transition(measure, N)
    if measure != "legs":
        A_bar, B_bar = discretize(A, B, dt / theta, method)
        return np.tile(A_bar, (len(k), 1, 1)), np.tile(B_bar, (len(k), 1))
    steps = [_legs_step(A, B, k_i, method) for k_i in k]
    return np.stack([A_bar for A_bar, _ in steps]), np.stack(
        [B_bar for _, B_bar in steps]
    )


def _legs_step(A, B, k, method):
    """One step of c' = (A c + B f) / t, from t = k - 1 to t = k."""
    I = np.eye(len(B))
    if k == 1:
        return 0 * I, I[0]  # eq. 4.10: one held sample is remembered exactly
    if method == "zoh":
        A_bar = expm(A * np.log(k / (k - 1)))  # eq. 4.11
        return A_bar, solve_triangular(A, (A_bar - I) @ B, lower=True)
    alpha = ALPHA[method]
    now, before = alpha / k, (1 - alpha) / (k - 1)
    right = np.column_stack([I + before * A, (now + before) * B])
    both = solve_triangular(I - now * A, right, lower=True)  # eq. 4.9
    return both[:, :-1], both[:, -1]


def hippo_project(
    f,
    N,
    measure="legs",
    method="bilinear",
    theta=1.0,
    state=None,
    dt=None,
    start=0,
    return_all=True,
):
    """The coefficients after every sample of f (B, L, D): c (B, L, D, N), or the last
    ones alone; and the last ones (B, D, N) as the state."""
    batch, length, channels = f.shape
    c_k = np.zeros((batch, channels, N)) if state is None else state
    dt = 1 / length if dt is None else dt
    c = []
    A, B = hippo_transition(measure, N)
    if measure != "legs":
        A_bar, B_bar = discretize(A, B, dt / theta, method)
    for k in range(start + 1, start + length + 1):
        if measure == "legs":
            A_bar, B_bar = _legs_step(A, B, k, method)
        c_k = c_k @ A_bar.T + f[:, k - start - 1, :, None] * B_bar  # eq. 4.12
        c.append(c_k)
    return (np.stack(c, axis=1) if return_all else c_k), c_k
