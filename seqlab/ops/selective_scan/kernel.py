"""The selective scan as Triton kernels, for a real A: forward and backward in three launches
each, or in the last of these where one chunk is all there is. Backward, that one comes in
waves. ``weights.py`` puts B and C where all of them read, ``sums.py`` adds up what they sum.

Tiling. One program owns a chunk of ``span`` steps, in groups of STEPS, of BLOCK channels of
one batch entry, with all their states in registers: a lane has a channel and its states,
so that a sum over states stays in a lane, and B_t and C_t are read once for all lanes. What
a step is made of stands in ``steps.py``.

                          |<- BLOCK channels ->|
                            h before the chunk, N states below each channel
        time   group 0    |  STEPS steps of u, delta, z, B and C, each tensor's
         v     group 1    |  loaded as one tile, and taken one by one
               ...        |
                            h after the chunk

Launch 1 sums chunks up from nothing: what they make of it, and what becomes of the state
before them, e^{A sum of dt}, which takes no product of decays. Launch 2 joins the
summaries (``device/chunks.py``), launch 3 starts from the state before each chunk and
writes, also the state before every WINDOW steps. There are no more chunks than it takes to
keep a GPU busy, as each state costs an exponential in launch 1 and another in launch 3: one,
where batch and channels alone do; forward, where they keep a sixth of it busy.

The compiler brings what a group reads into shared memory while the groups before it are
computed (``num_stages`` of a loop), by copies of no fewer than four bytes a lane, and of
float16 a single step has two. So a group is loaded as one tile of each tensor, and split
into its steps when its turn has come: otherwise a warp would wait for memory once a group.
STAGES are at least three: of two, a load begins where the group before it ends, and is
waited for at once.

Backward, what flows into the states runs through the same launches from late to early.
Launch 3 takes window by window, from the last one on: forward from the state before it for
the states before its groups, which are kept until the next window takes their places; then
group by group, from the last one on, forward for the states inside, which stay in
registers, and back. The state after a group is the one before the group that came last.

Gradients to B and C are sums over channels, which lie in different lanes. By shuffles they
would be as many instructions as all else on the way back. So what is to be added goes
through shared memory, to where a lane has many channels of few states (``over_channels``).
Every program writes sums of its own, to be added over the blocks of channels in a fixed
order. All at once they would take 8 N / BLOCK bytes for each number of u, at N = 16 twice
as much as u does in float16. So a wave has no more tiles, each a chunk of a batch entry,
than keep a GPU busy: what it has summed up is added before the next one writes in its place.
In bfloat16 they are rounded to 8 bits, as the gradients will be, and added in float32; in
float16, which has the digits but not the range, they are not.

Bytes. With e bytes a number and E = B L D, where the gate is one of three inputs: forward
4 e E, which is the least, and with several chunks 6 e E; backward 7 e E, which is the
least, with several chunks 10 e E, and 16 N E / BLOCK for the sums of all waves, written and
read, or half of that in bfloat16; in each 4 N E / WINDOW for the states before windows,
where N counts as the next power of two. A window's u and delta are read twice, and the
states inside of it come back, from the cache. Each pass over B or C reads 4 N E / BLOCK
bytes, from there too.
"""

from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import scan_summaries, store_summary, tile_coordinates
from seqlab.ops.device.combines import AFFINE
from seqlab.ops.device.exponentials import LOG2_E
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.selective_scan.plan import Plan, kept_shape, plan_tiles
from seqlab.ops.selective_scan.portable import Inputs
from seqlab.ops.selective_scan.steps import (
    MARGIN,
    advance,
    begins_at,
    load_fixed,
    load_group,
    load_states,
    load_weights,
    over_channels,
    phi,
    places_of,
    places_of_tile,
    state_before,
    step_sizes,
    store_states,
    walk,
)
from seqlab.ops.selective_scan.sums import OVER_TILES, add_over_blocks, add_rows
from seqlab.ops.selective_scan.weights import keep_weights, weights_in
from seqlab.ops.sizes import ceil_div, power_of_two


