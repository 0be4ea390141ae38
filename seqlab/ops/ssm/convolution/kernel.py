"""The diagonal state-space model as a chunked convolution: Triton kernels, forward and
backward, whose work is products of small matrices.

T steps are a chunk. The chunks of a sequence are cut into segments, and a program walks
over ROWS segments at once, of all batch entries but of one channel, chunk after chunk:

                 |<----- T steps ---->|
       row 0     |  u, then y         |   state of row 0: M real numbers
           1     |                    |   state of row 1
          ...    |                    |   ...
        ROWS-1   |                    |   and on to the next chunk of each row

  y = u K + x out          K a Toeplitz matrix (T, T), out (M, T): C A_bar^{i+1}
  x = A_bar^T x + u into   into (T, M): A_bar^{T-1-j} B_bar

All rows have the same matrices, which stay on the chip. So a program has one channel, and
time has to be the last axis: u is transposed, and y back, in the same memory. Powers of
A_bar, and K, are made first, in float64. Three launches: what each segment makes of
nothing, a linear scan for the states between segments, and all of it from the state
before it. What is left of the sequence, fewer than T steps, is a recurrence, and so is
all of it where that is one launch, or for a state too large for the chip.

Backward, the conjugate of the gradient to the state takes the same walk from late to
early, with B_bar and C exchanged; that gives du. The gradients to A_bar, B_bar and C are
summed on a walk forward that carries the derivatives of x, z = dx/dB_bar and v =
dx/dA_bar, which follow recurrences of the same kind. So they are sums of products of
numbers of a state; K alone has its gradient from products of outputs and inputs.

Bytes, with e bytes a number and E = B L D: forward 7 e E, of which 4 e E for two
transpositions and e E for what segments make of nothing; backward 11 e E, 6 e E of it for
three. Extra memory: e E forward, 2 e E backward.

Operations: T + 3 M multiply-adds a number forward, 2 T + 7 M backward, in products of
matrices, of which float32 numbers take three each, of tf32 parts.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import (
    join_pairs,
    laid_out,
    real_numbers,
    split_pairs,
    store_pairs,
    times,
)
from seqlab.ops.device.powers import (
    Tables,
    load_decay,
    load_powers,
    load_row,
    make_tables,
    step_on,
    store_row,
)
from seqlab.ops.device.segments import (
    chunk_place,
    load_chunk,
    load_states,
    segments_of_program,
)
from seqlab.ops.device.transpose import transpose
from seqlab.ops.interpreter import runner
from seqlab.ops.launch import as_real
from seqlab.ops.linear_scan import kernel as linear_scan
from seqlab.ops.sizes import ceil_div, power_of_two
from seqlab.ops.ssm import kernel as recurrence


@triton.jit
def scaled(powers, x, COMPLEX: tl.constexpr, T: tl.constexpr, PAIRS: tl.constexpr):
    """Powers (T, 2 PAIRS) times one pair for each mode."""
    p0, p1 = split_pairs(powers, T, PAIRS)
    return times(x[0], x[1], p0, p1, COMPLEX)


@triton.jit(do_not_specialize=["batch", "chunks", "span", "segments", "walked"])
def walk_kernel(
    u_ptr, b_ptr, c_ptr, power_ptr, k_ptr, state_ptr, between_ptr, y_ptr, last_ptr,
    batch, channels, chunks, span, segments, walked, modes,
    LATE_FIRST: tl.constexpr, COMPLEX: tl.constexpr, PRECISION: tl.constexpr,
    T: tl.constexpr, ROWS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """y and the state after the last chunk (B, D, modes). Without a place for y, the state
    after each segment, (B, segments - 1, D, modes): of the first one what it makes of the
    state handed in, of others what they make of nothing. If LATE_FIRST, the adjoint."""
    channel, entry, segment, count, begin = segments_of_program(
        batch, channels, chunks, span, segments, walked, LATE_FIRST, ROWS, T
    )
    step = tl.arange(0, T)
    power_ptr += channel * (T + 2) * 2 * PAIRS
    b = load_row(b_ptr + channel * modes, modes, PAIRS)
    decay = load_decay(power_ptr, T, PAIRS)
    powers = load_powers(power_ptr, step + 1 if LATE_FIRST else T - 1 - step, PAIRS)
    p0, p1 = scaled(powers, b, COMPLEX, T, PAIRS)
    into = join_pairs(p0, p1, T, PAIRS)
    if y_ptr is not None:
        c = load_row(c_ptr + channel * modes, modes, PAIRS)
        powers = load_powers(power_ptr, T - 1 - step if LATE_FIRST else step + 1, PAIRS)
        p0, p1 = scaled(powers, c, COMPLEX, T, PAIRS)
        out = tl.trans(join_pairs(p0, -p1 if COMPLEX else p1, T, PAIRS))
        lag = step[None, :] - step[:, None]
        lag = -lag if LATE_FIRST else lag
        toeplitz = tl.load(k_ptr + channel * T + lag, mask=lag >= 0, other=0.0)
    x0, x1 = load_states(
        state_ptr, between_ptr, channel, entry, segment, count, channels, segments, modes,
        LATE_FIRST, COMPLEX, ROWS, PAIRS,
    )  # fmt: skip
    next_u = load_chunk(u_ptr, begin, count, 0, LATE_FIRST, T)
    for done in range(span):
        u = next_u.to(tl.float32)
        next_u = load_chunk(u_ptr, begin, count, done + 1, LATE_FIRST, T)
        alive = (done < count)[:, None]
        if y_ptr is not None:
            y = tl.dot(u, toeplitz, input_precision=PRECISION)
            x = join_pairs(x0, x1, ROWS, PAIRS)
            y = tl.dot(x, out, y, input_precision=PRECISION)
            place = y_ptr + chunk_place(begin, count, done, LATE_FIRST, T)
            tl.store(place, y.to(y_ptr.dtype.element_ty), mask=alive)
        s0, s1 = split_pairs(tl.dot(u, into, input_precision=PRECISION), ROWS, PAIRS)
        x0, x1 = step_on(decay, x0, x1, s0, s1, alive, COMPLEX)
    exists = count > 0
    if y_ptr is not None:
        place = entry * channels + channel
        exists = exists & (segment == (0 if LATE_FIRST else segments - 1))
        x1 = -x1 if LATE_FIRST and COMPLEX else x1
    else:
        border = segment - 1 if LATE_FIRST else segment
        place = (entry * (segments - 1) + border) * channels + channel
    column = tl.arange(0, 2 * PAIRS)[None, :]
    place = last_ptr + place[:, None] * modes + column
    store_pairs(place, x0, x1, exists[:, None] & (column < modes), ROWS, PAIRS)


@triton.jit(do_not_specialize=["batch", "chunks", "span", "segments", "walked"])
def correlation_kernel(
    u_ptr, grad_y_ptr, b_ptr, c_ptr, power_ptr, state_ptr, between_ptr,
    grad_last_ptr, flow_ptr, sum_ptr, lag_ptr,
    batch, channels, chunks, span, segments, walked, modes,
    COMPLEX: tl.constexpr, PRECISION: tl.constexpr,
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
    into = load_powers(power_ptr, T - 1 - step, PAIRS)
    out = load_powers(power_ptr, step + 1, PAIRS)
    # Their derivatives to A_bar.
    into_slope = load_powers(power_ptr, tl.maximum(T - 2 - step, 0), PAIRS)
    into_slope *= (T - 1 - step)[:, None]
    out_slope = load_powers(power_ptr, step, PAIRS) * (step + 1)[:, None]
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
        u, dy = next_u.to(tl.float32), next_dy.to(tl.float32)
        next_u = load_chunk(u_ptr, begin, count, done + 1, False, T)
        next_dy = load_chunk(grad_y_ptr, begin, count, done + 1, False, T)
        alive = (done < count)[:, None]
        by_lag = tl.dot(tl.trans(dy), u, by_lag, input_precision=PRECISION)
        p0, p1 = split_pairs(tl.dot(dy, out, input_precision=PRECISION), ROWS, PAIRS)
        da0, da1 = add_product(da0, da1, p0, p1, v0, v1, COMPLEX)
        db0, db1 = add_product(db0, db1, p0, p1, z0, z1, COMPLEX)
        dc0, dc1 = add_product(dc0, dc1, p0, p1, x0, x1, COMPLEX)
        p = tl.dot(dy, out_slope, input_precision=PRECISION)
        p0, p1 = split_pairs(p, ROWS, PAIRS)
        da0, da1 = add_product(da0, da1, p0, p1, x0, x1, COMPLEX)
        q = tl.dot(u, into_slope, input_precision=PRECISION)
        q0, q1 = split_pairs(q, ROWS, PAIRS)
        q0, q1 = times(b0, b1, q0, q1, COMPLEX)
        q0, q1 = add_product(q0, q1, d0, d1, x0, x1, COMPLEX)
        v0, v1 = step_on(decay, v0, v1, q0, q1, alive, COMPLEX)
        q0, q1 = split_pairs(tl.dot(u, into, input_precision=PRECISION), ROWS, PAIRS)
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
    da0, da1 = add_product(da0, da1, g0, g1, v0, v1, COMPLEX)
    db0, db1 = add_product(db0, db1, g0, g1, z0, z1, COMPLEX)
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


@triton.jit
def add_product(s0, s1, x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """s + x y."""
    e0, e1 = times(x0, x1, y0, y1, COMPLEX)
    return s0 + e0, s1 + e1


@triton.jit(do_not_specialize=["groups"])
def parameter_kernel(
    b_ptr, c_ptr, power_ptr, sum_ptr, lag_ptr, grad_a_ptr, grad_b_ptr, grad_c_ptr,
    groups, channels, modes,
    COMPLEX: tl.constexpr, T: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The gradients of A_bar, B_bar and C, a program for each channel: the sums over its
    groups of segments, and what goes through K."""
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


