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
summed on another walk forward (``parameter_gradients.py``).

Bytes, with e bytes a number and E = B L D: forward 7 e E, of which 4 e E for two
transpositions and e E for what segments make of nothing; backward 11 e E, 6 e E of it for
three. Extra memory: e E forward, 2 e E backward, and about 3 T M float32 numbers a channel
for the powers.

Operations: T + 3 M multiply-adds a number forward, 2 T + 7 M backward, in products of
matrices, of which float32 numbers take three each, of tf32 parts.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import (
    laid_out,
    split_pairs,
    store_pairs,
    times,
)
from seqlab.ops.device.powers import (
    Tables,
    load_decay,
    load_mirrored,
    load_powers,
    load_row,
    make_tables,
    step_on,
)
from seqlab.ops.device.segments import (
    chunk_place,
    load_chunk,
    load_states,
    segments_of_program,
)
from seqlab.ops.device.tf32_products import tf32_parts, tf32_product
from seqlab.ops.device.transpose import transpose
from seqlab.ops.interpreter import runner
from seqlab.ops.linear_scan import kernel as linear_scan
from seqlab.ops.ssm import kernel as recurrence
from seqlab.ops.ssm.convolution.parameter_gradients import parameter_gradients
from seqlab.ops.ssm.convolution.plan import (
    Plan,
    in_parts,
    kept,
    plan_launches,
)


