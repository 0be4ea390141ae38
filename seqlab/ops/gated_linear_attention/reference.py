"""Gated linear attention in NumPy: as a recurrence, all at once, in groups of steps that
are halved as the kernel does it, and its gradients.

Shapes: B batch, L length, H heads, K key and V value channels. ``q`` and ``k`` are
(B, L, H, K), ``v`` is (B, L, H, V), ``log_decay`` is (H,), (H, K), (B, L, H) or
(B, L, H, K), ``bonus`` is (H, K), the state is (B, H, K, V).
"""

import numpy as np


def gated_linear_attention(q, k, v, log_decay, bonus=None, state=None, scale=None):
    """S_t = diag(e^{log_decay_t}) S_{t-1} + k_t v_t^T and y_t = q_t S_t, step by step; with
    a bonus u, y_t = q_t (S_{t-1} + diag(u) k_t v_t^T). Returns every y (B, L, H, V) and
    the last S (B, H, K, V)."""
    q, log_decay, S = _whole(q, k, v, log_decay, state, scale)
    y = np.zeros(v.shape)
    for t in range(v.shape[1]):
        kv = k[:, t, :, :, None] * v[:, t, :, None]
        decayed = np.exp(log_decay[:, t])[..., None] * S
        read = decayed + kv if bonus is None else S + bonus[..., None] * kv
        y[:, t] = np.einsum("bhk,bhkv->bhv", q[:, t], read)  # eq. 8.18
        S = decayed + kv  # eq. 8.17
    return y, S


def gated_linear_attention_step(
    q_t, k_t, v_t, log_decay, state, bonus=None, scale=None
):
    """One step of the recurrence, for generation: q_t and k_t (B, H, K), v_t (B, H, V),
    log_decay (H,), (H, K), (B, H) or (B, H, K)."""
    heads, keys = k_t.shape[1:]
    per_head = log_decay.shape in ((heads,), (len(k_t), heads))
    log_decay = log_decay[..., None] if per_head else log_decay
    log_decay = np.broadcast_to(log_decay, (len(k_t), heads, keys))
    y, last = gated_linear_attention(
        q_t[:, None],
        k_t[:, None],
        v_t[:, None],
        log_decay[:, None],
        bonus,
        state,
        scale,
    )
    return y[:, 0], last


def gated_linear_attention_parallel(
    q, k, v, log_decay, bonus=None, state=None, scale=None
):
    """The same as attention, all pairs of steps at once: v_i counts q_t . k_i in y_t, less
    the decays between them. Exponents are masked before the exponential is taken."""
    q, log_decay, S = _whole(q, k, v, log_decay, state, scale)
    length = v.shape[1]
    t = np.arange(length)
    G = np.cumsum(log_decay, axis=1)
    read = G if bonus is None else G - log_decay
    ages = read[:, :, None] - G[:, None]  # (B, L, L, H, K): of step t, of step i
    past = (t[:, None] > t)[:, :, None, None]
    weights = np.exp(np.where(past, ages, -np.inf))
    now = (t[:, None] == t)[:, :, None, None]
    weights = weights + now * (1 if bonus is None else bonus)
    scores = np.einsum("bthk,bihk,btihk->bthi", q, k, weights)  # eq. 8.19
    y = np.einsum("bthi,bihv->bthv", scores, v)
    y = y + np.einsum("bthk,bhkv->bthv", q * np.exp(read), S)
    left = k * np.exp(G[:, -1:] - G)
    last = np.exp(G[:, -1])[..., None] * S + np.einsum("bihk,bihv->bhkv", left, v)
    return y, last


def gated_linear_attention_chunked(
    q, k, v, log_decay, bonus=None, state=None, scale=None, steps=16
):
    """The same in groups of steps: what a group reads of the state before it, of its own
    steps before and of the present. Every exponent is a sum of logarithms, and nothing is
    divided."""
    q, g, S = _whole(q, k, v, log_decay, state, scale)
    u = 1 if bonus is None else bonus
    y = []
    for start in range(0, v.shape[1], steps):
        q_g, k_g, v_g, g_g = (x[:, start : start + steps] for x in (q, k, v, g))
        reader = q_g * np.exp(_until(g_g, bonus is None))
        y_g = np.einsum("bthk,bhkv->bthv", reader, S)
        y_g += (q_g * u * k_g).sum(-1, keepdims=True) * v_g
        y.append(y_g + _pairs(q_g, k_g, v_g, g_g, bonus is None))
        group = np.einsum("bihk,bihv->bhkv", k_g * np.exp(_after(g_g)), v_g)
        S = np.exp(g_g.sum(1))[..., None] * S + group  # eq. 8.20
    return np.concatenate(y, axis=1), S


