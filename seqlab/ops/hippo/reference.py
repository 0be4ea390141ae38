"""HiPPO in NumPy: the four measures with their bases and transitions, and the memory
that they give, step by step.

One sentence holds for all of them. With s >= 0 the time ago, in units of the measure's
window, c_n(t) is the integral of f(t - window s) g_n(s) ds. The window is theta, and
for ``legs`` the whole history, t. Shapes: B batch, L length, D channels, N order.
"""

import numpy as np
from scipy.linalg import expm, solve_triangular
from scipy.special import eval_laguerre, eval_legendre

from seqlab.ops.discretize.reference import ALPHAS, discretize

MEASURES = ("legs", "legt", "lagt", "fourier")
METHODS = ("euler", "backward_euler", "bilinear", "zoh")


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
    alpha = ALPHAS[method]
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


def legs_solve(y, a):
    """x (N,) with (I - a A) x = y for the A of LegS, and A x, both in O(N)."""
    x, A_x = np.zeros_like(y), np.zeros_like(y)
    q = 0 * y[0]  # the sum of r_m x_m over all m < n
    for n in range(len(y)):
        r, below = np.sqrt(2 * n + 1).astype(y.dtype), 1 + a * (n + 1)
        x[n] = (y[n] - a * r * q) / below
        A_x[n] = -((n + 1) * y[n] + r * q) / below
        q = ((1 - a * n) * q + r * y[n]) / below  # eq. 4.13
    return x, A_x


def legs_step_by_solve(c, f_k, k, alpha=0.5):
    """c_k (N,) of LegS from c_{k-1}, at step k > 1: equation 4.9 with a single solve."""
    a, before = alpha / k, (1 - alpha) / (k - 1)
    B = np.sqrt(2 * np.arange(len(c)) + 1)
    x, A_x = legs_solve(c + a * B * f_k, a)
    if a * len(c) < 1:
        return c + (a + before) * (A_x + B * f_k)  # eq. 4.18
    return x + before / a * (x - c)


def legs_late_step(c, f_k, k, alpha=0.5):
    """The same where a (N - 1) < 1, without a recurrence: a running product and a sum."""
    a, before = alpha / k, (1 - alpha) / (k - 1)
    n = np.arange(len(c))
    r = np.sqrt(2 * n + 1)
    rho = np.cumprod((1 - a * n) / (1 + a * (n + 1)))
    S = np.cumsum(r * c / ((1 + a * (n + 1)) * rho))
    slope = (r * rho * (f_k - S) + n * c) / (1 - a * n)  # eq. 4.19
    return c + (a + before) * slope


def hippo_project_chunked(f, N, measure="legs", method="bilinear", theta=1.0, size=8):
    """The coefficients (L, N) of one signal f (L,) with dt = 1 / L, in chunks of ``size``
    steps. Where a GPU takes all chunks at the same time, there is a loop over them."""
    L = len(f)
    A_bar, B_bar = step_matrices(measure, N, np.arange(1, L + 1), method, theta, 1 / L)
    chunks = [range(k, min(k + size, L)) for k in range(0, L, size)]
    ends, transitions, states, c = [], [], [np.zeros(N)], []
    for chunk in chunks:  # 1. where each chunk leads from zero, and how it maps a state
        end, Phi = np.zeros(N), np.eye(N)
        for k in chunk:
            end = A_bar[k] @ end + B_bar[k] * f[k]
            Phi = A_bar[k] @ Phi
        ends.append(end)
        transitions.append(Phi)
    for end, Phi in zip(ends, transitions, strict=True):  # 2. the states between chunks
        states.append(end + Phi @ states[-1])  # eq. 4.14
    for j, chunk in enumerate(chunks):  # 3. every chunk again, from its state
        c_k = states[j]
        for k in chunk:
            c_k = A_bar[k] @ c_k + B_bar[k] * f[k]
            c.append(c_k)
    return np.array(c)
