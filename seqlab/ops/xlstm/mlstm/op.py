"""mLSTM as a PyTorch op: argument checks, choice of backend, registration."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    parts_of,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.exponents import larger
from seqlab.ops.registration import register
from seqlab.ops.xlstm.mlstm import portable

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class MLSTMState(NamedTuple):
    """What mLSTM remembers; in raw units the memory is C e^m and the normalizer n e^m."""

    C: Tensor
    """matrix memory, (B, H, K, V)"""
    n: Tensor
    """normalizer, (B, H, K)"""
    m: Tensor
    """running maximum, (B, H)"""


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MLSTMState | None = None,
    backend: str | None = None,
) -> tuple[Tensor, MLSTMState]:
    """xLSTM's matrix memory: in raw units C_t = sigmoid(f_t) C_{t-1} + e^{i_t} k_t v_t^T,
    n_t = sigmoid(f_t) n_{t-1} + e^{i_t} k_t and h_t = C_t^T q_t / max(|n_t . q_t|, 1), where
    k comes with a factor of K^-1/2.

    Computed with C and n divided by e^m, m_t = max(log sigmoid(f_t) + m_{t-1}, i_t), and
    the 1 of the normalizer with them, so that no exponential overflows. No decay is lost to
    rounding beside a large m: what m cannot hold is in C and n. These have room for it
    while the largest gate times the number of steps is below 1e9 (1e18 in float64); far
    beyond, h may be NaN. An i of -inf writes nothing, one of +inf makes NaN of what
    follows. Differentiable in all tensors and through both results, the last m included,
    which is a maximum: its gradient is for the one exponent that it is. Whatever is not
    finite may spread to 63 steps on either side within its sequence and head, as NaN.

    In float32 products of matrices have the precision of float32. For 16-bit inputs they
    have that of TF32, which is finer than the inputs, and sums and states are float32.

    Args:
        q: queries, (B, L, H, K): float16, bfloat16, float32 or float64.
        k: keys, like ``q``.
        v: values, (B, L, H, V), of the dtype of ``q``.
        i: pre-activation of the input gate, (B, L, H), of q's dtype, but float32 for
            float16 and bfloat16.
        f: pre-activation of the forget gate, like ``i``.
        state: what came before: three tensors (C, n, m) of the dtype of ``i``, of shapes
            (B, H, K, V), (B, H, K) and (B, H). Nothing, (0, 0, -inf), if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and the portable
            form for all else.

    Returns:
        h, (B, L, H, V), of the dtype of ``v``, and the state after the last step.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis is
            empty.

    Source: Beck et al., "xLSTM: Extended Long Short-Term Memory" (2024), equations 19 to
    27 and appendix A.
    """
    inputs = {"q": q, "k": k, "v": v, "i": i, "f": f}
    parts = None if state is None else parts_of("state", state, MLSTMState)
    _check(inputs, "batch, length, heads", parts)
    name = choose_backend(backend, q, KERNEL_DTYPES)
    C, n, m = (None, None, None) if parts is None else parts
    h, C, n, m, *_ = _mlstm(q, k, v, i, f, C, n, m, name)
    return h, MLSTMState(C, n, m)


def mlstm_step(
    q_t: Tensor, k_t: Tensor, v_t: Tensor, i_t: Tensor, f_t: Tensor, state: MLSTMState
) -> tuple[Tensor, MLSTMState]:
    """One step of :func:`mlstm`, for generation.

    Args:
        q_t: query, (B, H, K).
        k_t: key, (B, H, K).
        v_t: value, (B, H, V).
        i_t: pre-activation of the input gate, (B, H), of q_t's dtype, but float32 for
            float16 and bfloat16.
        f_t: pre-activation of the forget gate, like ``i_t``.
        state: as of :func:`mlstm`.

    Returns:
        h_t, (B, H, V), of the dtype of ``v_t``, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`mlstm`.
    """
    inputs = {"q_t": q_t, "k_t": k_t, "v_t": v_t, "i_t": i_t, "f_t": f_t}
    C, n, before = parts_of("state", state, MLSTMState)
    _check(inputs, "batch, heads", MLSTMState(C, n, before))
    dtype, wide = v_t.dtype, i_t.dtype
    q_t, k_t, v_t = q_t.to(wide), k_t.to(wide), v_t.to(wide)
    before = before.clamp(min=portable.LOWEST)
    log_f = logsigmoid(f_t)
    m = larger(log_f + before, i_t).clamp(min=portable.LOWEST)
    decay = torch.exp((before - m) + log_f)[..., None]
    written = k_t.shape[-1] ** -0.5 * torch.exp(i_t - m)[..., None] * k_t
    C = decay[..., None] * C + written[..., None] * v_t[..., None, :]
    n = decay * n + written
    # Sums, not products of matrices, which the caller's autocast would round.
    h_t, _ = portable.read((q_t[..., None] * C).sum(-2), (q_t * n).sum(-1), m)
    return h_t.to(dtype), MLSTMState(C, n, m)


def _check(
    inputs: dict[str, Tensor], axes: str, state: tuple[Tensor, ...] | None
) -> None:
    (q_name, q), (k_name, k), (v_name, v), *gates = inputs.items()
    check_tensor(q_name, q)
    check_dtype(q_name, q, DTYPES)
    check_shape(q_name, q, f"{axes}, keys")
    check_not_empty(q_name, q)
    check_like(k_name, k, q_name, q, f"{axes}, keys", q.shape)
    check_like(v_name, v, q_name, q, f"{axes}, values", (*q.shape[:-1], None))
    check_not_empty(v_name, v)
    wide = accumulation_dtype(q.dtype)
    for name, gate in gates:
        check_like(name, gate, q_name, q, axes, q.shape[:-1], wide)
    if state is None:
        return
    batch, (heads, keys), values = q.shape[0], q.shape[-2:], v.shape[-1]
    shapes = {
        "batch, heads, keys, values": (batch, heads, keys, values),
        "batch, heads, keys": (batch, heads, keys),
        "batch, heads": (batch, heads),
    }
    parts = zip(MLSTMState._fields, state, shapes.items(), strict=True)
    for name, part, (letters, shape) in parts:
        check_like(f"state.{name}", part, q_name, q, letters, shape, wide)


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, the last state, and what the kernel keeps: the states between chunks, the gates
    with the normalizer, and what rounding takes off h."""
    inputs = q, k, v, i, f, C, n, m
    if backend == "triton":
        return kernel_of("xlstm.mlstm").scan(*inputs)
    return *portable.scan(*inputs), None, None, None  # type: ignore[return-value]