def _pairs(q, k, v, g, own):
    """What steps read of earlier ones, by halves: those behind the middle of those before
    it, by what is left at the middle and what is left of that; and so within each half."""
    middle = v.shape[1] // 2
    if middle == 0:
        return np.zeros(v.shape)
    (q_0, q_1), (k_0, k_1), (v_0, v_1), (g_0, g_1) = (
        (x[:, :middle], x[:, middle:]) for x in (q, k, v, g)
    )
    reader, writer = q_1 * np.exp(_until(g_1, own)), k_0 * np.exp(_after(g_0))
    scores = np.einsum("bthk,bihk->bthi", reader, writer)
    across = np.einsum("bthi,bihv->bthv", scores, v_0)
    earlier, later = _pairs(q_0, k_0, v_0, g_0, own), _pairs(q_1, k_1, v_1, g_1, own)
    return np.concatenate([earlier, later + across], axis=1)


def _until(g, own):
    """Sums over the steps up to each, its ``own`` included or not."""
    return np.cumsum(g, axis=1) if own else _after(g[:, ::-1])[:, ::-1]


def _after(g):
    """Sums over the steps after each."""
    sums = np.cumsum(g[:, :0:-1], axis=1)[:, ::-1]
    return np.concatenate([sums, np.zeros(g[:, :1].shape)], axis=1)


def gated_linear_attention_gradients(
    q, k, v, log_decay, bonus, state, scale, grad_y, grad_state
):
    """Gradients of a loss to q, k, v, log_decay, bonus (None if that is None) and the
    first state, given those to y and to the last state. D is what flows into S."""
    shape = log_decay.shape
    q, log_decay, S = _whole(q, k, v, log_decay, state, scale)
    a = np.exp(log_decay)
    u = np.ones(k.shape[2:]) if bonus is None else bonus
    states = [S]
    for t in range(v.shape[1]):
        kv = k[:, t, :, :, None] * v[:, t, :, None]
        states.append(a[:, t, ..., None] * states[-1] + kv)
    dq, dk, dv, dg = (np.zeros(x.shape) for x in (q, k, v, log_decay))
    du, D = np.zeros(u.shape), grad_state
    for t in reversed(range(v.shape[1])):
        q_t, k_t, v_t, dy = q[:, t], k[:, t], v[:, t], grad_y[:, t]
        decayed = a[:, t, ..., None] * states[t]
        before = decayed if bonus is None else states[t]
        present = np.einsum("bhv,bhv->bh", dy, v_t)[..., None]
        read = q_t[..., None] * dy[..., None, :]
        dq[:, t] = np.einsum("bhkv,bhv->bhk", before, dy) + present * u * k_t
        dk[:, t] = np.einsum("bhkv,bhv->bhk", D, v_t) + present * u * q_t
        dv[:, t] = np.einsum("bhkv,bhk->bhv", D + u[..., None] * read, k_t)
        du += (q_t * present * k_t).sum(0)
        flow = D + read if bonus is None else D
        dg[:, t] = (flow * decayed).sum(-1)
        D = a[:, t, ..., None] * flow + (0 if bonus is None else read)
    if len(shape) in (1, 3):
        dg = dg.sum(-1)
    if len(shape) <= 2:
        dg = dg.sum((0, 1))
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    return scale * dq, dk, dv, dg, None if bonus is None else du, D


def _whole(q, k, v, log_decay, state, scale):
    """q with its scale, decays as (B, L, H, K) and a first state."""
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    if log_decay.ndim in (1, 3):
        log_decay = log_decay[..., None]
    if state is None:
        state = np.zeros((*k[:, 0].shape, v.shape[-1]))
    return scale * q, np.broadcast_to(log_decay, k.shape), state
