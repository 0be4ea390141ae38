"""Linear attention with its normalizer: gated linear attention without decay, whose values
have one more channel, a 1, that sums the weights."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.gated_linear_attention import (
    gated_linear_attention,
    gated_linear_attention_step,
)
from seqlab.ops.gated_linear_attention.op import DTYPES


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Causal attention whose weights are products q . k of features: y_t is the mean of the
    values so far by these weights. As a recurrence, S_t = S_{t-1} + k_t (v_t, 1)^T, and y_t
    is q_t S_t divided by its last number, the sum of weights.

    Features are meant to be at least 0, as :func:`elu_features` and
    :func:`performer_features` are; weights of both signs may sum to nearly 0, and their
    quotient then means nothing. Differentiable in all tensors and through both results.
    What is not finite may spread to 63 steps on either side within its head, as NaN.
    float16 is computed in float32, as sums of weights soon exceed its range.

    Args:
        q: features of queries, (B, L, H, K): float16, bfloat16, float32 or float64.
        k: features of keys, like ``q``.
        v: values, (B, L, H, V), of q's dtype.
        state: S before the first step, (B, H, K, V + 1), of q's dtype, but float32 for
            float16 and bfloat16; zeros if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form for
            all else.

    Returns:
        y, (B, L, H, V), of q's dtype, and the last S, (B, H, K, V + 1).

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Katharopoulos et al., "Transformers are RNNs: Fast Autoregressive Transformers
    with Linear Attention" (2020), equations 9 to 12 and 18 to 20.
    """
    check_tensor("q", q)
    check_dtype("q", q, DTYPES)
    check_shape("q", q, "batch, length, heads, keys")
    check_like("k", k, "q", q, "batch, length, heads, keys", q.shape)
    values = _with_one("v", v, q, "batch, length, heads, values")
    dtype = q.dtype
    q, k, values = map(_with_room, (q, k, values))
    total, last = gated_linear_attention(
        q, k, values, _no_decay(q), state=state, scale=1.0, backend=backend
    )
    return _mean(total).to(dtype), last


def linear_attention_step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`linear_attention`, for generation.

    Args:
        q_t: features of the query, (B, H, K).
        k_t: features of the key, (B, H, K).
        v_t: value, (B, H, V).
        state: S of the step before, (B, H, K, V + 1).

    Returns:
        y_t, (B, H, V), of q_t's dtype, and the new S.

    Raises:
        TypeError, ValueError: as for :func:`linear_attention`.
    """
    check_tensor("q_t", q_t)
    check_dtype("q_t", q_t, DTYPES)
    check_shape("q_t", q_t, "batch, heads, keys")
    check_like("k_t", k_t, "q_t", q_t, "batch, heads, keys", q_t.shape)
    values = _with_one("v_t", v_t, q_t, "batch, heads, values")
    dtype = q_t.dtype
    q_t, k_t, values = map(_with_room, (q_t, k_t, values))
    total, last = gated_linear_attention_step(
        q_t, k_t, values, _no_decay(q_t[0]), state, scale=1.0
    )
    return _mean(total).to(dtype), last


def _no_decay(q: Tensor) -> Tensor:
    """A decay of 1 for each head of queries (..., H, K), (..., H). A step hands in those of
    one batch entry, as (H,) is no other shape, and (B, H) may be (H, K)."""
    return q.new_zeros(q.shape[:-1], dtype=accumulation_dtype(q.dtype))


def _with_one(name: str, v: Tensor, q: Tensor, axes: str) -> Tensor:
    check_like(name, v, "q", q, axes, (*q.shape[:-1], None))
    check_not_empty(name, v)
    return torch.cat([v, v.new_ones((*v.shape[:-1], 1))], dim=-1)


def _with_room(x: Tensor) -> Tensor:
    """The numbers in a dtype that holds their sums: 65504, float16's largest, is what a
    thousand steps of 64 channels come to."""
    return x.float() if x.dtype == torch.float16 else x


def _mean(total: Tensor) -> Tensor:
    return total[..., :-1] / total[..., -1:]
