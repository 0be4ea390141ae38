"""What WKV comes from, in NumPy: attention-free transformers, which average values by
learned positions, and the QRNN, which has gates of its inputs alone.

Shapes: B batch, L length, C channels; all tensors over time are (B, L, C).
"""

import numpy as np


def aft_full(q, k, v, bias):
    """y_t = sigmoid(q_t) * the average of v_i, i <= t, weighted by e^(k_i + bias[t, i]);
    ``bias`` is (L, L). Zhai et al., "An Attention Free Transformer" (2021), eq. 2, with
    the sum ending at t."""
    y = np.zeros(v.shape)
    for t in range(v.shape[1]):
        weights = np.exp(k[:, : t + 1] + bias[t, : t + 1, None])
        y[:, t] = (weights * v[:, : t + 1]).sum(1) / weights.sum(1)
    return y / (1 + np.exp(-q))  # eq. 8.2


def aft_simple(q, k, v):
    """AFT without positions."""
    length = v.shape[1]
    return aft_full(q, k, v, np.zeros((length, length)))


def qrnn(z, f, o=None, state=None):
    """h_t = f_t h_{t-1} + (1 - f_t) z_t, and o_t h_t with an output gate: f-pooling and
    fo-pooling of Bradbury et al., "Quasi-Recurrent Neural Networks" (2017), eq. 3 and 4.
    The gates are those after their sigmoid. Returns y (B, L, C) and the last h (B, C)."""
    y = np.zeros(z.shape)
    h = np.zeros(z[:, 0].shape) if state is None else state
    for t in range(z.shape[1]):
        h = f[:, t] * h + (1 - f[:, t]) * z[:, t]
        y[:, t] = h if o is None else o[:, t] * h
    return y, h
