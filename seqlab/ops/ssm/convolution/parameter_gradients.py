"""The gradients to A_bar, B_bar and C of the chunked convolution, as Triton kernels.

They are summed on a walk forward (the tiling is that of ``kernel.py``) that carries the
derivatives of x, z = dx/dB_bar and v = dx/dA_bar, which follow recurrences of the same
kind. So they are sums of products of numbers of a state; K alone has its gradient from
products of outputs and inputs. Every program writes sums of its own, which a second
launch adds in a fixed order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import plus_product, split_pairs, times
from seqlab.ops.device.powers import (
    Tables,
    load_decay,
    load_powers,
    load_row,
    step_on,
    store_row,
)
from seqlab.ops.device.segments import load_chunk, load_states, segments_of_program
from seqlab.ops.device.tf32_products import tf32_parts, tf32_product
from seqlab.ops.interpreter import runner
from seqlab.ops.ssm.convolution.plan import Plan, in_parts


@triton.jit(do_not_specialize=["batch", "chunks", "span", "segments", "walked"])
def correlation_kernel(
    u_ptr, grad_y_ptr, b_ptr, c_ptr, power_ptr, state_ptr, between_ptr,
    grad_last_ptr, flow_ptr, sum_ptr, lag_ptr,
    batch, channels, chunks, span, segments, walked, modes,
    COMPLEX: tl.constexpr, IN_PARTS: tl.constexpr,
    T: tl.constexpr, ROWS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """Conjugate gradients of A_bar, B_bar and C by way of the states before chunks, of each
    program's segments, (3, groups, D, 2 PAIRS), and the sum of products dy_i u_j within
    chunks, (groups, D, T, T)."""
    channel, entry, segment, count, begin = segments_of_program(
        batch, channels, chunks, span, segments, walked, False, ROWS, T
    )
    step = tl.arange(0, T)
    power_ptr += channel * (T + 2) * 2 * PAIRS
    b0, b1 = load_row(b_ptr + channel * modes, modes, PAIRS)
    decay = load_decay(power_ptr, T, PAIRS)
    d0, d1 = load_row(power_ptr + (T - 1) * 2 * PAIRS, 2 * PAIRS, PAIRS)
    d0, d1 = T * d0, T * d1
    into = tf32_parts(load_powers(power_ptr, T - 1 - step, PAIRS), IN_PARTS)
    out = tf32_parts(load_powers(power_ptr, step + 1, PAIRS), IN_PARTS)
    # Their derivatives to A_bar.
    into_slope = load_powers(power_ptr, tl.maximum(T - 2 - step, 0), PAIRS)
    into_slope = tf32_parts(into_slope * (T - 1 - step)[:, None], IN_PARTS)
    out_slope = load_powers(power_ptr, step, PAIRS) * (step + 1)[:, None]
    out_slope = tf32_parts(out_slope, IN_PARTS)
    x0, x1 = load_states(
        state_ptr, between_ptr, channel, entry, segment, count, channels, segments, modes,
        False, COMPLEX, ROWS, PAIRS,
    )  # fmt: skip
    zero = tl.zeros((ROWS, PAIRS), tl.float32)
    z0, z1, v0, v1 = zero, zero, zero, zero
    da0, da1, db0, db1, dc0, dc1 = zero, zero, zero, zero, zero, zero
    by_lag = tl.zeros((T, T), tl.float32)
    next_u = load_chunk(u_ptr, begin, count, 0, False, T)
    next_dy = load_chunk(grad_y_ptr, begin, count, 0, False, T)
    for done in range(span):
        u = tf32_parts(next_u.to(tl.float32), IN_PARTS)
        dy = tf32_parts(next_dy.to(tl.float32), IN_PARTS)
        next_u = load_chunk(u_ptr, begin, count, done + 1, False, T)
        next_dy = load_chunk(grad_y_ptr, begin, count, done + 1, False, T)
        alive = (done < count)[:, None]
        by_lag += tf32_product((tl.trans(dy[0]), tl.trans(dy[1])), u, IN_PARTS)
        p0, p1 = split_pairs(tf32_product(dy, out, IN_PARTS), ROWS, PAIRS)
        da0, da1 = plus_product(da0, da1, p0, p1, v0, v1, COMPLEX)
        db0, db1 = plus_product(db0, db1, p0, p1, z0, z1, COMPLEX)
        dc0, dc1 = plus_product(dc0, dc1, p0, p1, x0, x1, COMPLEX)
        p = tf32_product(dy, out_slope, IN_PARTS)
        p0, p1 = split_pairs(p, ROWS, PAIRS)
        da0, da1 = plus_product(da0, da1, p0, p1, x0, x1, COMPLEX)
        q = tf32_product(u, into_slope, IN_PARTS)
        q0, q1 = split_pairs(q, ROWS, PAIRS)
        q0, q1 = times(b0, b1, q0, q1, COMPLEX)
        q0, q1 = plus_product(q0, q1, d0, d1, x0, x1, COMPLEX)
        v0, v1 = step_on(decay, v0, v1, q0, q1, alive, COMPLEX)
        q0, q1 = split_pairs(tf32_product(u, into, IN_PARTS), ROWS, PAIRS)
        z0, z1 = step_on(decay, z0, z1, q0, q1, alive, COMPLEX)
        q0, q1 = times(b0, b1, q0, q1, COMPLEX)
        x0, x1 = step_on(decay, x0, x1, q0, q1, alive, COMPLEX)
    c0, c1 = load_row(c_ptr + channel * modes, modes, PAIRS)
    da0, da1 = times(c0, c1, da0, da1, COMPLEX)
    db0, db1 = times(c0, c1, db0, db1, COMPLEX)
    g0, g1 = load_states(
        grad_last_ptr, flow_ptr, channel, entry, segment, count, channels, segments, modes,
        True, COMPLEX, ROWS, PAIRS,
    )  # fmt: skip
    da0, da1 = plus_product(da0, da1, g0, g1, v0, v1, COMPLEX)
    db0, db1 = plus_product(db0, db1, g0, g1, z0, z1, COMPLEX)
    groups = tl.cdiv(batch * walked, ROWS)
    own = (tl.program_id(0) % groups).to(tl.int64) * channels + channel
    plane = groups.to(tl.int64) * channels * 2 * PAIRS
    sums = sum_ptr + own * 2 * PAIRS
    store_row(sums, sum_of_rows(da0), sum_of_rows(da1), 2 * PAIRS, PAIRS)
    store_row(sums + plane, sum_of_rows(db0), sum_of_rows(db1), 2 * PAIRS, PAIRS)
    store_row(sums + 2 * plane, sum_of_rows(dc0), sum_of_rows(dc1), 2 * PAIRS, PAIRS)
    tl.store(lag_ptr + (own * T + step[:, None]) * T + step[None, :], by_lag)


@triton.jit
def sum_of_rows(x):
    return tl.sum(x, 0, keep_dims=True)


@triton.jit(do_not_specialize=["groups"])
def parameter_kernel(
    b_ptr, c_ptr, power_ptr, sum_ptr, lag_ptr, grad_a_ptr, grad_b_ptr, grad_c_ptr,
    grad_skip_ptr,
    groups, channels, modes,
    COMPLEX: tl.constexpr, T: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The gradients of A_bar, B_bar and C, a program for each channel: the sums over its
    groups of segments, and what goes through K. And that of what was added to K_0, if there
    is a place for it."""
    channel = tl.program_id(0).to(tl.int64)
    step, column = tl.arange(0, T), tl.arange(0, 2 * PAIRS)[None, :]
    output = step[:, None] + step[None, :]  # of each lag and input
    of_lags = tl.zeros((T, T), tl.float32)
    da = tl.zeros((1, 2 * PAIRS), tl.float32)
    db = tl.zeros((1, 2 * PAIRS), tl.float32)
    dc = tl.zeros((1, 2 * PAIRS), tl.float32)
    plane = groups.to(tl.int64) * channels * 2 * PAIRS
    for group in range(groups):
        own = channel + group * channels
        place = lag_ptr + (own * T + output) * T + step[None, :]
        of_lags += tl.load(place, mask=output < T, other=0.0)
        sums = sum_ptr + own * 2 * PAIRS + column
        da += tl.load(sums)
        db += tl.load(sums + plane)
        dc += tl.load(sums + 2 * plane)
    dk = tl.sum(of_lags, 1)
    power_ptr += channel * (T + 2) * 2 * PAIRS
    level = sum_of_rows(load_powers(power_ptr, step, PAIRS) * dk[:, None])
    slope = load_powers(power_ptr, tl.maximum(step - 1, 0), PAIRS)
    slope = sum_of_rows(slope * (dk * step)[:, None])
    level0, level1 = split_pairs(level, 1, PAIRS)
    slope0, slope1 = split_pairs(slope, 1, PAIRS)
    b0, b1 = load_row(b_ptr + channel * modes, modes, PAIRS)
    c0, c1 = load_row(c_ptr + channel * modes, modes, PAIRS)
    e0, e1 = times(b0, b1, slope0, slope1, COMPLEX)
    e0, e1 = times(c0, c1, e0, e1, COMPLEX)
    store_conjugate(grad_a_ptr + channel * modes, da, e0, e1, modes, COMPLEX, PAIRS)
    e0, e1 = times(c0, c1, level0, level1, COMPLEX)
    store_conjugate(grad_b_ptr + channel * modes, db, e0, e1, modes, COMPLEX, PAIRS)
    e0, e1 = times(b0, b1, level0, level1, COMPLEX)
    store_conjugate(grad_c_ptr + channel * modes, dc, e0, e1, modes, COMPLEX, PAIRS)
    if grad_skip_ptr is not None:
        tl.store(grad_skip_ptr + channel, tl.sum(tl.where(step == 0, dk, 0.0), 0))


