"""The recurrence of a diagonal state-space model as Triton kernels: B_bar and C are fused
in and out, so that no state is written over time but those between chunks.

Tiling. One program owns a chunk of CHUNK steps, in groups of STEPS, of BLOCK channels of
one batch entry, with all their modes: a state is PAIRS pairs of float32 numbers a channel,
real and imaginary part of a mode or two real modes.

                          |<- BLOCK channels x PAIRS pairs ->|
                            the state before the chunk
        time   group 0    |  STEPS steps: u_t into the state, y_t out of it
         v     ...        |
                            the state after the chunk

Three launches (``seqlab/ops/device/chunks.py``): what each chunk makes of nothing, the
states between chunks, every chunk from the state before it; the last one alone where there
is one chunk. Backward, the conjugate of the gradient to the state runs through the same
equation from late to early, x = A_bar (x + C dy), and the states are computed once more
from those between chunks: forward through a chunk for the states before groups, which stay
in registers, then group by group back.

Bytes, with e bytes a number, E = B L D, and S = 8 N E where A_bar and B_bar change in time
and are complex (4 N E real, none fixed): forward 3 e E (u twice, y) + 3 S (A_bar twice,
B_bar twice, less with one chunk), backward 4 e E + 7 S. A chunk's states are 1 / CHUNK of
8 N E a pass.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import (
    load_steps,
    scan_states,
    scan_summaries,
    tile_coordinates,
)
from seqlab.ops.device.combines import AFFINE_COMPLEX, AFFINE_EACH, Combine
from seqlab.ops.device.pairs import laid_out, load_pairs, store_pairs, times
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div, power_of_two


@triton.jit
def real_part(x0, x1, COMPLEX: tl.constexpr):
    """Sums over modes of pairs (BLOCK, PAIRS), of their real parts if complex."""
    return tl.sum(x0 if COMPLEX else x0 + x1, 1)


@triton.jit
def load_at(
    pointer, fixed, now, k, width, modes, mask,
    FIXED: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """A_bar or B_bar of step ``k`` from ``now`` on, places in (B, L, D), or what it is at
    all times."""
    if FIXED:
        return fixed
    else:
        column = tl.arange(0, 2 * PAIRS)[None, :]
        place = (now + k * width)[:, None] * modes + column
        return load_pairs(pointer + place, mask, BLOCK, PAIRS)


@triton.jit
def load_fixed(
    pointer, channel, modes, exists,
    FIXED: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """What a channel has at all times; nothing that is read if it changes."""
    if FIXED:
        place = channel[:, None] * modes + tl.arange(0, 2 * PAIRS)[None, :]
        return load_pairs(pointer + place, exists, BLOCK, PAIRS)
    else:
        zero = tl.zeros((BLOCK, PAIRS), tl.float32)
        return zero, zero


@triton.jit
def state_before(
    turn, state_ptr, carry_ptr, states, count, chunks, modes, exists,
    CONJUGATE: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The pairs (BLOCK, PAIRS) before the chunk of that turn: those after the one before
    it, ``carry_ptr`` (2, chunks - 1, B, D, PAIRS), or the state that is handed in, zeros
    if it is None. ``states`` are places in (B, D), of which there are ``count``."""
    x0 = tl.zeros((BLOCK, PAIRS), tl.float32)
    x1 = tl.zeros((BLOCK, PAIRS), tl.float32)
    if state_ptr is not None:
        place = states[:, None] * modes + tl.arange(0, 2 * PAIRS)[None, :]
        x0, x1 = load_pairs(state_ptr + place, exists & (turn == 0), BLOCK, PAIRS)
        x1 = -x1 if CONJUGATE else x1
    if carry_ptr is not None:
        place = ((turn - 1) * count + states)[:, None] * PAIRS
        place += tl.arange(0, PAIRS)[None, :]
        mask = (states[:, None] < count) & (turn > 0)
        carry0 = tl.load(carry_ptr + place, mask=mask, other=0.0)
        place += (chunks - 1) * count * PAIRS
        carry1 = tl.load(carry_ptr + place, mask=mask, other=0.0)
        x0, x1 = tl.where(turn > 0, carry0, x0), tl.where(turn > 0, carry1, x1)
    return x0, x1


