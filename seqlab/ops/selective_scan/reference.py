"""The selective scan in NumPy: as a loop over time (Gu and Dao, 2023, algorithm 2), in the
chunks that the kernel runs, and its gradients.

Shapes: batch entries b, L steps, d channels, n states a channel. ``u``, ``delta`` and
``z`` are (b, L, d); ``A`` is (d, n), real or complex; ``B`` and ``C`` are (b, L, n), of
A's kind; ``D`` and ``delta_bias`` are (d,), and the state is (b, d, n).
"""

import numpy as np

from seqlab.ops.discretize.reference import phi

DISCRETIZATIONS = ("euler", "zoh")


def selective_scan(
    u,
    delta,
    A,
    B,
    C,
    D=None,
    z=None,
    delta_bias=None,
    delta_softplus=False,
    state=None,
    discretization="euler",
    cu_seqlens=None,
):
    """h_t = A_bar_t h_{t-1} + B_bar_t u_t, y_t = Re(C_t h_t), step by step; returns every
    y (b, L, d) and the last h (b, d, n)."""
    y = np.zeros(u.shape)
    h = first_state(state, u, A)
    for t in range(u.shape[1]):
        if begins(t, cu_seqlens):
            h = np.zeros_like(h)
        y[:, t], h = selective_scan_step(
            u[:, t],
            delta[:, t],
            A,
            B[:, t],
            C[:, t],
            h,
            D,
            None if z is None else z[:, t],
            delta_bias,
            delta_softplus,
            discretization,
        )
    return y, h


def selective_scan_step(
    u_t,
    delta_t,
    A,
    B_t,
    C_t,
    state,
    D=None,
    z_t=None,
    delta_bias=None,
    delta_softplus=False,
    discretization="euler",
):
    """One step, for generation: u_t, delta_t and z_t (b, d), B_t and C_t (b, n)."""
    dt = step_size(delta_t, delta_bias, delta_softplus)
    A_bar, B_bar = discretized(dt, A, B_t, discretization)
    h = A_bar * state + B_bar * u_t[..., None]  # eq. 10.4
    y_t = (C_t[..., None, :] * h).real.sum(-1)
    return gated(y_t, u_t, D, z_t), h


def step_size(delta, delta_bias=None, delta_softplus=False):
    """dt, (..., d), from what the model computes."""
    raw = delta if delta_bias is None else delta + delta_bias
    return softplus(raw) if delta_softplus else raw


def softplus(x):
    """log(1 + e^x), which neither overflows nor loses what is small."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def discretized(dt, A, B, discretization="euler"):
    """A_bar and B_bar, (..., d, n): zero-order hold for both, or the paper's code, which
    takes Euler's step for B."""
    dt, B = dt[..., None], B[..., None, :]
    A_bar = np.exp(dt * A)
    B_bar = dt * phi(1, dt * A) * B if discretization == "zoh" else dt * B  # eq. 10.5
    return A_bar, B_bar


def gated(y, u, D=None, z=None):
    """The outputs with what passes the state by, D u, times z sigmoid(z)."""
    y = y if D is None else y + D * u
    return y if z is None else y * z * sigmoid(z)  # eq. 10.6


def sigmoid(x):
    return np.exp(-softplus(-x))


def begins(t, cu_seqlens):
    """Whether a sequence begins at t, with a state of zeros; the one at 0 begins with the
    state that is handed in."""
    return cu_seqlens is not None and t > 0 and t in cu_seqlens


def first_state(state, u, A):
    """The state before the first step, zeros if there is none."""
    return np.zeros((len(u), *A.shape), A.dtype) if state is None else state


def selective_scan_chunked(u, delta, A, B, C, state=None, chunk=16):
    """The same, for Euler's step and without what is elementwise, in three passes: what
    every chunk makes of nothing, the states between chunks, and every chunk from the
    state before it. What a chunk leaves of the state before it takes one exponential of a
    sum of steps, where another recurrence would need a product of decays."""
    pieces = [
        {
            "u": u[:, start : start + chunk],
            "delta": delta[:, start : start + chunk],
            "A": A,
            "B": B[:, start : start + chunk],
            "C": C[:, start : start + chunk],
        }
        for start in range(0, u.shape[1], chunk)
    ]
    before = [first_state(state, u, A)]
    for piece in pieces:
        _, made = selective_scan(**piece)
        decay = np.exp(piece["delta"].sum(1)[..., None] * A)
        before.append(decay * before[-1] + made)  # eq. 10.8
    y = [
        selective_scan(**piece, state=h)[0]
        for piece, h in zip(pieces, before, strict=False)
    ]
    return np.concatenate(y, axis=1), before[-1]


def selective_scan_gradients(
    u, delta, A, B, C, state, grad_y, grad_last, discretization="euler"
):
    """Gradients of a real loss to u, delta, A, B, C and the first state, given those to y
    and to the last state, without what is elementwise. For complex numbers a gradient is
    dl/dRe + i dl/dIm, as in PyTorch."""
    before = []
    h = state
    for t in range(u.shape[1]):
        before.append(h)
        _, h = selective_scan_step(
            u[:, t], delta[:, t], A, B[:, t], C[:, t], h, discretization=discretization
        )
    grad_u, grad_delta = np.zeros(u.shape), np.zeros(u.shape)
    grad_A, grad_B, grad_C = np.zeros_like(A), np.zeros_like(B), np.zeros_like(C)
    g = grad_last
    for t in reversed(range(u.shape[1])):
        dt, u_t, dy = (x[:, t, :, None] for x in (delta, u, grad_y))
        B_t, C_t = B[:, t, None], C[:, t, None]
        A_bar = np.exp(dt * A)
        gain, by_dt, by_A = gain_and_slopes(dt, A, discretization)
        h = A_bar * before[t] + gain * B_t * u_t
        g = g + C_t.conj() * dy  # what flows into h_t, eq. 10.11
        of_exponent = g * (A_bar * before[t]).conj()
        of_gain = g * B_t.conj() * u_t
        grad_C[:, t] = (dy * h.conj()).sum(1)  # eq. 10.12
        grad_B[:, t] = (g * gain.conj() * u_t).sum(1)
        grad_u[:, t] = (g * (gain * B_t).conj()).real.sum(-1)
        grad_A += (dt * of_exponent + by_A.conj() * of_gain).sum(0)
        by_exponent = A.conj() * of_exponent
        grad_delta[:, t] = (by_exponent + by_dt.conj() * of_gain).real.sum(-1)
        g = A_bar.conj() * g
    return grad_u, grad_delta, grad_A, grad_B, grad_C, g


def gain_and_slopes(dt, A, discretization="euler"):
    """What B_bar is B times, and its derivatives by dt and by A."""
    if discretization == "euler":
        return dt, np.ones_like(dt), np.zeros_like(dt)
    x = dt * A
    return dt * phi(1, x), np.exp(x), dt**2 * (phi(1, x) - phi(2, x))