@triton.jit
def store_conjugate(
    pointers, x, e0, e1, modes, COMPLEX: tl.constexpr, PAIRS: tl.constexpr
):  # fmt: skip
    """The conjugate of x + e."""
    x0, x1 = split_pairs(x, 1, PAIRS)
    x1 = -(x1 + e1) if COMPLEX else x1 + e1
    store_row(pointers, x0 + e0, x1, modes, PAIRS)


def parameter_gradients(
    rows: Tensor,
    dy: Tensor,
    A_bar: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    tables: Tables,
    state: Tensor | None,
    between: Tensor | None,
    grad_last: Tensor | None,
    flow: Tensor | None,
    plan: Plan,
) -> tuple[list[Tensor], Tensor | None]:
    """Gradients to A_bar, B_bar and C, and to ``skip`` (D,), which was added to K_0, if
    there is one."""
    T, PAIRS = plan.tiling["T"], plan.tiling["PAIRS"]
    channels, (programs,) = len(A_bar), plan.correlations
    sums = A_bar.new_empty((3, programs, 2 * PAIRS), dtype=torch.float32)
    by_lag = A_bar.new_empty((programs, T, T), dtype=torch.float32)
    runner(correlation_kernel, rows)[plan.correlations](
        rows, dy, b, c, tables.powers, state, between, grad_last, flow, sums, by_lag,
        *plan.sizes, plan.segments, plan.modes, plan.complex, in_parts(rows),
        **plan.correlation_tiling,
    )  # fmt: skip
    found = [A_bar.new_empty(A_bar.shape) for _ in range(3)]
    grad_skip = None if skip is None else skip.new_empty(skip.shape)
    runner(parameter_kernel, rows)[(channels,)](
        b, c, tables.powers, sums, by_lag, *found, grad_skip,
        programs // channels, channels, plan.modes, plan.complex, T, PAIRS,
    )  # fmt: skip
    return found, grad_skip
