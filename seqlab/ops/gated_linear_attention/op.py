"""Gated linear attention as a PyTorch op: argument checks, choice of backend,
registration."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    number,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.gated_linear_attention import portable
from seqlab.ops.registration import register

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
WIDEST = 512
"""Channels of a head, keys or values, that the kernel takes."""


def gated_linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None = None,
    state: Tensor | None = None,
    scale: float | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention without a softmax, whose weights decay with time: S_t =
    diag(e^{log_decay_t}) S_{t-1} + k_t v_t^T and y_t = scale q_t S_t; with a bonus u for
    the present, y_t = scale q_t (S_{t-1} + diag(u) k_t v_t^T).

    Differentiable in all tensors and through both results. Any ``log_decay`` is
    accepted, -inf included, which forgets everything; nothing is ever divided by a
    decay. Whatever is not finite may spread to 63 steps on either side within its
    sequence and head, as NaN.

    In float32 products of matrices have the precision of float32. For 16-bit inputs they
    have that of TF32, which is finer than the inputs, and sums and states are float32.

    Args:
        q: queries, (B, L, H, K): float16, bfloat16, float32 or float64.
        k: keys, like ``q``.
        v: values, (B, L, H, V), of the dtype of ``q``.
        log_decay: logarithm of the decay, at most 0. Fixed in time: (H,), one a head,
            as in RetNet, or (H, K), one a key channel, as in RWKV-5. Or data-dependent:
            (B, L, H), or (B, L, H, K), as in GLA and RWKV-6. Of q's dtype, but float32
            for float16 and bfloat16.
        bonus: weight of the present, (H, K), of the dtype of ``log_decay``.
        state: S before the first step, (B, H, K, V), of the dtype of ``log_decay``; zeros
            if None.
        scale: of y, a number; K^-1/2 if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and 512 channels
            a head, and the portable form for all else.

    Returns:
        y, (B, L, H, V), of the dtype of ``v``, and the state after the last step,
            (B, H, K, V), of the dtype of ``log_decay``.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device, ``scale`` or ``backend`` is not as described, or
            an axis is empty.

    Sources: Sun et al., "Retentive Network" (2023), equations 5 to 7; Yang et al., "Gated
    Linear Attention Transformers with Hardware-Efficient Training" (2024), equation 3 and
    section 4; Peng et al., "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic
    Recurrence" (2024), equations 16 to 19.
    """
    _check("q", q, "k", k, "v", v, "batch, length, heads", bonus, state)
    _check_decay(log_decay, q)
    scale = _scale(scale, q)
    name = _backend(backend, q, v)
    y, last, _, _ = _attention(q, k, v, log_decay, bonus, state, scale, name)
    return y, last


