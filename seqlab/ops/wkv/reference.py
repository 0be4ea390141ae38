"""WKV in NumPy: as a weighted sum, as a recurrence, as a recurrence that cannot overflow,
in the chunks that the kernel runs, and its gradients.

Shapes: B batch, L length, C channels. ``k`` and ``v`` are (B, L, C), ``w`` and ``u`` are
(C,). A state (B, 3, C) holds numerators a, denominators b and exponents m: the sums that
it stands for are a e^m and b e^m.
"""

import numpy as np

LOWEST = -1e38
"""The exponent of nothing: -inf less -inf is not a number."""


def wkv_sum(w, u, k, v):
    """The average as it is meant, over all tokens up to t at once (B, L, C)."""
    y = np.zeros(v.shape)
    for t in range(v.shape[1]):
        age = np.arange(t - 1, -1, -1)[:, None]
        past = np.exp(k[:, :t] - age * w)
        own = np.exp(k[:, t] + u)
        y[:, t] = ((past * v[:, :t]).sum(1) + own * v[:, t]) / (
            past.sum(1) + own
        )  # eq. 8.4
    return y


def wkv_recurrence(w, u, k, v):
    """Numerator and denominator of it, step by step; e^k overflows from k = 710 on."""
    y = np.zeros(v.shape)
    a, b = np.zeros((2, *v[:, 0].shape))
    for t in range(v.shape[1]):
        own = np.exp(u + k[:, t])
        y[:, t] = (a + own * v[:, t]) / (b + own)  # eq. 8.6
        a = np.exp(-w) * a + np.exp(k[:, t]) * v[:, t]  # eq. 8.5
        b = np.exp(-w) * b + np.exp(k[:, t])
    return y


def join(first, w, second):
    """The sums of two stretches of time, of which the first decays by w: numerator,
    denominator and exponent, which is the larger one, so that no exponential overflows,
    and never below that of nothing.
    """
    (a1, b1, m1), (a2, b2, m2) = first, second
    m = np.maximum(np.maximum(m1 - w, m2), LOWEST)
    p, q = np.exp(m1 - w - m), np.exp(m2 - m)
    return p * a1 + q * a2, p * b1 + q * b2, m  # eq. 8.8


def wkv(w, u, k, v, state=None):
    """The recurrence with a running maximum, where a token is the sums (v_t, 1, k_t);
    returns every y (B, L, C) and the last state (B, 3, C)."""
    y = np.zeros(v.shape)
    past = first_sums(v, state)
    for t in range(v.shape[1]):
        y[:, t] = average(join(past, 0, (v[:, t], 1, u + k[:, t])))  # eq. 8.9
        past = join(past, w, (v[:, t], 1, k[:, t]))
    return y, normalized(past)


def wkv_step(w, u, k_t, v_t, state):
    """One step of the recurrence, for generation: k_t and v_t (B, C), state (B, 3, C)."""
    past = first_sums(v_t[:, None], state)
    y_t = average(join(past, 0, (v_t, 1, u + k_t)))
    return y_t, normalized(join(past, w, (v_t, 1, k_t)))


def first_sums(v, state):
    """The sums before the first step: those of the state, or of nothing."""
    if state is None:
        nothing = np.zeros(v[:, 0].shape)
        return nothing, nothing, nothing + LOWEST
    return state[:, 0], state[:, 1], np.maximum(state[:, 2], LOWEST)


def average(sums):
    """Numerator over denominator, and 0 where there is nothing to average."""
    a, b, _ = sums
    return a / np.where(b == 0, 1, b)


def normalized(sums):
    """The same sums as a state whose denominator is 1: the numerator is the average, the
    exponent the logarithm of the sum of weights."""
    a, b, m = sums
    top = m + np.log(np.where(b == 0, 1, b))
    scale = np.exp(m - top)
    return np.stack([scale * a, scale * b, top], axis=1)


def wkv_chunked(w, u, k, v, state=None, chunk=16):
    """The same values in three passes: the sums over every chunk, the sums between
    chunks, and every chunk from the sums before it."""
    starts = range(0, v.shape[1], chunk)
    pieces = [(k[:, s : s + chunk], v[:, s : s + chunk]) for s in starts]
    between = [first_sums(v, state)]
    for k_c, v_c in pieces:
        _, local = wkv(w, u, k_c, v_c)
        age = k_c.shape[1] * w
        between.append(join(between[-1], age, local.swapaxes(0, 1)))  # eq. 8.10
    y = [
        wkv(w, u, k_c, v_c, np.stack(before, axis=1))[0]
        for (k_c, v_c), before in zip(pieces, between, strict=False)
    ]
    return np.concatenate(y, axis=1), normalized(between[-1])


def wkv_gradients(w, u, k, v, state, grad_y, grad_state):
    """Gradients of a loss to w, u, k, v and the first state, given those to y and to the
    last state. Flows da and db are gradients to the sums a e^m and b e^m, times e^m: to b
    while the average a / b stays. While a stays, that is beta of eq. 8.12, it is db less
    the average times da, and nearly cancels da where the average is an old one."""
    sums = [first_sums(v, state)]
    for t in range(v.shape[1]):
        sums.append(join(sums[-1], w, (v[:, t], 1, k[:, t])))
    mean, _, top = normalized(sums[-1]).swapaxes(0, 1)
    sums[-1] = mean, np.ones_like(mean), top
    da, db = grad_state[:, 0], grad_state[:, 2]
    dw, du, dk, dv = (
        np.zeros(w.shape),
        np.zeros(u.shape),
        np.zeros_like(k),
        np.zeros_like(v),
    )
    for t in reversed(range(v.shape[1])):
        (_, b, m), (_, size, after) = sums[t], sums[t + 1]
        p, q = np.exp(m - w - after), np.exp(k[:, t] - after)
        share = q / np.where(size == 0, 1, size)
        ahead = v[:, t] - average(sums[t])
        past = p * (db - share * ahead * da)
        dw -= (b * past).sum(0)
        dv[:, t] = q * da
        dk[:, t] = q * (db + (1 - share) * ahead * da)
        # What y_t = s a + r v_t makes of its gradient; s b + r = 1.
        x = u + k[:, t]
        largest = np.maximum(m, x)
        s, r = np.exp(m - largest), np.exp(x - largest)
        total = s * b + r
        s, r = (each / np.where(total == 0, 1, total) for each in (s, r))
        own = grad_y[:, t] * s * r * ahead
        du += (b * own).sum(0)
        dk[:, t] += b * own  # eq. 8.11
        dv[:, t] += grad_y[:, t] * r
        da = p * da + grad_y[:, t] * s  # eq. 8.12
        db = past - own
    _, b, _ = sums[0]
    first = [da, db - average(sums[0]) * da, b * db]
    return dw, du, dk, dv, np.stack(first, axis=1)
