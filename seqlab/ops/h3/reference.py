"""H3 in NumPy, the long convolutions that it is made of, and Hyena.

Shapes: B batch, L length, D channels, M taps, N modes, H heads of d channels each, D = H d.
``q``, ``k``, ``v`` and ``u`` are (B, L, D), real; ``shift`` is (D, M), real; ``A_bar``,
``B_bar`` and ``C`` are (H, N), real or complex, and D_skip is (H,). The state is a pair:
the last M - 1 keys (B, M - 1, D), and the memory (B, D d, N), N modes for each product of
a key's and a value's channel of one head, in the order head, key, value.
"""

import numpy as np

from seqlab.ops.convolution.reference import causal_convolution, toeplitz
from seqlab.ops.shift_ssm.reference import shift_ssm as shift_ssm
from seqlab.ops.shift_ssm.reference import shift_ssm_step
from seqlab.ops.shift_ssm.reference import shift_system as shift_system
from seqlab.ops.ssm.reference import ssm_convolution, ssm_scan_step


def h3(q, k, v, shift, A_bar, B_bar, C, D_skip=None, state=None, head_dim=1):
    """y = q SSM_diagonal(SSM_shift(k) v), step by step; returns y (B, L, D) and the state
    after the last step."""
    y = np.zeros(q.shape)
    state = _first(k, shift, A_bar, head_dim) if state is None else state
    for t in range(q.shape[1]):
        y[:, t], state = h3_step(
            q[:, t], k[:, t], v[:, t], shift, A_bar, B_bar, C, state, D_skip, head_dim
        )
    return y, state


def h3_step(
    q_t, k_t, v_t, shift, A_bar, B_bar, C, state, D_skip=None, head_dim=1
):  # fmt: skip
    """One step, for generation: q_t, k_t and v_t are (B, D)."""
    window, memory = state
    k_t, window = shift_ssm_step(k_t, shift, window)
    q_t, k_t, v_t = (x.reshape(len(x), -1, head_dim) for x in (q_t, k_t, v_t))
    kv = (k_t[..., :, None] * v_t[..., None, :]).reshape(len(k_t), -1)  # eq. 7.10
    A, B, C = (np.repeat(x, head_dim**2, axis=0) for x in (A_bar, B_bar, C))
    read, memory = ssm_scan_step(A, B, C, kv, memory)
    if D_skip is not None:
        read = read + np.repeat(D_skip, head_dim**2) * kv
    read = read.reshape(*q_t.shape, head_dim)
    y_t = (q_t[..., :, None] * read).sum(-2)
    return y_t.reshape(len(y_t), -1), (window, memory)


def h3_convolution(q, k, v, shift, A_bar, B_bar, C, D_skip=None, state=None):
    """The same with d = 1 as two convolutions and two products, all steps at once."""
    window, memory = _first(k, shift, A_bar, 1) if state is None else state
    keys, window = shift_ssm(k, shift, window)
    kv = keys * v
    read, memory = ssm_convolution(A_bar, B_bar, C, kv, memory)
    skip = 0 if D_skip is None else D_skip * kv
    return q * (read + skip), (window, memory)  # eq. 7.9


