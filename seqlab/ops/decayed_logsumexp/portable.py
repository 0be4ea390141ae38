"""The running log-sum-exp with decay in plain PyTorch, parallel over chunks of time: the
form that runs everywhere.

L steps are cut into about sqrt(L) chunks of about sqrt(L) steps: all chunks advance
together, each from nothing, then the state between them walks over the chunks and is
added in (equation 2.13). The gradient is a linear recurrence, run backward by that op's
portable form.
"""

import math

import torch
from torch import Tensor

from seqlab.ops.linear_scan import portable as linear_scan


def scan(x: Tensor, w: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """m (B, L, D), in the dtype of x, and the last of it (B, D), in that of w."""
    m, last = _scan(x.to(w.dtype), w, state)
    return m.to(x.dtype), last


def _scan(x: Tensor, w: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    batch, length, channels = x.shape
    last = x.new_full((batch, channels), -math.inf) if state is None else state
    m = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    chunk = math.isqrt(length)
    count = length // chunk
    inside = slice(0, count * chunk)
    x_chunks, m_chunks = (y[:, inside].unflatten(1, (count, chunk)) for y in (x, m))
    local = x_chunks[:, :, 0]
    m_chunks[:, :, 0] = local
    for t in range(1, chunk):
        local = torch.logaddexp(local - w, x_chunks[:, :, t])
        m_chunks[:, :, t] = local
    decay = torch.arange(1, chunk + 1, dtype=x.dtype, device=x.device)[:, None] * w
    for c in range(count):
        m_chunks[:, c] = torch.logaddexp(last[:, None] - decay, m_chunks[:, c])
        last = m_chunks[:, c, -1]
    for t in range(inside.stop, length):
        m[:, t] = last = torch.logaddexp(last - w, x[:, t])  # eq. 2.11
    return m, last.clone()


def gradients(
    x: Tensor,
    w: Tensor,
    state: Tensor | None,
    grad_m: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to x, w and the first state. m is computed once more, as it is too coarse
    in half precision for the differences that count here."""
    dtype = x.dtype
    x, grad_m = x.to(w.dtype), grad_m.to(w.dtype)
    if state is None:
        state = x.new_full((x.shape[0], x.shape[2]), -math.inf)
    m, _ = _scan(x, w, state)
    before = torch.cat([state[:, None], m[:, :-1]], dim=1) - w
    # Two equal infinities weigh the same, and an input of -inf is nothing.
    gap = torch.where(before == x, 0, before - x).masked_fill(x == -math.inf, math.inf)
    p = torch.sigmoid(gap)  # eq. 2.14
    after = torch.cat([p[:, 1:], torch.ones_like(p[:, :1])], dim=1)
    g, _ = linear_scan.scan(after, grad_m, grad_last, reverse=True)  # eq. 2.15
    grad_x = torch.sigmoid(-gap) * g  # eq. 2.16
    flow = p * g
    return grad_x.to(dtype), -flow.sum((0, 1)), flow[:, 0].clone()  # eq. 2.17, eq. 2.18
