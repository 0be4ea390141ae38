"""The shift state space model in plain PyTorch: a product for each tap, of all times at
once. What came before the first time stands in front of the inputs."""

import torch
from torch import Tensor


def convolve(k: Tensor, taps: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """y (B, L, D) and the last M - 1 inputs (B, M - 1, D), both in k's dtype."""
    length, memory = k.shape[1], taps.shape[1] - 1
    inputs = _with_memory(k, taps, state)
    wide = inputs.to(taps.dtype)
    y = wide[:, memory:] * taps[:, 0]
    for j in range(1, memory + 1):
        y.addcmul_(wide[:, memory - j : memory - j + length], taps[:, j])
    last = inputs[:, length:].clone(memory_format=torch.contiguous_format)
    return y.to(k.dtype), last


def gradients(
    k: Tensor,
    taps: Tensor,
    state: Tensor | None,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to k, taps and the first state."""
    length, memory = k.shape[1], taps.shape[1] - 1
    inputs = _with_memory(k, taps, state).to(taps.dtype)
    dy = grad_y.to(taps.dtype)
    flow, of_taps = torch.zeros_like(inputs), []
    if grad_last is not None:
        # On a CPU, PyTorch's copy from float16 forgets what waits to be negated.
        flow[:, length:] = grad_last.resolve_neg()
    for j in range(memory + 1):
        seen = slice(memory - j, memory - j + length)
        flow[:, seen] += dy * taps[:, j]
        of_taps.append((dy * inputs[:, seen]).sum((0, 1)))
    flow = flow.to(k.dtype)
    grad_state, grad_k = (
        x.clone(memory_format=torch.contiguous_format)
        for x in (flow[:, :memory], flow[:, memory:])
    )
    return grad_k, torch.stack(of_taps, dim=1), grad_state


def _with_memory(k: Tensor, taps: Tensor, state: Tensor | None) -> Tensor:
    """The inputs with those of the state in front, (B, M - 1 + L, D)."""
    if state is None:
        state = k.new_zeros((k.shape[0], taps.shape[1] - 1, k.shape[2]))
    return torch.cat([state, k], dim=1)
