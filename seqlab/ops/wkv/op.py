"""WKV as a PyTorch op: argument checks, choice of backend, registration."""

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
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.wkv import portable

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def wkv(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """RWKV-4's weighted average of all values so far, one per batch entry and channel: at
    time t, v_i of an earlier time weighs e^(k_i - (t-1-i) w), and v_t itself e^(k_t + u).

    Differentiable in all five tensors and through both results. A key of -inf is a token
    without weight, and y is 0 while there is no other: sequences may be padded on the left
    that way. After a key of +inf all is NaN, and a NaN stays in its channel, from its time
    on.

    Sums are kept in float32 for narrower inputs. A slow decay is not lost to rounding
    beside a large exponent, neither within a call nor from one to the next: what the
    exponent cannot hold is in a and b. These have room for it while the largest key times
    the steps of a call is below 1e9 (1e18 in float64), so that keys of 1e4 are right for
    100,000 steps; far beyond, sums may come to infinity or to nothing.

    Args:
        w: decay rate per step, (C,), meant to be at least 0: below, weights grow with
            age, and are computed all the same. A trained ``time_decay`` d is w = exp(d). Of
            k's dtype, but float32 for float16 and bfloat16.
        u: bonus of the token of the present, (C,), of the dtype of ``w``.
        k: keys, (B, L, C): float16, bfloat16, float32 or float64.
        v: values, like ``k``.
        state: what came before, (B, 3, C), of the dtype of ``w``: numerators a,
            denominators b, 0 or from 1.2e-38 on, and exponents m of the sums a e^m and
            b e^m, such as RWKV's own states are. Nothing, (0, 0, -inf), if None. Beside an m of 0,
            even where b is 0, keys below -87 count for nothing in float32.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and the portable
            form for all else.

    Returns:
        y, (B, L, C), of v's dtype, and the state after the last step, (B, 3, C). Of all
            states with these sums it is the one whose denominator is 1, but for rounding,
            which it makes up for: its numerator is the average of all values, its
            exponent the logarithm of the sum of all weights.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or B, L or C
            is 0.

    Source: Peng et al., "RWKV: Reinventing RNNs for the Transformer Era" (2023),
    equations 16 and 19 to 22, and appendix D.
    """
    _check("k", k, "v", v, "batch, length, channels", w, u, state)
    name = choose_backend(backend, k, KERNEL_DTYPES)
    y, last, _ = _wkv(w, u, k, v, state, name)
    return y, last


def wkv_step(
    w: Tensor, u: Tensor, k_t: Tensor, v_t: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`wkv`, for generation.

    Args:
        w: decay rate, (C,), of k_t's dtype, but float32 for float16 and bfloat16.
        u: bonus, (C,), of the dtype of ``w``.
        k_t: key, (B, C).
        v_t: value, (B, C).
        state: as of :func:`wkv`, (B, 3, C).

    Returns:
        y_t, (B, C), of v_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`wkv`.
    """
    check_tensor("state", state)
    _check("k_t", k_t, "v_t", v_t, "batch, channels", w, u, state)
    dtype, k_t, v_t = v_t.dtype, k_t.to(w.dtype), v_t.to(w.dtype)
    past = portable.first_sums(v_t, state)
    y_t, _, _ = portable.average(past, u, k_t, v_t)
    last = portable.join(past, w, portable.token(k_t, v_t))
    return y_t.to(dtype), portable.normalized(last)


def _check(
    k_name: str,
    k: Tensor,
    v_name: str,
    v: Tensor,
    axes: str,
    w: Tensor,
    u: Tensor,
    state: Tensor | None,
) -> None:
    check_tensor(k_name, k)
    check_dtype(k_name, k, DTYPES)
    check_shape(k_name, k, axes)
    check_not_empty(k_name, k)
    check_like(v_name, v, k_name, k, axes, k.shape)
    wide = accumulation_dtype(k.dtype)
    check_like("w", w, k_name, k, "channels", k.shape[-1:], wide)
    check_like("u", u, k_name, k, "channels", k.shape[-1:], wide)
    if state is not None:
        shape = (k.shape[0], 3, k.shape[-1])
        check_like("state", state, k_name, k, "batch, 3, channels", shape, wide)


def _forward(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and what the kernel keeps: the sums before groups of steps."""
    if backend == "triton":
        return kernel_of("wkv").scan(w, u, k, v, state)
    return *portable.scan(w, u, k, v, state), None  # type: ignore[return-value]


def _inference(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Likewise, without these sums."""
    if backend == "triton":
        return kernel_of("wkv").scan(w, u, k, v, state, differentiable=False)
    return _forward(w, u, k, v, state, backend)


def _backward(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None,
    last: Tensor,
    starts: Tensor | None,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_starts: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad_y = torch.zeros_like(v) if grad_y is None else grad_y
    if backend == "triton":
        kernel = kernel_of("wkv")
        return kernel.gradients(w, u, k, v, state, starts, last, grad_y, grad_last)
    *found, first = portable.gradients(w, u, k, v, state, last, grad_y, grad_last)
    return *found, None if state is None else first  # type: ignore[return-value]


def _save(arguments, outputs):
    return *arguments[:5], *outputs[1:]


def _fake(w, u, k, v, state, backend):
    batch, _, channels = v.shape
    last, starts = w.new_empty((batch, 3, channels)), None
    if backend == "triton":
        groups = kernel_of("wkv").groups_in(v)
        starts = w.new_empty(groups * 3 * batch * channels)
    return v.new_empty(v.shape), last, starts


def _fake_backward(
    w, u, k, v, state, last, starts, grad_y, grad_last, grad_starts, backend
):
    inputs = w, u, k, v, state
    return tuple(None if x is None else x.new_empty(x.shape) for x in inputs)


_wkv = register("wkv", _forward, _backward, _save, _fake, _fake_backward, _inference)
