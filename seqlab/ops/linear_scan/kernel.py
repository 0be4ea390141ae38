"""The linear recurrence as a Triton kernel, forward and backward.

A lane of a warp carries a *pair* of float32 numbers along the time axis: real and
imaginary part of a complex channel, or two neighboring real channels. Only the product
of two pairs (``times``) knows which, so one kernel serves both. In memory a time step
is ``width`` numbers: D for real tensors, 2 D for complex ones.

Tiling. One program owns one tile: PAIRS pairs of one batch entry, and RUNS x STEPS time
steps.

                        |<-- PAIRS pairs -->|
                              carry, one pair each, from the program of the tile before
      time   run 0      |  STEPS steps, one after the other, in registers
       |     run 1      |  the same, at the same time, in other lanes
       v     ...        |
             run RUNS-1 |
                              carry, to the program of the next tile

  1. every run takes its steps from a zero state: how it maps the state before it
     (equation 2.2);
  2. the maps of the runs are composed by an associative scan across lanes (2.3);
  3. the carry comes in, and what the whole tile makes of it goes on at once (2.5);
  4. every run takes its steps again, now from the state before it (2.1), and writes.

Programs are numbered tile after tile in time, for a group of ENTRIES batch entries at a
time: a chained scan (``seqlab/ops/device/chained_scan.py``), in one launch. Hundreds of
tiles are loading while a few carries travel.

Bytes. Inputs are read once, outputs written once. With e bytes a number and E = B L
width numbers: forward 3 e E (a, b in; h out), backward 5 e E (a, dh, h in; da, db out).
An ``a`` that is fixed in time stays in registers: forward 2 e E, backward 3 e E (dh, h
in; db out). Equation 2.10. Of what is in between the carries leave the chip, and of a
fixed ``a`` each tile's sum of gradients, 4 bytes a number and tile.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.device.affine_maps import compose_runs, over_tile
from seqlab.ops.device.chained_scan import publish, status_words, wait_for
from seqlab.ops.device.pairs import (
    laid_out,
    load_pairs,
    power,
    store_pairs,
    times,
)
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div


@triton.jit
def tile_coordinates(
    batch,
    length,
    width,
    step,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """This program's tile, the address at which it begins, how many steps are left from
    there, the offset of each run and channel, each channel's number, and its place among
    the states (B, width)."""
    blocks = (width + 2 * PAIRS - 1) // (2 * PAIRS)
    tiles = (length + RUNS * STEPS - 1) // (RUNS * STEPS)
    group = tl.program_id(0) // (tiles * ENTRIES * blocks) * ENTRIES
    index = tl.program_id(0) % (tiles * ENTRIES * blocks)
    entries = tl.minimum(batch - group, ENTRIES)
    tile = (index // (entries * blocks)).to(tl.int64)
    entry = (group + index // blocks % entries).to(tl.int64)
    channel = (tl.program_id(0) % blocks) * 2 * PAIRS + tl.arange(0, 2 * PAIRS)[None, :]
    channel = tl.broadcast_to(channel, (RUNS, 2 * PAIRS))
    first = tile * (RUNS * STEPS)
    begin = entry * length * width + first * step
    if step < 0:
        begin -= (length - 1).to(tl.int64) * step
    offsets = tl.arange(0, RUNS)[:, None] * STEPS * step + channel
    return tile, begin, length - first, offsets, channel, entry * width + channel


@triton.jit
def load_fixed(
    a_ptr,
    channel,
    exists,
    FIXED: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """A decay that is fixed in time; ones that nobody reads if it varies."""
    if FIXED:
        return load_pairs(a_ptr + channel, exists, RUNS, PAIRS)
    else:
        one = tl.full((RUNS, PAIRS), 1.0, tl.float32)
        return one, one


@triton.jit
def load_state(state_ptr, states, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """The first state, zeros if there is none."""
    if state_ptr is not None:
        return load_pairs(state_ptr + states, mask, RUNS, PAIRS)
    else:
        zero = tl.zeros((RUNS, PAIRS), tl.float32)
        return zero, zero


@triton.jit
def states_before_runs(
    e0,
    e1,
    f0,
    f1,
    fixed,
    carry,
    word_ptr,
    launch,
    tile,
    left,
    states,
    count,
    exists,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    LANES: tl.constexpr,
):
    """The state before each run, from the runs' own maps h -> e h + f, and from the
    carry: that of the tile before or, in the first tile, the one handed in. What the
    tile makes of it is published for the next. ``word_ptr`` (tiles - 1, B, width), None
    for a single tile."""
    if FIXED:
        e0, e1 = power(fixed[0], fixed[1], COMPLEX, STEPS)
    tile0 = e0
    tile1 = e1
    e0, e1, f0, f1, p0, p1, q0, q1 = compose_runs(
        e0.to(tl.float32), e1.to(tl.float32), f0, f1, COMPLEX, RUNS, PAIRS
    )
    carry0, carry1 = carry
    if word_ptr is not None:
        # What float32 drops of a tile's decay would be dropped at every tile.
        if tile0.dtype == tl.float32:
            tile0 = e0
            tile1 = e1
        elif FIXED:
            tile0, tile1 = power(fixed[0], fixed[1], COMPLEX, RUNS * STEPS)
        else:
            tile0, tile1 = over_tile(tile0, tile1, COMPLEX)
        word_ptr += tile * count + states
        if tile > 0:
            carry0, carry1 = wait_for(
                word_ptr - count, launch, exists, RUNS, PAIRS, LANES
            )
        if left > RUNS * STEPS:
            after0, after1 = times(
                tile0,
                tile1,
                carry0.to(tile0.dtype),
                carry1.to(tile0.dtype),
                COMPLEX,
            )
            after0 = (after0 + f0).to(tl.float32)  # eq. 2.5
            after1 = (after1 + f1).to(tl.float32)
            last_run = exists & (tl.arange(0, RUNS)[:, None] == RUNS - 1)
            publish(word_ptr, after0, after1, launch, last_run, RUNS, PAIRS)
    before0, before1 = times(p0, p1, carry0, carry1, COMPLEX)
    return before0 + q0, before1 + q1


@triton.jit(do_not_specialize=["batch", "length", "launch"])
def forward_kernel(
    a_ptr,
    b_ptr,
    state_ptr,
    h_ptr,
    last_ptr,
    word_ptr,
    launch,
    batch,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
    FAR: tl.constexpr,
    LANES: tl.constexpr,
):
    """h, which may take the place of b, and the last state if there is a place for it.

    ``step`` is the distance from one time to the next in scan order: width, or -width.
    """
    if FAR:
        step = step.to(tl.int64)
    tile, begin, left, offsets, channel, states = tile_coordinates(
        batch, length, width, step, STEPS, RUNS, PAIRS, ENTRIES
    )
    exists = channel < width
    run = tl.arange(0, RUNS)[:, None] * STEPS
    fixed = load_fixed(a_ptr, channel, exists, FIXED, RUNS, PAIRS)
    a = ()
    b = ()
    for k in tl.static_range(STEPS):
        now = begin + k * step + offsets
        mask = exists & (run + k < left)
        a = a + (fixed if FIXED else load_pairs(a_ptr + now, mask, RUNS, PAIRS),)
        b = b + (load_pairs(b_ptr + now, mask, RUNS, PAIRS),)
    state = load_state(state_ptr, states, exists & (tile == 0), RUNS, PAIRS)

    NARROW: tl.constexpr = a_ptr.dtype.element_ty.primitive_bitwidth < 32
    PRODUCT: tl.constexpr = tl.float32 if NARROW else tl.float64
    e0 = a[0][0].to(PRODUCT)
    e1 = a[0][1].to(PRODUCT)
    f0, f1 = b[0]
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0].to(PRODUCT), a[k][1].to(PRODUCT), e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], f0, f1, COMPLEX)
        f0 += b[k][0]
        f1 += b[k][1]
    h0, h1 = states_before_runs(
        e0, e1, f0, f1, fixed, state, word_ptr, launch,
        tile, left, states, batch.to(tl.int64) * width, exists, FIXED, COMPLEX, STEPS, RUNS, PAIRS,
        LANES,
    )  # fmt: skip
    last0 = h0
    last1 = h1
    for k in tl.static_range(STEPS):
        h0, h1 = times(a[k][0], a[k][1], h0, h1, COMPLEX)
        h0 += b[k][0]  # eq. 2.1
        h1 += b[k][1]
        last0 = tl.where(run + k < left, h0, last0)
        last1 = tl.where(run + k < left, h1, last1)
        mask = exists & (run + k < left)
        store_pairs(h_ptr + begin + k * step + offsets, h0, h1, mask, RUNS, PAIRS)
    if last_ptr is not None:
        ends = exists & (run < left) & (run + STEPS >= left)
        store_pairs(last_ptr + states, last0, last1, ends, RUNS, PAIRS)


@triton.jit(do_not_specialize=["batch", "length", "launch"])
def backward_kernel(
    a_ptr,
    h_ptr,
    state_ptr,
    grad_h_ptr,
    grad_last_ptr,
    grad_a_ptr,
    grad_b_ptr,
    grad_state_ptr,
    word_ptr,
    launch,
    batch,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
    FAR: tl.constexpr,
    LANES: tl.constexpr,
):
    """Gradients, from late to early times, which is where ``step`` leads: the carry is
    conj(a_t) g_t, what flows into the time before. For a fixed decay ``grad_a_ptr``
    (tiles, B, width) gets the sum over each tile."""
    if FAR:
        step = step.to(tl.int64)
    tile, begin, left, offsets, channel, states = tile_coordinates(
        batch, length, width, step, STEPS, RUNS, PAIRS, ENTRIES
    )
    exists = channel < width
    run = tl.arange(0, RUNS)[:, None] * STEPS
    fixed = load_fixed(a_ptr, channel, exists, FIXED, RUNS, PAIRS)
    if FIXED and COMPLEX:
        fixed = (fixed[0], -fixed[1])
    is_last = exists & (left <= RUNS * STEPS)
    state0, state1 = load_state(state_ptr, states, is_last, RUNS, PAIRS)
    a = ()
    dh = ()
    h = ()
    for k in tl.static_range(STEPS):
        now = begin + k * step + offsets
        mask = exists & (run + k < left)
        if FIXED:
            a = a + (fixed,)
        else:
            a0, a1 = load_pairs(a_ptr + now, mask, RUNS, PAIRS)
            a = a + ((a0, -a1 if COMPLEX else a1),)
        dh = dh + (load_pairs(grad_h_ptr + now, mask, RUNS, PAIRS),)
        mask = exists & (run + k + 1 < left)
        h0, h1 = load_pairs(h_ptr + now + step, mask, RUNS, PAIRS)
        first = run + k + 1 == left  # before it stands the first state
        h = h + ((tl.where(first, state0, h0), tl.where(first, state1, h1)),)
    grad_last = load_state(grad_last_ptr, states, exists & (tile == 0), RUNS, PAIRS)

    NARROW: tl.constexpr = a_ptr.dtype.element_ty.primitive_bitwidth < 32
    PRODUCT: tl.constexpr = tl.float32 if NARROW else tl.float64
    e0 = a[0][0].to(PRODUCT)
    e1 = a[0][1].to(PRODUCT)
    f0, f1 = times(a[0][0], a[0][1], dh[0][0], dh[0][1], COMPLEX)
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0].to(PRODUCT), a[k][1].to(PRODUCT), e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], dh[k][0] + f0, dh[k][1] + f1, COMPLEX)
    f0, f1 = states_before_runs(
        e0, e1, f0, f1, fixed, grad_last, word_ptr, launch,
        tile, left, states, batch.to(tl.int64) * width, exists, FIXED, COMPLEX, STEPS, RUNS, PAIRS,
        LANES,
    )  # fmt: skip
    last0 = f0
    last1 = f1
    sum0 = tl.zeros((RUNS, PAIRS), tl.float32)
    sum1 = sum0
    for k in tl.static_range(STEPS):
        alive = run + k < left
        now = begin + k * step + offsets
        g0 = dh[k][0] + f0  # eq. 2.6
        g1 = dh[k][1] + f1
        store_pairs(grad_b_ptr + now, g0, g1, exists & alive, RUNS, PAIRS)  # eq. 2.7
        da0, da1 = times(
            h[k][0], -h[k][1] if COMPLEX else h[k][1], g0, g1, COMPLEX
        )  # eq. 2.8
        if FIXED:
            sum0 += tl.where(alive, da0, 0.0)
            sum1 += tl.where(alive, da1, 0.0)
        else:
            store_pairs(grad_a_ptr + now, da0, da1, exists & alive, RUNS, PAIRS)
        f0, f1 = times(a[k][0], a[k][1], g0, g1, COMPLEX)
        last0 = tl.where(alive, f0, last0)
        last1 = tl.where(alive, f1, last1)
    ends = exists & (run < left) & (run + STEPS >= left)
    if grad_state_ptr is not None:
        grad_states = grad_state_ptr + states
        store_pairs(grad_states, last0, last1, ends, RUNS, PAIRS)  # eq. 2.9
    if FIXED:
        sum0 = tl.broadcast_to(tl.sum(sum0, 0)[None, :], (RUNS, PAIRS))
        sum1 = tl.broadcast_to(tl.sum(sum1, 0)[None, :], (RUNS, PAIRS))
        sums = grad_a_ptr + tile * batch * width + states
        store_pairs(sums, sum0, sum1, exists & (run == 0), RUNS, PAIRS)


def scan(
    a: Tensor, b: Tensor, state: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    """h (B, L, D) and the last state (B, D); the arguments are those of the op, already
    checked."""
    batch, length, channels = b.shape
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    last = b.new_empty((batch, channels), dtype=accumulation_dtype(b.dtype))
    plan = plan_launch(b.shape, b.dtype, a.ndim == 1, False, b.is_cuda)
    step = -plan.width if reverse else plan.width
    words, launch = status_words(plan.words, b)
    runner(forward_kernel, b)[plan.grid](
        laid_out(a), laid_out(b),
        None if state is None else laid_out(state),
        h, last,
        words, launch, batch, length, plan.width, step,
        *plan.constants, num_warps=plan.num_warps,
    )  # fmt: skip
    return h, last


def scan_in_place(a: Tensor, b: Tensor, shape: torch.Size, reverse: bool) -> None:
    """The same of a fixed decay, from nothing: the numbers of b, of that shape (B, L, D)
    in a's dtype, become h. Both are contiguous, and b may be real numbers side by side."""
    plan = plan_launch(shape, a.dtype, True, False, b.is_cuda)
    step = -plan.width if reverse else plan.width
    words, launch = status_words(plan.words, b)
    runner(forward_kernel, b)[plan.grid](
        a, b, None, b, None,
        words, launch, shape[0], shape[1], plan.width, step,
        *plan.constants, num_warps=plan.num_warps,
    )  # fmt: skip


