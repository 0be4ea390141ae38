"""A recurrence over time in three launches, with the states between them in a tensor:

  1. summaries   every chunk of time but the last, from nothing
  2. carry       an inclusive scan over the summaries: the state after each chunk
  3. outputs     every chunk again, from the state before it

Launches 1 and 3 are an op's own, on the tiles of ``tile_coordinates``; launch 2 is here.
A *summary* says how a chunk maps the state before it to the state after it. It is an
element of an associative ``Combine``, some numbers for each channel: what the chunk
makes of nothing first, then what becomes of the state before it. As the first chunk
starts from the state that is handed in, all that the scan leaves first are states.

Where one chunk is all there is, launch 3 is all there is.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.jit import JITFunction

from seqlab.ops.device.combines import (
    Combine,
    affine_complex_prefixes,
    affine_each_prefixes,
)
from seqlab.ops.device.pairs import laid_out, power, times
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div, power_of_two


@triton.jit
def tile_coordinates(
    batch,
    length,
    width,
    chunks,
    REVERSED: tl.constexpr,
    CHUNK,
    BLOCK: tl.constexpr,
):
    """This program's turn and chunk, which count from opposite ends if REVERSED; how many
    steps are left from the chunk's first one; that step's offsets in (B, L, D), its
    channels and the places of their states in (B, D), each (BLOCK,). What comes of the
    chunk and the batch entry has 64 bits."""
    blocks = tl.cdiv(width, BLOCK)
    channel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    entry = (tl.program_id(0) // blocks % batch).to(tl.int64)
    turn = (tl.program_id(0) // blocks // batch).to(tl.int64)
    chunk = chunks - 1 - turn if REVERSED else turn
    left = length - chunk * CHUNK
    begin = (entry * length + chunk * CHUNK) * width
    return turn, chunk, left, begin + channel, channel, entry * width + channel


@triton.jit
def load_steps(
    pointers, width, left, exists, default: tl.constexpr, STEPS: tl.constexpr
):
    """The numbers of STEPS steps, a tuple, all of them on their way at once, in float32;
    ``default`` where a channel does not exist or the sequence has ended."""
    steps = ()
    for k in tl.static_range(STEPS):
        x = tl.load(pointers + k * width, mask=exists & (k < left), other=default)
        steps = steps + (x.to(tl.float32),)
    return steps


@triton.jit
def state_before(
    chunk, state_ptr, carry_ptr, states, count, exists, default: tl.constexpr
):
    """The state before a chunk: that after the chunk before, ``carry_ptr`` (chunks - 1,
    B, D), or the one that is handed in, ``state_ptr`` (B, D); ``default`` if that is
    None. ``states`` are places in (B, D), of which there are ``count``. Of a state of
    several numbers, this is one."""
    state = tl.full(states.shape, default, tl.float32)
    if state_ptr is not None:
        mask = exists & (chunk == 0)
        state = tl.load(state_ptr + states, mask=mask, other=default)
    if carry_ptr is not None:
        before = carry_ptr + (chunk - 1) * count + states
        carry = tl.load(before, mask=exists & (chunk > 0), other=default)
        state = tl.where(chunk > 0, carry, state)
    return state


@triton.jit
def store_summary(summary_ptr, summary, chunk, chunks, states, count, exists):
    """A chunk's summary to its place in (numbers, chunks - 1, B, D)."""
    for i in tl.static_range(len(summary)):
        place = (i * (chunks - 1) + chunk) * count + states
        tl.store(summary_ptr + place, summary[i], mask=exists)


