"""xLSTM in NumPy: sLSTM and mLSTM as their papers write them, as recurrences that cannot
overflow, mLSTM all at once and in the chunks that the kernel runs, and the gradients.

Shapes: B batch, L length, H heads. sLSTM has D features a head: ``gates`` (B, L, 4, H, D)
in the order i, f, z, o, ``R`` (4, H, D, D), ``b`` (4, H, D), and four tensors (B, H, D)
as its state (c, n, m, h). mLSTM has K key and V value channels: ``q`` and ``k``
(B, L, H, K), ``v`` (B, L, H, V), ``i`` and ``f`` (B, L, H), and the state (C, n, m) is
(B, H, K, V), (B, H, K) and (B, H). What a state stands for, its raw units, is c e^m and
n e^m.
"""

import numpy as np

LOWEST = -1e38
"""The exponent of nothing: -inf less -inf is not a number."""


def slstm_raw(gates, R, b=0, forget="sigmoid"):
    """sLSTM as it is meant; e^i overflows from i = 710 on. Returns every h."""
    i, f, z, o = range(4)
    y = np.zeros(gates[:, :, 0].shape)
    c, n, h = np.zeros((3, *y[:, 0].shape))
    for t in range(y.shape[1]):
        x = gates[:, t] + mix(R, h) + b
        F = sigmoid(x[:, f]) if forget == "sigmoid" else np.exp(x[:, f])
        c = F * c + np.exp(x[:, i]) * np.tanh(x[:, z])
        n = F * n + np.exp(x[:, i])  # eq. 9.2
        h = sigmoid(x[:, o]) * c / n
        y[:, t] = h
    return y


def slstm(gates, R, b=None, state=None, forget="sigmoid"):
    """The same with a running maximum m, by which c and n are divided: an e^m that h does
    not see. Returns every h (B, L, H, D) and the last state."""
    y = np.zeros(gates[:, :, 0].shape)
    state = first_slstm_state(y, state)
    for t in range(y.shape[1]):
        y[:, t], state = slstm_step(gates[:, t], R, state, b, forget)
    return y, state


def slstm_step(gates_t, R, state, b=None, forget="sigmoid"):
    """One step of the recurrence, for generation: gates_t (B, 4, H, D)."""
    c, n, m, h = state
    i, f, z, o = (gates_t + mix(R, h) + (0 if b is None else b)).swapaxes(0, 1)
    log_f = log_sigmoid(f) if forget == "sigmoid" else f
    before, m = m, maximum(log_f + m, i)  # eq. 9.4
    F, I = np.exp(log_f + before - m), np.exp(i - m)
    c = F * c + I * np.tanh(z)  # eq. 9.3
    n = F * n + I
    h = sigmoid(o) * average(c, n)  # eq. 9.6
    return h, (c, n, m, h)


def slstm_gradients(gates, R, b, state, forget, grad_h, grad_state):
    """Gradients of a loss to gates, R, b (None if that is None) and the first state, given
    those to every h and to the last state. As raw units do not know of m, it counts as a
    constant; what the last m itself gets, and what c and n lose by it, goes to the one
    exponent that was the maximum."""
    y, _ = slstm(gates, R, b, state, forget)
    states = [first_slstm_state(y, state)]
    for t in range(y.shape[1]):
        states.append(slstm_step(gates[:, t], R, states[-1], b, forget)[1])
    dx, dR = np.zeros(gates.shape), np.zeros(R.shape)
    c, n, m, _ = states[-1]
    dc, dn, dm, dh = grad_state
    dm = dm - dc * c - dn * n
    for t in reversed(range(y.shape[1])):
        (c_0, n_0, m_0, h_0), (c, n, m, _) = states[t : t + 2]
        i, f, z, o = (gates[:, t] + mix(R, h_0) + (0 if b is None else b)).swapaxes(
            0, 1
        )
        log_f = log_sigmoid(f) if forget == "sigmoid" else f
        F, I, O = np.exp(log_f + m_0 - m), np.exp(i - m), sigmoid(o)
        dh = dh + grad_h[:, t]
        inverse = 1 / np.where(n == 0, 1, n)
        dc = dc + dh * O * inverse
        dn = dn - dh * O * c * inverse**2
        is_past = log_f + m_0 >= i
        dx_f = F * (dc * c_0 + dn * n_0) + is_past * dm
        dx[:, t] = np.stack(
            [
                I * (dc * np.tanh(z) + dn) + ~is_past * dm,
                dx_f * sigmoid(-f) if forget == "sigmoid" else dx_f,
                dc * I / np.cosh(z) ** 2,
                dh * O * sigmoid(-o) * c * inverse,
            ],
            axis=1,
        )
        dR += np.einsum("bghd,bhe->ghde", dx[:, t], h_0)
        dh = np.einsum("bghd,ghde->bhe", dx[:, t], R)
        dc, dn, dm = F * dc, F * dn, is_past * dm
    c, n, _, _ = states[0]
    db = None if b is None else dx.sum((0, 1))
    return dx, dR, db, (dc, dn, dm + dc * c + dn * n, dh)


