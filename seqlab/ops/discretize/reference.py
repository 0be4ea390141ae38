"""From x' = A x + B u to steps x_k = A_bar x_{k-1} + B_bar u_k, in NumPy and SciPy.

Dense: A is (N, N), B is (N,) or (N, M), dt has any shape S; A_bar is S + (N, N) and
B_bar is S + B.shape. Diagonal: A and B are (..., N), dt is (...); A_bar has the shape of
dt[..., None] * A, B_bar that of dt[..., None] * A * B. First-order hold has two B_bar,
(before, now), stacked in front: x_k = A_bar x_{k-1} + before u_{k-1} + now u_k.
"""

from math import factorial

import numpy as np
from scipy.linalg import expm

ALPHAS = {"euler": 0.0, "bilinear": 0.5, "backward_euler": 1.0}
"""The methods that are gbt with an alpha of their own."""
METHODS = (*ALPHAS, "gbt", "zoh", "foh")


def discretize(A, B, dt, method="zoh", diagonal=False, alpha=None):
    """(A_bar, B_bar) by ``method``: euler, backward_euler, bilinear, gbt (with
    ``alpha``), zoh or foh."""
    form = discretize_diagonal if diagonal else discretize_dense
    return form(np.asarray(A), np.asarray(B), np.asarray(dt), method, alpha)


def discretize_dense(A, B, dt, method="zoh", alpha=None):
    """The methods for matrices. Where I - alpha dt A is singular, NumPy raises
    LinAlgError."""
    columns = B.reshape(len(A), -1)
    dt = dt[..., None, None]
    identity = np.broadcast_to(np.eye(len(A)), (dt * A).shape)
    if method == "euler":
        A_bar, B_bar = identity + dt * A, dt * columns  # eq. 5.4
    elif method == "backward_euler":
        inverse = np.linalg.inv(identity - dt * A)
        A_bar, B_bar = inverse, inverse @ (dt * columns)  # eq. 5.5
    elif method == "bilinear":
        inverse = np.linalg.inv(identity - dt / 2 * A)
        A_bar = inverse @ (identity + dt / 2 * A)  # eq. 5.6
        B_bar = inverse @ (dt * columns)
    elif method == "gbt":
        inverse = np.linalg.inv(identity - alpha * dt * A)
        A_bar = inverse @ (identity + (1 - alpha) * dt * A)  # eq. 5.7
        B_bar = inverse @ (dt * columns)
    elif method == "zoh":
        A_bar, B_bar = exponentials(A, columns, dt, order=1)  # eq. 5.8
    elif method == "foh":
        A_bar, first, second = exponentials(A, columns, dt, order=2)
        B_bar = np.stack([first - second, second])  # eq. 5.10
    return A_bar, B_bar if B.ndim == 2 else B_bar[..., 0]


def exponentials(A, B, dt, order):
    """e^{dt A}, dt phi_1(dt A) B, ..., dt phi_order(dt A) B: the top row of one
    exponential.

    No inverse of A is taken, so A may be singular (Van Loan, 1978; Al-Mohy and Higham,
    2011).
    """
    states, inputs = B.shape
    size = states + order * inputs
    generator = np.zeros((*dt.shape[:-2], size, size), np.result_type(A, B, float))
    generator[..., :states, :states] = dt * A
    generator[..., :states, states : states + inputs] = dt * B
    chain = np.eye(order * inputs, k=inputs)  # u' = v, v' = 0: a hold of that order
    generator[..., states:, states:] = chain
    row = np.empty_like(generator[..., :states, :])
    for k in np.ndindex(dt.shape[:-2]):  # one by one: SciPy 1.18.0 errs on many at once
        row[k] = expm(generator[k])[:states]  # eq. 5.11
    return np.split(row, [states + k * inputs for k in range(order)], axis=-1)


def discretize_diagonal(A, B, dt, method="zoh", alpha=None):
    """The methods for eigenvalues, each on its own: z = dt A takes the matrix's
    place."""
    dt = dt[..., None]
    z = dt * A  # eq. 5.12
    if method == "euler":
        return 1 + z, dt * B * np.ones_like(z)  # eq. 5.4
    if method == "backward_euler":
        return 1 / (1 - z), dt * B / (1 - z)  # eq. 5.5
    if method == "bilinear":
        return (1 + z / 2) / (1 - z / 2), dt * B / (1 - z / 2)  # eq. 5.6
    if method == "gbt":
        solved = 1 / (1 - alpha * z)
        return (1 + (1 - alpha) * z) * solved, dt * B * solved  # eq. 5.7
    if method == "zoh":
        return np.exp(z), dt * phi(1, z) * B  # eq. 5.8
    before, now = phi(1, z) - phi(2, z), phi(2, z)
    return np.exp(z), np.stack([dt * before * B, dt * now * B])  # eq. 5.10


def phi(k, z):
    """phi_k(z) = integral over s from 0 to 1 of e^{(1-s) z} s^{k-1} / (k-1)!.

    The closed form divides by z^k: below |z| = 1, where that loses digits (and at 0
    everything), the Taylor series takes its place.
    """
    z = np.asarray(z)
    small = np.abs(z) < 1
    away = np.where(small, 1, z)
    closed = np.expm1(away) / away
    for j in range(1, k):
        closed = (closed - 1 / factorial(j)) / away  # eq. 5.9
    near = np.where(small, z, 0)
    series = np.zeros_like(near, dtype=closed.dtype)
    for j in reversed(range(k, k + 19)):  # 1/18! is below float64's precision
        series = series * near + 1 / factorial(j)
    return np.where(small, series, closed)
