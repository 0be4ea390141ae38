"""The shift state space model in NumPy: a window of the last inputs.

Shapes: B batch, L length, D channels, M taps. ``k`` is (B, L, D), ``taps`` is (D, M), the
state (B, M - 1, D).
"""

import numpy as np


def shift_ssm(k, taps, state=None):
    """y_t = sum over j < M of taps_j k_{t-j}; the state is the M - 1 inputs before the first
    one, the oldest first. Returns y (B, L, D) and the last M - 1 inputs."""
    batch, length, channels = k.shape
    memory = np.zeros((batch, taps.shape[1] - 1, channels)) if state is None else state
    y = np.zeros(k.shape)
    for t in range(length):
        y[:, t], memory = shift_ssm_step(k[:, t], taps, memory)
    return y, memory


def shift_ssm_step(k_t, taps, state):
    """One step, for generation: k_t (B, D)."""
    window = np.concatenate([state, k_t[:, None]], axis=1)
    return (taps[:, ::-1].T * window).sum(1), window[:, 1:]  # eq. 7.8


def shift_system(M):
    """The same as a system x_t = A x_{t-1} + B k_t: A moves every number one place on and
    drops the last one, B puts k_t in front. After 1, ..., 7 the state of M = 4 is 7, 6, 5,
    4, and C = taps reads it."""
    A, B = np.eye(M, k=-1), np.zeros(M)  # eq. 7.7
    B[0] = 1
    return A, B