@triton.jit(do_not_specialize=["chunks"])
def carry_kernel(
    summary_ptr,
    chunks,
    count,
    COMBINE: tl.constexpr,
    PREFIXES: tl.constexpr,
    NEUTRAL: tl.constexpr,
    CHUNKS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Summaries (numbers, chunks, count) become their prefixes. A program walks over all
    chunks, CHUNKS at a time, for BLOCK of the states."""
    NUMBERS: tl.constexpr = len(NEUTRAL)
    state = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]
    stride = chunks.to(tl.int64) * count
    carry = ()
    for i in tl.static_range(NUMBERS):
        zero = tl.zeros((1, BLOCK), summary_ptr.dtype.element_ty)
        carry = carry + (zero + NEUTRAL[i],)
    for first in range(0, chunks, CHUNKS):
        chunk = (first + tl.arange(0, CHUNKS)[:, None]).to(tl.int64)
        mask = (chunk < chunks) & (state < count)
        place = summary_ptr + chunk * count + state
        elements = ()
        for i in tl.static_range(NUMBERS):
            x = tl.load(place + i * stride, mask=mask, other=NEUTRAL[i])
            elements = elements + (x,)
        elements = COMBINE(*carry, *PREFIXES(elements))
        carry = ()
        for i in tl.static_range(NUMBERS):
            tl.store(place + i * stride, elements[i], mask=mask)
            carry = carry + (last_row(elements[i], CHUNKS),)


@triton.jit(do_not_specialize=["chunks"])
def fixed_carry_kernel(
    made_ptr,
    a_ptr,
    chunks,
    count,
    width,
    modes,
    COMPLEX: tl.constexpr,
    CHUNK: tl.constexpr,
    PAIRS: tl.constexpr,
    CHUNKS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The same of a decay ``a_ptr`` (D, modes) that is fixed, for CHUNK steps a chunk: what
    chunks make of nothing, pairs (2, chunks, B, D, PAIRS), of which a plane has ``count``,
    becomes the states after them.

    Over CHUNKS chunks a state decays by a power that is formed in float64. The decay of
    one, rounded, is multiplied within CHUNKS chunks only: from end to end its error would
    grow with the length."""
    state = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]
    exists, mode = state < count, state % PAIRS * 2
    a_ptr += state // PAIRS % width * modes + mode
    a0 = tl.load(a_ptr, mask=exists & (mode < modes), other=0.0)
    a1 = tl.load(a_ptr + 1, mask=exists & (mode + 1 < modes), other=0.0)
    a0, a1 = power(a0, a1, COMPLEX, CHUNK)
    row = tl.arange(0, CHUNKS)[:, None]
    decay0 = tl.broadcast_to(a0.to(tl.float32), (CHUNKS, BLOCK))
    decay1 = tl.broadcast_to(a1.to(tl.float32), (CHUNKS, BLOCK))
    over0 = tl.full((CHUNKS, BLOCK), 1.0, tl.float64)
    over1 = tl.full((CHUNKS, BLOCK), 0.0 if COMPLEX else 1.0, tl.float64)
    for i in tl.static_range(16):
        if 1 << i <= CHUNKS:  # a to the power of row + 1
            e0, e1 = times(a0, a1, over0, over1, COMPLEX)
            taken = ((row + 1) >> i) & 1 == 1
            over0, over1 = tl.where(taken, e0, over0), tl.where(taken, e1, over1)
            a0, a1 = times(a0, a1, a0, a1, COMPLEX)
    over0, over1 = over0.to(tl.float32), over1.to(tl.float32)
    carry0 = tl.zeros((1, BLOCK), tl.float32)
    carry1 = tl.zeros((1, BLOCK), tl.float32)
    for first in range(0, chunks, CHUNKS):
        chunk = (first + row).to(tl.int64)
        mask = (chunk < chunks) & exists
        place = made_ptr + chunk * count + state
        plane = chunks.to(tl.int64) * count
        x0 = tl.load(place, mask=mask, other=0.0)
        x1 = tl.load(place + plane, mask=mask, other=0.0)
        elements = (x0, x1, decay0, decay1)
        if COMPLEX:
            x0, x1, _, _ = affine_complex_prefixes(elements)
        else:
            x0, x1, _, _ = affine_each_prefixes(elements)
        left0, left1 = times(over0, over1, carry0, carry1, COMPLEX)
        x0 += left0
        x1 += left1
        tl.store(place, x0, mask=mask)
        tl.store(place + plane, x1, mask=mask)
        carry0, carry1 = last_row(x0, CHUNKS), last_row(x1, CHUNKS)


@triton.jit
def last_row(x, ROWS: tl.constexpr):
    last = tl.arange(0, ROWS)[:, None] == ROWS - 1
    return tl.sum(tl.where(last, x, 0.0), 0, keep_dims=True)