@triton.jit(do_not_specialize=["batch", "length", "chunks", "span"])
def forward_kernel(
    u_ptr, delta_ptr, a_ptr, kept_ptr, d_ptr, z_ptr, bias_ptr, begins_ptr, state_ptr,
    carry_ptr, y_ptr, last_ptr, summary_ptr,
    batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, WINDOW: tl.constexpr,
    STEPS: tl.constexpr, STAGES: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries (2, chunks - 1, B, N, D), else launch 3, where
    ``kept_ptr`` (``plan.kept_shape``) gets the states before windows. B and C are there."""
    b_ptr, c_ptr = weights_in(kept_ptr, batch, length, width, MODES, WINDOW, STATES)
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, False, span, BLOCK
    )
    entry = (tl.program_id(0) // tl.cdiv(width, BLOCK) % batch).to(tl.int64)
    row = entry * (length + MARGIN) + chunk * span
    channel, now, states = channel[None, :], now[None, :], states[None, :]
    state, exists, places, between, count = places_of_tile(
        entry, channel, states, batch, width, MODES, STATES
    )
    rate, bias = load_fixed(a_ptr, bias_ptr, state, channel, width, MODES, STATES)
    h = state_before(
        chunk == 0, state_ptr, carry_ptr, places, (chunk - 1) * count + between, exists,
        MODES, STATES,
    )  # fmt: skip
    QUARTER: tl.constexpr = places.shape[1]
    if summary_ptr is None:
        kept_ptr += places_of(state, channel, QUARTER)
    if d_ptr is not None:
        skip = tl.load(d_ptr + channel, mask=exists, other=0.0)
    total = tl.zeros((1, BLOCK), tl.float32)
    broken = 0
    for first in tl.range(0, tl.minimum(left, span), STEPS, num_stages=STAGES):
        rest = left - first
        u = load_group(u_ptr, now, width, rest, exists, STEPS)
        raw = load_group(delta_ptr, now, width, rest, exists, STEPS)
        b = load_weights(b_ptr, row, state, channel, MODES, STEPS)
        if summary_ptr is None:
            if first % WINDOW == 0:
                window = (chunk * span + first) // WINDOW * batch + entry
                start = kept_ptr + window * STATES * width
                store_states(start, QUARTER * width, h, exists, STATES, STATES)
            c = load_weights(c_ptr, row, state, channel, MODES, STEPS)
            if z_ptr is not None:
                z = load_group(z_ptr, now, width, rest, exists, STEPS)
        _, dt = step_sizes(raw, bias, rest, STEPS, SOFTPLUS)
        for k in tl.static_range(STEPS):
            alive = k < rest
            begins = begins_at(begins_ptr, chunk * span + first + k, alive)
            h = advance(h, rate, dt[k], u[k], b[k], begins, ZOH)
            if summary_ptr is None:
                y = tl.sum(h * c[k], 0, keep_dims=True)
                if d_ptr is not None:
                    y += skip * u[k]
                if z_ptr is not None:
                    y *= z[k] * tl.sigmoid(z[k])
                y = y.to(y_ptr.dtype.element_ty)
                tl.store(y_ptr + now + k * width, y, mask=exists & alive)
            else:
                total += dt[k]
                broken |= begins
        now += STEPS * width
        row += STEPS
    if summary_ptr is None:
        is_last = exists & (left <= span)
        store_states(last_ptr + places, QUARTER, h, is_last, MODES, STATES)
    else:
        decay = tl.where(broken != 0, 0.0, tl.exp2(total * rate))
        mask = exists & (state < MODES)
        store_summary(summary_ptr, (h, decay), turn, chunks, between, count, mask)


@triton.jit(do_not_specialize=["batch", "length", "chunks", "span"])
def flow_kernel(
    delta_ptr, a_ptr, kept_ptr, z_ptr, bias_ptr, begins_ptr, grad_y_ptr, grad_last_ptr,
    summary_ptr, batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, WINDOW: tl.constexpr,
    STEPS: tl.constexpr, STAGES: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Launch 1 of the backward pass: what flows into the time before each chunk."""
    turn, chunk, left, now, channel, states = tile_coordinates(
        batch, length, width, chunks, True, span, BLOCK
    )
    entry = (tl.program_id(0) // tl.cdiv(width, BLOCK) % batch).to(tl.int64)
    row = entry * (length + MARGIN) + chunk * span
    channel, now, states = channel[None, :], now[None, :], states[None, :]
    state, exists, places, between, count = places_of_tile(
        entry, channel, states, batch, width, MODES, STATES
    )
    rate, bias = load_fixed(a_ptr, bias_ptr, state, channel, width, MODES, STATES)
    g = state_before(
        turn == 0, grad_last_ptr, None, places, between, exists, MODES, STATES
    )
    total = tl.zeros((1, BLOCK), tl.float32)
    broken = 0
    # Any earlier, and the compiler takes twice the registers.
    c_ptr = weights_in(kept_ptr, batch, length, width, MODES, WINDOW, STATES)[1]
    groups = tl.cdiv(tl.minimum(left, span), STEPS)
    for done in tl.range(groups, num_stages=STAGES):
        first = (groups - 1 - done) * STEPS
        here, rest = now + first * width, left - first
        raw = load_group(delta_ptr, here, width, rest, exists, STEPS)
        dy = load_group(grad_y_ptr, here, width, rest, exists, STEPS)
        c = load_weights(c_ptr, row + first, state, channel, MODES, STEPS)
        if z_ptr is not None:
            z = load_group(z_ptr, here, width, rest, exists, STEPS)
        _, dt = step_sizes(raw, bias, rest, STEPS, SOFTPLUS)
        for k in tl.static_range(STEPS - 1, -1, -1):
            alive = k < rest
            begins = begins_at(begins_ptr, chunk * span + first + k, alive)
            grad = dy[k]
            if z_ptr is not None:
                grad *= z[k] * tl.sigmoid(z[k])
            g = tl.exp2(dt[k] * rate) * (g + c[k] * grad)
            g = tl.where(begins != 0, 0.0, g)
            total += dt[k]
            broken |= begins
    decay = tl.where(broken != 0, 0.0, tl.exp2(total * rate))
    mask = exists & (state < MODES)
    store_summary(summary_ptr, (g, decay), turn, chunks, between, count, mask)


@triton.jit(
    do_not_specialize=["launched", "together", "batch", "length", "chunks", "span"]
)
def backward_kernel(
    u_ptr, delta_ptr, a_ptr, kept_ptr, d_ptr, z_ptr, bias_ptr, begins_ptr,
    grad_y_ptr, grad_last_ptr, flow_ptr, inside_ptr,
    grad_u_ptr, grad_delta_ptr, grad_z_ptr, sums_ptr, totals_ptr, grad_state_ptr,
    launched, together, apart, batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, WINDOW: tl.constexpr,
    STEPS: tl.constexpr, STAGES: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """A wave of launch 3 of it: tiles, the chunks of batch entry 0, of 1 and so on, from
    number ``launched`` on, ``together`` of them if they are not the last. ``inside_ptr``
    (together, groups of a window, 4, D, STATES / 4) gets the states before the groups of one
    window, ``sums_ptr`` (blocks, together, span, N, 2) the sums over each block of channels,
    for B in turns with C, and ``totals_ptr`` (tiles, apart) those over each tile, for A (D,
    N), D and the bias in a row."""
    b_ptr, c_ptr = weights_in(kept_ptr, batch, length, width, MODES, WINDOW, STATES)
    blocks = tl.cdiv(width, BLOCK)
    block, tile = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    rows_of_sums = (block.to(tl.int64) * together + tile) * span
    chunk = ((launched + tile) % chunks).to(tl.int64)
    entry = ((launched + tile) // chunks).to(tl.int64)
    turn, left = chunks - 1 - chunk, length - chunk * span
    channel = (block * BLOCK + tl.arange(0, BLOCK))[None, :]
    now = (entry * length + chunk * span) * width + channel
    row, states = entry * (length + MARGIN) + chunk * span, entry * width + channel
    state, exists, places, between, count = places_of_tile(
        entry, channel, states, batch, width, MODES, STATES
    )
    both = tl.arange(0, 2 * STATES)[:, None]
    rate, bias = load_fixed(a_ptr, bias_ptr, state, channel, width, MODES, STATES)
    g = state_before(
        turn == 0, grad_last_ptr, flow_ptr, places, (turn - 1) * count + between, exists,
        MODES, STATES,
    )  # fmt: skip
    groups = tl.cdiv(tl.minimum(left, span), STEPS)
    GROUPS: tl.constexpr = WINDOW // STEPS
    QUARTER: tl.constexpr = places.shape[1]
    of_window = places_of(state, channel, QUARTER)
    kept_ptr += (chunk * (span // WINDOW) * batch + entry) * STATES * width + of_window
    inside_ptr += tile.to(tl.int64) * GROUPS * STATES * width + of_window
    skip = tl.zeros((1, BLOCK), tl.float32)
    if d_ptr is not None:
        skip = tl.load(d_ptr + channel, mask=exists, other=0.0)
    da = tl.zeros((STATES, BLOCK), tl.float32)
    of_skip = tl.zeros((1, BLOCK), tl.float32)
    of_bias = tl.zeros((1, BLOCK), tl.float32)
    after = tl.zeros((STATES, BLOCK), tl.float32)
    windows = tl.cdiv(groups, GROUPS)
    for done in range(windows):
        window = windows - 1 - done
        inner = tl.minimum(groups - window * GROUPS, GROUPS)
        tl.debug_barrier()  # the states of the window before have been read
        start = kept_ptr + window * batch * STATES * width
        h = load_states(start, QUARTER * width, exists, 0.0, STATES, STATES)
        store_states(inside_ptr, QUARTER * width, h, exists, STATES, STATES)
        walked = tl.where(done == 0, inner, inner - 1)
        for earlier in tl.range(walked, num_stages=STAGES):
            first = (window * GROUPS + earlier) * STEPS
            h = walk(
                h, rate, bias, u_ptr, delta_ptr, b_ptr, begins_ptr, now + first * width,
                row + first, chunk * span + first, left - first, width, MODES,
                channel, state, SOFTPLUS, ZOH, STEPS,
            )  # fmt: skip
            to_keep = exists & (earlier + 1 < inner)
            place = inside_ptr + (earlier + 1) * STATES * width
            store_states(place, QUARTER * width, h, to_keep, STATES, STATES)
        after = tl.where(done == 0, h, after)
        tl.debug_barrier()  # they come back to this program, by way of memory
        for back in tl.range(inner, num_stages=STAGES):
            inside = inner - 1 - back
            place = inside_ptr + inside * STATES * width
            h = load_states(place, QUARTER * width, exists, 0.0, STATES, STATES)
            first = (window * GROUPS + inside) * STEPS
            here, rest = now + first * width, left - first
            u = load_group(u_ptr, here, width, rest, exists, STEPS)
            raw = load_group(delta_ptr, here, width, rest, exists, STEPS)
            dy = load_group(grad_y_ptr, here, width, rest, exists, STEPS)
            b = load_weights(b_ptr, row + first, state, channel, MODES, STEPS)
            c = load_weights(c_ptr, row + first, state, channel, MODES, STEPS)
            if z_ptr is not None:
                z = load_group(z_ptr, here, width, rest, exists, STEPS)
            raw, dt = step_sizes(raw, bias, rest, STEPS, SOFTPLUS)
            h_of = (h,)
            for k in tl.static_range(STEPS - 1):
                begins = begins_at(begins_ptr, chunk * span + first + k, k < rest)
                h = advance(h, rate, dt[k], u[k], b[k], begins, ZOH)
                h_of = h_of + (h,)
            h_of = h_of + (after,)
            after = h_of[0]
            for k in tl.static_range(STEPS - 1, -1, -1):
                alive = k < rest
                begins = begins_at(begins_ptr, chunk * span + first + k, alive)
                to_store = exists & alive
                grad = dy[k]
                if z_ptr is not None:
                    s = tl.sigmoid(z[k])
                    y = tl.sum(h_of[k + 1] * c[k], 0, keep_dims=True) + skip * u[k]
                    dz = grad * y * s * (1.0 + z[k] * (1.0 - s))
                    dz = dz.to(grad_z_ptr.dtype.element_ty)
                    tl.store(grad_z_ptr + here + k * width, dz, mask=to_store)
                    grad *= z[k] * s
                g += c[k] * grad
                dc = h_of[k + 1] * grad
                decay = tl.exp2(dt[k] * rate)
                before = tl.where(begins != 0, 0.0, h_of[k])
                flow = decay * g
                of_exponent = flow * before
                ddt = tl.sum(of_exponent * rate, 0, keep_dims=True) / LOG2_E
                da += dt[k] * of_exponent
                if ZOH:
                    gain, slope = phi(dt[k] * rate / LOG2_E, decay)
                    gain *= dt[k]
                    du = tl.sum(g * b[k] * gain, 0, keep_dims=True)
                    db = g * gain * u[k]
                    of_gain = g * b[k] * u[k]
                    ddt += tl.sum(of_gain * decay, 0, keep_dims=True)
                    da += of_gain * (dt[k] * dt[k]) * slope
                else:
                    of_product = tl.sum(g * b[k], 0, keep_dims=True)
                    du = of_product * dt[k]
                    db = g * (dt[k] * u[k])
                    ddt += of_product * u[k]
                sums = sums_ptr + (rows_of_sums + first + k) * (2 * MODES) + both
                summed = over_channels(db, dc).to(sums_ptr.dtype.element_ty)
                tl.store(sums, summed, mask=(both < 2 * MODES) & alive)
                du = (du + skip * grad).to(grad_u_ptr.dtype.element_ty)
                tl.store(grad_u_ptr + here + k * width, du, mask=to_store)
                of_skip += grad * u[k]
                if SOFTPLUS:
                    ddt *= tl.sigmoid(raw[k])
                of_bias += tl.where(alive, ddt, 0.0)
                ddt = ddt.to(grad_delta_ptr.dtype.element_ty)
                tl.store(grad_delta_ptr + here + k * width, ddt, mask=to_store)
                g = tl.where(begins != 0, 0.0, flow)
    is_first = exists & (chunk == 0)
    store_states(grad_state_ptr + places, QUARTER, g, is_first, MODES, STATES)
    totals_ptr += (launched + tile).to(tl.int64) * apart
    of_tile = totals_ptr + places_of(state, channel, MODES)
    store_states(of_tile, QUARTER, da, exists, MODES, STATES)
    totals_ptr += MODES * width + channel
    if d_ptr is not None:
        tl.store(totals_ptr, of_skip, mask=exists)
    if bias_ptr is not None:
        tl.store(totals_ptr + width, of_bias, mask=exists)


def scan(
    inputs: Inputs, delta_softplus: bool, zoh: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y (B, L, D), the last state (B, D, N), and what is kept: the states before windows
    (windows, B, 4, D, STATES / 4), B and C, in a row."""
    u, A = inputs.u, inputs.A
    plan = plan_launches(u.shape, A.shape[1], False, u.is_cuda)
    kept = A.new_empty(kept_shape(u, A))
    keep_weights(inputs.B, inputs.C, kept, plan)
    given = _in_memory(inputs, kept)
    run = runner(forward_kernel, u)
    options = {"SOFTPLUS": delta_softplus, "ZOH": zoh, "WINDOW": plan.window}
    summaries = None
    batch, _, width, chunks, _, modes = plan.sizes
    if chunks > 1:
        summaries = A.new_empty((2, chunks - 1, batch, modes, width))
        run[plan.all_but_one](
            *given, None, None, None, summaries, *plan.sizes, **options, **plan.summing
        )
        scan_summaries(summaries, AFFINE)
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    last = A.new_empty((batch, width, modes))
    run[plan.grid](
        *given, summaries, y, last, None, *plan.sizes, **options, **plan.writing
    )
    return y, last, kept


def gradients(
    inputs: Inputs,
    kept: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    delta_softplus: bool,
    zoh: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients to all inputs but the marks, that to the state whether there is one or
    not."""
    given = _in_memory(inputs, kept)
    u, delta, A, kept, D, z, delta_bias, begins, _ = given
    plan = plan_launches(u.shape, A.shape[1], True, u.is_cuda)
    batch, _, width, chunks, span, modes = plan.sizes
    options = {"SOFTPLUS": delta_softplus, "WINDOW": plan.window}
    dy = laid_out(grad_y)
    flowing = None if grad_last is None else laid_out(grad_last)
    flow = None
    if chunks > 1:
        flow = A.new_empty((2, chunks - 1, batch, modes, width))
        runner(flow_kernel, u)[plan.all_but_one](
            delta, A, kept, z, delta_bias, begins, dy, flowing, flow,
            *plan.sizes, **options, **plan.summing,
        )  # fmt: skip
        scan_summaries(flow, AFFINE)
    grad_u, grad_delta = torch.empty_like(u), torch.empty_like(delta)
    grad_z = None if z is None else torch.empty_like(z)
    grad_state = A.new_empty((batch, width, modes))
    blocks = ceil_div(width, plan.writing["BLOCK"])
    tiles, together = chunks * batch, plan.together
    groups = plan.window // plan.writing["STEPS"]
    inside = A.new_empty((together, groups, plan.writing["STATES"], width))
    rounded = inputs.B if inputs.B.dtype is torch.bfloat16 else A
    sums = rounded.new_empty((blocks, together, span, modes, 2))
    # Rows begin where four numbers at once may be written.
    totals = A.new_empty((tiles, ceil_div((modes + 2) * width, 16) * 16))
    grad_B, grad_C = (x.new_empty(x.shape) for x in (inputs.B, inputs.C))
    run = runner(backward_kernel, u)
    for first in range(0, tiles, together):
        some = min(together, tiles - first)
        run[(some * blocks,)](
            *given[:-1], dy, flowing, flow, inside,
            grad_u, grad_delta, grad_z, sums, totals, grad_state,
            first, together, totals.shape[1], *plan.sizes,
            ZOH=zoh, **options, **plan.writing,
        )  # fmt: skip
        add_over_blocks(sums, grad_B, grad_C, first, some, chunks)
    grad_A = torch.empty_like(A)
    grad_D = None if D is None else torch.empty_like(D)
    grad_bias = None if delta_bias is None else torch.empty_like(delta_bias)
    add_rows(totals, grad_A, grad_D, grad_bias, width, OVER_TILES)
    return (
        grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias, grad_state
    )  # fmt: skip


def _in_memory(inputs: Inputs, kept: Tensor) -> tuple[Any, ...]:
    """What the forward kernel reads, in its order: the inputs, but what is kept for B and C,
    which are in there."""
    u, delta, A, _, _, D, z, delta_bias, state, begins = inputs
    if begins is not None:
        begins = begins.to(torch.int32)
    given = u, delta, A, kept, D, z, delta_bias, begins, state
    return tuple(None if x is None else laid_out(x) for x in given)


LANES = 512
"""States that a warp has in its registers."""
BUSY, BUSY_BACKWARD = 4096, 2048
"""Warps of all chunks, where there are several: twice as many as fit onto an H100. Backward,
half as many would be slightly faster, but a wave would cover twice as many steps, and its
sums take twice the memory."""
WAVE = 1024
"""Warps of a launch of the backward kernel: as many as fit onto an H100, of 255 registers a
lane."""
COMPILED = {"STEPS": 8, "STAGES": 3, "num_warps": 1}
COMPILED_BACKWARD = {"STEPS": 2, "STAGES": 3, "num_warps": 1}
INTERPRETED = {"STEPS": 2, "STAGES": 1, "BLOCK": 2}  # it visits numbers one by one


@lru_cache(maxsize=1024)
def plan_launches(
    shape: torch.Size, modes: int, backward: bool, compiled: bool
) -> Plan:
    """The launches for u of such a shape and so many states a channel."""
    STATES = power_of_two(modes)
    summing = writing = {**INTERPRETED, "STATES": STATES}
    if compiled:
        # Steps of B and C that fit into the shared memory of any GPU.
        most = max(1, 4096 // STATES)
        summing, writing = (
            {
                **tiling,
                "STEPS": min(most, tiling["STEPS"]),
                "BLOCK": channels_of_warp(modes) * tiling["num_warps"],
                "STATES": STATES,
            }
            for tiling in (COMPILED, COMPILED_BACKWARD if backward else COMPILED)
        )
    cut = shape, modes, compiled, summing, writing
    if backward:
        return plan_tiles(*cut, BUSY_BACKWARD, wave=WAVE if compiled else 4)
    # With chunks most steps are taken twice. To take each once is faster, even with a
    # quarter of the warps that a GPU has room for.
    return plan_tiles(*cut, BUSY, fewest=12 if compiled else 2)


def channels_of_warp(modes: int) -> int:
    return max(1, min(32, LANES // power_of_two(modes)))