@triton.jit
def store_summary(
    summary_ptr, x0, x1, decay0, decay1, turn, states, count, chunks, present,
    FIXED: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """What a chunk makes of nothing, and what becomes of the state before it, to (4,
    chunks - 1, B, D, PAIRS); of the latter nothing where the decay is FIXED."""
    place = (turn * count + states)[:, None] * PAIRS + tl.arange(0, PAIRS)[None, :]
    plane = (chunks - 1).to(tl.int64) * count * PAIRS
    tl.store(summary_ptr + place, x0, mask=present)
    tl.store(summary_ptr + plane + place, x1, mask=present)
    if not FIXED:
        tl.store(summary_ptr + 2 * plane + place, decay0, mask=present)
        tl.store(summary_ptr + 3 * plane + place, decay1, mask=present)


@triton.jit
def one(COMPLEX: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr):
    """The pairs that change nothing in a product."""
    one0 = tl.full((BLOCK, PAIRS), 1.0, tl.float32)
    return one0, tl.full((BLOCK, PAIRS), 0.0 if COMPLEX else 1.0, tl.float32)


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def forward_kernel(
    u_ptr, a_ptr, b_ptr, c_ptr, state_ptr, carry_ptr, y_ptr, last_ptr, summary_ptr,
    batch, length, width, chunks, modes,
    FIXED: tl.constexpr, COMPLEX: tl.constexpr,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries, else launch 3."""
    turn, _, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, False, CHUNK, BLOCK
    )
    present = channel < width
    exists = present[:, None] & (tl.arange(0, 2 * PAIRS)[None, :] < modes)
    count = batch.to(tl.int64) * width
    fixed_a = load_fixed(a_ptr, channel, modes, exists, FIXED, BLOCK, PAIRS)
    fixed_b = load_fixed(b_ptr, channel, modes, exists, FIXED, BLOCK, PAIRS)
    c0, c1 = load_fixed(c_ptr, channel, modes, exists, True, BLOCK, PAIRS)
    x0, x1 = state_before(
        turn, state_ptr, carry_ptr, states, count, chunks, modes, exists,
        False, BLOCK, PAIRS,
    )  # fmt: skip
    decay0, decay1 = one(COMPLEX, BLOCK, PAIRS)
    for first in range(0, tl.minimum(left, CHUNK), STEPS):
        u = load_steps(u_ptr + now, width, left - first, present, 0.0, STEPS)
        for k in tl.static_range(STEPS):
            alive = first + k < left
            mask = exists & alive
            a0, a1 = load_at(
                a_ptr, fixed_a, now, k, width, modes, mask, FIXED, BLOCK, PAIRS
            )
            b0, b1 = load_at(
                b_ptr, fixed_b, now, k, width, modes, mask, FIXED, BLOCK, PAIRS
            )
            next0, next1 = times(a0, a1, x0, x1, COMPLEX)
            x0 = tl.where(alive, next0 + b0 * u[k][:, None], x0)
            x1 = tl.where(alive, next1 + b1 * u[k][:, None], x1)
            if summary_ptr is None:
                y0, y1 = times(c0, c1, x0, x1, COMPLEX)
                y = real_part(y0, y1, COMPLEX).to(y_ptr.dtype.element_ty)
                tl.store(y_ptr + now + k * width, y, mask=present & alive)
            elif not FIXED:
                decay0, decay1 = times(a0, a1, decay0, decay1, COMPLEX)
        now += STEPS * width
    if summary_ptr is None:
        place = states[:, None] * modes + tl.arange(0, 2 * PAIRS)[None, :]
        store_pairs(last_ptr + place, x0, x1, exists & (left <= CHUNK), BLOCK, PAIRS)
    else:
        store_summary(
            summary_ptr, x0, x1, decay0, decay1, turn, states, count, chunks,
            present[:, None], FIXED, PAIRS,
        )  # fmt: skip


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def flow_kernel(
    grad_y_ptr, a_ptr, c_ptr, grad_last_ptr, summary_ptr,
    batch, length, width, chunks, modes,
    FIXED: tl.constexpr, COMPLEX: tl.constexpr,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Launch 1 of the backward pass: what flows into the time before each chunk."""
    turn, _, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, True, CHUNK, BLOCK
    )
    present = channel < width
    exists = present[:, None] & (tl.arange(0, 2 * PAIRS)[None, :] < modes)
    count = batch.to(tl.int64) * width
    fixed_a = load_fixed(a_ptr, channel, modes, exists, FIXED, BLOCK, PAIRS)
    c0, c1 = load_fixed(c_ptr, channel, modes, exists, True, BLOCK, PAIRS)
    g0, g1 = state_before(
        turn, grad_last_ptr, None, states, count, chunks, modes, exists,
        COMPLEX, BLOCK, PAIRS,
    )  # fmt: skip
    decay0, decay1 = one(COMPLEX, BLOCK, PAIRS)
    groups = tl.cdiv(tl.minimum(left, CHUNK), STEPS)
    for done in range(groups):
        first = (groups - 1 - done) * STEPS
        here = now + first * width
        dy = load_steps(grad_y_ptr + here, width, left - first, present, 0.0, STEPS)
        for k in tl.static_range(STEPS - 1, -1, -1):
            alive = first + k < left
            mask = exists & alive
            a0, a1 = load_at(
                a_ptr, fixed_a, here, k, width, modes, mask, FIXED, BLOCK, PAIRS
            )
            e0, e1 = times(
                a0, a1, g0 + c0 * dy[k][:, None], g1 + c1 * dy[k][:, None], COMPLEX
            )
            g0, g1 = tl.where(alive, e0, g0), tl.where(alive, e1, g1)
            if not FIXED:
                e0, e1 = times(a0, a1, decay0, decay1, COMPLEX)
                decay0 = tl.where(alive, e0, decay0)
                decay1 = tl.where(alive, e1, decay1)
    store_summary(
        summary_ptr, g0, g1, decay0, decay1, turn, states, count, chunks,
        present[:, None], FIXED, PAIRS,
    )  # fmt: skip


@triton.jit(do_not_specialize=["batch", "length", "chunks"])
def backward_kernel(
    u_ptr, a_ptr, b_ptr, c_ptr, state_ptr, between_ptr, grad_y_ptr, grad_last_ptr, flow_ptr,
    grad_u_ptr, grad_a_ptr, grad_b_ptr, partial_ptr, grad_state_ptr,
    batch, length, width, chunks, modes,
    FIXED: tl.constexpr, COMPLEX: tl.constexpr,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Launch 3 of it. ``partial_ptr`` (chunks, B, D, modes) gets the sum over each chunk for
    C, and behind it those for a fixed A_bar and B_bar."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, True, CHUNK, BLOCK
    )
    present = channel < width
    column = tl.arange(0, 2 * PAIRS)[None, :]
    exists = present[:, None] & (column < modes)
    count = batch.to(tl.int64) * width
    fixed_a = load_fixed(a_ptr, channel, modes, exists, FIXED, BLOCK, PAIRS)
    fixed_b = load_fixed(b_ptr, channel, modes, exists, FIXED, BLOCK, PAIRS)
    c0, c1 = load_fixed(c_ptr, channel, modes, exists, True, BLOCK, PAIRS)
    x0, x1 = state_before(
        chunk, state_ptr, between_ptr, states, count, chunks, modes, exists,
        False, BLOCK, PAIRS,
    )  # fmt: skip
    g0, g1 = state_before(
        turn, grad_last_ptr, flow_ptr, states, count, chunks, modes, exists,
        COMPLEX, BLOCK, PAIRS,
    )  # fmt: skip

    GROUPS: tl.constexpr = CHUNK // STEPS
    number = tl.arange(0, GROUPS)[:, None, None]
    start0 = tl.zeros((GROUPS, BLOCK, PAIRS), tl.float32)
    start1 = tl.zeros((GROUPS, BLOCK, PAIRS), tl.float32)
    groups = tl.cdiv(tl.minimum(left, CHUNK), STEPS)
    for group in range(groups):
        start0 = tl.where(number == group, x0[None], start0)
        start1 = tl.where(number == group, x1[None], start1)
        first = group * STEPS
        here = now + first * width
        u = load_steps(u_ptr + here, width, left - first, present, 0.0, STEPS)
        for k in tl.static_range(STEPS):
            mask = exists & (first + k < left)
            a0, a1 = load_at(
                a_ptr, fixed_a, here, k, width, modes, mask, FIXED, BLOCK, PAIRS
            )
            b0, b1 = load_at(
                b_ptr, fixed_b, here, k, width, modes, mask, FIXED, BLOCK, PAIRS
            )
            x0, x1 = times(a0, a1, x0, x1, COMPLEX)
            x0 += b0 * u[k][:, None]
            x1 += b1 * u[k][:, None]

    zero = tl.zeros((BLOCK, PAIRS), tl.float32)
    da0, da1, db0, db1, dc0, dc1 = zero, zero, zero, zero, zero, zero
    for done in range(groups):
        group = groups - 1 - done
        first = group * STEPS
        here = now + first * width
        u = load_steps(u_ptr + here, width, left - first, present, 0.0, STEPS)
        dy = load_steps(grad_y_ptr + here, width, left - first, present, 0.0, STEPS)
        x0 = tl.sum(tl.where(number == group, start0, 0.0), 0)
        x1 = tl.sum(tl.where(number == group, start1, 0.0), 0)
        x = ((x0, x1),)
        a, b = (), ()
        for k in tl.static_range(STEPS):
            mask = exists & (first + k < left)
            a = a + (
                load_at(
                    a_ptr, fixed_a, here, k, width, modes, mask, FIXED, BLOCK, PAIRS
                ),
            )
            b = b + (
                load_at(
                    b_ptr, fixed_b, here, k, width, modes, mask, FIXED, BLOCK, PAIRS
                ),
            )
            x0, x1 = times(a[k][0], a[k][1], x0, x1, COMPLEX)
            x0 += b[k][0] * u[k][:, None]
            x1 += b[k][1] * u[k][:, None]
            x = x + ((x0, x1),)
        for k in tl.static_range(STEPS - 1, -1, -1):
            alive = first + k < left
            e0 = g0 + c0 * dy[k][:, None]
            e1 = g1 + c1 * dy[k][:, None]
            v0, v1 = times(b[k][0], b[k][1], e0, e1, COMPLEX)
            du = real_part(v0, v1, COMPLEX).to(grad_u_ptr.dtype.element_ty)
            tl.store(grad_u_ptr + here + k * width, du, mask=present & alive)
            dc0 += tl.where(alive, x[k + 1][0] * dy[k][:, None], 0.0)
            dc1 += tl.where(alive, x[k + 1][1] * dy[k][:, None], 0.0)
            of_a0, of_a1 = times(e0, e1, x[k][0], x[k][1], COMPLEX)
            of_b0, of_b1 = e0 * u[k][:, None], e1 * u[k][:, None]
            if FIXED:
                da0 += tl.where(alive, of_a0, 0.0)
                da1 += tl.where(alive, of_a1, 0.0)
                db0 += tl.where(alive, of_b0, 0.0)
                db1 += tl.where(alive, of_b1, 0.0)
            else:
                place = (here + k * width)[:, None] * modes + column
                mask = exists & alive
                store_conjugate(
                    grad_a_ptr + place, of_a0, of_a1, mask, COMPLEX, BLOCK, PAIRS
                )
                store_conjugate(
                    grad_b_ptr + place, of_b0, of_b1, mask, COMPLEX, BLOCK, PAIRS
                )
            e0, e1 = times(a[k][0], a[k][1], e0, e1, COMPLEX)
            g0, g1 = tl.where(alive, e0, g0), tl.where(alive, e1, g1)
    place = states[:, None] * modes + column
    mask = exists & (chunk == 0)
    store_conjugate(grad_state_ptr + place, g0, g1, mask, COMPLEX, BLOCK, PAIRS)
    place += chunk * count * modes
    store_conjugate(partial_ptr + place, dc0, dc1, exists, COMPLEX, BLOCK, PAIRS)
    if FIXED:
        place += chunks * count * modes
        store_conjugate(partial_ptr + place, da0, da1, exists, COMPLEX, BLOCK, PAIRS)
        place += chunks * count * modes
        store_conjugate(partial_ptr + place, db0, db1, exists, COMPLEX, BLOCK, PAIRS)


@triton.jit
def store_conjugate(
    pointers, x0, x1, mask,
    COMPLEX: tl.constexpr, BLOCK: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    store_pairs(pointers, x0, -x1 if COMPLEX else x1, mask, BLOCK, PAIRS)


def scan(
    u: Tensor, A_bar: Tensor, B_bar: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """y (B, L, D), the last state (B, D, N), and the states between chunks, pairs (2,
    chunks - 1, B, D, PAIRS) with what led to them, in a row, None if there is one chunk."""
    plan = plan_of(u, A_bar)
    inputs = tuple(laid_out(x) for x in (u, A_bar, B_bar, C))
    first = None if state is None else laid_out(state)
    run, between = runner(forward_kernel, u), None
    if plan.chunks > 1:
        between = u.new_empty(plan.between, dtype=torch.float32)
        run[plan.all_but_one](
            *inputs, first, None, None, None, between, *plan.sizes, **plan.tiling
        )
        carry_over(between, inputs[1], plan)
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    last = C.new_empty((len(u), *C.shape))
    run[plan.grid](*inputs, first, between, y, last, None, *plan.sizes, **plan.tiling)
    return y, last, None if between is None else between.view(-1)


def gradients(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    between: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to u, A_bar, B_bar, C and the first state. Of one chunk none is between."""
    plan = plan_of(u, A_bar)
    inputs = tuple(laid_out(x) for x in (u, A_bar, B_bar, C))
    dy, c = laid_out(grad_y), inputs[3]
    flowing = None if grad_last is None else laid_out(grad_last)
    flow = None
    if plan.chunks > 1:
        flow = u.new_empty(plan.between, dtype=torch.float32)
        runner(flow_kernel, u)[plan.all_but_one](
            dy, inputs[1], c, flowing, flow, *plan.sizes, **plan.tiling
        )
        carry_over(flow, inputs[1], plan)
    grad_u = torch.empty_like(u, memory_format=torch.contiguous_format)
    shape = None if plan.fixed else A_bar.shape
    grad_A, grad_B = (None if shape is None else C.new_empty(shape) for _ in "AB")
    several = (3,) if plan.fixed else ()
    partial = C.new_empty((*several, plan.chunks * len(u), *C.shape))
    grad_state = C.new_empty((len(u), *C.shape))
    runner(backward_kernel, u)[plan.grid](
        *inputs, None if state is None else laid_out(state),
        laid_out(between) if plan.chunks > 1 else None, dy, flowing, flow,
        grad_u, grad_A, grad_B, partial, grad_state, *plan.sizes, **plan.tiling,
    )  # fmt: skip
    parts = partial.unbind() if plan.fixed else (partial,)
    grad_C, *of_fixed = (x.sum(0) for x in parts)
    grad_A, grad_B = of_fixed or (grad_A, grad_B)
    return grad_u, grad_A, grad_B, grad_C, grad_state


def carry_over(summaries: Tensor, A_bar: Tensor, plan: "Plan") -> None:
    """Launch 2."""
    if plan.fixed:
        scan_states(summaries, A_bar, plan.tiling["CHUNK"])
    else:
        scan_summaries(summaries, plan.combine)


class Plan(NamedTuple):
    """What a launch needs beside its tensors: looked up by shape."""

    chunks: int
    all_but_one: tuple[int]
    """Programs of launch 1."""
    grid: tuple[int]
    """Programs of launch 3."""
    sizes: tuple[int, int, int, int, int]
    """batch, length, width, chunks, modes"""
    fixed: bool
    combine: Combine
    between: tuple[int, int, int, int, int]
    """Of summaries and of states between chunks: numbers, chunks - 1, B, D, PAIRS."""
    kept: tuple[int]
    tiling: dict[str, int]
    """FIXED, COMPLEX, sizes of tiles, and warps."""


def plan_of(u: Tensor, A_bar: Tensor) -> Plan:
    """The launches for these inputs."""
    N, fixed = A_bar.shape[-1], A_bar.ndim == 2
    return plan_launches(u.shape, N, A_bar.is_complex(), fixed, u.is_cuda)


@lru_cache(maxsize=1024)
def plan_launches(
    shape: torch.Size, N: int, is_complex: bool, fixed: bool, compiled: bool
) -> Plan:
    """The launches for u of such a shape and N modes."""
    batch, length, width = shape
    modes = 2 * N if is_complex else N
    PAIRS = power_of_two(ceil_div(modes, 2))
    tiling = {"FIXED": fixed, "COMPLEX": is_complex, "PAIRS": PAIRS}
    tiling["BLOCK"] = max(1, min(32, LANES // PAIRS))
    tiling |= COMPILED if compiled else INTERPRETED  # which has a BLOCK of its own
    chunks = ceil_div(length, tiling["CHUNK"])
    programs = batch * ceil_div(width, tiling["BLOCK"])
    return Plan(
        chunks,
        ((chunks - 1) * programs,),
        (chunks * programs,),
        (batch, length, width, chunks, modes),
        fixed,
        AFFINE_COMPLEX if is_complex else AFFINE_EACH,
        (2 if fixed else 4, chunks - 1, batch, width, PAIRS),
        kept_shape(shape, N, is_complex, compiled, fixed),
        tiling,
    )


def kept_shape(
    shape: torch.Size, N: int, is_complex: bool, compiled: bool, fixed: bool = True
) -> tuple[int]:
    """Of the states between chunks, and of as many decays unless these are fixed, with room
    for one where there is none: PyTorch would not trace a tensor that is empty for some
    lengths. The sizes may be symbols."""
    batch, length, width = shape
    pairs = power_of_two(N if is_complex else ceil_div(N, 2))
    borders = torch.sym_max((length - 1) // steps_of_chunk(compiled), 1)
    return ((2 if fixed else 4) * borders * batch * width * pairs,)


def room_for_states(u: Tensor, A_bar: Tensor) -> Tensor:
    """The same room where one chunk is all there is: nothing that is read."""
    return u.new_empty(plan_of(u, A_bar).kept, dtype=torch.float32)


def steps_of_chunk(compiled: bool) -> int:
    """How many steps one launch takes."""
    return (COMPILED if compiled else INTERPRETED)["CHUNK"]


LANES = 128
"""Pairs that a program carries."""
COMPILED = {"CHUNK": 64, "STEPS": 8, "num_warps": 4}
INTERPRETED = {"CHUNK": 4, "STEPS": 2, "BLOCK": 2}  # it visits numbers one by one
