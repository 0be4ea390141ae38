"""The linear recurrence as a PyTorch op: argument checks, choice of backend,
registration with torch.library."""

import torch
from torch import Tensor

from seqlab.ops.arguments import check_dtype, check_tensor
from seqlab.ops.backends import choose_backend, load_kernel
from seqlab.ops.linear_scan import portable

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
    if b_t.ndim != 2:
        raise ValueError(
            f"b_t: expected shape (batch, channels), got {tuple(b_t.shape)}"
        )
    _check(
        a_t if a_t.ndim == 1 else a_t[:, None],
        b_t[:, None],
        state,
        names=("a_t", "b_t", "state"),
    )
    h_t = a_t.to(state.dtype) * state + b_t.to(state.dtype)  # eq. 2.1
    return h_t.to(b_t.dtype), h_t


@torch.library.custom_op("seqlab::linear_scan", mutates_args=())
def _linear_scan(
    a: Tensor, b: Tensor, state: Tensor | None, reverse: bool, backend: str
) -> tuple[Tensor, Tensor]:
    if backend == "triton":
        return load_kernel("linear_scan", b).scan(a, b, state, reverse)
    return portable.scan(a, b, state, reverse)


@_linear_scan.register_fake
def _(a, b, state, reverse, backend):
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    return h, b.new_empty(
        (b.shape[0], b.shape[2]), dtype=torch.promote_types(b.dtype, torch.float32)
    )


@torch.library.custom_op("seqlab::linear_scan_backward", mutates_args=())
def _linear_scan_backward(
    a: Tensor,
    h: Tensor,
    state: Tensor | None,
    grad_h: Tensor,
    grad_last: Tensor,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if backend == "triton":
        return load_kernel("linear_scan", h).gradients(
            a, h, state, grad_h, grad_last, reverse
        )
    return portable.gradients(a, h, state, grad_h, grad_last, reverse)


@_linear_scan_backward.register_fake
def _(a, h, state, grad_h, grad_last, reverse, backend):
    return (
        torch.empty_like(a, memory_format=torch.contiguous_format),
        torch.empty_like(h, memory_format=torch.contiguous_format),
        torch.empty_like(grad_last, memory_format=torch.contiguous_format),
    )


def _keep_for_backward(ctx, inputs, output):
    a, _, state, ctx.reverse, ctx.backend = inputs
    h, _ = output
    ctx.save_for_backward(a, h, state)


def _backward(ctx, grad_h, grad_last):
    a, h, state = ctx.saved_tensors
    grad_a, grad_b, grad_state = _linear_scan_backward(
        a, h, state, grad_h, grad_last, ctx.reverse, ctx.backend
    )
    return grad_a, grad_b, None if state is None else grad_state, None, None


_linear_scan.register_autograd(_backward, setup_context=_keep_for_backward)


def _check(
    a: Tensor, b: Tensor, state: Tensor | None, names=("a", "b", "state")
) -> None:
    a_name, b_name, state_name = names
    check_tensor(a_name, a)
    check_tensor(b_name, b)
    check_dtype(b_name, b, DTYPES)
    if b.ndim != 3:
        raise ValueError(
            f"{b_name}: expected shape (batch, length, channels), got {tuple(b.shape)}"
        )
    if 0 in b.shape:
        raise ValueError(
            f"{b_name}: expected batch, length and channels of at least 1, got {tuple(b.shape)}"
        )
    if a.dtype != b.dtype:
        raise TypeError(
            f"{a_name}: expected dtype {b.dtype} like {b_name}, got {a.dtype}"
        )
    if a.shape not in (b.shape, b.shape[2:]):
        raise ValueError(
            f"{a_name}: expected shape (batch, length, channels) = {tuple(b.shape)} like {b_name}, "
            f"or (channels,) = {tuple(b.shape[2:])}, got {tuple(a.shape)}"
        )
    if a.device != b.device:
        raise ValueError(
            f"{a_name}: expected device {b.device} like {b_name}, got {a.device}"
        )
    if state is None:
        return
    check_tensor(state_name, state)
    state_dtype = torch.promote_types(b.dtype, torch.float32)
    if state.dtype != state_dtype:
        raise TypeError(
            f"{state_name}: expected dtype {state_dtype} for {b.dtype} inputs, got {state.dtype}"
        )
    if state.shape != (b.shape[0], b.shape[2]):
        shape = (b.shape[0], b.shape[2])
        raise ValueError(
            f"{state_name}: expected shape (batch, channels) = {shape}, got {tuple(state.shape)}"
        )
    if state.device != b.device:
        raise ValueError(
            f"{state_name}: expected device {b.device} like {b_name}, got {state.device}"
        )
