"""The shift state space model as a PyTorch op: argument checks, choice of backend,
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
from seqlab.ops.registration import register
from seqlab.ops.shift_ssm import portable

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def shift_ssm(
    k: Tensor,
    taps: Tensor,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The shift state space model: its state is the last M inputs of each channel, and
    y_t = sum over j < M of taps_j k_{t-j} reads them. That is the causal depthwise
    convolution of M taps which Mamba and xLSTM have in front of their recurrences, and
    for M = 2 RWKV's token shift.

    Differentiable in ``k``, ``taps``, ``state`` and through both results.

    Args:
        k: input, (B, L, D): float16, bfloat16, float32 or float64.
        taps: weight of each input of the window, (D, M), the newest one's first. Of k's
            dtype, but float32 for float16 and bfloat16.
        state: the M - 1 inputs before the first one, (B, M - 1, D), the oldest first, of
            k's dtype; zeros if None.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors of up to 32 bits and the portable
            form for all else.

    Returns:
        y, (B, L, D), and the last M - 1 inputs, (B, M - 1, D), both of k's dtype.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or
            does not match.
        ValueError: a shape, a device or ``backend`` is not as described, or B, L, D or M
            is 0.

    Source: Fu et al., "Hungry Hungry Hippos" (2023), section 3.1.
    """
    _check("k", k, "batch, length, channels", taps, state)
    name = choose_backend(backend, k, KERNEL_DTYPES)
    y, last = _shift_ssm(k, taps, state, name)
    return y, last


def shift_ssm_step(k_t: Tensor, taps: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step of :func:`shift_ssm`, for generation.

    Args:
        k_t: input, (B, D).
        taps: weights of the window, (D, M), of k_t's dtype, but float32 for float16 and
            bfloat16.
        state: the M - 1 inputs before, (B, M - 1, D), the oldest first, of k_t's dtype.

    Returns:
        y_t, (B, D), of k_t's dtype, and the last M - 1 inputs.

    Raises:
        TypeError, ValueError: as for :func:`shift_ssm`.
    """
    check_tensor("state", state)
    _check("k_t", k_t, "batch, channels", taps, state)
    window = torch.cat([state, k_t[:, None]], dim=1)
    y_t = (window.to(taps.dtype) * taps.flip(1).mT).sum(1)
    return y_t.to(k_t.dtype), window[:, 1:].clone()


def _check(name: str, k: Tensor, axes: str, taps: Tensor, state: Tensor | None) -> None:
    check_tensor(name, k)
    check_dtype(name, k, DTYPES)
    check_shape(name, k, axes)
    check_not_empty(name, k)
    check_window("taps", taps, name, k)
    if state is not None:
        check_memory("state", state, name, k, taps)


def check_window(name: str, taps: Tensor, like_name: str, k: Tensor) -> None:
    """Raise TypeError or ValueError unless these are taps for the input ``k``."""
    wide = accumulation_dtype(k.dtype)
    check_like(name, taps, like_name, k, "channels, taps", (k.shape[-1], None), wide)
    check_not_empty(name, taps)


def check_memory(
    name: str, state: Tensor, like_name: str, k: Tensor, taps: Tensor
) -> None:
    """Raise TypeError or ValueError unless these are the inputs before those of ``k``."""
    shape = k.shape[0], taps.shape[1] - 1, k.shape[-1]
    check_like(name, state, like_name, k, "batch, taps - 1, channels", shape)


def _forward(
    k: Tensor, taps: Tensor, state: Tensor | None, backend: str
) -> tuple[Tensor, Tensor]:
    form = kernel_of("shift_ssm") if backend == "triton" else portable
    return form.convolve(k, taps, state)


def _backward(
    k: Tensor,
    taps: Tensor,
    state: Tensor | None,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    grad_y = torch.zeros_like(k) if grad_y is None else grad_y
    form = kernel_of("shift_ssm") if backend == "triton" else portable
    return form.gradients(k, taps, state, grad_y, grad_last)


def _save(arguments, outputs):
    return arguments[:3]


def _fake(k, taps, state, backend):
    last = k.new_empty((k.shape[0], taps.shape[1] - 1, k.shape[2]))
    return k.new_empty(k.shape), last


def _fake_backward(k, taps, state, grad_y, grad_last, backend):
    grad_state = k.new_empty((k.shape[0], taps.shape[1] - 1, k.shape[2]))
    return k.new_empty(k.shape), taps.new_empty(taps.shape), grad_state


_shift_ssm = register("shift_ssm", _forward, _backward, _save, _fake, _fake_backward)