def h3_gradients(
    q, k, v, shift, A_bar, B_bar, C, D_skip, state, grad_y, grad_state
):  # fmt: skip
    """Gradients of a real loss to all inputs of h3 with d = 1, given those to y and to the
    state after the last step. For complex numbers a gradient is dl/dRe + i dl/dIm, as in
    PyTorch."""
    length, M = q.shape[1], shift.shape[1]
    window, memory = state
    keys_before = np.concatenate([window, k], axis=1)
    keys = shift_ssm(k, shift, window)[0]
    kv = keys * v
    x = np.concatenate(
        [memory[:, None], np.zeros((*k.shape, A_bar.shape[1]), A_bar.dtype)], 1
    )
    for t in range(length):
        x[:, t + 1] = ssm_scan_step(A_bar, B_bar, C, kv[:, t], x[:, t])[1]
    read = (C * x[:, 1:]).real.sum(-1) + D_skip * kv
    grad_read = q * grad_y
    g, flow = np.zeros_like(x[:, 1:]), grad_state[1]
    for t in reversed(range(length)):
        g[:, t] = C.conj() * grad_read[:, t, :, None] + flow
        flow = A_bar.conj() * g[:, t]
    grad_kv = (B_bar.conj() * g).real.sum(-1) + D_skip * grad_read
    grad_keys = v * grad_kv
    of_keys = np.zeros_like(keys_before)
    of_keys[:, length:] = grad_state[0]
    grad_shift = np.zeros_like(shift)
    for j in range(M):
        seen = slice(M - 1 - j, M - 1 - j + length)
        of_keys[:, seen] += shift[:, j] * grad_keys
        grad_shift[:, j] = (grad_keys * keys_before[:, seen]).sum((0, 1))
    return (
        read * grad_y,
        of_keys[:, M - 1 :],
        keys * grad_kv,
        grad_shift,
        (g * x[:, :-1].conj()).sum((0, 1)),
        (g * kv[..., None]).sum((0, 1)),
        (grad_read[..., None] * x[:, 1:].conj()).sum((0, 1)),
        (grad_read * kv).sum((0, 1)),
        (of_keys[:, : M - 1], flow),
    )


def _first(k, shift, A_bar, head_dim):
    """The state before the first step: nothing."""
    batch, _, channels = k.shape
    window = np.zeros((batch, shift.shape[1] - 1, channels))
    return window, np.zeros((batch, channels * head_dim, A_bar.shape[1]), A_bar.dtype)


def flashconv(u, K_or_ssm, state=None):
    """y_t = sum over j of K_j u_{t-j}, going on from a state. The kernel is (D, M), taps; the
    state is then the M - 1 inputs before, (B, M - 1, D). Or it is a system (A_bar, B_bar,
    C), and the state its own, (B, D, N). Returns y and the state after the last step."""
    if isinstance(K_or_ssm, tuple):
        A_bar, B_bar, C = K_or_ssm
        return ssm_convolution(A_bar, B_bar, C, u, state)
    return shift_ssm(u, K_or_ssm, state)


def flashconv_step(u_t, K_or_ssm, state):
    """One step, for generation: u_t (B, D)."""
    if isinstance(K_or_ssm, tuple):
        A_bar, B_bar, C = K_or_ssm
        return ssm_scan_step(A_bar, B_bar, C, u_t, state)
    return shift_ssm_step(u_t, K_or_ssm, state)


def flashconv_chunked(u, K_or_ssm, state=None, chunk=16):
    """The same chunk by chunk, of which the last may be shorter."""
    y = []
    for start in range(0, u.shape[1], chunk):
        done, state = flashconv(u[:, start : start + chunk], K_or_ssm, state)
        y.append(done)
    return np.concatenate(y, axis=1), state


def flashconv_circle(u, K, state):
    """The same with many taps by one Fourier transform, which convolves in a circle: the
    sequence stands where the circle begins and the inputs before it where it ends, so
    that each output finds them behind itself, and L + M - 1 points will do."""
    length, n = u.shape[1], u.shape[1] + K.shape[1] - 1
    circle = np.concatenate([u, state], axis=1)
    spectrum = np.fft.rfft(circle, axis=1) * np.fft.rfft(K, n).T
    y = np.fft.irfft(spectrum, n, axis=1)[:, :length]
    return y, np.concatenate([state, u], axis=1)[:, length:]


def block_dft(x, N_1):
    """The discrete Fourier transform of N = N_1 N_2 numbers as two products of matrices,
    FlashConv's block FFT: x is written in rows of N_2, columns are transformed by F_1,
    each number is turned by its twiddle factor, rows are transformed by F_2."""
    N = len(x)
    N_2 = N // N_1
    F_1, F_2 = (
        np.exp(-2j * np.pi * np.outer(r, r) / len(r))
        for r in map(np.arange, (N_1, N_2))
    )
    twiddle = np.exp(-2j * np.pi * np.outer(np.arange(N_1), np.arange(N_2)) / N)
    return (((F_1 @ x.reshape(N_1, N_2)) * twiddle) @ F_2).T.reshape(N)