def mlstm_raw(q, k, v, i, f):
    """mLSTM as it is meant; e^i overflows from i = 710 on. Returns every h."""
    k = k.shape[-1] ** -0.5 * k
    h = np.zeros(v.shape)
    C, n = np.zeros((*k[:, 0].shape, v.shape[-1])), np.zeros(k[:, 0].shape)
    for t in range(v.shape[1]):
        F, I = sigmoid(f[:, t, :, None]), np.exp(i[:, t, :, None])
        C = F[..., None] * C + I[..., None] * outer(k[:, t], v[:, t])
        n = F * n + I * k[:, t]  # eq. 9.8
        nq = (n * q[:, t]).sum(-1, keepdims=True)
        h[:, t] = read(q[:, t], C) / np.maximum(np.abs(nq), 1)
    return h


def mlstm(q, k, v, i, f, state=None):
    """The same with a running maximum m, by which C and n are divided, and with it the 1
    that the normalizer is at least. Returns every h (B, L, H, V) and the last state."""
    h = np.zeros(v.shape)
    state = first_mlstm_state(k, v, state)
    for t in range(v.shape[1]):
        h[:, t], state = mlstm_step(q[:, t], k[:, t], v[:, t], i[:, t], f[:, t], state)
    return h, state


def mlstm_step(q_t, k_t, v_t, i_t, f_t, state):
    """One step of the recurrence, for generation: q_t and k_t (B, H, K), v_t (B, H, V),
    i_t and f_t (B, H)."""
    C, n, before = state
    k_t = k_t.shape[-1] ** -0.5 * k_t
    m = maximum(log_sigmoid(f_t) + before, i_t)  # eq. 9.4
    F, I = np.exp(log_sigmoid(f_t) + before - m)[..., None], np.exp(i_t - m)[..., None]
    C = F[..., None] * C + I[..., None] * outer(k_t, v_t)
    n = F * n + I * k_t
    return normalized(read(q_t, C), (n * q_t).sum(-1), m), (C, n, m)


def mlstm_parallel(q, k, v, i, f, state=None):
    """The same as attention, all pairs of steps at once: the weight of v_j in h_t is
    q_t . k_j times the e^(i_j) of its gate and the decays since, over the normalizer. The
    state before the first step counts as one step more."""
    C, n, before = first_mlstm_state(k, v, state)
    k = k.shape[-1] ** -0.5 * k
    t = np.arange(v.shape[1])
    sums = np.cumsum(log_sigmoid(f), axis=1)
    s = sums[:, :, None] - sums[:, None] + i[:, None]  # eq. 9.1
    s = np.where((t[:, None] >= t)[:, :, None], s, -np.inf)  # (B, L, L, H), in t and j
    old = sums + before[:, None]
    m = np.maximum(s.max(2), old)
    D, old = np.exp(s - m[:, :, None]), np.exp(old - m)
    scores = np.einsum("bthk,bjhk->btjh", q, k) * D
    numerator = np.einsum("btjh,bjhv->bthv", scores, v)  # eq. 9.11
    numerator += old[..., None] * np.einsum("bthk,bhkv->bthv", q, C)
    nq = scores.sum(2) + old * np.einsum("bthk,bhk->bth", q, n)
    left = D[:, -1, ..., None] * k
    C = old[:, -1, :, None, None] * C + np.einsum("bjhk,bjhv->bhkv", left, v)
    n = old[:, -1, :, None] * n + left.sum(1)
    return normalized(numerator, nq, m), (C, n, m[:, -1])


def mlstm_chunked(q, k, v, i, f, state=None, chunk=16):
    """The same in three stages: the running maximum; gated linear attention with keys
    e^(i_t - m_t) k_t, decays e^(g_t), g_t = log f'_t + m_(t-1) - m_t, never above 0, and a
    1 beside the values, whose sum is the normalizer; a division."""
    C, n, before = first_mlstm_state(k, v, state)
    m = running_maximum(i, f, before)
    g = log_sigmoid(f) + np.concatenate([before[:, None], m[:, :-1]], axis=1) - m
    k = k.shape[-1] ** -0.5 * np.exp(i - m)[..., None] * k
    v = np.concatenate([v, np.ones((*v.shape[:-1], 1))], axis=-1)
    S = np.concatenate([C, n[..., None]], axis=-1)
    parts = []
    for start in range(0, v.shape[1], chunk):
        q_c, k_c, v_c, g_c = (x[:, start : start + chunk] for x in (q, k, v, g))
        decay = np.exp(segment_sums(g_c))  # (B, chunk, chunk, H): e^(G_t - G_j)
        reach = np.exp(np.cumsum(g_c, axis=1))[..., None]  # e^(G_t)
        scores = np.einsum("bthk,bjhk->btjh", q_c, k_c) * decay
        y_c = np.einsum("btjh,bjhv->bthv", scores, v_c)
        parts.append(y_c + reach * np.einsum("bthk,bhkv->bthv", q_c, S))  # eq. 9.12
        left = decay[:, -1, ..., None] * k_c
        S = reach[:, -1, ..., None] * S + np.einsum("bjhk,bjhv->bhkv", left, v_c)
    y = np.concatenate(parts, axis=1)
    return normalized(y[..., :-1], y[..., -1], m), (S[..., :-1], S[..., -1], m[:, -1])


