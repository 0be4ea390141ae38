"""WKV as Triton kernels: forward and backward in three launches each
(``seqlab/ops/device/chunks.py``), in one where one chunk is all there is.

Tiling. One program owns one tile: BLOCK channels, each a lane, of one batch entry, and a
chunk of CHUNK steps, in groups of STEPS.

                          |<- BLOCK channels ->|
                            sums a e^m and b e^m before the chunk
        time   group 0    |  STEPS steps, loaded at once, then taken one by one
         v     ...        |
                            sums after the chunk

Launch 1 sums chunks up from nothing, launch 2 joins the summaries, launch 3 starts from
the sums before each chunk and writes. Sums are joined by a running maximum and lose no
decay to its rounding (``join_weighted``), so that any of them may come first.

Backward runs from late to early, from k, v and the sums before groups, in float32: a
group's steps are taken once more, then back. What flows back are gradients to the sums
a e^m and b e^m, times e^m, a linear recurrence: to b while the average a / b stays. While
a stays, that to b would nearly cancel the one to a where the average is an old one.

Bytes. With e bytes a number and E = B L C, forward 5 e E (k and v twice, y), where 3 e E
is the least; backward 8 e E (k, v and dy twice, dk, dv), where 5 e E is. From forward to
backward go 12 bytes for every group and channel, and between launches some for every
chunk.
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
from seqlab.ops.device.combines import AFFINE_SHEAR, LOWEST, WEIGHTED, join_weighted
from seqlab.ops.device.exponentials import exp, reciprocal
from seqlab.ops.sizes import ceil_div

# Backward keeps a group's steps in registers: of more than four, so many that few programs
# run side by side, and the compiler lets each load wait for the step before.
COMPILED = {"CHUNK": 128, "STEPS": 4, "BLOCK": 128, "num_warps": 4}
INTERPRETED = {"CHUNK": 4, "STEPS": 2, "BLOCK": 2}  # it visits numbers one by one
TINY = tl.constexpr(torch.finfo(torch.float32).tiny)


@triton.jit
def sums_before(
    chunk, state_ptr, carry_ptr, states, rows, width, count, chunks, exists
):
    """Numerator, denominator and exponent before a chunk; ``rows`` is how much further
    than in (B, C) a batch entry begins in (B, 3, C)."""
    a = state_before(
        chunk,
        None if state_ptr is None else state_ptr + rows,
        carry_ptr,
        states, count, exists, 0.0,
    )  # fmt: skip
    b = state_before(
        chunk,
        None if state_ptr is None else state_ptr + (rows + width),
        None if carry_ptr is None else carry_ptr + (chunks - 1) * count,
        states, count, exists, 0.0,
    )  # fmt: skip
    m = state_before(
        chunk,
        None if state_ptr is None else state_ptr + (rows + 2 * width),
        None if carry_ptr is None else carry_ptr + 2 * (chunks - 1) * count,
        states, count, exists, LOWEST,
    )  # fmt: skip
    return a, b, tl.where(m < LOWEST, LOWEST, m)


@triton.jit
def average(a, b, m, u, k, v):
    """The average y of the past and of a value v with weight e^(k + u), and of what it
    consists: y = s a + r v. It is 0 where there is nothing to average. A bonus u is not
    lost to rounding beside a large k."""
    top = tl.maximum(m, k + u)
    s = exp(m - top)
    r = exp((k - top) + u)
    total = s * b + r
    scale = inverse_of(total)
    s *= scale
    r *= scale
    return s * a + r * v, s, r


@triton.jit
def load_sums(start_ptr, group, states, count, exists):
    """Numerator, denominator and exponent before a group."""
    start = start_ptr + group * 3 * count + states
    a = tl.load(start, mask=exists, other=0.0)
    b = tl.load(start + count, mask=exists, other=0.0)
    return a, b, tl.load(start + 2 * count, mask=exists, other=0.0)


@triton.jit
def inverse_of(b):
    """1 / b, and 1 for nothing."""
    return reciprocal(tl.where(tl.abs(b) < TINY, 1.0, b))


@triton.jit
def store_state(state_ptr, a, b, m, states, rows, width, mask):
    """The sums as a state (B, 3, C), normalized: the denominator is 1, but for what it
    makes up for."""
    top = m + tl.log(tl.where(b == 0.0, 1.0, b))
    scale = exp(m - top)
    place = state_ptr + states + rows
    tl.store(place, scale * a, mask=mask)
    tl.store(place + width, scale * b, mask=mask)
    tl.store(place + 2 * width, top, mask=mask)


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def forward_kernel(
    k_ptr, v_ptr, w_ptr, u_ptr, state_ptr, carry_ptr,
    y_ptr, last_ptr, start_ptr, summary_ptr,
    batch, length, width, chunks,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries, else launch 3; ``start_ptr`` (groups, 3, B, C),
    if there is one, gets the sums before every group."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, False, CHUNK, BLOCK
    )
    exists, count = channel < width, batch.to(tl.int64) * width
    rows = 2 * (states - channel)
    w = tl.load(w_ptr + channel, mask=exists, other=0.0)
    u = tl.load(u_ptr + channel, mask=exists, other=0.0)
    a, b, m = sums_before(
        chunk, state_ptr, carry_ptr, states, rows, width, count, chunks, exists
    )
    steps = tl.minimum(left, CHUNK).to(tl.int32)
    for first in range(0, steps, STEPS):
        rest = steps - first
        here = now + first * width
        k = load_steps(k_ptr + here, width, rest, exists, float("-inf"), STEPS)
        v = load_steps(v_ptr + here, width, rest, exists, 0.0, STEPS)
        if start_ptr is not None:
            start = start_ptr + (chunk * CHUNK + first) // STEPS * 3 * count + states
            tl.store(start, a, mask=exists)
            tl.store(start + count, b, mask=exists)
            tl.store(start + 2 * count, m, mask=exists)
        for i in tl.static_range(STEPS):
            alive = i < rest
            if summary_ptr is None:
                y, _, _ = average(a, b, m, u, k[i], v[i])
                tl.store(y_ptr + here + i * width, y, mask=exists & alive)
            decay = tl.where(alive, w, 0.0)
            a, b, m, _, _ = join_weighted(a, b, m, decay, v[i], 1.0, k[i])
    if summary_ptr is None:
        mask = exists & (left <= CHUNK)
        store_state(last_ptr, a, b, m, states, rows, width, mask)
    else:
        summary = (a, b, m, CHUNK * w)
        store_summary(summary_ptr, summary, turn, chunks, states, count, exists)


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def backward_kernel(
    k_ptr, v_ptr, w_ptr, u_ptr, start_ptr, last_ptr, grad_y_ptr, grad_last_ptr, flow_ptr,
    grad_k_ptr, grad_v_ptr, partial_ptr, grad_state_ptr, summary_ptr,
    batch, length, width, chunks,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Likewise. ``partial_ptr`` (2, chunks, B, C) gets the sums over each chunk, for w and
    u."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, True, CHUNK, BLOCK
    )
    exists, count = channel < width, batch.to(tl.int64) * width
    rows = 2 * (states - channel)
    w = tl.load(w_ptr + channel, mask=exists, other=0.0)
    u = tl.load(u_ptr + channel, mask=exists, other=0.0)
    da, db = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    # The last state and the sums before the next chunk are rounded on ways of their own.
    place, at_end, later = states + rows, exists & (turn == 0), exists & (turn > 0)
    total = tl.load(last_ptr + place, mask=at_end, other=0.0)
    size = tl.load(last_ptr + place + width, mask=at_end, other=0.0)
    end = tl.load(last_ptr + place + 2 * width, mask=at_end, other=0.0)
    if grad_last_ptr is not None:  # of the average and of the logarithm
        inverse = inverse_of(size)
        da = inverse * tl.load(grad_last_ptr + place, mask=at_end, other=0.0)
        db = inverse * tl.load(
            grad_last_ptr + place + 2 * width, mask=at_end, other=0.0
        )
    next_group = (chunk + 1) * CHUNK // STEPS
    a, b, m = load_sums(start_ptr, next_group, states, count, later)
    mean = tl.where(turn > 0, a * inverse_of(b), total * inverse_of(size))
    end = tl.where(turn > 0, m, end)
    if flow_ptr is not None:
        carry = flow_ptr + (turn - 1) * count + states
        flow_a = tl.load(carry, mask=later, other=0.0)
        flow_b = tl.load(carry + (chunks - 1) * count, mask=later, other=0.0)
        da = tl.where(turn > 0, flow_a, da)
        db = tl.where(turn > 0, flow_b, db)
    dw, du = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    steps = tl.minimum(left, CHUNK).to(tl.int32)
    groups = tl.cdiv(steps, STEPS)
    for done in range(groups):
        first = (groups - 1 - done) * STEPS
        rest = steps - first
        here = now + first * width
        k = load_steps(k_ptr + here, width, rest, exists, float("-inf"), STEPS)
        v = load_steps(v_ptr + here, width, rest, exists, 0.0, STEPS)
        dy = load_steps(grad_y_ptr + here, width, rest, exists, 0.0, STEPS)
        group = (chunk * CHUNK + first) // STEPS
        a, b, m = load_sums(start_ptr, group, states, count, exists)
        inverse = inverse_of(b)
        sums, weights, outputs = (), (), ()
        for i in tl.static_range(STEPS):
            _, s, r = average(a, b, m, u, k[i], v[i])
            sums, outputs = sums + ((a * inverse, b),), outputs + ((dy[i] * s, r),)
            alive = tl.where(i < rest, w, 0.0)
            a, b, m, p, q = join_weighted(a, b, m, alive, v[i], 1.0, k[i])
            inverse = inverse_of(b)
            weights = weights + ((p, q, inverse),)
        same = tl.where(done == 0, exp(m - end), 1.0)
        da, db = same * da, same * db
        for i in tl.static_range(STEPS - 1, -1, -1):
            mean_before, b = sums[i]
            p, q, inverse = weights[i]
            s, r = outputs[i]
            ahead = v[i] - mean_before
            pull = ahead * da
            past = p * (db - q * inverse * pull)
            own = s * (r * ahead)
            if summary_ptr is None:
                alive = i < rest
                bonus = b * own
                dk = bonus + q * (db + p * b * inverse * pull)
                dv = r * dy[i] + q * da
                tl.store(grad_k_ptr + here + i * width, dk, mask=exists & alive)
                tl.store(grad_v_ptr + here + i * width, dv, mask=exists & alive)
                du += bonus
                dw -= tl.where(alive, b, 0.0) * past
            da = p * da + s
            db = past - own
    a, b, m = load_sums(start_ptr, chunk * CHUNK // STEPS, states, count, exists)
    before = a * inverse_of(b)
    if summary_ptr is None:
        partial = partial_ptr + chunk * count + states
        tl.store(partial, dw, mask=exists)
        tl.store(partial + chunks * count, du, mask=exists)
        if grad_state_ptr is not None:
            is_first, place = exists & (chunk == 0), grad_state_ptr + states + rows
            tl.store(place, da, mask=is_first)
            tl.store(place + width, db - before * da, mask=is_first)
            tl.store(place + 2 * width, b * db, mask=is_first)
    else:
        # A product of p over the chunk would err with each step, and come back with each
        # chunk: from its first exponent to its last, what is left is one exponential.
        age = tl.minimum(left, CHUNK) * w.to(tl.float64)
        ahead = (m.to(tl.float64) - end) - age
        decay = tl.where(m <= LOWEST, 0.0, exp(ahead.to(tl.float32)))
        summary = (da, db, decay, decay * (before - mean))
        store_summary(summary_ptr, summary, turn, chunks, states, count, exists)


def scan(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None,
    differentiable: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """y, the last state and, if y is to be ``differentiable``, the sums before groups, in a
    row: PyTorch would not trace an axis that is 1 for some lengths and more for others."""
    launch = Recurrence(forward_kernel, (k, v, w, u, state), 3, WEIGHTED, tiling(v))
    y = torch.empty_like(v, memory_format=torch.contiguous_format)
    batch, _, width = v.shape
    last = w.new_empty((batch, 3, width))
    starts = None
    if differentiable:
        starts = w.new_empty(groups_in(v) * 3 * batch * width)
    launch(y, last, starts)
    return y, last, starts


def gradients(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None,
    starts: Tensor,
    last: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Gradients to w, u, k, v and the first state, None where that is None, from the inputs,
    the sums before groups, the last state and the gradients of y and of that state."""
    inputs = k, v, w, u, starts, last, grad_y, grad_last
    launch = Recurrence(backward_kernel, inputs, 4, AFFINE_SHEAR, tiling(v))
    grad_k = torch.empty_like(k, memory_format=torch.contiguous_format)
    grad_v = torch.empty_like(v, memory_format=torch.contiguous_format)
    batch, _, width, chunks = launch.plan.sizes
    partial = w.new_empty((2, chunks * batch, width))
    grad_state = None if state is None else torch.empty_like(last)
    launch(grad_k, grad_v, partial, grad_state)
    grad_w, grad_u = (x.sum(0) for x in partial.unbind())
    return grad_w, grad_u, grad_k, grad_v, grad_state


def tiling(like: Tensor) -> dict[str, int]:
    return COMPILED if like.is_cuda else INTERPRETED


def groups_in(v: Tensor) -> int:
    """Groups of steps in a tensor (B, L, C)."""
    return ceil_div(v.shape[1], tiling(v)["STEPS"])
