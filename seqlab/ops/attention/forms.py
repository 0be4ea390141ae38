"""Forms of attention that are PyTorch's own operations."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.autocast import outside_autocast

AXES = "batch, length, heads, channels"
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """Softmax attention: at each time a mean of the values, weighed by e^{q . k / sqrt(K)};
    of those up to that time if ``causal``.

    What is not finite in a value spreads to all times of its batch entry and head, earlier
    ones too, as NaN: a weight of 0 does not hide it.

    Args:
        q: queries, (B, L, H, K): float16, bfloat16, float32 or float64.
        k: keys, (B, L', H, K), of q's dtype; L' is L if ``causal``.
        v: values, (B, L', H, V), of q's dtype.
        causal: whether a time sees itself and earlier ones alone.

    Returns:
        y, (B, L, H, V).

    Raises:
        TypeError, ValueError: an argument is not as described, or an axis has length 0.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1.
    """
    _check("q", q)
    causal = boolean("causal", causal)
    batch, length, heads, channels = q.shape
    keys = (batch, length if causal else None, heads, channels)
    check_like("k", k, "q", q, AXES, keys)
    check_not_empty("k", k)
    check_like("v", v, "q", q, AXES, (batch, k.shape[1], heads, None))
    check_not_empty("v", v)
    # On a CPU PyTorch takes a query that is NaN for one that sees nothing, and gives 0.
    nothing = (0 * q).sum(-1, keepdim=True)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    with outside_autocast(q.device):
        y = scaled_dot_product_attention(q, k, v, is_causal=causal)
    return y.transpose(1, 2) + nothing


def elu_features(x: Tensor) -> Tensor:
    """The features of the Linear Transformer, elu(x) + 1, which are above 0 down to where
    e^x is.

    Args:
        x: of any shape: float16, bfloat16, float32 or float64.

    Returns:
        Like ``x``.

    Raises:
        TypeError, ValueError: ``x`` is not as described, or an axis has length 0.

    Source: Katharopoulos et al., "Transformers are RNNs" (2020), equation 7.
    """
    _check_features("x", x)
    # elu(x) + 1 would drop the digits of an e^x far below 1.
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())


def performer_features(x: Tensor, w: Tensor) -> Tensor:
    """The positive random features of the Performer, e^{w . x - |x|^2 / 2} / sqrt(m): with
    rows of ``w`` drawn from a normal distribution, features(q) . features(k) is e^{q . k}
    in the mean, with an error that falls with 1 / sqrt(m). Exponents are float32 for
    narrower inputs.

    Args:
        x: queries or keys, (..., K), divided by K^{1/4} if they are to make e^{q . k /
            sqrt(K)}: float16, bfloat16, float32 or float64.
        w: random directions, (m, K), of x's dtype.

    Returns:
        (..., m), of x's dtype.

    Raises:
        TypeError, ValueError: an argument is not as described, or an axis has length 0.

    Source: Choromanski et al., "Rethinking Attention with Performers" (2021), lemma 1.
    """
    _check_features("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected shape (..., channels), got ()")
    check_like("w", w, "x", x, "features, channels", (None, x.shape[-1]))
    check_not_empty("w", w)
    dtype, wide = x.dtype, accumulation_dtype(x.dtype)
    x, w = x.to(wide), w.to(wide)
    with outside_autocast(x.device):
        exponent = x @ w.mT - x.square().sum(-1, keepdim=True) / 2
    return (exponent.exp() / len(w) ** 0.5).to(dtype)


def linformer(q: Tensor, k: Tensor, v: Tensor, E: Tensor, F: Tensor) -> Tensor:
    """The Linformer: softmax attention to r mixtures of keys and of values, at a cost of L r
    instead of L^2. A mixture holds all times, later ones too, so it is not causal.

    Args:
        q: queries, (B, L, H, K): float16, bfloat16, float32 or float64.
        k: keys, like ``q``.
        v: values, (B, L, H, V), of q's dtype.
        E: mixtures of the keys, (r, L), of q's dtype.
        F: mixtures of the values, (r, L), of q's dtype.

    Returns:
        y, (B, L, H, V).

    Raises:
        TypeError, ValueError: an argument is not as described, or an axis has length 0.

    Source: Wang et al., "Linformer: Self-Attention with Linear Complexity" (2020),
    equation 7.
    """
    _check("q", q)
    check_like("k", k, "q", q, AXES, q.shape)
    _check_values(v, "q", q)
    check_like("E", E, "q", q, "mixtures, length", (None, q.shape[1]))
    check_not_empty("E", E)
    check_like("F", F, "q", q, "mixtures, length", (E.shape[0], q.shape[1]))
    with outside_autocast(q.device):
        keys = torch.einsum("rj,bjhk->brhk", E, k)
        values = torch.einsum("rj,bjhv->brhv", F, v)
    return attention(q, keys, values, causal=False)


def synthesizer(
    x: Tensor, v: Tensor, W_1: Tensor, b_1: Tensor, W_2: Tensor, b_2: Tensor
) -> Tensor:
    """The dense Synthesizer, causal: the scores of a time, one for each other time, come
    from its own input by a network of two layers. There are no keys to compare with.

    What is not finite in a value spreads to all times of its batch entry and head, earlier
    ones too, as NaN.

    Args:
        x: input, (B, L, H, K): float16, bfloat16, float32 or float64.
        v: values, (B, L, H, V), of x's dtype, as are all others.
        W_1, b_1: first layer, (K, R) and (R,).
        W_2, b_2: second layer, (R, longest) and (longest,), for L up to ``longest``.

    Returns:
        y, (B, L, H, V).

    Raises:
        TypeError, ValueError: an argument is not as described, or an axis has length 0.

    Source: Tay et al., "Synthesizer: Rethinking Self-Attention in Transformer Models"
    (2020), section 3.1.
    """
    _check("x", x)
    _check_values(v, "x", x)
    check_like("W_1", W_1, "x", x, "channels, hidden", (x.shape[-1], None))
    check_not_empty("W_1", W_1)
    check_like("b_1", b_1, "W_1", W_1, "hidden", W_1.shape[1:])
    check_like("W_2", W_2, "W_1", W_1, "hidden, longest", (W_1.shape[1], None))
    check_like("b_2", b_2, "W_2", W_2, "longest", W_2.shape[1:])
    length, longest = x.shape[1], W_2.shape[1]
    if length > longest:
        raise ValueError(f"x: expected a length of at most {longest}, got {length}")
    later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    with outside_autocast(x.device):
        scores = (torch.relu(x @ W_1 + b_1) @ W_2 + b_2)[..., :length].transpose(1, 2)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        return torch.einsum("bhij,bjhv->bihv", weights, v)


def _check(name: str, x: Tensor) -> None:
    check_tensor(name, x)
    check_dtype(name, x, DTYPES)
    check_shape(name, x, AXES)
    check_not_empty(name, x)


def _check_values(v: Tensor, name: str, x: Tensor) -> None:
    check_like("v", v, name, x, AXES, (*x.shape[:3], None))
    check_not_empty("v", v)


def _check_features(name: str, x: Tensor) -> None:
    check_tensor(name, x)
    check_dtype(name, x, DTYPES)
    check_not_empty(name, x)
