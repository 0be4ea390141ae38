"""The kernel of a diagonal state-space model in NumPy: power after power, in tiles of two
levels as the GPU runs it, as DSS writes it, and the gradients.

Shapes: D channels, N modes, L steps. ``A_bar``, ``B_bar`` and ``C`` are (D, N), real or
complex; ``K`` is real, (D, L).
"""

import numpy as np


def ssm_kernel(A_bar, B_bar, C, L):
    """K_j = Re(C A_bar^j B_bar), the response at time j to an impulse at time 0."""
    K = np.zeros((len(A_bar), L))
    x = B_bar  # the state after the impulse
    for j in range(L):
        K[:, j] = (C * x).sum(axis=1).real  # eq. 6.3
        x = A_bar * x
    return K


def ssm_kernel_tiled(A_bar, B_bar, C, L, columns=8):
    """The same, as one matrix product a channel: with j = columns i + k, A_bar^j is
    A_bar^(columns i), a row's, times A_bar^k, a column's."""
    rows = -(-L // columns)
    row_powers = A_bar[:, None] ** (columns * np.arange(rows)[:, None])
    column_powers = A_bar[:, :, None] ** np.arange(columns)  # eq. 6.15
    weighted = (C * B_bar)[:, None] * row_powers
    return (weighted @ column_powers).real.reshape(len(A_bar), -1)[:, :L]


def dss_kernel(Lambda, W, dt, L, normalization):
    """DSS's kernel, with eigenvalues Lambda and weights W (D, N) and steps dt (D,):
    zero-order hold as it is ("exp"), or a softmax over the L times of each mode
    ("softmax")."""
    z = (dt[:, None] * Lambda)[..., None]
    powers = np.exp(z * np.arange(L))
    scale = (
        np.exp(z) - 1 if normalization == "exp" else 1 / powers.sum(-1, keepdims=True)
    )
    return ((W / Lambda)[..., None] * scale * powers).sum(axis=1).real  # eq. 6.16


def ssm_kernel_gradients(A_bar, B_bar, C, grad_K):
    """Gradients of a loss to A_bar, B_bar and C, given that to K."""
    j = np.arange(grad_K.shape[1])
    powers = A_bar[:, :, None] ** j
    total = (grad_K[:, None] * powers).sum(axis=2)
    later = (grad_K[:, None, 1:] * j[1:] * powers[:, :, :-1]).sum(
        axis=2
    )  # of j A^(j-1)
    return np.conj(C * B_bar * later), np.conj(C * total), np.conj(B_bar * total)
