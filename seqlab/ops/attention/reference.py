"""Attention and what has been put in its place, in NumPy.

Shapes: B batch, L length, H heads, K and V channels of a head, m random features. ``q`` and
``k`` are (B, L, H, K), ``v`` is (B, L, H, V), and so is what comes out.
"""

import numpy as np


def attention(q, k, v, causal=True):
    """Softmax attention: every time a mean of the values, by how its query matches their
    keys; of those up to its own time if ``causal``."""
    scores = np.einsum("bihk,bjhk->bhij", q, k) / np.sqrt(q.shape[-1])
    return _softmax_mean(scores, v, causal)


def linear_attention(q, k, v, state=None):
    """Causal attention whose weights are products of features, q and k at least 0: S_t =
    S_{t-1} + k_t (v_t, 1)^T, and y_t is q_t S_t, divided by its last number, the sum of
    weights. Returns y and the last S (B, H, K, V + 1)."""
    y = np.zeros(v.shape)
    if state is None:
        state = np.zeros((*k[:, 0].shape, v.shape[-1] + 1))
    for t in range(q.shape[1]):
        y[:, t], state = linear_attention_step(q[:, t], k[:, t], v[:, t], state)
    return y, state


def linear_attention_step(q_t, k_t, v_t, state):
    """One step, for generation: q_t and k_t (B, H, K), v_t (B, H, V)."""
    values = np.concatenate([v_t, np.ones((*v_t.shape[:-1], 1))], axis=-1)
    state = state + k_t[..., :, None] * values[..., None, :]  # eq. 7.3
    total = (q_t[..., None] * state).sum(-2)
    return total[..., :-1] / total[..., -1:], state


def linear_attention_parallel(q, k, v):
    """The same without a state: the weights q_i . k_j of all pairs with j <= i."""
    return _mean(np.tril(np.einsum("bihk,bjhk->bhij", q, k)), v)  # eq. 7.2


def linear_attention_chunked(q, k, v, chunk=4):
    """The same in chunks: pairs within a chunk, and the state of all chunks before."""
    values = np.concatenate([v, np.ones((*v.shape[:-1], 1))], axis=-1)
    S = np.zeros((*k[:, 0].shape, values.shape[-1]))
    y = []
    for start in range(0, q.shape[1], chunk):
        q_c, k_c, v_c = (x[:, start : start + chunk] for x in (q, k, values))
        weights = np.tril(np.einsum("bihk,bjhk->bhij", q_c, k_c))
        total = np.einsum("bhij,bjhv->bihv", weights, v_c)
        total += np.einsum("bihk,bhkv->bihv", q_c, S)
        S = S + np.einsum("bjhk,bjhv->bhkv", k_c, v_c)
        y.append(total[..., :-1] / total[..., -1:])
    return np.concatenate(y, axis=1)


def elu_features(x):
    """The features of the Linear Transformer, elu(x) + 1."""
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def performer_features(x, w):
    """The positive random features of the Performer: with rows of w (m, K) drawn from a
    normal distribution, the mean of features(q) . features(k) is e^{q . k}."""
    exponent = x @ w.T - (x**2).sum(-1, keepdims=True) / 2
    return np.exp(exponent) / np.sqrt(len(w))  # eq. 7.4


def linformer(q, k, v, E, F):
    """Softmax attention to r mixtures of the keys and of the values, E and F (r, L). A mixture
    holds all times, so that it is not causal."""
    keys = np.einsum("rj,bjhk->brhk", E, k)
    values = np.einsum("rj,bjhv->brhv", F, v)
    return attention(q, keys, values, causal=False)


def synthesizer(x, v, W_1, b_1, W_2, b_2):
    """The dense Synthesizer, causal: the scores of each time, one for every other, come from
    its own input x (B, L, H, K) by a small network that sees no keys: W_1 (K, R), b_1 (R,),
    W_2 (R, longest), b_2 (longest,), of which the first L are taken."""
    scores = (np.maximum(x @ W_1 + b_1, 0) @ W_2 + b_2)[..., : x.shape[1]]
    return _softmax_mean(scores.swapaxes(1, 2), v, True)


def _softmax_mean(scores, v, causal):
    """The values' means by weights e^score, (B, H, L, L')."""
    if causal:
        scores = np.where(np.tri(scores.shape[-1]) > 0, scores, -np.inf)
    return _mean(np.exp(scores - scores.max(-1, keepdims=True)), v)  # eq. 7.1


def _mean(weights, v):
    """The values' means by weights (B, H, L, L') of at least 0."""
    weights = weights / weights.sum(-1, keepdims=True)
    return np.einsum("bhij,bjhv->bihv", weights, v)
