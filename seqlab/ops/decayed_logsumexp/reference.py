"""The running log-sum-exp with decay in NumPy: the loop, the chunks that the kernel runs,
and the gradients.

Shapes: B batch, L length, D channels. ``x`` is (B, L, D), ``w`` is (D,), the state is
(B, D).
"""

import numpy as np


def decayed_logsumexp(x, w, state=None):
    """m_t = log(exp(m_{t-1} - w) + exp(x_t)), step by step; returns every m (B, L, D) and
    the last one (B, D)."""
    m = np.zeros(x.shape)
    m_t = np.full_like(m[:, 0], -np.inf) if state is None else state
    for t in range(x.shape[1]):
        m_t = np.logaddexp(m_t - w, x[:, t])  # eq. 2.11
        m[:, t] = m_t
    return m, m_t


def decayed_logsumexp_step(x_t, w, state):
    """One step of the recurrence, for generation: x_t and state (B, D), w (D,)."""
    m_t = np.logaddexp(state - w, x_t)  # eq. 2.11
    return m_t, m_t


def combine(first, second):
    """The map m -> log(exp(m - w1) + exp(m1)) followed by the same with w2 and m2, as one
    map of the same kind."""
    (w1, m1), (w2, m2) = first, second
    return w1 + w2, np.logaddexp(m1 - w2, m2)  # eq. 2.12


def decayed_logsumexp_chunked(x, w, state=None, chunk=16):
    """The same values in three passes: a summary of every chunk, the states between
    chunks, and every chunk from the state before it."""
    chunks = [x[:, start : start + chunk] for start in range(0, x.shape[1], chunk)]
    carry = np.full(x[:, 0].shape, -np.inf) if state is None else state
    summaries = [  # eq. 2.13
        (each.shape[1] * w, decayed_logsumexp(each, w)[1]) for each in chunks
    ]
    between = [(0 * w, carry)]
    for summary in summaries:
        between.append(combine(between[-1], summary))
    m = [
        decayed_logsumexp(each, w, before)[0]
        for each, (_, before) in zip(chunks, between, strict=False)
    ]
    return np.concatenate(m, axis=1), between[-1][1]


def decayed_logsumexp_gradients(x, w, state, grad_m, grad_last):
    """Gradients of a loss to x, w and the first state, given those to m and to the last
    state."""
    m, _ = decayed_logsumexp(x, w, state)
    before = np.concatenate([state[:, None], m[:, :-1]], axis=1) - w
    p, q = np.exp(before - m), np.exp(x - m)  # eq. 2.14
    g = np.zeros_like(m)
    flowing = grad_last
    for t in reversed(range(x.shape[1])):
        g[:, t] = grad_m[:, t] + flowing  # eq. 2.15
        flowing = p[:, t] * g[:, t]
    grad_x = q * g  # eq. 2.16
    grad_w = -(p * g).sum(axis=(0, 1))  # eq. 2.17
    return grad_x, grad_w, flowing  # eq. 2.18
