"""The selective scan forward where channels are few, as a Triton kernel in one launch, for
a real A. ``kernel.py`` has all else.

Tiling. Of few channels, warps that have a channel in each lane are too few to keep a GPU
busy, and chunks of time, which give it more, cost each state a second exponential. So here
a program, one warp, has BLOCK channels of one batch entry over all time, and LANES lanes
share a channel's states, with BLOCK = 16 those of two channels:

         lanes     0        1        2         3     |    4        5     ..
       channel               0                       |         1         ..
        states   0 .. 3   4 .. 7   8 .. 11  12 .. 15 |  0 .. 3   4 .. 7  ..

What a step has of a channel, and not of its states, a lane would compute LANES times over.
So a group of STEPS steps is computed as a tile, a lane having some of its numbers: the steps
dt before the group is taken step by step, the gate after it. From one form to the other it
goes through shared memory, and so does what the states of a channel sum up to.

Bytes. Those of the forward pass in one chunk (``kernel.py``).
"""

from typing import Any

import torch
import triton
import triton.language as tl

from seqlab.ops.selective_scan.steps import (
    MARGIN,
    advance,
    begins_at,
    load_fixed,
    load_tile,
    load_weights,
    over_states,
    parts_of,
    places_between,
    places_kept,
    softplus,
    store_states,
)
from seqlab.ops.sizes import ceil_div, power_of_two


@triton.jit(do_not_specialize=["batch", "length"])
def narrow_kernel(
    u_ptr, delta_ptr, a_ptr, b_ptr, c_ptr, d_ptr, z_ptr, bias_ptr, state_ptr, begins_ptr,
    y_ptr, last_ptr, start_ptr,
    batch, length, width, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, WINDOW: tl.constexpr, STEPS: tl.constexpr,
    STAGES: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """All of the forward pass: y (B, L, D), the last state (B, D, N) and the states before
    windows, ``start_ptr`` (windows, B, STATES / 4, D, 4)."""
    blocks = tl.cdiv(width, BLOCK)
    entry = (tl.program_id(0) // blocks).to(tl.int64)
    channel = (tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK))[None, :]
    state, place, _, _, mask = places_between(
        entry, channel, entry * width + channel, batch, width, MODES, STATES
    )
    exists = channel < width
    now, row = entry * length * width + channel, entry * (length + MARGIN)
    rate, bias = load_fixed(a_ptr, bias_ptr, channel, state, width, MODES)
    h = tl.zeros((STATES, BLOCK), tl.float32)
    if state_ptr is not None:
        h = tl.load(state_ptr + place, mask=mask, other=0.0)
    start_ptr += places_kept(channel, width, STATES)
    skip = tl.zeros((1, BLOCK), tl.float32)
    if d_ptr is not None:
        skip = tl.load(d_ptr + channel, mask=exists, other=0.0)
    step = tl.arange(0, STEPS)[:, None]
    for first in tl.range(0, length, STEPS, num_stages=STAGES):
        left = length - first
        u = load_tile(u_ptr, now, width, left, exists, STEPS).to(tl.float32)
        dt = load_tile(delta_ptr, now, width, left, exists, STEPS).to(tl.float32) + bias
        b = load_weights(b_ptr, row, state, channel, MODES, STEPS)
        c = load_weights(c_ptr, row, state, channel, MODES, STEPS)
        if first % WINDOW == 0:
            window = first // WINDOW * batch + entry
            store_states(start_ptr + window * STATES * width, h, exists)
        if SOFTPLUS:
            dt = softplus(dt)
        dt = tl.where(step < left, dt, 0.0)
        of_steps, of_inputs = parts_of(dt, 1), parts_of(dt * u, 1)
        read = ()
        for k in tl.static_range(STEPS):
            begins = begins_at(begins_ptr, first + k, k < left)
            h = advance(h, rate, of_steps[k], of_inputs[k], b[k], begins, ZOH)
            read = read + (h * c[k],)
        y = over_states(read, LANES) + skip * u
        if z_ptr is not None:
            z = load_tile(z_ptr, now, width, left, exists, STEPS).to(tl.float32)
            y *= z * tl.sigmoid(z)
        y = y.to(y_ptr.dtype.element_ty)
        tl.store(y_ptr + now + step * width, y, mask=exists & (step < left))
        now += STEPS * width
        row += STEPS
    tl.store(last_ptr + place, h, mask=mask)


FEWEST, MOST = 342, 1024
"""Warps: of fewer, chunks of time bring more than they cost, and more do not fit onto an
H100, of 255 registers a lane."""
COMPILED = {"STEPS": 16, "STAGES": 3, "num_warps": 1}
INTERPRETED = {"STEPS": 2, "STAGES": 1, "BLOCK": 2, "LANES": 2}


def narrow_tiling(
    shape: torch.Size, modes: int, compiled: bool
) -> dict[str, Any] | None:
    """The tiling for u of such a shape and so many states a channel, or None where this
    kernel is not the one to take: a lane is to have four states or eight."""
    batch, _, width = shape
    STATES = power_of_two(modes)
    if not compiled:
        programs = batch * ceil_div(width, INTERPRETED["BLOCK"])
        return (
            {**INTERPRETED, "STATES": STATES} if programs >= 8 and modes > 1 else None
        )
    for BLOCK in (8, 16):
        warps = batch * ceil_div(width, BLOCK)
        if STATES * BLOCK // 32 in (4, 8) and FEWEST <= warps <= MOST:
            return {**COMPILED, "BLOCK": BLOCK, "STATES": STATES, "LANES": STATES // 4}
    return None
