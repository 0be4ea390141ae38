"""The linear recurrence in plain PyTorch, parallel over chunks of time: the form that
runs everywhere.

L steps are cut into about sqrt(L) chunks of about sqrt(L) steps. First all chunks
advance together, each from a zero state; then the carried state walks over the chunks
and is added in (equation 2.5). That is two passes over the data and about 2 sqrt(L)
tensor operations, where a loop over time needs L. Nothing here is recorded by autograd:
the gradient is written out, as the same recurrence run the other way.
"""

import math

import torch
from torch import Tensor

from seqlab.ops.arguments import accumulation_dtype


def scan(
    a: Tensor, b: Tensor, state: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    """h (B, L, D) and the last state (B, D) of h_t = a_t h_{t-1} + b_t; ``a`` is (B, L,
    D) or (D,).

    Half-precision inputs are computed in float32; h comes back in the dtype of b, the
    last state in float32.
    """
    wide = accumulation_dtype(b.dtype)
    h = torch.empty(b.shape, dtype=wide, device=b.device)
    carry = h.new_zeros(b.shape[0], b.shape[2]) if state is None else state
    last = _scan_into(h, a.to(wide), b.to(wide), carry, reverse)
    return h.to(b.dtype), last.clone()


def _scan_into(h: Tensor, a: Tensor, b: Tensor, carry: Tensor, reverse: bool) -> Tensor:
    """Fill ``h``; the last state, a view of it, is returned."""
    batch, length, channels = b.shape
    chunk = math.isqrt(length)
    count = length // chunk

    # The chunks lie where the recurrence starts; what is left over, at most 2 sqrt(L)
    # steps, comes last.
    inside = (
        slice(length - count * chunk, length) if reverse else slice(0, count * chunk)
    )
    h_chunks, b_chunks = (x[:, inside].unflatten(1, (count, chunk)) for x in (h, b))
    steps = range(chunk - 1, -1, -1) if reverse else range(chunk)
    # Product of a since the chunk's start.
    if a.ndim == 1:
        a_chunks = a.expand(1, 1, chunk, channels)
        decay = _powers(a, chunk)[None, None, list(steps)]
    else:
        a_chunks = a[:, inside].unflatten(1, (count, chunk))
        decay = torch.empty(a_chunks.shape, dtype=a.dtype, device=a.device)
        # Rounded once a step: the error of a chunk's decay comes back with every chunk.
        product = torch.ones_like(decay[:, :, 0], dtype=_doubled(a.dtype))
    before = None
    for t in steps:
        if a.ndim == 3:
            product = product * a_chunks[:, :, t]
            decay[:, :, t] = product
        if before is None:
            h_chunks[:, :, t] = b_chunks[:, :, t]
        else:
            torch.addcmul(
                b_chunks[:, :, t],
                a_chunks[:, :, t],
                h_chunks[:, :, before],
                out=h_chunks[:, :, t],
            )
        before = t

    decay = decay.expand(batch if a.ndim == 3 else 1, count, chunk, channels)
    for c in range(count - 1, -1, -1) if reverse else range(count):
        h_chunks[:, c].addcmul_(decay[:, c], carry[:, None])
        carry = h_chunks[:, c, before]

    rest = range(inside.start - 1, -1, -1) if reverse else range(inside.stop, length)
    for t in rest:
        torch.addcmul(b[:, t], a if a.ndim == 1 else a[:, t], carry, out=h[:, t])
        carry = h[:, t]
    return carry


def _powers(a: Tensor, count: int) -> Tensor:
    """a, a^2, ... (count, D), each rounded once: an error of the last one would come back
    with every chunk."""
    return a.to(_doubled(a.dtype)).expand(count, -1).cumprod(0).to(a.dtype)


def _doubled(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float64)


def gradients(
    a: Tensor,
    h: Tensor,
    state: Tensor | None,
    grad_h: Tensor,
    grad_last: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients to a, b and the first state, if there is one: the adjoint recurrence,
    which runs against the order of ``scan``."""
    dtype = h.dtype
    wide = accumulation_dtype(dtype)
    a, h, grad_h = a.to(wide), h.to(wide), grad_h.to(wide)
    length = h.shape[1]
    start, end = (length - 1, 0) if reverse else (0, length - 1)
    earlier, later = (
        slice(0, length - 1),
        slice(1, length),
    )  # all times but the last one, all but the first
    inner, outer = (
        (later, earlier) if reverse else (earlier, later)
    )  # t and t+1 in the order of the recurrence

    g = torch.empty(h.shape, dtype=wide, device=h.device)
    g[:, end] = grad_h[:, end] if grad_last is None else grad_h[:, end] + grad_last
    if length > 1:
        a_next = torch.conj_physical(a if a.ndim == 1 else a[:, outer])
        _scan_into(
            g[:, inner], a_next, grad_h[:, inner], g[:, end], not reverse
        )  # eq. 2.6
    grad_state, of_start = None, torch.zeros_like(g[:, start])
    if state is not None:
        a_start = a if a.ndim == 1 else a[:, start]
        grad_state = torch.conj_physical(a_start) * g[:, start]  # eq. 2.9
        of_start = g[:, start] * torch.conj_physical(state)
    if a.ndim == 1:
        grad_a = (g[:, outer] * torch.conj_physical(h[:, inner])).sum((0, 1))  # eq. 2.8
        grad_a = grad_a + of_start.sum(0)
    else:
        grad_a = torch.empty_like(g)
        torch.mul(g[:, outer], torch.conj_physical(h[:, inner]), out=grad_a[:, outer])
        grad_a[:, start] = of_start
    return (
        grad_a.to(dtype),
        g.to(dtype),
        grad_state,
    )  # eq. 2.7: the gradient of b is g itself