class Plan(NamedTuple):
    """What the launches over (B, L, D) need beside their tensors: looked up by shape."""

    all_but_one: tuple[int]
    """Programs of launch 1."""
    grid: tuple[int]
    """Programs of launch 3."""
    sizes: tuple[int, int, int, int]
    """batch, length, width, chunks"""


@lru_cache(maxsize=1024)
def plan_launches(shape: torch.Size, CHUNK: int, BLOCK: int) -> Plan:
    """The launches over a tensor (B, L, D), in tiles of CHUNK steps by BLOCK channels."""
    batch, length, width = shape
    chunks = ceil_div(length, CHUNK)
    programs = batch * ceil_div(width, BLOCK)
    sizes = batch, length, width, chunks
    return Plan(((chunks - 1) * programs,), (chunks * programs,), sizes)


def launch(
    kernel: JITFunction,
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor | None],
    combine: Combine,
    tiling: Mapping[str, int],
) -> None:
    """Launch 1, the carry and launch 3, or launch 3 alone for a single chunk.

    Args:
        kernel: of launches 1 and 3. It takes the inputs, the states between chunks
            (numbers, chunks - 1, B, D), in the order of turns, the outputs, a place for
            summaries of the same shape, the sizes batch, length, width and chunks, and
            the tiling. What it shall not read or write is None: in launch 1 the states
            and the outputs, in launch 3 the summaries, and the states of a single chunk.
        inputs: the first of them (B, L, D).
        outputs: contiguous tensors, or None for one that is not asked for.
        combine: what summaries are joined by.
        tiling: CHUNK and BLOCK, and further constants of the kernel.
    """
    like = inputs[0]
    assert like is not None
    batch, _, width = like.shape
    plan = plan_launches(like.shape, tiling["CHUNK"], tiling["BLOCK"])
    chunks = plan.sizes[-1]
    inputs = [None if x is None else laid_out(x) for x in inputs]
    run = runner(kernel, like)
    between = None
    if chunks > 1:
        shape = len(combine.neutral), chunks - 1, batch, width
        between = like.new_empty(shape, dtype=torch.float32)
        nothing = (None,) * (1 + len(outputs))
        run[plan.all_but_one](*inputs, *nothing, between, *plan.sizes, **tiling)
        scan_summaries(between, combine)
    run[plan.grid](*inputs, between, *outputs, None, *plan.sizes, **tiling)


def scan_summaries(summaries: Tensor, combine: Combine) -> None:
    """Launch 2: summaries (numbers, chunks - 1, B, D) become their prefixes, the first
    numbers of which are states."""
    numbers, chunks, *_ = summaries.shape
    count = summaries.numel() // (numbers * chunks)
    CHUNKS, BLOCK, num_warps = carry_tiling(chunks, summaries.is_cuda)
    runner(carry_kernel, summaries)[(ceil_div(count, BLOCK),)](
        summaries, chunks, count, *combine, CHUNKS, BLOCK, num_warps=num_warps
    )


def scan_states(made: Tensor, A_bar: Tensor, CHUNK: int) -> None:
    """Launch 2 where the decay A_bar (D, N), contiguous, is fixed: what chunks of CHUNK
    steps make of nothing, pairs (2, chunks - 1, B, D, PAIRS), becomes states."""
    _, chunks, batch, width, PAIRS = made.shape
    count = batch * width * PAIRS
    modes = A_bar.shape[1] * (2 if A_bar.is_complex() else 1)
    CHUNKS, BLOCK, num_warps = carry_tiling(chunks, made.is_cuda)
    runner(fixed_carry_kernel, made)[(ceil_div(count, BLOCK),)](
        made, A_bar, chunks, count, width, modes,
        A_bar.is_complex(), CHUNK, PAIRS, CHUNKS, BLOCK, num_warps=num_warps,
    )  # fmt: skip


def carry_tiling(chunks: int, compiled: bool) -> tuple[int, int, int]:
    """CHUNKS and BLOCK of a carry, and its warps: of few chunks, one warp has all of a
    state in one thread."""
    if not compiled:
        return 4, 2, 1
    CHUNKS = min(64, max(8, power_of_two(chunks)))
    return CHUNKS, 1024 // CHUNKS, max(1, CHUNKS // 16)