def mlstm_gradients(q, k, v, i, f, state, grad_h, grad_state):
    """Gradients of a loss to q, k, v, i, f and the first state, given those to every h and
    to the last state; m counts as a constant, as in ``slstm_gradients``."""
    states = [first_mlstm_state(k, v, state)]
    for t in range(v.shape[1]):
        at = np.s_[:, t]
        _, after = mlstm_step(q[at], k[at], v[at], i[at], f[at], states[-1])
        states.append(after)
    scale = k.shape[-1] ** -0.5
    k = scale * k
    dq, dk, dv, di, df = (np.zeros(x.shape) for x in (q, k, v, i, f))
    C, n, m = states[-1]
    dC, dn, dm = grad_state
    dm = dm - (dC * C).sum((-1, -2)) - (dn * n).sum(-1)
    for t in reversed(range(v.shape[1])):
        (C_0, n_0, m_0), (C, n, m) = states[t : t + 2]
        nq, bound = (n * q[:, t]).sum(-1), np.exp(-m)
        size = np.maximum(np.abs(nq), bound)
        size = np.where(size == 0, 1, size)
        h, dy = read(q[:, t], C) / size[..., None], grad_h[:, t] / size[..., None]
        dnq = np.where(np.abs(nq) <= bound, 0, -(dy * h).sum(-1) * np.sign(nq))
        dq[:, t] = np.einsum("bhkv,bhv->bhk", C, dy) + n * dnq[..., None]
        dC = dC + outer(q[:, t], dy)
        dn = dn + q[:, t] * dnq[..., None]
        past = log_sigmoid(f[:, t]) + m_0
        F, I, is_past = np.exp(past - m), np.exp(i[:, t] - m), past >= i[:, t]
        written = np.einsum("bhkv,bhv->bhk", dC, v[:, t]) + dn
        dk[:, t] = scale * I[..., None] * written
        dv[:, t] = I[..., None] * np.einsum("bhkv,bhk->bhv", dC, k[:, t])
        di[:, t] = I * (written * k[:, t]).sum(-1) + ~is_past * dm
        kept = (dC * C_0).sum((-1, -2)) + (dn * n_0).sum(-1)
        df[:, t] = sigmoid(-f[:, t]) * (F * kept + is_past * dm)
        dC, dn, dm = F[..., None, None] * dC, F[..., None] * dn, is_past * dm
    C, n, _ = states[0]
    dm = dm + (dC * C).sum((-1, -2)) + (dn * n).sum(-1)
    return dq, dk, dv, di, df, (dC, dn, dm)


def running_maximum(i, f, before):
    """m_t = max(log f'_t + m_(t-1), i_t) from m_0 = ``before`` (B, H)."""
    m = np.zeros(i.shape)
    for t in range(i.shape[1]):
        m[:, t] = before = maximum(log_sigmoid(f[:, t]) + before, i[:, t])  # eq. 9.4
    return m


def segment_sums(g):
    """(B, L, H) -> (B, L, L, H): the sum over j < l <= t of g_l, -inf where j > t. Sums of
    numbers of one sign, not differences of sums."""
    t = np.arange(g.shape[1])
    later = np.where((t[:, None] > t)[:, :, None], g[:, :, None], 0)
    sums = np.cumsum(later, axis=1)
    return np.where((t[:, None] >= t)[:, :, None], sums, -np.inf)


def normalized(numerator, nq, m):
    """h = C q / max(|n . q|, e^-m), which in raw units is C q / max(|n . q|, 1)."""
    with np.errstate(over="ignore"):
        size = np.maximum(np.abs(nq), np.exp(-m))  # eq. 9.9
    return numerator / np.where(size == 0, 1, size)[..., None]


def average(c, n):
    """c / n, and 0 where there is nothing to average."""
    return c / np.where(n == 0, 1, n)


def maximum(past, i):
    return np.maximum(np.maximum(past, i), LOWEST)


def first_slstm_state(y, state):
    """The state before the first step: the one given, or nothing."""
    if state is None:
        nothing = np.zeros(y[:, 0].shape)
        return nothing, nothing, nothing + LOWEST, nothing
    c, n, m, h = state
    return c, n, np.maximum(m, LOWEST), h


def first_mlstm_state(k, v, state):
    """Likewise."""
    if state is None:
        n = np.zeros(k[:, 0].shape)
        return np.zeros((*n.shape, v.shape[-1])), n, n[..., 0] + LOWEST
    C, n, m = state
    return C, n, np.maximum(m, LOWEST)


def mix(R, h):
    """What every gate gets of the features of its own head: (B, 4, H, D)."""
    return np.einsum("ghde,bhe->bghd", R, h)


def outer(k, v):
    return k[..., None] * v[..., None, :]


def read(q, C):
    return np.einsum("bhk,bhkv->bhv", q, C)


def sigmoid(x):
    return np.exp(log_sigmoid(x))


def log_sigmoid(x):
    return -np.logaddexp(0, -x)