def dense_scan(A, B, C, u, x, convention="current"):
    """One channel, u (L,), of a system with a dense A (N, N), B (N,) and C (N,), in one of
    two conventions: "current", x_t = A x_{t-1} + B u_t and y_t = C x_t, where a state has
    seen the current input; or "next", y_t = C x_t and x_{t+1} = A x_t + B u_t."""
    y = np.zeros(len(u))
    for t in range(len(u)):
        if convention == "current":
            x = A @ x + B * u[t]
            y[t] = C @ x
        else:
            y[t] = C @ x
            x = A @ x + B * u[t]
    return y, x


def state_passing_matrices(A, B, C, steps, convention="current"):
    """What FlashConv multiplies a chunk of T steps by: M_xx (N, N), state to state; M_ux (N,
    T), inputs to state; M_xy (T, N), state to outputs; K (T,), inputs to outputs. M_xy has
    rows C A, ..., C A^T where x_t = A x_{t-1} + B u_t, and C, ..., C A^{T-1} where x_{t+1}
    is."""
    powers = [np.linalg.matrix_power(A, j) for j in range(steps + 1)]
    M_ux = np.stack([power @ B for power in powers[steps - 1 :: -1]], axis=1)
    first = 1 if convention == "current" else 0
    M_xy = np.stack([C @ power for power in powers[first : first + steps]])  # eq. 7.12
    response = [C @ power @ B for power in powers[:steps]]
    K = np.array(response if convention == "current" else [0, *response[:-1]])
    return powers[steps], M_ux, M_xy, K


def state_passing(A, B, C, u, x, chunk, convention="current", M_xy_of=None):
    """Algorithm 2 of the paper on one channel: a convolution within each chunk, and the
    state from chunk to chunk. The last chunk may be shorter. ``M_xy_of`` names the
    convention that M_xy is taken from, where it is not the same."""
    y = []
    for start in range(0, len(u), chunk):
        piece = u[start : start + chunk]
        M_xx, M_ux, M_xy, K = state_passing_matrices(A, B, C, len(piece), convention)
        if M_xy_of is not None:
            M_xy = state_passing_matrices(A, B, C, len(piece), M_xy_of)[2]
        y.append(M_xy @ x + np.convolve(K, piece)[: len(piece)])  # eq. 7.11
        x = M_xx @ x + M_ux @ piece
    return np.concatenate(y), x


def state_passing_ahead(A, B, C, u, x, chunk):
    """The third way: M_xy with rows C, ..., C A^{T-1} of (7.13), and s = A x carried in the
    place of x."""
    s, y = A @ x, []
    for start in range(0, len(u), chunk):
        piece = u[start : start + chunk]
        M_xx, M_ux, _, K = state_passing_matrices(A, B, C, len(piece))
        M_xy = state_passing_matrices(A, B, C, len(piece), "next")[2]
        y.append(M_xy @ s + np.convolve(K, piece)[: len(piece)])
        s = M_xx @ s + A @ (M_ux @ piece)  # eq. 7.14
    return np.concatenate(y), s


def hyena(v, gates, filters):
    """v <- gate (filter * v) for every gate (B, L, D) and filter (D, M): a long convolution,
    then a gate, and so on."""
    for gate, taps in zip(gates, filters, strict=True):
        v = gate * causal_convolution(v, taps)  # eq. 7.16
    return v


def hyena_matrix(gates, filters):
    """What v is multiplied by, a lower triangular matrix for each batch entry and channel,
    (B, D, L, L): diagonal matrices of gates and Toeplitz ones of filters, in turn."""
    batch, length, channels = gates[0].shape
    matrix = np.broadcast_to(np.eye(length), (batch, channels, length, length))
    for gate, taps in zip(gates, filters, strict=True):
        matrix = toeplitz(taps, length) @ matrix
        matrix = gate.swapaxes(1, 2)[..., None] * matrix  # eq. 7.17
    return matrix
