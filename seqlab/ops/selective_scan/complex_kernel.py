"""The selective scan as Triton kernels, for a complex A: forward and backward in three
launches each, in one where one chunk is all there is. ``kernel.py`` has the real A.

Tiling. One program owns a chunk of ``span`` steps, in groups of STEPS, of BLOCK channels of
one batch entry, with all their states in registers: pairs of float32 numbers (STATES,
BLOCK), real and imaginary part.

                          |<- BLOCK channels ->|
                            h before the chunk, N states below each channel
        time   window 0   |  GROUPS groups of STEPS steps, u and delta of a group loaded
         v     window 1   |  at once, its steps taken one by one
               ...        |
                            h after the chunk

Launch 1 sums chunks up from nothing: what they make of it, and what becomes of the state
before them, e^{A sum of dt}. Launch 2 joins the summaries (``device/chunks.py``), launch 3
starts from the state before each chunk and writes, also the states before windows. There
are as many chunks as it takes to keep a GPU busy, and no more: each state costs an
exponential, a cosine and a sine a step in launch 1, and again in launch 3. Forward there is
one, where batch and channels keep a twelfth of it busy.

Backward, what flows into the states runs through the same launches from late to early, by
the conjugates, g = e^{dt A*} (g + C* dy). In launch 3 a program takes its windows from the
last one on: forward for the states before groups, of one step each on a GPU, which are kept
in memory until the next window takes their places, and group by group back. Gradients to B
and C are sums over channels: every program writes its own, (blocks, B, L, N), to be added in
a fixed order, and so are those over chunks to A, D and the bias.

Bytes. With e bytes a number, E = B L D and a gate: forward 4 e E, with several chunks 6 e E,
and 8 N E / WINDOW for the states that are kept; backward 9 e E, with several chunks 12 e E,
where 7 e E is the least, the states once, 16 N E / STEPS for those before groups, written
and read in the 8 N B D WINDOW / STEPS bytes of a chunk, and 32 N E / BLOCK for the sums of
each block of channels, written and read. Each pass over B or C reads 8 E N / BLOCK bytes.
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import load_steps, scan_summaries, store_summary
from seqlab.ops.device.combines import AFFINE_COMPLEX
from seqlab.ops.device.exponentials import LOG2_E
from seqlab.ops.device.pairs import laid_out, times_conjugate
from seqlab.ops.interpreter import runner
from seqlab.ops.selective_scan.complex_steps import (
    advance,
    exponential,
    exponential_of_sum,
    hold,
    load_fixed,
    load_group,
    load_pair,
    load_state,
    load_weights,
    product,
    store_pair,
    tile,
    unless,
    walk,
)
from seqlab.ops.selective_scan.plan import Plan, kept_shape, plan_tiles
from seqlab.ops.selective_scan.portable import Inputs
from seqlab.ops.selective_scan.steps import (
    begins_at,
    over_channels,
    step_sizes,
)
from seqlab.ops.selective_scan.sums import OVER_BLOCKS, OVER_TILES, add_rows
from seqlab.ops.sizes import ceil_div, power_of_two


@triton.jit(do_not_specialize=["batch", "length", "chunks", "span"])
def forward_kernel(
    u_ptr, delta_ptr, a_ptr, b_ptr, c_ptr, d_ptr, z_ptr, bias_ptr, state_ptr, begins_ptr,
    carry_ptr, y_ptr, last_ptr, start_ptr, summary_ptr,
    batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, WINDOW: tl.constexpr,
    STEPS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries (4, chunks - 1, B, N, D), else launch 3, which
    keeps the states before windows, ``start_ptr`` (windows, B, N, D)."""
    turn, chunk, left, row, now, channel, channels, state, between, count = tile(
        batch, length, width, MODES, chunks, False, span, BLOCK, STATES
    )
    present = channel < width
    mask = present & (state < MODES)
    place = channels * MODES + state
    A, bias = load_fixed(a_ptr, bias_ptr, channel, state, width, MODES)
    h = load_state(
        chunk == 0, state_ptr, carry_ptr, place, turn, chunks, count, between, mask
    )
    skip = tl.zeros((1, BLOCK), tl.float32)
    if d_ptr is not None:
        skip = tl.load(d_ptr + channel, mask=present, other=0.0)
    total = tl.zeros((1, BLOCK), tl.float64)
    broken = 0
    for first in range(0, tl.minimum(left, span), STEPS):
        rest, time = left - first, chunk * span + first
        u, _, dt = load_group(
            u_ptr, delta_ptr, bias, now, width, rest, present, SOFTPLUS, STEPS
        )
        b = load_weights(b_ptr, row, rest, state, MODES, STEPS)
        if summary_ptr is None:
            c = load_weights(c_ptr, row, rest, state, MODES, STEPS)
            if z_ptr is not None:
                z = load_steps(z_ptr + now, width, rest, present, 0.0, STEPS)
            if first % WINDOW == 0:
                store_pair(start_ptr, time // WINDOW * count + between, h, mask)
        for k in tl.static_range(STEPS):
            alive = k < rest
            begins = begins_at(begins_ptr, time + k, alive)
            h, _ = advance(h, A, dt[k], u[k], b[k], begins, ZOH)
            if summary_ptr is None:
                y = tl.sum(product(c[k], h)[0], 0, keep_dims=True) + skip * u[k]
                if z_ptr is not None:
                    y *= z[k] * tl.sigmoid(z[k])
                y = y.to(y_ptr.dtype.element_ty)
                tl.store(y_ptr + now + k * width, y, mask=present & alive)
            else:
                total += dt[k].to(tl.float64)
                broken |= begins
        now += STEPS * width
        row += STEPS
    if summary_ptr is None:
        store_pair(last_ptr, place, h, mask & (left <= span))
    else:
        a = unless(broken, exponential_of_sum(total, A))
        summary = (h[0], h[1], a[0], a[1])
        store_summary(summary_ptr, summary, turn, chunks, between, count, mask)


@triton.jit(do_not_specialize=["batch", "length", "chunks", "span"])
def flow_kernel(
    delta_ptr, a_ptr, c_ptr, z_ptr, bias_ptr, begins_ptr, grad_y_ptr, grad_last_ptr,
    summary_ptr,
    batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    STEPS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Launch 1 of the backward pass: what flows into the time before each chunk."""
    turn, chunk, left, row, now, channel, channels, state, between, count = tile(
        batch, length, width, MODES, chunks, True, span, BLOCK, STATES
    )
    present = channel < width
    mask = present & (state < MODES)
    place = channels * MODES + state
    A, bias = load_fixed(a_ptr, bias_ptr, channel, state, width, MODES)
    A = A[0], -A[1]
    g = load_state(
        turn == 0, grad_last_ptr, None, place, turn, chunks, count, between, mask
    )
    total = tl.zeros((1, BLOCK), tl.float64)
    broken = 0
    groups = tl.cdiv(tl.minimum(left, span), STEPS)
    for done in range(groups):
        first = (groups - 1 - done) * STEPS
        here, rest = now + first * width, left - first
        c = load_weights(c_ptr, row + first, rest, state, MODES, STEPS)
        raw = load_steps(delta_ptr + here, width, rest, present, 0.0, STEPS)
        _, dt = step_sizes(raw, bias, rest, STEPS, SOFTPLUS)
        dy = load_steps(grad_y_ptr + here, width, rest, present, 0.0, STEPS)
        if z_ptr is not None:
            z = load_steps(z_ptr + here, width, rest, present, 0.0, STEPS)
        for k in tl.static_range(STEPS - 1, -1, -1):
            alive = k < rest
            begins = begins_at(begins_ptr, chunk * span + first + k, alive)
            grad = dy[k]
            if z_ptr is not None:
                grad *= z[k] * tl.sigmoid(z[k])
            g = g[0] + c[k][0] * grad, g[1] - c[k][1] * grad
            g = unless(begins, product(exponential(dt[k], A), g))
            total += dt[k].to(tl.float64)
            broken |= begins
    a = unless(broken, exponential_of_sum(total, A))
    summary = (g[0], g[1], a[0], a[1])
    store_summary(summary_ptr, summary, turn, chunks, between, count, mask)


@triton.jit(do_not_specialize=["batch", "length", "chunks", "span"])
def backward_kernel(
    u_ptr, delta_ptr, a_ptr, b_ptr, c_ptr, d_ptr, z_ptr, bias_ptr, begins_ptr, start_ptr,
    grad_y_ptr, grad_last_ptr, flow_ptr, inside_ptr,
    grad_u_ptr, grad_delta_ptr, grad_z_ptr, sums_ptr, totals_ptr, grad_state_ptr,
    apart, batch, length, width, chunks, span, MODES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, WINDOW: tl.constexpr,
    STEPS: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Launch 3 of it. ``inside_ptr`` (chunks, groups of a window, B, N, D) gets the states
    before the groups of one window, ``sums_ptr`` (blocks, 2, B, L, N) the sums over each
    block of channels, for B and for C, and ``totals_ptr`` (chunks B, apart) those over each
    chunk, for A (D, N), D and the bias in a row."""
    turn, chunk, left, row, now, channel, channels, state, between, count = tile(
        batch, length, width, MODES, chunks, True, span, BLOCK, STATES
    )
    present = channel < width
    mask = present & (state < MODES)
    place = channels * MODES + state
    A, bias = load_fixed(a_ptr, bias_ptr, channel, state, width, MODES)
    A_conjugate = A[0], -A[1]
    g = load_state(
        turn == 0, grad_last_ptr, flow_ptr, place, turn, chunks, count, between, mask
    )
    skip = tl.zeros((1, BLOCK), tl.float32)
    if d_ptr is not None:
        skip = tl.load(d_ptr + channel, mask=present, other=0.0)
    block = tl.program_id(0) % tl.cdiv(width, BLOCK)
    rows = batch.to(tl.int64) * length
    rows_of_sums = block * 2 * rows + row
    both = tl.arange(0, 2 * STATES)[:, None]  # real and imaginary parts, in turns
    da0, da1 = (
        tl.zeros((STATES, BLOCK), tl.float32),
        tl.zeros((STATES, BLOCK), tl.float32),
    )
    of_skip = tl.zeros((1, BLOCK), tl.float32)
    of_bias = tl.zeros((1, BLOCK), tl.float32)

    GROUPS: tl.constexpr = WINDOW // STEPS
    inside_ptr += 2 * chunk * GROUPS * count
    groups = tl.cdiv(tl.minimum(left, span), STEPS)
    windows = tl.cdiv(groups, GROUPS)
    for done in range(windows):
        begin = (windows - 1 - done) * GROUPS
        inner = tl.minimum(GROUPS, groups - begin)
        tl.debug_barrier()  # the states of the window before have been read
        kept = (chunk * span + begin * STEPS) // WINDOW * count + between
        h0, h1 = load_pair(start_ptr, kept, mask)
        store_pair(inside_ptr, between, (h0, h1), mask)
        for group in range(inner - 1):
            first = (begin + group) * STEPS
            here, rest, time = now + first * width, left - first, chunk * span + first
            u, _, dt = load_group(
                u_ptr, delta_ptr, bias, here, width, rest, present, SOFTPLUS, STEPS
            )
            b = load_weights(b_ptr, row + first, rest, state, MODES, STEPS)
            h, _ = walk((h0, h1), A, dt, u, b, begins_ptr, time, rest, ZOH)
            h0, h1 = h[STEPS]
            store_pair(inside_ptr, (group + 1) * count + between, h[STEPS], mask)
        tl.debug_barrier()  # they come back to this program, by way of memory
        for back in range(inner):
            group = inner - 1 - back
            start = load_pair(inside_ptr, group * count + between, mask)
            first = (begin + group) * STEPS
            here, rest, time = now + first * width, left - first, chunk * span + first
            u, raw, dt = load_group(
                u_ptr, delta_ptr, bias, here, width, rest, present, SOFTPLUS, STEPS
            )
            b_of = load_weights(b_ptr, row + first, rest, state, MODES, STEPS)
            c_of = load_weights(c_ptr, row + first, rest, state, MODES, STEPS)
            dy = load_steps(grad_y_ptr + here, width, rest, present, 0.0, STEPS)
            if z_ptr is not None:
                z = load_steps(z_ptr + here, width, rest, present, 0.0, STEPS)
            h, a = walk(start, A, dt, u, b_of, begins_ptr, time, rest, ZOH)
            for k in tl.static_range(STEPS - 1, -1, -1):
                alive = k < rest
                to_store, to_sum = present & alive, (both < 2 * MODES) & alive
                sums = (rows_of_sums + first + k) * (2 * MODES) + both
                b, c = b_of[k], c_of[k]
                begins = begins_at(begins_ptr, time + k, alive)
                grad = dy[k]
                if z_ptr is not None:
                    s = tl.sigmoid(z[k])
                    y = tl.sum(product(c, h[k + 1])[0], 0, keep_dims=True) + skip * u[k]
                    dz = grad * y * s * (1.0 + z[k] * (1.0 - s))
                    dz = dz.to(grad_z_ptr.dtype.element_ty)
                    tl.store(grad_z_ptr + here + k * width, dz, mask=to_store)
                    grad *= z[k] * s
                g = g[0] + c[0] * grad, g[1] - c[1] * grad
                dc = over_channels(h[k + 1][0] * grad, -h[k + 1][1] * grad)
                tl.store(sums_ptr + rows * (2 * MODES) + sums, dc, mask=to_sum)

                # All decays and weights from here on are the conjugates.
                decay = a[k][0], -a[k][1]
                flow = unless(begins, product(decay, g))
                e0, e1 = times_conjugate(flow[0], flow[1], h[k][0], h[k][1], True)
                da0 += dt[k] * e0
                da1 += dt[k] * e1
                ddt = e0 * (A[0] / LOG2_E) + e1 * A[1]
                v0, v1 = times_conjugate(g[0], g[1], b[0], b[1], True)
                if ZOH:
                    gain, slope = hold(dt[k], A_conjugate, decay)
                    ddt += u[k] * product((v0, v1), decay)[0]
                    e0, e1 = product((v0, v1), slope)
                    da0 += (dt[k] * dt[k]) * u[k] * e0
                    da1 += (dt[k] * dt[k]) * u[k] * e1
                    du = product((v0, v1), gain)[0]
                    db = product(g, gain)
                else:
                    ddt += u[k] * v0
                    du = v0
                    db = g
                weight = dt[k] * u[k]
                db = over_channels(db[0] * weight, db[1] * weight)
                tl.store(sums_ptr + sums, db, mask=to_sum)
                du = tl.sum(du, 0, keep_dims=True) * dt[k] + skip * grad
                du = du.to(grad_u_ptr.dtype.element_ty)
                tl.store(grad_u_ptr + here + k * width, du, mask=to_store)
                of_skip += grad * u[k]
                ddt = tl.sum(ddt, 0, keep_dims=True)
                if SOFTPLUS:
                    ddt *= tl.sigmoid(raw[k])
                of_bias += tl.where(alive, ddt, 0.0)
                ddt = ddt.to(grad_delta_ptr.dtype.element_ty)
                tl.store(grad_delta_ptr + here + k * width, ddt, mask=to_store)
                g = flow
    store_pair(grad_state_ptr, place, g, mask & (chunk == 0))
    totals_ptr += (tl.program_id(0) // tl.cdiv(width, BLOCK)).to(tl.int64) * apart
    store_pair(totals_ptr, channel * MODES + state, (da0, da1), mask)
    totals_ptr += 2 * MODES * width + channel
    if d_ptr is not None:
        tl.store(totals_ptr, of_skip, mask=present)
    if bias_ptr is not None:
        tl.store(totals_ptr + width, of_bias, mask=present)


def scan(
    inputs: Inputs, delta_softplus: bool, zoh: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y (B, L, D), the last state (B, D, N), and the states before windows (windows, B, N,
    D)."""
    u, A = inputs.u, inputs.A
    plan = plan_launches(u.shape, A.shape[1], False, u.is_cuda)
    given = _in_memory(inputs)
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    last = A.new_empty((len(u), *A.shape))
    starts = A.new_empty(kept_shape(u, A))
    run = runner(forward_kernel, u)
    options = {"SOFTPLUS": delta_softplus, "ZOH": zoh, "WINDOW": plan.window}
    options |= plan.writing
    carry = None
    if plan.chunks > 1:
        carry = _summaries(plan, u)
        run[plan.all_but_one](
            *given, None, None, None, None, carry, *plan.sizes, **options
        )
        scan_summaries(carry, AFFINE_COMPLEX)
    run[plan.grid](*given, carry, y, last, starts, None, *plan.sizes, **options)
    return y, last, starts


def gradients(
    inputs: Inputs,
    starts: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    delta_softplus: bool,
    zoh: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients to all inputs but the marks, that to the state whether there is one or
    not."""
    u, delta, A, B, C, D, z, delta_bias, *_ = inputs
    plan = plan_launches(u.shape, A.shape[1], True, u.is_cuda)
    batch, _, width, chunks, _, modes = plan.sizes
    given = _in_memory(inputs)
    dy = laid_out(grad_y)
    flowing = None if grad_last is None else laid_out(grad_last)
    flow = None
    options = {"SOFTPLUS": delta_softplus, **plan.writing}
    if chunks > 1:
        flow = _summaries(plan, u)
        runner(flow_kernel, u)[plan.all_but_one](
            given.delta, given.A, given.C, given.z, given.delta_bias, given.begins,
            dy, flowing, flow, *plan.sizes, **options,
        )  # fmt: skip
        scan_summaries(flow, AFFINE_COMPLEX)
    grad_u, grad_delta = (
        torch.empty_like(x, memory_format=torch.contiguous_format) for x in (u, delta)
    )
    grad_z = None if z is None else torch.empty_like(grad_u)
    grad_state = A.new_empty((batch, width, modes))
    groups = plan.window // plan.writing["STEPS"]
    blocks = ceil_div(width, plan.writing["BLOCK"])
    weights = 2 * B.numel()  # real numbers
    sums = u.new_empty((blocks, 2 * weights), dtype=torch.float32)
    apart = 2 * (modes + 1) * width
    totals = u.new_empty((chunks * batch, apart), dtype=torch.float32)
    runner(backward_kernel, u)[plan.grid](
        *given[:8], given.begins, laid_out(starts), dy, flowing, flow,
        A.new_empty((chunks, groups, batch, modes, width)),
        grad_u, grad_delta, grad_z, sums, totals, grad_state,
        apart, *plan.sizes, ZOH=zoh, WINDOW=plan.window, **options,
    )  # fmt: skip
    grad_A, grad_B, grad_C = (x.new_empty(x.shape) for x in (A, B, C))
    grad_D, grad_bias = (
        None if x is None else x.new_empty(x.shape) for x in (D, delta_bias)
    )
    add_rows(sums, grad_B, grad_C, None, weights, OVER_BLOCKS)
    add_rows(totals, grad_A, grad_D, grad_bias, width, OVER_TILES)
    return (
        grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias, grad_state
    )  # fmt: skip


def _summaries(plan: Plan, like: Tensor) -> Tensor:
    """A place for them: numbers, chunks - 1, B, N, D."""
    batch, _, width, chunks, _, modes = plan.sizes
    return like.new_empty((4, chunks - 1, batch, modes, width), dtype=torch.float32)


def _in_memory(inputs: Inputs) -> Inputs:
    """The inputs as kernels read them."""
    begins = None if inputs.begins is None else inputs.begins.to(torch.int32)
    given = inputs._replace(begins=begins)
    return Inputs(*(None if x is None else laid_out(x) for x in given))


LANES, LANES_BACKWARD = 256, 512
"""Pairs that a warp has in its registers; backward some of them in its stack."""
BUSY, BUSY_BACKWARD = 4096, 1024
"""Warps that keep a GPU busy; backward as many as fit onto an H100, of 255 registers a
lane."""
STEPS, STEPS_BACKWARD = 4, 1
"""Of a group. Backward, states and decays of one step are all that a lane has room for."""
INTERPRETED = {"STEPS": 2, "BLOCK": 2}  # it visits numbers one by one


@lru_cache(maxsize=1024)
def plan_launches(
    shape: torch.Size, modes: int, backward: bool, compiled: bool
) -> Plan:
    """The launches for u of such a shape and so many states a channel."""
    STATES = power_of_two(modes)
    tiling = {"STATES": STATES, **INTERPRETED}
    if compiled:
        # A channel's states lie in one warp: more would wait for one another at every sum.
        lanes = LANES_BACKWARD if backward else LANES
        BLOCK = max(1, min(32, lanes // STATES))
        steps = STEPS_BACKWARD if backward else STEPS
        warps = max(1, STATES // lanes) if backward else 1
        tiling |= {"STEPS": steps, "BLOCK": BLOCK, "num_warps": warps}
    if backward:
        return plan_tiles(shape, modes, compiled, tiling, tiling, BUSY_BACKWARD)
    # Chunks have each exponential, cosine and sine taken twice.
    fewest = 12 if compiled else 2
    return plan_tiles(shape, modes, compiled, tiling, tiling, BUSY, fewest)