def _inference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Likewise, without what rounding takes off h."""
    if backend == "triton":
        kernel = kernel_of("xlstm.mlstm")
        return kernel.scan(q, k, v, i, f, C, n, m, differentiable=False)
    return _forward(q, k, v, i, f, C, n, m, backend)


def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    h: Tensor,
    states: Tensor | None,
    gates: Tensor | None,
    rest: Tensor | None,
    grad_h: Tensor | None,
    grad_C: Tensor | None,
    grad_n: Tensor | None,
    grad_m: Tensor | None,
    grad_states: Tensor | None,
    grad_gates: Tensor | None,
    grad_rest: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    inputs = q, k, v, i, f, C, n, m
    grads = torch.zeros_like(h) if grad_h is None else grad_h, grad_C, grad_n, grad_m
    if backend == "triton":
        kernel = kernel_of("xlstm.mlstm")
        rest = rest if q.itemsize == 2 else None
        return kernel.gradients(*inputs, h, states, gates, rest, *grads)
    *found, dC, dn, dm = portable.gradients(*inputs, *grads)
    of_state = (None, None, None) if C is None else (dC, dn, dm)
    return *found, *of_state


def _save(arguments, outputs):
    h, _, _, _, *kept = outputs
    return *arguments[:8], h, *kept


def _fake(q, k, v, i, f, C, n, m, backend):
    batch, _, heads, keys = k.shape
    C = i.new_empty((batch, heads, keys, v.shape[-1]))
    last = C, C.new_empty(C.shape[:3]), C.new_empty(C.shape[:2])
    states = gates = rest = None
    if backend == "triton":
        states, gates = map(i.new_empty, kernel_of("xlstm.mlstm").kept_shapes(k, v))
        rest = v.new_empty(v.shape) if v.itemsize == 2 else None
    return v.new_empty(v.shape), *last, states, gates, rest


def _fake_backward(q, k, v, i, f, C, n, m, *rest):
    inputs = q, k, v, i, f, C, n, m
    return tuple(None if x is None else x.new_empty(x.shape) for x in inputs)


_mlstm = register(
    "mlstm", _forward, _backward, _save, _fake, _fake_backward, _inference
)
