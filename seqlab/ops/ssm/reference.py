"""Diagonal state-space models in NumPy: the recurrence, the convolution that it is, the
chunks that the kernels run, and the gradients.

Shapes: B batch, L length, D channels, N modes. ``u`` is (B, L, D), real; ``A_bar``,
``B_bar`` and ``C`` are (D, N), real or complex, and the first two also (B, L, D, N) where
they change in time; the state is (B, D, N). In the MIMO form one state is all channels'
own: ``A_bar`` (N,), ``B_bar`` (N, D), ``C`` (D, N), state (B, N).
"""

import numpy as np

from seqlab.ops.convolution.reference import (
    causal_convolution as causal_convolution,
)
from seqlab.ops.dplr.reference import dplr_kernel as dplr_kernel
from seqlab.ops.dplr.reference import dplr_scan as dplr_scan
from seqlab.ops.dplr.reference import dplr_step as dplr_step
from seqlab.ops.vandermonde.reference import ssm_kernel as ssm_kernel


def ssm_scan(A_bar, B_bar, C, u, state=None):
    """x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t), step by step; returns every y
    (B, L, D) and the last x (B, D, N)."""
    y = np.zeros(u.shape)
    x = _first(state, u, A_bar)
    for t in range(u.shape[1]):
        A_t, B_t = (M if M.ndim == 2 else M[:, t] for M in (A_bar, B_bar))
        y[:, t], x = ssm_scan_step(A_t, B_t, C, u[:, t], x)
    return y, x


def ssm_scan_step(A_bar, B_bar, C, u_t, state):
    """One step of the recurrence, for generation: u_t (B, D), state (B, D, N)."""
    x = A_bar * state + B_bar * u_t[..., None]  # eq. 6.1
    return (C * x).real.sum(-1), x


def ssm_convolution(A_bar, B_bar, C, u, state=None):
    """The same as a convolution with K_j = Re(C A_bar^j B_bar), all steps at once, and
    what is left of the first state; returns y (B, L, D) and the last state (B, D, N)."""
    length = u.shape[1]
    first = _first(state, u, A_bar)
    y, last = np.zeros(u.shape), A_bar**length * first
    for j in range(length):
        A_j = A_bar**j
        K_j = (C * A_j * B_bar).real.sum(-1)  # eq. 6.3
        y[:, j:] += K_j * u[:, : length - j]
        y[:, j] += (C * A_bar * A_j * first).real.sum(-1)
        last = last + A_j * B_bar * u[:, length - 1 - j, :, None]  # eq. 6.2
    return y, last


def ssm_scan_chunked(A_bar, B_bar, C, u, state=None, chunk=16):
    """The recurrence in three passes: a summary of every chunk, the states between
    chunks, and every chunk from the state before it."""
    starts = range(0, u.shape[1], chunk)
    pieces = [
        tuple(_at(M, slice(s, s + chunk)) for M in (A_bar, B_bar, u)) for s in starts
    ]
    summaries = []
    for A, B, v in pieces:
        decay = A ** v.shape[1] if A.ndim == 2 else A.prod(1)
        summaries.append((decay, ssm_scan(A, B, C, v)[1]))
    before = [_first(state, u, A_bar)]
    for decay, local in summaries:
        before.append(decay * before[-1] + local)  # eq. 6.8
    y = [
        ssm_scan(A, B, C, v, x)[0] for (A, B, v), x in zip(pieces, before, strict=False)
    ]
    return np.concatenate(y, axis=1), before[-1]


def chunk_tables(A_bar, B_bar, C, chunk):
    """What a chunk of T steps is multiplied by: K (T, D), what an input does within it;
    into (T, D, N), what an input leaves in the state after it; out (T, D, N), what the
    state before it gives each output."""
    power = np.stack([A_bar**j for j in range(chunk + 1)])
    K = (C * power[:-1] * B_bar).real.sum(-1)
    return K, power[-2::-1] * B_bar, C * power[1:]


def ssm_convolution_chunked(A_bar, B_bar, C, u, state=None, chunk=16):
    """The convolution as three matrix products a chunk and channel: inputs with a
    triangular Toeplitz matrix, inputs into the state, the state out."""
    K, into, out = chunk_tables(A_bar, B_bar, C, chunk)
    x = _first(state, u, A_bar)
    y = np.zeros(u.shape)
    for start in range(0, u.shape[1], chunk):
        v = u[:, start : start + chunk]
        steps = v.shape[1]
        lag = np.subtract.outer(np.arange(steps), np.arange(steps))
        toeplitz = np.where(lag[..., None] >= 0, K[lag], 0)  # eq. 6.8
        y[:, start : start + steps] = np.einsum("ijd,bjd->bid", toeplitz, v)
        y[:, start : start + steps] += np.einsum("idn,bdn->bid", out[:steps], x).real
        x = A_bar**steps * x + np.einsum("jdn,bjd->bdn", into[chunk - steps :], v)
    return y, x


def ssm_scan_gradients(A_bar, B_bar, C, u, state, grad_y, grad_last):
    """Gradients of a real loss to A_bar, B_bar, C, u and the first state, given those to y
    and to the last state. For complex numbers a gradient is dl/dRe + i dl/dIm, as in
    PyTorch."""
    full = (*u.shape, A_bar.shape[-1])
    A, B = np.broadcast_to(A_bar, full), np.broadcast_to(B_bar, full)
    before = np.zeros(full, A_bar.dtype)
    x = state
    grad_C = np.zeros_like(C)
    for t in range(u.shape[1]):
        before[:, t] = x
        _, x = ssm_scan_step(A[:, t], B[:, t], C, u[:, t], x)
        grad_C += (grad_y[:, t, :, None] * x.conj()).sum(0)
    g = np.zeros(full, A_bar.dtype)
    flowing = grad_last
    for t in reversed(range(u.shape[1])):
        g[:, t] = C.conj() * grad_y[:, t, :, None] + flowing
        flowing = A[:, t].conj() * g[:, t]
    grad_A, grad_B = g * before.conj(), g * u[..., None]
    if A_bar.ndim == 2:
        grad_A, grad_B = grad_A.sum((0, 1)), grad_B.sum((0, 1))
    return grad_A, grad_B, grad_C, (B.conj() * g).real.sum(-1), flowing


def ssm_mimo(A_bar, B_bar, C, u, state=None, reverse=False):
    """x_t = A_bar x_{t-1} + B_bar u_t, y_t = Re(C x_t) with matrices B_bar (N, D) and C
    (D, N); from the last time to the first if ``reverse``. Returns y (B, L, D) and the
    last x (B, N)."""
    y = np.zeros((*u.shape[:2], C.shape[0]))
    x = np.zeros((u.shape[0], A_bar.shape[0]), A_bar.dtype) if state is None else state
    times = range(u.shape[1])
    for t in reversed(times) if reverse else times:
        y[:, t], x = ssm_mimo_step(A_bar, B_bar, C, u[:, t], x)
    return y, x


def ssm_mimo_step(A_bar, B_bar, C, u_t, state):
    """One step of the MIMO form, for generation: u_t (B, D), state (B, N)."""
    x = A_bar * state + u_t @ B_bar.T  # eq. 6.17
    return (x @ C.T).real, x


def _first(state, u, A_bar):
    """The first state, zeros if there is none."""
    shape = u.shape[0], *A_bar.shape[-2:]
    return np.zeros(shape, A_bar.dtype) if state is None else state


def _at(M, inside):
    """A tensor's part in a stretch of time, or what does not change in time."""
    return M if M.ndim == 2 else M[:, inside]