@triton.jit
def store_conjugate(
    pointers, x, e0, e1, modes, COMPLEX: tl.constexpr, PAIRS: tl.constexpr
):  # fmt: skip
    """The conjugate of x + e."""
    x0, x1 = split_pairs(x, 1, PAIRS)
    x1 = -(x1 + e1) if COMPLEX else x1 + e1
    store_row(pointers, x0 + e0, x1, modes, PAIRS)


def convolve(
    u: Tensor, A_bar: Tensor, B_bar: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y (B, L, D), the last state (B, D, N), and what the backward pass needs: the states
    between segments, (B, segments - 1, D, modes), and that before the last few steps."""
    plan = plan_launches(u.shape, A_bar.shape[-1], A_bar.is_complex(), u.is_cuda)
    if plan.chunks == 0:
        y, last, between = recurrence.scan(u, A_bar, B_bar, C, state)
        return y, last, between, last.new_empty(0)
    middle = A_bar.new_empty((len(u), *A_bar.shape))
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    b, c = real_numbers(B_bar), real_numbers(C)
    first = None if state is None else laid_out(state)
    rows = time_last(u, plan)
    T, PAIRS = plan.tiling["T"], plan.tiling["PAIRS"]
    tables = make_tables(A_bar, b, c, plan.sizes[3], T, PAIRS)
    between = states_between(rows, A_bar, b, tables, first, plan, False)
    walk(rows, rows, b, c, tables, first, between, middle, plan, False)
    channels_last(rows, y, plan)
    if plan.left == 0:
        return y, middle.clone(), between, middle
    whole = u.shape[1] - plan.left
    y[:, whole:], last, _ = recurrence.scan(u[:, whole:], A_bar, B_bar, C, middle)
    return y, last, between, middle


def gradients(
    u: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: Tensor | None,
    between: Tensor,
    middle: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to u, A_bar, B_bar, C and the first state."""
    plan = plan_launches(u.shape, A_bar.shape[-1], A_bar.is_complex(), u.is_cuda)
    if plan.chunks == 0:
        return recurrence.gradients(
            u, A_bar, B_bar, C, state, between, grad_y, grad_last
        )
    grad_u = torch.empty_like(u, memory_format=torch.contiguous_format)
    whole = u.shape[1] - plan.left
    if plan.left:
        grad_u[:, whole:], *of_rest, grad_last = recurrence.gradients(
            u[:, whole:], A_bar, B_bar, C, middle, between, grad_y[:, whole:], grad_last
        )
    grad_state = A_bar.new_empty((len(u), *A_bar.shape))
    b, c = real_numbers(B_bar), real_numbers(C)
    first = None if state is None else laid_out(state)
    last = None if grad_last is None else laid_out(grad_last)
    rows, dy = time_last(u, plan), time_last(grad_y, plan)
    T, PAIRS = plan.tiling["T"], plan.tiling["PAIRS"]
    tables = make_tables(A_bar, b, c, plan.sizes[3], T, PAIRS)
    flow = states_between(dy, A_bar, c, tables, last, plan, True)
    found, _ = parameter_gradients(
        rows, dy, A_bar, b, c, tables, first, between, last, flow, plan
    )
    walk(dy, dy, c, b, tables, last, flow, grad_state, plan, True)
    channels_last(dy, grad_u, plan)
    if plan.left:
        found = [x + y for x, y in zip(found, of_rest, strict=True)]
    return grad_u, *found, grad_state  # type: ignore[return-value]


def parameter_gradients(
    rows: Tensor,
    dy: Tensor,
    A_bar: Tensor,
    b: Tensor,
    c: Tensor,
    tables: Tables,
    state: Tensor | None,
    between: Tensor,
    grad_last: Tensor | None,
    flow: Tensor,
    plan: "Plan",
) -> tuple[list[Tensor], Tensor]:
    """Gradients to A_bar, B_bar and C, and the sums of products dy_i u_j within chunks,
    (groups, D, T, T)."""
    found = [A_bar.new_empty(A_bar.shape) for _ in range(3)]
    T, PAIRS = plan.tiling["T"], plan.tiling["PAIRS"]
    channels, (programs,) = len(A_bar), plan.correlations
    sums = b.new_empty((3, programs, 2 * PAIRS))
    by_lag = b.new_empty((programs // channels, channels, T, T))
    runner(correlation_kernel, rows)[plan.correlations](
        rows, dy, b, c, tables.powers, state, between if plan.segments > 1 else None,
        grad_last, flow if plan.segments > 1 else None, sums, by_lag,
        *plan.sizes, plan.segments, plan.modes, plan.complex, precision(rows),
        **plan.correlation_tiling,
    )  # fmt: skip
    runner(parameter_kernel, rows)[(channels,)](
        b, c, tables.powers, sums, by_lag, *found,
        programs // channels, channels, plan.modes, plan.complex, T, PAIRS,
    )  # fmt: skip
    return found, by_lag


def time_last(u: Tensor, plan: "Plan") -> Tensor:
    """The whole chunks of u as (B, D, chunks T)."""
    u = laid_out(u)
    steps, channels = plan.chunks * plan.tiling["T"], u.shape[2]
    rows = u.new_empty((len(u), channels, steps))
    transpose(u, rows, steps, channels)
    return rows


def channels_last(rows: Tensor, y: Tensor, plan: "Plan") -> None:
    """The other way round, into the beginning of y (B, L, D)."""
    transpose(rows, y, rows.shape[1], rows.shape[2])


def states_between(
    rows: Tensor,
    A_bar: Tensor,
    b: Tensor,
    tables: Tables,
    state: Tensor | None,
    plan: "Plan",
    late_first: bool,
) -> Tensor:
    """The states between segments, (B, segments - 1, D, modes), from the one handed in."""
    batch, channels = rows.shape[:2]
    made = A_bar.new_empty((batch, plan.segments - 1, *A_bar.shape))
    numbers = as_real(made).view(batch, -1, channels, plan.modes)
    if plan.segments == 1:
        return numbers
    runner(walk_kernel, rows)[plan.all_but_one](
        rows, b, None, tables.powers, None, state, None, None, numbers,
        *plan.sizes, plan.segments - 1, plan.modes,
        late_first, plan.complex, precision(rows), **plan.tiling,
    )  # fmt: skip
    if plan.segments == 2:  # a state alone is joined with none
        return numbers
    states, _ = linear_scan.scan(
        tables.over.flatten(), made.flatten(2), None, late_first
    )
    return as_real(states).view(numbers.shape)


def walk(
    rows: Tensor,
    out: Tensor,
    b: Tensor,
    c: Tensor,
    tables: Tables,
    state: Tensor | None,
    between: Tensor,
    last: Tensor,
    plan: "Plan",
    late_first: bool,
) -> None:
    """y of the rows u to ``out``, which may be the same, and the last state."""
    runner(walk_kernel, rows)[plan.grid](
        rows, b, c, tables.powers, tables.k, state,
        between if plan.segments > 1 else None, out, last,
        *plan.sizes, plan.segments, plan.modes,
        late_first, plan.complex, precision(rows), **plan.tiling,
    )  # fmt: skip


def precision(u: Tensor) -> str:
    """How products are formed: numbers of 16 bits are exact in tf32, which has 11."""
    return "tf32x3" if u.dtype == torch.float32 else "tf32"


class Plan(NamedTuple):
    """What a launch needs beside its tensors: looked up by shape."""

    chunks: int
    """Whole chunks of a sequence, none if all is a recurrence."""
    left: int
    """Steps beyond the last one."""
    segments: int
    modes: int
    """Numbers of a state."""
    all_but_one: tuple[int]
    """Programs for all segments of a sequence but one."""
    grid: tuple[int]
    """Programs for all of them."""
    correlations: tuple[int]
    """Programs that form correlations of all of them."""
    sizes: tuple[int, int, int, int, int]
    """batch, channels, chunks, chunks of a segment, segments"""
    complex: bool
    tiling: dict[str, int]
    correlation_tiling: dict[str, int]


@lru_cache(maxsize=1024)
def plan_launches(shape: torch.Size, N: int, is_complex: bool, compiled: bool) -> Plan:
    """The launches for u of such a shape and N modes."""
    batch, length, channels = shape
    modes = 2 * N if is_complex else N
    PAIRS = power_of_two(ceil_div(modes, 2))
    if compiled:
        sizes = {"T": T, "PAIRS": max(8, PAIRS)}
        tiling, correlation_tiling = {**WALK, **sizes}, {**CORRELATION, **sizes}
    else:
        tiling = correlation_tiling = {**INTERPRETED, "PAIRS": PAIRS}
    rows = tiling["ROWS"]
    chunks, left = divmod(length, tiling["T"])
    if is_recurrence(length, modes, compiled):
        chunks, left = 0, length
    span, segments = cut(batch, chunks, channels, compiled)
    return Plan(
        chunks,
        left,
        segments,
        modes,
        (channels * ceil_div(batch * (segments - 1), rows),),
        (channels * ceil_div(batch * segments, rows),),
        (channels * ceil_div(batch * segments, correlation_tiling["ROWS"]),),
        (batch, channels, chunks, span, segments),
        is_complex,
        tiling,
        correlation_tiling,
    )


def cut(batch: int, chunks: int, channels: int, compiled: bool) -> tuple[int, int]:
    """How many chunks a segment has, and how many segments there are: enough to fill the
    rows of enough programs. The sizes may be symbols."""
    rows = WALK["ROWS"] if compiled else INTERPRETED["ROWS"]
    programs = ceil_div(ENOUGH, channels) if compiled else 2
    segments = torch.sym_min(ceil_div(programs * rows, batch), MOST_SEGMENTS)
    segments = torch.sym_max(torch.sym_min(segments, chunks), 1)
    span = torch.sym_max(ceil_div(chunks, segments), 1)
    return span, torch.sym_max(ceil_div(chunks, span), 1)


def kept_shapes(u: Tensor, A_bar: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the last two tensors that ``convolve`` returns."""
    batch, length, channels = u.shape
    modes = (2 if A_bar.is_complex() else 1) * A_bar.shape[-1]
    if is_recurrence(length, modes, u.is_cuda):
        return recurrence.kept_shape(u, A_bar), (0,)
    steps = T if u.is_cuda else INTERPRETED["T"]
    _, segments = cut(batch, length // steps, channels, u.is_cuda)
    return (batch, segments - 1, channels, modes), (batch, *A_bar.shape)


def is_recurrence(length: int, modes: int, compiled: bool) -> bool:
    """Whether there are no chunks: a state is too large for the chip, or one launch of
    the recurrence is all that it takes."""
    return modes > MOST_MODES or length <= recurrence.steps_of_chunk(compiled)


MOST_MODES = 64
"""Numbers of a state whose matrices fit on the chip."""
MOST_SEGMENTS = 64
"""Of a sequence: at each the decay over a segment is rounded again."""
ENOUGH = 1024
"""Programs that keep any GPU busy."""
T = 32
WALK = {"ROWS": 16, "num_warps": 4}
CORRELATION = {"ROWS": 16, "num_warps": 4}
INTERPRETED = {"T": 2, "ROWS": 2}  # it visits numbers one by one
