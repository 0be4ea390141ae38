"""sLSTM as a PyTorch op: argument checks, choice of backend, registration."""

from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    choice,
    parts_of,
)
from seqlab.ops.autocast import outside_autocast
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.xlstm.slstm import portable

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
FORGET = ("sigmoid", "exp")
WIDEST = 128
"""Features of a head that the kernel takes."""


class SLSTMState(NamedTuple):
    """What sLSTM remembers, each (B, H, D); in raw units the memory is c e^m and the
    normalizer n e^m."""

    c: Tensor
    """memory"""
    n: Tensor
    """normalizer"""
    m: Tensor
    """running maximum"""
    h: Tensor
    """what was said last"""


def slstm(
    gates: Tensor,
    R: Tensor,
    b: Tensor | None = None,
    state: SLSTMState | None = None,
    forget: str = "sigmoid",
    backend: str | None = None,
) -> tuple[Tensor, SLSTMState]:
    """xLSTM's scalar memory, with a matrix R a head that mixes memories: with i, f, z, o =
    gates_t + R h_{t-1} + b, in raw units c_t = sigmoid(f) c_{t-1} + e^i tanh(z), n_t =
    sigmoid(f) n_{t-1} + e^i and h_t = sigmoid(o) c_t / n_t.

    Computed with c and n divided by e^m, m_t = max(log sigmoid(f) + m_{t-1}, i), which
    h does not see: no exponential overflows, and from no state the same number added to
    every i changes nothing. No decay is lost to rounding beside a large m: what m cannot
    hold is in c and n. These have room for it while the largest gate times the number of
    steps is below 1e9 (1e18 in float64); far beyond, h may be NaN. An i of -inf writes
    nothing. Differentiable in all tensors and through both results, the last m included,
    which is a maximum: its gradient is for the one exponent that it is.

    Sequential in time: each step waits for the one before it. c, n and m are float32 for
    narrower inputs; the h that goes back in is the one that came out.

    Args:
        gates: pre-activations i, f, z and o, of the input alone, (B, L, 4, H, D): float16,
            bfloat16, float32 or float64.
        R: (4, H, D, D), of the dtype of ``gates``: gate g of head h gets R[g, h] @ h_{t-1}.
        b: bias, (4, H, D), of the dtype of ``gates``.
        state: what came before: four tensors (c, n, m, h), (B, H, D), of the dtype of
            ``gates``, but float32 for float16 and bfloat16. Nothing, (0, 0, -inf, 0), if
            None.
        forget: "sigmoid", or "exp" for a forget gate e^f.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and 128 features a
            head, and the portable form for all else.

    Returns:
        h, (B, L, H, D), of the dtype of ``gates``, and the state after the last step.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device, ``forget`` or ``backend`` is not as described, or
            an axis is empty.

    Source: Beck et al., "xLSTM: Extended Long Short-Term Memory" (2024), equations 8 to
    18 and appendix A.
    """
    parts = None if state is None else parts_of("state", state, SLSTMState)
    _check("gates", gates, "batch, length, 4, heads, features", R, b, parts)
    choice("forget", forget, FORGET)
    name = _backend(backend, gates)
    c, n, m, h = (None, None, None, None) if parts is None else parts
    y, c, n, m, h, _ = _slstm(gates, R, b, c, n, m, h, forget, name)
    return y, SLSTMState(c, n, m, h)


def slstm_step(
    gates_t: Tensor,
    R: Tensor,
    state: SLSTMState,
    b: Tensor | None = None,
    forget: str = "sigmoid",
) -> tuple[Tensor, SLSTMState]:
    """One step of :func:`slstm`, for generation.

    Args:
        gates_t: pre-activations i, f, z and o, (B, 4, H, D).
        R: (4, H, D, D), of the dtype of ``gates_t``.
        state: as of :func:`slstm`.
        b: bias, (4, H, D), of the dtype of ``gates_t``.
        forget: "sigmoid" or "exp".

    Returns:
        h_t, (B, H, D), of the dtype of ``gates_t``, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`slstm`.
    """
    parts = parts_of("state", state, SLSTMState)
    _check("gates_t", gates_t, "batch, 4, heads, features", R, b, parts)
    choice("forget", forget, FORGET)
    *before, h = portable.first_state(gates_t, parts)
    wide = accumulation_dtype(gates_t.dtype)
    with outside_autocast(gates_t.device):
        x = gates_t.to(wide) + portable.mix(R.to(wide), h)
    x = x if b is None else x + b
    i, f, z, o = x.unbind(1)
    step = portable.take(i, f, z, o, tuple(before), forget)
    h = portable.output(step).to(gates_t.dtype)
    return h, SLSTMState(step.c, step.n, step.m, h.to(wide, copy=True))