@triton.jit(do_not_specialize=["batch", "chunks", "span", "segments", "walked"])
def walk_kernel(
    u_ptr, b_ptr, c_ptr, power_ptr, mirror_ptr, k_ptr, state_ptr, between_ptr, y_ptr,
    last_ptr,
    batch, channels, chunks, span, segments, walked, modes,
    LATE_FIRST: tl.constexpr, COMPLEX: tl.constexpr, IN_PARTS: tl.constexpr,
    T: tl.constexpr, ROWS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """y and the state after the last chunk (B, D, modes). Without a place for y, the state
    after each segment, (B, segments - 1, D, modes): of the first one what it makes of the
    state handed in, of others what they make of nothing. If LATE_FIRST, the adjoint."""
    channel, entry, segment, count, begin = segments_of_program(
        batch, channels, chunks, span, segments, walked, LATE_FIRST, ROWS, T
    )
    step, pair = tl.arange(0, T), tl.arange(0, PAIRS)
    power_ptr += channel * (T + 2) * 2 * PAIRS
    decay = load_decay(power_ptr, T, PAIRS)
    mirror_ptr += channel * 4 * T * PAIRS
    p0 = load_mirrored(mirror_ptr, T if LATE_FIRST else 0, 2 * pair, T)
    p1 = load_mirrored(mirror_ptr, T if LATE_FIRST else 0, 2 * pair + 1, T)
    b0, b1 = load_row(b_ptr + channel * modes, modes, PAIRS)
    p0, p1 = times(b0, b1, p0, p1, COMPLEX)
    # Halves of pairs are multiplied separately: an operand made by tl.join gets a layout for
    # numbers of 16 bits, and each number is moved before the product.
    into0, into1 = tf32_parts(p0, IN_PARTS), tf32_parts(p1, IN_PARTS)
    if y_ptr is not None:
        powers = load_powers(power_ptr, T - 1 - step if LATE_FIRST else step + 1, PAIRS)
        p0, p1 = split_pairs(powers, T, PAIRS)
        c0, c1 = load_row(c_ptr + channel * modes, modes, PAIRS)
        p0, p1 = times(c0, c1, p0, p1, COMPLEX)
        out0 = tf32_parts(tl.trans(p0), IN_PARTS)
        out1 = tf32_parts(tl.trans(-p1 if COMPLEX else p1), IN_PARTS)
        k_ptr += channel * (2 * T - 1) + T - 1
        ahead = step[:, None] - step[None, :]
        taken = ahead >= 0 if LATE_FIRST else ahead <= 0
        toeplitz = tl.load(k_ptr + ahead, mask=taken, other=0.0)
        toeplitz = tf32_parts(toeplitz, IN_PARTS)
    x0, x1 = load_states(
        state_ptr, between_ptr, channel, entry, segment, count, channels, segments, modes,
        LATE_FIRST, COMPLEX, ROWS, PAIRS,
    )  # fmt: skip
    next_u = load_chunk(u_ptr, begin, count, 0, LATE_FIRST, T)
    for done in range(span):
        u = tf32_parts(next_u.to(tl.float32), IN_PARTS)
        next_u = load_chunk(u_ptr, begin, count, done + 1, LATE_FIRST, T)
        alive = (done < count)[:, None]
        if y_ptr is not None:
            y = tf32_product(u, toeplitz, IN_PARTS)
            y += tf32_product(tf32_parts(x0, IN_PARTS), out0, IN_PARTS)
            y += tf32_product(tf32_parts(x1, IN_PARTS), out1, IN_PARTS)
            place = y_ptr + chunk_place(begin, count, done, LATE_FIRST, T)
            tl.store(place, y.to(y_ptr.dtype.element_ty), mask=alive)
        s0, s1 = tf32_product(u, into0, IN_PARTS), tf32_product(u, into1, IN_PARTS)
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


def convolve(
    u: Tensor, A_bar: Tensor, B_bar: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y (B, L, D), the last state (B, D, N), and what the backward pass needs: the states
    between segments, (B, segments - 1, D, modes) in a row, and that before the last few
    steps, which is read if there are any."""
    plan = plan_launches(u.shape, A_bar.shape[-1], A_bar.is_complex(), u.is_cuda)
    if plan.chunks == 0:
        y, last, between = recurrence.scan(u, A_bar, B_bar, C, state)
        return y, last, *kept(A_bar, between, None, plan)
    rows = time_last(u, plan)
    tables, b, c = tables_of(A_bar, B_bar, C, None, plan)
    first = None if state is None else laid_out(state)
    between = states_between(rows, b, tables, first, plan, False)
    last = A_bar.new_empty((len(u), *A_bar.shape))
    walk(rows, rows, b, c, tables, first, between, last, plan, False)
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    channels_last(rows, y, plan)
    middle = None
    if plan.left:
        whole, middle = u.shape[1] - plan.left, last
        rest = recurrence.scan(u[:, whole:], A_bar, B_bar, C, middle)
        y[:, whole:], last, _ = rest
    return y, last, *kept(A_bar, between, middle, plan)


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
    rows, dy = time_last(u, plan), time_last(grad_y, plan)
    whole = u.shape[1] - plan.left
    if plan.left:
        grad_rest, *of_rest, grad_last = recurrence.gradients(
            u[:, whole:], A_bar, B_bar, C, middle, between, grad_y[:, whole:], grad_last
        )
    tables, b, c = tables_of(A_bar, B_bar, C, None, plan)
    first = None if state is None else laid_out(state)
    last = None if grad_last is None else laid_out(grad_last)
    states = laid_out(between) if plan.segments > 1 else None
    flow = states_between(dy, c, tables, last, plan, True)
    found, _ = parameter_gradients(
        rows, dy, A_bar, b, c, None, tables, first, states, last, flow, plan
    )
    grad_state = A_bar.new_empty((len(u), *A_bar.shape))
    walk(dy, dy, c, b, tables, last, flow, grad_state, plan, True)
    grad_u = torch.empty_like(u, memory_format=torch.contiguous_format)
    channels_last(dy, grad_u, plan)
    if plan.left:
        grad_u[:, whole:] = grad_rest
        found = [x + y for x, y in zip(found, of_rest, strict=True)]
    return grad_u, *found, grad_state  # type: ignore[return-value]


def time_last(u: Tensor, plan: Plan) -> Tensor:
    """The whole chunks of u as (B, D, chunks T)."""
    u = laid_out(u)
    steps, channels = plan.chunks * plan.tiling["T"], u.shape[2]
    rows = u.new_empty((len(u), channels, steps))
    transpose(u, rows, steps, channels)
    return rows


def channels_last(rows: Tensor, y: Tensor, plan: Plan) -> None:
    """The other way round, into the beginning of y (B, L, D)."""
    transpose(rows, y, rows.shape[1], rows.shape[2])


def tables_of(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, skip: Tensor | None, plan: Plan
) -> tuple[Tables, Tensor, Tensor]:
    """The tables, ``skip`` in the first number of K, and B_bar and C as the kernels read
    them."""
    b, c = laid_out(B_bar), laid_out(C)
    T, PAIRS = plan.tiling["T"], plan.tiling["PAIRS"]
    skip = None if skip is None else laid_out(skip)
    return make_tables(A_bar, b, c, skip, plan.sizes[3], T, PAIRS), b, c


def states_between(
    rows: Tensor,
    b: Tensor,
    tables: Tables,
    state: Tensor | None,
    plan: Plan,
    late_first: bool,
) -> Tensor | None:
    """The states between segments, (B, segments - 1, D, modes) in a row, from the one
    handed in; None where there is one segment."""
    if plan.segments == 1:
        return None
    states = rows.new_empty(plan.kept[0], dtype=torch.float32)
    runner(walk_kernel, rows)[plan.all_but_one](
        rows, b, None, tables.powers, tables.mirrored, None, state, None, None, states,
        *plan.sizes, plan.segments - 1, plan.modes,
        late_first, plan.complex, in_parts(rows), **plan.tiling,
    )  # fmt: skip
    if plan.segments > 2:  # a state alone is joined with none
        linear_scan.scan_in_place(tables.over, states, plan.joined, late_first)
    return states


def walk(
    rows: Tensor,
    out: Tensor,
    b: Tensor,
    c: Tensor,
    tables: Tables,
    state: Tensor | None,
    between: Tensor | None,
    last: Tensor,
    plan: Plan,
    late_first: bool,
) -> None:
    """y of the rows u to ``out``, which may be the same, and the last state."""
    runner(walk_kernel, rows)[plan.grid](
        rows, b, c, tables.powers, tables.mirrored, tables.k, state, between, out, last,
        *plan.sizes, plan.segments, plan.modes,
        late_first, plan.complex, in_parts(rows), **plan.tiling,
    )  # fmt: skip
