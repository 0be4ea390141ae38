"""The running log-sum-exp with decay as a PyTorch op: argument checks, choice of backend,
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
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.decayed_logsumexp import portable
from seqlab.ops.registration import register

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def decayed_logsumexp(
    x: Tensor,
    w: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The running log-sum-exp m_t = log(exp(m_{t-1} - w) + exp(x_t)) along the time axis,
    one per batch entry and channel: the logarithm of the sum of e^x over all inputs so
    far, where an input from k steps ago has the weight e^(-k w).

    Differentiable in ``x``, ``w``, ``state`` and through both results. Inputs of any size
    are taken: -inf is an input that adds nothing (its gradient is 0), after +inf all m are
    +inf, and a NaN stays in its channel, from its time on. The exponents k w are formed
    over stretches of time: where one overflows, NaN may follow after +inf, and nowhere
    else. Gradients are made of differences between m and x, so that they have an error of
    about |x| times that of a float32 number, 6e-8.

    For the backward pass the inputs are kept and m is not: in 16 bits it is too coarse
    for a gradient that is made of differences between m and x. The kernel also keeps a
    float32 state for every 16 steps, from which it computes them again; the portable
    form starts from the beginning.

    Args:
        x: input, (B, L, D): float16, bfloat16, float32 or float64.
        w: decay rate per step, (D,), at least 0 (0 forgets nothing). Of x's dtype, but
            float32 for float16 and bfloat16.
        state: m before the first step, (B, D), of the dtype that ``w`` has; -inf, the
            logarithm of an empty sum, if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and the portable
            form for all else.

    Returns:
        m, (B, L, D), of x's dtype, and the state after the last step, (B, D), of the
            dtype that ``state`` has.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or B, L or D
            is 0.

    Source: the denominator of Peng et al., "RWKV: Reinventing RNNs for the Transformer
    Era" (2023), appendix D. In the book: chapter 2, equation 2.11.
    """
    _check("x", x, "batch, length, channels", w, state)
    name = choose_backend(backend, x, KERNEL_DTYPES)
    m, last, _ = _decayed_logsumexp(x, w, state, name)
    return m, last


def decayed_logsumexp_step(
    x_t: Tensor, w: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`decayed_logsumexp`, for generation.

    Args:
        x_t: input, (B, D).
        w: decay rate, (D,), of x_t's dtype, but float32 for float16 and bfloat16.
        state: m of the step before, (B, D), of the dtype that ``w`` has.

    Returns:
        m_t, (B, D), of x_t's dtype, and the new state, of the dtype that ``state`` has.

    Raises:
        TypeError, ValueError: as for :func:`decayed_logsumexp`.
    """
    check_tensor("state", state)
    _check("x_t", x_t, "batch, channels", w, state)
    m_t = torch.logaddexp(state - w, x_t.to(w.dtype))  # eq. 2.11
    return m_t.to(x_t.dtype, copy=True), m_t


def _check(name: str, x: Tensor, axes: str, w: Tensor, state: Tensor | None) -> None:
    check_tensor(name, x)
    check_dtype(name, x, DTYPES)
    check_shape(name, x, axes)
    check_not_empty(name, x)
    wide = accumulation_dtype(x.dtype)
    check_like("w", w, name, x, "channels", x.shape[-1:], wide)
    if state is not None:
        shape = (x.shape[0], x.shape[-1])
        check_like("state", state, name, x, "batch, channels", shape, wide)


def _forward(
    x: Tensor, w: Tensor, state: Tensor | None, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """m, the last state, and what the kernel keeps: the states before groups of steps."""
    if backend == "triton":
        return kernel_of("decayed_logsumexp").scan(x, w, state)
    m, last = portable.scan(x, w, state)
    return m, last, last.new_empty(0)


def _backward(
    x: Tensor,
    w: Tensor,
    state: Tensor | None,
    starts: Tensor,
    grad_m: Tensor | None,
    grad_last: Tensor | None,
    grad_starts: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    grad_m = torch.zeros_like(x) if grad_m is None else grad_m
    if backend == "triton":
        kernel = kernel_of("decayed_logsumexp")
        return kernel.gradients(x, w, starts, grad_m, grad_last)
    return portable.gradients(x, w, state, grad_m, grad_last)


def _save(arguments, outputs):
    return *arguments[:3], outputs[2]


def _fake(x, w, state, backend):
    batch, _, channels = x.shape
    kept = kernel_of("decayed_logsumexp").groups_in(x) if backend == "triton" else 0
    last = w.new_empty((batch, channels))
    return x.new_empty(x.shape), last, w.new_empty(kept * batch * channels)


def _fake_backward(x, w, state, starts, grad_m, grad_last, grad_starts, backend):
    grad_state = w.new_empty((x.shape[0], x.shape[2]))
    return x.new_empty(x.shape), torch.empty_like(w), grad_state


_decayed_logsumexp = register(
    "decayed_logsumexp", _forward, _backward, _save, _fake, _fake_backward
)
