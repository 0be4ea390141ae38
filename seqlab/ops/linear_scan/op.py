"""The linear recurrence as a PyTorch op: argument checks, choice of backend,
registration with torch.library."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.linear_scan import portable
from seqlab.ops.registration import register

DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.complex64)


def linear_scan(
    a: Tensor,
    b: Tensor,
    state: Tensor | None = None,
    reverse: bool = False,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The linear recurrence h_t = a_t h_{t-1} + b_t along the time axis, one per batch
    entry and channel.

    Differentiable in ``a``, ``b``, ``state`` and through both results; complex
    gradients follow PyTorch's convention. Products of ``a`` are formed over stretches
    of time, so |a| is meant to be at most about 1: far above, they may overflow (and
    give NaN) where a zero state and zero inputs would have kept a loop at zero. Far
    below, they may underflow: after an infinite state or input NaN may follow where a
    loop gives infinity. A NaN never spreads to where the recurrence does not take it.

    Args:
        a: decay, (B, L, D), or (D,) for a decay that is fixed in time (it is then never
            expanded over time).
        b: input, (B, L, D), of the same dtype: float16, bfloat16, float32, float64,
            complex64 or complex128.
        state: h before the first step, (B, D); zeros if None. Of b's dtype, but float32
            for float16 and bfloat16.
        reverse: run from the last time to the first: h_t = a_t h_{t+1} + b_t.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of a dtype that the kernel knows
            (up to 32 bits a real number) and the portable form for all else.

    Returns:
        h, (B, L, D), of b's dtype, and the state after the last step, (B, D), of the
            dtype that ``state`` has.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or B, L or D
            is 0.

    Source: Martin and Cundy, "Parallelizing Linear Recurrent Neural Nets Over Sequence
    Length" (2018), equation 5; Blelloch, "Prefix Sums and Their Applications" (1990),
    section 1.4. In the book: chapter 2, equation 2.1.
    """
    _check(a, b, state)
    reverse = boolean("reverse", reverse)
    name = choose_backend(backend, b, KERNEL_DTYPES)
    return _linear_scan(a, b, state, reverse, name)


def linear_scan_step(a_t: Tensor, b_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step of :func:`linear_scan`, for generation.

    Args:
        a_t: decay, (B, D) or (D,).
        b_t: input, (B, D).
        state: h of the step before, (B, D), of b_t's dtype, but float32 for float16 and
            bfloat16.

    Returns:
        h_t, (B, D), of b_t's dtype, and the new state, of the dtype that ``state`` has.

    Raises:
        TypeError, ValueError: as for :func:`linear_scan`.
    """
    check_tensor("b_t", b_t)
    check_dtype("b_t", b_t, DTYPES)
    check_shape("b_t", b_t, "batch, channels")
    check_not_empty("b_t", b_t)
    check_tensor("a_t", a_t)
    if a_t.ndim == 1:
        check_like("a_t", a_t, "b_t", b_t, "channels", b_t.shape[1:])
    else:
        check_like("a_t", a_t, "b_t", b_t, "batch, channels", b_t.shape)
    wide = accumulation_dtype(b_t.dtype)
    check_like("state", state, "b_t", b_t, "batch, channels", b_t.shape, wide)
    h_t = a_t.to(wide) * state + b_t.to(wide)  # eq. 2.1
    return h_t.to(b_t.dtype, copy=True), h_t


def _forward(
    a: Tensor, b: Tensor, state: Tensor | None, reverse: bool, backend: str
) -> tuple[Tensor, Tensor]:
    if backend == "triton":
        return kernel_of("linear_scan").scan(a, b, state, reverse)
    return portable.scan(a, b, state, reverse)


def _backward(
    a: Tensor,
    h: Tensor,
    state: Tensor | None,
    grad_h: Tensor | None,
    grad_last: Tensor | None,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad_h is None:
        grad_h = torch.zeros_like(h)
    if backend == "triton":
        return kernel_of("linear_scan").gradients(
            a, h, state, grad_h, grad_last, reverse
        )
    found = portable.gradients(a, h, state, grad_h, grad_last, reverse)
    return found  # type: ignore[return-value]  # None for a state that was None


def _save(arguments, outputs):
    a, _, state, *_ = arguments
    return a, outputs[0], state


def _fake(a, b, state, reverse, backend):
    last = b.new_empty((b.shape[0], b.shape[2]), dtype=accumulation_dtype(b.dtype))
    return b.new_empty(b.shape), last


def _fake_backward(a, h, state, grad_h, grad_last, reverse, backend):
    grad_state = None if state is None else state.new_empty(state.shape)
    return a.new_empty(a.shape), h.new_empty(h.shape), grad_state


_linear_scan = register(
    "linear_scan", _forward, _backward, _save, _fake, _fake_backward
)


def _check(a: Tensor, b: Tensor, state: Tensor | None) -> None:
    check_tensor("a", a)
    check_tensor("b", b)
    check_dtype("b", b, DTYPES)
    check_shape("b", b, "batch, length, channels")
    check_not_empty("b", b)
    batch, _, channels = b.shape
    # By the number of axes first: torch.export would learn that no batch has D entries.
    if a.shape != (b.shape[2:] if a.ndim == 1 else b.shape):
        raise ValueError(
            f"a: expected shape (batch, length, channels) = {tuple(b.shape)} like b, "
            f"or (channels,) = ({channels},), got {tuple(a.shape)}"
        )
    check_like("a", a, "b", b, "any", a.shape)
    if state is not None:
        wide = accumulation_dtype(b.dtype)
        check_like("state", state, "b", b, "batch, channels", (batch, channels), wide)