def _check(
    name: str,
    gates: Tensor,
    axes: str,
    R: Tensor,
    b: Tensor | None,
    state: tuple[Tensor, ...] | None,
) -> None:
    check_tensor(name, gates)
    check_dtype(name, gates, DTYPES)
    letters = axes.split(", ")
    shape = [4 if letter == "4" else None for letter in letters]
    check_shape(name, gates, axes, shape)
    check_not_empty(name, gates)
    batch, heads, width = gates.shape[0], *gates.shape[-2:]
    shape = [4, heads, width, width]
    check_like("R", R, name, gates, "4, heads, features, features", shape)
    if b is not None:
        check_like("b", b, name, gates, "4, heads, features", (4, heads, width))
    wide = accumulation_dtype(gates.dtype)
    for part, x in zip(SLSTMState._fields, state or (), strict=state is not None):
        shape = [batch, heads, width]
        check_like(
            f"state.{part}", x, name, gates, "batch, heads, features", shape, wide
        )


def _backend(backend: str | None, gates: Tensor) -> str:
    name = choose_backend(backend, gates, KERNEL_DTYPES)
    width = gates.shape[-1]
    if name == "triton" and width > WIDEST:
        if backend is not None:
            raise ValueError(
                f"backend: expected 'portable' for heads of more than {WIDEST} features, "
                f"got 'triton' and {width} of them"
            )
        return "portable"
    return name


def _forward(
    gates: Tensor,
    R: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    h: Tensor | None,
    forget: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Every h, the last state, and c, n and m before every step."""
    form = kernel_of("xlstm.slstm") if backend == "triton" else portable
    y, (c, n, m, h), before = form.scan(gates, R, b, _state(c, n, m, h), forget)
    return y, c, n, m, h, before


def _backward(
    gates: Tensor,
    R: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    h: Tensor | None,
    y: Tensor,
    last_c: Tensor,
    last_n: Tensor,
    before: Tensor,
    grad_y: Tensor | None,
    grad_c: Tensor | None,
    grad_n: Tensor | None,
    grad_m: Tensor | None,
    grad_h: Tensor | None,
    grad_before: Tensor | None,
    forget: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    form = kernel_of("xlstm.slstm") if backend == "triton" else portable
    h_before = portable.outputs_before(y, h)
    x = portable.pre_activations(gates, R, b, h_before)
    grad_y = torch.zeros_like(y) if grad_y is None else grad_y
    last = last_c, last_n
    grads = grad_c, grad_n, grad_m, grad_h
    grad_x, first = form.walk_back(
        x, R, before, last, forget, grad_y, grads, h is not None
    )
    grad_R, grad_b = portable.parameter_gradients(grad_x, h_before, R, b)
    return grad_x.to(gates.dtype), grad_R, grad_b, *(first or (None,) * 4)


def _state(
    c: Tensor | None, n: Tensor | None, m: Tensor | None, h: Tensor | None
) -> portable.State | None:
    if c is None or n is None or m is None or h is None:
        return None
    return c, n, m, h


def _save(arguments, outputs):
    y, c, n, _, _, before = outputs
    return *arguments[:7], y, c, n, before


def _fake(gates, R, b, c, n, m, h, forget, backend):
    batch, length, _, heads, width = gates.shape
    wide = accumulation_dtype(gates.dtype)
    state = [gates.new_empty((batch, heads, width), dtype=wide) for _ in range(4)]
    before = gates.new_empty((3, batch, length, heads, width), dtype=wide)
    return gates.new_empty((batch, length, heads, width)), *state, before


def _fake_backward(gates, R, b, c, n, m, h, y, last_c, last_n, before, grad_y, *rest):
    grads = [x.new_empty(x.shape) for x in (gates, R)]
    grad_b = None if b is None else b.new_empty(b.shape)
    of_state = (None if h is None else h.new_empty(h.shape) for _ in "cnmh")
    return *grads, grad_b, *of_state


_slstm = register("slstm", _forward, _backward, _save, _fake, _fake_backward)
