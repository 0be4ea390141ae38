"""The running log-sum-exp with decay as Triton kernels: forward and backward in three
launches each (``seqlab/ops/device/chunks.py``), in one where one chunk is all there is.

A program owns BLOCK channels, each a lane, of one batch entry, and a chunk of CHUNK steps:

                          |<- BLOCK channels ->|
                            state before the chunk
        time   group 0    |  STEPS steps, loaded at once, then taken one by one
         v     ...        |
                            state after the chunk

Launch 1 sums chunks up from nothing (equation 2.13), launch 2 joins the summaries (2.12),
launch 3 starts from the state before each chunk and writes (2.11). Backward runs from late
to early (2.15): a group's steps are taken once more, to weigh them (2.14), and then back.

Bytes. With e bytes a number and E = B L D, forward 3 e E (x twice, m) and backward 5 e E
(x and dm twice, dx), where 2 e E and 3 e E are the least. Between launches and passes go 4
bytes a number for every group, and some for every chunk.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import (
    Recurrence,
    load_steps,
    state_before,
    store_summary,
    tile_coordinates,
)
from seqlab.ops.device.combines import AFFINE, LOG_ADD, exponentials
from seqlab.ops.sizes import ceil_div

COMPILED = {"CHUNK": 128, "STEPS": 16, "BLOCK": 128, "num_warps": 4}
INTERPRETED = {"CHUNK": 4, "STEPS": 2, "BLOCK": 2}  # it visits numbers one by one


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def forward_kernel(
    x_ptr, w_ptr, state_ptr, carry_ptr, m_ptr, last_ptr, start_ptr, summary_ptr,
    batch, length, width, chunks,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries, else launch 3; ``start_ptr`` (groups, B, D)."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, False, CHUNK, BLOCK
    )
    exists, count = channel < width, batch.to(tl.int64) * width
    w = tl.load(w_ptr + channel, mask=exists, other=0.0)
    m = state_before(chunk, state_ptr, carry_ptr, states, count, exists, float("-inf"))
    for first in range(0, tl.minimum(left, CHUNK), STEPS):
        x = load_steps(x_ptr + now, width, left - first, exists, float("-inf"), STEPS)
        if summary_ptr is None:
            group = (chunk * CHUNK + first) // STEPS
            tl.store(start_ptr + group * count + states, m, mask=exists)
        top, total = m, tl.full((BLOCK,), 1.0, tl.float32)
        for k in tl.static_range(STEPS):
            alive = first + k < left
            top, before, new = exponentials(top - tl.where(alive, w, 0.0), x[k])
            total = total * before + new
            if summary_ptr is None:
                m = top + tl.log(total)  # eq. 2.11
                tl.store(m_ptr + now + k * width, m, mask=exists & alive)
        m = top + tl.log(total)
        now += STEPS * width
    if summary_ptr is None:
        tl.store(last_ptr + states, m, mask=exists & (left <= CHUNK))
    else:
        summary = (m, CHUNK * w)  # eq. 2.13
        store_summary(summary_ptr, summary, turn, chunks, states, count, exists)


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def backward_kernel(
    x_ptr, w_ptr, start_ptr, grad_m_ptr, grad_last_ptr, flow_ptr,
    grad_x_ptr, grad_w_ptr, grad_state_ptr, summary_ptr,
    batch, length, width, chunks,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Likewise; the state is what flows into earlier times, p_t g_t. ``grad_w_ptr``
    (chunks, B, D) gets the sum over each chunk."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, True, CHUNK, BLOCK
    )
    exists, count = channel < width, batch.to(tl.int64) * width
    w = tl.load(w_ptr + channel, mask=exists, other=0.0)
    flow = state_before(turn, grad_last_ptr, flow_ptr, states, count, exists, 0.0)
    decay, dw = tl.full((BLOCK,), 1.0, tl.float32), tl.zeros((BLOCK,), tl.float32)
    groups = tl.cdiv(tl.minimum(left, CHUNK), STEPS)
    for done in range(groups):
        first = (groups - 1 - done) * STEPS
        here = now + first * width
        x = load_steps(x_ptr + here, width, left - first, exists, float("-inf"), STEPS)
        dm = load_steps(grad_m_ptr + here, width, left - first, exists, 0.0, STEPS)
        start = (chunk * CHUNK + first) // STEPS * count + states
        top = tl.load(start_ptr + start, mask=exists, other=0.0)
        total = tl.full((BLOCK,), 1.0, tl.float32)
        p, q = (), ()
        for k in tl.static_range(STEPS):
            top, before, new = exponentials(top - w, x[k])
            before *= total
            total = before + new
            p, q = p + (before / total,), q + (new / total,)  # eq. 2.14
        for k in tl.static_range(STEPS - 1, -1, -1):
            g = dm[k] + flow  # eq. 2.15
            flow = p[k] * g
            decay *= p[k]
            if summary_ptr is None:
                alive = first + k < left
                dx = q[k] * g  # eq. 2.16
                tl.store(grad_x_ptr + here + k * width, dx, mask=exists & alive)
                dw -= tl.where(alive, flow, 0.0)  # eq. 2.17
    if summary_ptr is None:
        tl.store(grad_w_ptr + chunk * count + states, dw, mask=exists)
        tl.store(grad_state_ptr + states, flow, mask=exists & (chunk == 0))  # eq. 2.18
    else:
        store_summary(summary_ptr, (flow, decay), turn, chunks, states, count, exists)


def scan(x: Tensor, *inputs: Tensor | None) -> tuple[Tensor, ...]:
    """m, the last of it and the states before groups, from x, w and the first state."""
    launch = Recurrence(forward_kernel, (x, *inputs), 3, LOG_ADD, tiling(x))
    m = torch.empty_like(x, memory_format=torch.contiguous_format)
    batch, _, width = x.shape
    last = x.new_empty((batch, width), dtype=torch.float32)
    # In a row, as PyTorch would not trace an axis that is 1 for some lengths alone.
    starts = last.new_empty(groups_in(x) * batch * width)
    launch(m, last, starts)
    return m, last, starts


def gradients(x: Tensor, *inputs: Tensor | None) -> tuple[Tensor, ...]:
    """Gradients to x, w and the first state, from those of m and of the last of it."""
    launch = Recurrence(backward_kernel, (x, *inputs), 3, AFFINE, tiling(x))
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    batch, _, width, chunks = launch.plan.sizes
    grad_w = x.new_empty((chunks, batch, width), dtype=torch.float32)
    grad_state = x.new_empty((batch, width), dtype=torch.float32)
    launch(grad_x, grad_w, grad_state)
    return grad_x, grad_w.sum((0, 1)), grad_state


def tiling(like: Tensor) -> dict[str, int]:
    return COMPILED if like.is_cuda else INTERPRETED


def groups_in(x: Tensor) -> int:
    return ceil_div(x.shape[1], tiling(x)["STEPS"])