def gradients(
    a: Tensor,
    h: Tensor,
    state: Tensor | None,
    grad_h: Tensor,
    grad_last: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients to a, b and the first state, if there is one."""
    batch, length, channels = h.shape
    fixed = a.ndim == 1
    plan = plan_launch(h.shape, h.dtype, fixed, True, h.is_cuda)
    wide = accumulation_dtype(h.dtype)
    shape, dtype = (
        ((plan.tiles, batch, channels), wide) if fixed else (h.shape, h.dtype)
    )
    grad_a = h.new_empty(shape, dtype=dtype)
    grad_b = torch.empty_like(h, memory_format=torch.contiguous_format)
    grad_state = None if state is None else state.new_empty(state.shape)
    step = plan.width if reverse else -plan.width
    words, launch = status_words(plan.words, h)
    runner(backward_kernel, h)[plan.grid](
        laid_out(a), laid_out(h),
        None if state is None else laid_out(state),
        laid_out(grad_h), None if grad_last is None else laid_out(grad_last),
        grad_a, grad_b, grad_state,
        words, launch, batch, length, plan.width, step,
        *plan.constants, num_warps=plan.num_warps,
    )  # fmt: skip
    if fixed:
        grad_a = grad_a.sum((0, 1)).to(a.dtype)
    return grad_a, grad_b, grad_state


class Plan(NamedTuple):
    """What a launch needs beside its tensors: looked up by shape."""

    width: int
    tiles: int
    grid: tuple[int]
    words: int
    """Status words, (tiles - 1, B, width)."""
    constants: tuple[bool | int, ...]
    """FIXED, COMPLEX, STEPS, RUNS, PAIRS, ENTRIES, FAR, LANES."""
    num_warps: int


@lru_cache(maxsize=1024)
def plan_launch(
    shape: torch.Size, dtype: torch.dtype, fixed: bool, backward: bool, compiled: bool
) -> Plan:
    """The launch for h of such a shape (B, L, D) and dtype."""
    batch, length, channels = shape
    width = 2 * channels if dtype.is_complex else channels
    if not compiled:
        tiling = INTERPRETED
    else:
        row = next(row for pairs, row in TILINGS.items() if batch * width >= 2 * pairs)
        row = OF_16_BITS if dtype.itemsize == 2 else row
        tiling = row[2 * backward + (not fixed)]
    STEPS, RUNS, PAIRS, ENTRIES, num_warps = tiling
    tiles = ceil_div(length, RUNS * STEPS)
    far = (
        RUNS * STEPS * width >= 2**31
    )  # distances in a tile, with millions of channels
    lanes = 32 * num_warps if compiled else 1
    return Plan(
        width,
        tiles,
        (tiles * batch * ceil_div(width, 2 * PAIRS),),
        (tiles - 1) * batch * width,
        (fixed, dtype.is_complex, STEPS, RUNS, PAIRS, ENTRIES, far, lanes),
        num_warps,
    )


# Tilings that won a sweep on an H100 (linear_scan_tilings_*.json in benchmarks/results) or
# came near, by the number of pairs that there are in all: with few, tiles are long, as
# carries travel one tile after the other (the last row lies outside of the sweep).
# STEPS, RUNS, PAIRS, ENTRIES, warps.
TILINGS = {
    # pairs: (forward fixed, forward varying, backward fixed, backward varying)
    3072: ((16, 8, 32, 8, 4), (8, 16, 32, 8, 4), (16, 16, 16, 2, 4), (8, 8, 32, 8, 4)),
    1536: ((16, 16, 16, 2, 4), (16, 16, 32, 4, 8), (16, 16, 16, 2, 4), (8, 16, 16, 4, 8)),
    512: ((8, 32, 16, 2, 4), (16, 16, 32, 4, 8), (16, 16, 32, 4, 8), (16, 8, 32, 4, 8)),
    0: ((16, 32, 8, 2, 8), (16, 32, 8, 2, 8), (16, 32, 8, 2, 4), (8, 32, 8, 2, 8)),
}  # fmt: skip
OF_16_BITS = (
    (16, 16, 16, 8, 4),
    (16, 8, 32, 8, 4),
    (16, 16, 32, 4, 8),
    (16, 8, 32, 8, 4),
)
INTERPRETED = (4, 4, 2, 2, 4)  # small, as the interpreter visits the numbers one by one