def gated_linear_attention_step(
    q_t: Tensor,
    k_t: Tensor,
    v_t: Tensor,
    log_decay: Tensor,
    state: Tensor,
    bonus: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of :func:`gated_linear_attention`, for generation.

    Args:
        q_t: query, (B, H, K).
        k_t: key, (B, H, K).
        v_t: value, (B, H, V).
        log_decay: (H,) or (H, K), fixed in time, or (B, H) or (B, H, K) of this step. Of
            q_t's dtype, but float32 for float16 and bfloat16.
        state: S of the step before, (B, H, K, V).
        bonus: (H, K).
        scale: of y_t; K^-1/2 if None.

    Returns:
        y_t, (B, H, V), of the dtype of ``v_t``, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`gated_linear_attention`, and where B = H = K
            for a ``log_decay`` of two axes, which could be (H, K) or (B, H): expand it.
    """
    check_tensor("state", state)
    _check("q_t", q_t, "k_t", k_t, "v_t", v_t, "batch, heads", bonus, state)
    a = torch.exp(_decay_of_step(log_decay, q_t))[..., None]
    dtype, wide = v_t.dtype, log_decay.dtype
    q_t, k_t, v_t = _scale(scale, q_t) * q_t.to(wide), k_t.to(wide), v_t.to(wide)
    written = k_t[..., None] * v_t[..., None, :]
    last = a * state + written
    read = last if bonus is None else state + bonus[..., None] * written
    # No product of matrices, which autocast and TF32 would round.
    return (q_t[..., None] * read).sum(-2).to(dtype), last


def _check(
    q_name: str,
    q: Tensor,
    k_name: str,
    k: Tensor,
    v_name: str,
    v: Tensor,
    axes: str,
    bonus: Tensor | None,
    state: Tensor | None,
) -> None:
    check_tensor(q_name, q)
    check_dtype(q_name, q, DTYPES)
    check_shape(q_name, q, f"{axes}, keys")
    check_not_empty(q_name, q)
    check_like(k_name, k, q_name, q, f"{axes}, keys", q.shape)
    check_like(v_name, v, q_name, q, f"{axes}, values", (*q.shape[:-1], None))
    check_not_empty(v_name, v)
    wide = accumulation_dtype(q.dtype)
    heads, keys = q.shape[-2:]
    if bonus is not None:
        check_like("bonus", bonus, q_name, q, "heads, keys", (heads, keys), wide)
    if state is not None:
        shape = (q.shape[0], heads, keys, v.shape[-1])
        letters = "batch, heads, keys, values"
        check_like("state", state, q_name, q, letters, shape, wide)


def _check_decay(log_decay: Tensor, q: Tensor) -> None:
    check_tensor("log_decay", log_decay)
    axes = {1: "heads", 2: "heads, keys", 3: "batch, length, heads"}
    letters = axes.get(log_decay.ndim, "batch, length, heads, keys")
    batch, length, heads, keys = q.shape
    sizes = {"batch": batch, "length": length, "heads": heads, "keys": keys}
    shape = [sizes[letter] for letter in letters.split(", ")]
    wide = accumulation_dtype(q.dtype)
    check_like("log_decay", log_decay, "q", q, letters, shape, wide)


def _decay_of_step(log_decay: Tensor, q_t: Tensor) -> Tensor:
    """The logarithm of the decay at one step, that broadcasts against (B, H, K)."""
    check_tensor("log_decay", log_decay)
    batch, heads, keys = q_t.shape
    forms = {
        "heads": (heads,),
        "heads, keys": (heads, keys),
        "batch, heads": (batch, heads),
        "batch, heads, keys": (batch, heads, keys),
    }
    fitting = [name for name, shape in forms.items() if log_decay.shape == shape]
    if len(fitting) > 1:
        raise ValueError(
            "log_decay: expected shape (batch, heads, keys), as (heads, keys) and (batch, "
            f"heads) are one here, got {tuple(log_decay.shape)}"
        )
    letters = fitting[0] if fitting else "batch, heads, keys"
    wide = accumulation_dtype(q_t.dtype)
    check_like("log_decay", log_decay, "q_t", q_t, letters, forms[letters], wide)
    return log_decay if "keys" in letters else log_decay[..., None]


def _scale(scale: float | None, q: Tensor) -> float:
    return q.shape[-1] ** -0.5 if scale is None else number("scale", scale)


def _backend(backend: str | None, q: Tensor, v: Tensor) -> str:
    widest = max(q.shape[-1], v.shape[-1])
    if widest <= WIDEST:
        return choose_backend(backend, q, KERNEL_DTYPES)
    if choose_backend(backend, q, KERNEL_DTYPES) == "triton" and backend is not None:
        raise ValueError(
            f"backend: expected 'portable' for heads of more than {WIDEST} channels, "
            f"got 'triton' and {widest} of them"
        )
    return "portable"


def _per_head(log_decay: Tensor) -> bool:
    """Whether all key channels of a head share a decay."""
    return log_decay.ndim in (1, 3)


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y, the last state, and what the kernels keep: the states before all chunks, and where
    channels have decays of their own the scores within chunks."""
    inputs = q, k, v, log_decay, bonus, state, scale
    if backend == "triton" and not _per_head(log_decay):
        return kernel_of("gated_linear_attention").scan(*inputs)
    if backend == "triton":
        kernel = kernel_of("gated_linear_attention", "head_decay")
        return *kernel.scan(*inputs), None
    return *portable.scan(*inputs), None, None  # type: ignore[return-value]


def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    states: Tensor | None,
    scores: Tensor | None,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_states: Tensor | None,
    grad_scores: Tensor | None,
    scale: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    inputs = q, k, v, log_decay, bonus, state
    grad_y = torch.zeros_like(v) if grad_y is None else grad_y
    if backend == "triton" and _per_head(log_decay):
        kernel = kernel_of("gated_linear_attention", "head_decay")
        return kernel.gradients(*inputs, states, grad_y, grad_last, scale)
    if backend == "triton":
        kernel = kernel_of("gated_linear_attention")
        return kernel.gradients(*inputs, states, scores, grad_y, grad_last, scale)
    *found, first = portable.gradients(*inputs, grad_y, grad_last, scale)
    # None for a bonus or a state that was None.
    return *found, None if state is None else first  # type: ignore[return-value]


def _save(arguments, outputs):
    return *arguments[:6], *outputs[2:]


def _fake(q, k, v, log_decay, bonus, state, scale, backend):
    batch, _, heads, keys = k.shape
    last = log_decay.new_empty((batch, heads, keys, v.shape[-1]))
    states = scores = None
    if backend == "triton" and _per_head(log_decay):
        kernel = kernel_of("gated_linear_attention", "head_decay")
        states = last.new_empty(kernel.kept_shape(k, v))
    elif backend == "triton":
        kept = kernel_of("gated_linear_attention").kept_shapes(k, v)
        states, scores = map(last.new_empty, kept)
    return v.new_empty(v.shape), last, states, scores


def _fake_backward(
    q, k, v, log_decay, bonus, state, states, scores, grad_y, grad_last, grad_states,
    grad_scores, scale, backend,
):  # fmt: skip
    grads = [x.new_empty(x.shape) for x in (q, k, v, log_decay)]
    grad_bonus = None if bonus is None else bonus.new_empty(bonus.shape)
    of_state = None if state is None else state.new_empty(state.shape)
    return *grads, grad_bonus, of_state


_attention = register(
    "gated_linear_attention", _forward, _backward, _save, _fake, _fake_backward
)
