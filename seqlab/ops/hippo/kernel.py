"""HiPPO projections as Triton kernels, forward and backward.

A row is the history of one batch entry and channel; there are R = B D of them. Time is
cut into J chunks of STEPS steps, and all chunks of all rows run at the same time:

      time  ------>   chunk 0     chunk 1    ...   chunk J-1
      1. from zero    E_0         E_1              E_{J-1}      where each would end
      2. carry        s_0 ------> s_1 ----- ... -> s_{J-1}      s_{j+1} = Phi_j s_j + E_j
      3. from s_j     c_1 c_2 ..  ...              ... c_L      written once

Phi_j maps the state before chunk j to the state after it (equation 4.14). It depends on
the transition alone, not on the signal, so it is computed once and kept. Many chunks are
carried in groups: within all groups at the same time, then from group to group, then one
product with what each chunk makes of its group's first state. Where all that the samples
contribute to the states between the chunks is little to keep (``Reach``), a few products
of samples and kept weights stand for 1 and 2. Where the last coefficients alone are
wanted, of a signal that is not too long, the N x L weights of the samples are kept, and
there is one matrix product in all.

LegS (``walk_kernel``, ``walk_back_kernel``). One program owns one chunk of PAIRS rows,
with their N coefficients across the lanes of a warp, and walks the steps of the chunk. A
step is one triangular solve (equation 4.18), and the solve is a linear recurrence over
the order (equation 4.13): an associative scan, or late in time a running sum (equation
4.19), O(N) work, no N x N matrix anywhere.

Time-invariant measures (``expand_kernel``, ``contract_kernel``). All steps of a chunk
are one matrix product: with i the step inside the chunk,

      c_i (rows x N) = [ f_0 .. f_{C-1} | s_j ] (rows x (C + N))  @  W_i ((C + N) x N)

where W_i stacks A_bar^{i-i'} B_bar for i' = 0 .. i and A_bar^{i+1}; W is small and stays
in the cache. The backward pass is the product with W transposed.

Bytes (equation 4.16), with e bytes a number: forward reads e R L and writes e R L N, or
4 R N where the last coefficients alone are wanted; backward the same the other way.
Steps 1 and 2 add e R L and 8 R J N, less than a tenth for chunks of 32 steps or more, and
what is kept: at most 4 MOST_WEIGHTS bytes, or 4 J N^2.
"""

from dataclasses import replace
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.hippo.jumps import GROUP, Jumps, jumps_of
from seqlab.ops.hippo.reach import Reach, reach_numbers, reach_of
from seqlab.ops.hippo.transition import ALPHA, Memory


@triton.jit
def add(x, y):
    return x + y


@triton.jit
def multiply(x, y):
    return x * y


@triton.jit
def compose(a1, b1, p1, q1, a2, b2, p2, q2):
    """Compose two neighboring stretches of orders, the lower one first: q -> a q + b
    leads past the last one, q -> p q + q only up to it (see linear_scan)."""
    return a2 * a1, a2 * b1 + b2, p2 * a1, p2 * b1 + q2


@triton.jit
def solve(y, a, r, d, BACK: tl.constexpr, PAIRS: tl.constexpr, ORDER: tl.constexpr):
    """x with (I - a A) x = y for every pair, where A = -(r r^T below the diagonal, d on
    it), or BACK its transpose: the same from the highest order down. And -A x, which is
    not to be had from x itself: beside the y of a long history, a A x is lost in
    rounding."""
    inverse = 1.0 / (1.0 + a * d)
    decay = tl.broadcast_to((1.0 + a * (d - r * r)) * inverse, (PAIRS, ORDER))
    one = tl.full((PAIRS, ORDER), 1.0, tl.float32)
    zero = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    _, _, _, q = tl.associative_scan(
        (decay, r * y * inverse, one, zero), 1, compose, reverse=BACK
    )  # eq. 4.13
    return (y - a * r * q) * inverse, (d * y + r * q) * inverse


@triton.jit
def coefficients_late(a, r, d, BACK: tl.constexpr):
    """Of a step where no decay is far from 1, the numbers of each order that make the
    solve a running sum S of weight y (equation 4.19): -A x = own y + heard S, or with A
    transposed if BACK, where S runs from the highest order down."""
    below = 1.0 + a * (d - r * r)
    above = 1.0 + a * d
    both = 1.0 / (below * above)  # one division for two
    decay = below * below * both
    whole = tl.associative_scan(decay, 1, multiply)  # rho
    if BACK:
        whole = decay / whole
    weight = r * below * both / whole  # eq. 4.19
    own = below * both * (d - r * r * above * both)
    heard = r * above * both * whole
    return weight, own, heard


@triton.jit
def running_sum(x, BACK: tl.constexpr, PAIRS: tl.constexpr, ORDER: tl.constexpr):
    """Sums over the orders up to each, or BACK from each on: by fours, as Triton turns
    the lanes around, and back, for every number of a reversed scan."""
    if BACK:
        fours = tl.reshape(x, (PAIRS, ORDER // 4, 2, 2))
        even, odd = tl.split(fours)
        x0, x2 = tl.split(even)
        x1, x3 = tl.split(odd)
        x2 += x3
        x1 += x2
        x0 += x1
        later = tl.associative_scan(x0, 1, add, reverse=True) - x0
        even = tl.join(x0 + later, x2 + later)
        odd = tl.join(x1 + later, x3 + later)
        return tl.reshape(tl.join(even, odd), (PAIRS, ORDER))
    else:
        return tl.associative_scan(x, 1, add)


@triton.jit
def load_transition(order, ORDER: tl.constexpr):
    """The orders n of the lanes, which of them exist, and r_n and d_n there."""
    n = tl.arange(0, ORDER)[None, :]
    r = tl.sqrt(tl.where(n < order, 2.0 * n + 1.0, 0.0))
    return n, n < order, r, tl.where(n < order, n + 1.0, 0.0)


@triton.jit
def load_pairs(rows, steps, PAIRS: tl.constexpr):
    """The program's pairs: their rows, their one chunk, and the time it begins at."""
    blocks = (rows + PAIRS - 1) // PAIRS
    row = tl.program_id(0) % blocks * PAIRS + tl.arange(0, PAIRS)[:, None]
    j = (tl.program_id(0) // blocks).to(tl.int64)
    return row.to(tl.int64), j, j * steps


@triton.jit
def is_late(first, order, ALPHA: tl.constexpr):
    """Whether from step ``first`` on every decay of a solve, at least 1 - 2 a N, is near
    enough to 1, and their product, about exp(-a N^2), far enough from 0."""
    a = ALPHA / first.to(tl.float32)
    return (a * order < 0.125) & (a * order * order < 32.0)


@triton.jit
def step_sizes(k, ALPHA: tl.constexpr):
    """Of step k: how far ahead x lies, and how far its slope leads."""
    ahead = ALPHA / k
    return ahead, ahead + (1.0 - ALPHA) / tl.maximum(k - 1.0, 1.0)


@triton.jit
def advance(c, x, slope, a, step, order):
    """Equation 4.18 in two forms, each where the other loses digits: near the start the
    slope is steep, far from it a step changes next to nothing."""
    late = c + step * slope
    early = x + (step / a - 1.0) * (x - c)
    return tl.where(a * order < 1.0, late, early)  # eq. 4.18


@triton.jit
def walk(
    c,
    f_ptr,
    c_ptr,
    now,
    first,
    steps,
    order,
    channels,
    alive,
    LATE: tl.constexpr,
    ALPHA: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """c after ``steps`` steps, the first of which is step number ``first``."""
    n, exists, r, d = load_transition(order, ORDER)
    f = tl.full((PAIRS, 1), 0.0, tl.float32)
    if f_ptr is not None:
        ahead = tl.load(f_ptr + now, mask=alive, other=0.0)
    for i in range(0, steps):
        k = (first + i).to(tl.float32)
        if f_ptr is not None:  # a step early: memory is slow
            f = ahead.to(tl.float32)
            inside = alive & (i + 1 < steps)
            ahead = tl.load(f_ptr + now + channels, mask=inside, other=0.0)
        a, step = step_sizes(k, ALPHA)
        if LATE:
            weight, own, heard = coefficients_late(a, r, d, False)
            y = c + a * r * f
            sums = running_sum(weight * y, False, PAIRS, ORDER)
            c += step * (r * f - own * y - heard * sums)  # eq. 4.18
        else:
            x, lost = solve(c + a * r * f, a, r, d, False, PAIRS, ORDER)
            c = advance(c, x, r * f - lost, a, step, order)
            c = tl.where(k == 1.0, tl.where(n == 0, f, 0.0), c)  # eq. 4.10
        if c_ptr is not None:
            out = c.to(c_ptr.dtype.element_ty)
            tl.store(
                c_ptr + now * order + n, out, mask=alive & exists, cache_modifier=".cs"
            )
        now += channels
    return c


@triton.jit(do_not_specialize=["length", "start", "steps"])
def walk_kernel(
    f_ptr,
    start_ptr,
    c_ptr,
    end_ptr,
    length,
    channels,
    order,
    rows,
    chunks,
    start,
    steps,
    ALPHA: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """LegS from the state at ``start_ptr`` (R, J, N), zeros if None: every coefficient
    to ``c_ptr`` (B, L, D, N), those after each chunk to ``end_ptr`` (R, J, N); neither
    if None. Without ``f_ptr`` the signal is zero."""
    row, j, begin = load_pairs(rows, steps, PAIRS)
    alive = row < rows
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    at = (row * chunks + j) * order + n
    c = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    if start_ptr is not None:
        c = tl.load(start_ptr + at, mask=alive & exists, other=0.0)
    now = ((row // channels) * length + begin) * channels + row % channels
    first = start + begin + 1
    steps = tl.minimum(steps, length - begin)
    if is_late(first, order, ALPHA):
        c = walk(
            c, f_ptr, c_ptr, now, first, steps, order, channels, alive,
            True, ALPHA, PAIRS, ORDER,
        )  # fmt: skip
    else:
        c = walk(
            c, f_ptr, c_ptr, now, first, steps, order, channels, alive,
            False, ALPHA, PAIRS, ORDER,
        )  # fmt: skip
    if end_ptr is not None:
        tl.store(end_ptr + at, c, mask=alive & exists)


@triton.jit
def walk_back(
    g,
    grad_c_ptr,
    grad_f_ptr,
    now,
    last,
    steps,
    order,
    channels,
    alive,
    LATE: tl.constexpr,
    ALPHA: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The gradient g after ``steps`` steps back, the first of which is number ``last``."""
    n, exists, r, d = load_transition(order, ORDER)
    if grad_c_ptr is not None:
        ahead = tl.load(grad_c_ptr + now * order + n, mask=alive & exists, other=0.0)
    for i in range(0, steps):
        k = (last - i).to(tl.float32)
        if grad_c_ptr is not None:  # a step early: memory is slow
            g += ahead.to(tl.float32)
            inside = alive & exists & (i + 1 < steps)
            place = (now - channels) * order + n
            ahead = tl.load(grad_c_ptr + place, mask=inside, other=0.0)
        a, step = step_sizes(k, ALPHA)
        if LATE:
            weight, own, heard = coefficients_late(a, r, d, True)
            sums = running_sum(weight * g, True, PAIRS, ORDER)
            grad_f = step * tl.reduce(weight * g, 1, add)[:, None]  # sum of r x
            g -= step * (own * g + heard * sums)
        else:
            x, lost = solve(g, a, r, d, True, PAIRS, ORDER)
            grad_f = step * tl.reduce(r * x, 1, add)[:, None]  # eq. 4.15
            if k == 1.0:
                grad_f = tl.reduce(tl.where(n == 0, g, 0.0), 1, add)[:, None]
            g = tl.where(k == 1.0, 0.0, advance(g, x, -lost, a, step, order))
        if grad_f_ptr is not None:
            tl.store(
                grad_f_ptr + now, grad_f.to(grad_f_ptr.dtype.element_ty), mask=alive
            )
        now -= channels
    return g


@triton.jit(do_not_specialize=["length", "start", "steps"])
def walk_back_kernel(
    grad_c_ptr,
    grad_last_ptr,
    arrive_ptr,
    grad_f_ptr,
    leave_ptr,
    length,
    channels,
    order,
    rows,
    chunks,
    start,
    steps,
    ALPHA: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The adjoint of ``walk_kernel``, from late to early times.

    In: gradients of every coefficient (none if None), of the last ones (R, N), and what
    arrives at each chunk's end from the later ones (R, J, N), zeros if None. Out:
    gradients of f, and what leaves each chunk at its start; neither if None. Both count
    the chunks from the last.
    """
    row, j, begin = load_pairs(rows, steps, PAIRS)
    alive = row < rows
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    at = (row * chunks + chunks - 1 - j) * order + n
    g = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    if arrive_ptr is not None:
        g = tl.load(arrive_ptr + at, mask=alive & exists, other=0.0)
    final = alive & (j == chunks - 1) & exists
    g += tl.load(grad_last_ptr + row * order + n, mask=final, other=0.0)
    steps = tl.minimum(steps, length - begin)
    end = begin + steps - 1
    now = ((row // channels) * length + end) * channels + row % channels
    last = start + end + 1
    if is_late(start + begin + 1, order, ALPHA):
        g = walk_back(
            g, grad_c_ptr, grad_f_ptr, now, last, steps, order, channels, alive,
            True, ALPHA, PAIRS, ORDER,
        )  # fmt: skip
    else:
        g = walk_back(
            g, grad_c_ptr, grad_f_ptr, now, last, steps, order, channels, alive,
            False, ALPHA, PAIRS, ORDER,
        )  # fmt: skip
    if leave_ptr is not None:
        tl.store(leave_ptr + at, g, mask=alive & exists)


@triton.jit(do_not_specialize=["length", "span"])
def weigh_kernel(
    f_ptr,
    weights_ptr,
    part_ptr,
    length,
    channels,
    order,
    rows,
    span,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """Parts of the last coefficients, (spans, R, N): the weighted samples (equation 4.14)
    of a span of time each."""
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    begin = tl.program_id(0).to(tl.int64) * span
    end = tl.minimum(begin + span, length)
    sample = (row // channels) * length * channels + row % channels
    n = tl.arange(0, ORDER)[None, :]
    c = tl.full((ROWS, ORDER), 0.0, tl.float32)
    for first in range(begin, end, STEPS):
        t = first + tl.arange(0, STEPS)
        f = tl.load(
            f_ptr + sample + t[None, :] * channels,
            mask=(row < rows) & (t[None, :] < end),
            other=0.0,
        ).to(tl.float32)
        weights = tl.load(
            weights_ptr + t[:, None] * order + n,
            mask=(t[:, None] < end) & (n < order),
            other=0.0,
        )
        c += tl.dot(f, weights, input_precision="ieee")
    at = (tl.program_id(0).to(tl.int64) * rows + row) * order + n
    tl.store(part_ptr + at, c, mask=(row < rows) & (n < order))


@triton.jit(do_not_specialize=["chunks"])
def carry_kernel(
    first_ptr,
    add_ptr,
    map_ptr,
    before_ptr,
    after_ptr,
    rows,
    chunks,
    order,
    map_stride,
    GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The state before each chunk (R, J, N) and after each group of GROUP chunks (R,
    groups, N): x <- x Map_j + add_j, in every group from ``first_ptr`` (R, N), zeros if
    None."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    group = tl.program_id(1)
    n = tl.arange(0, ORDER)[None, :]
    inside = (row < rows) & (n < order)
    x = tl.full((ROWS, ORDER), 0.0, tl.float32)
    if first_ptr is not None:
        x = tl.load(first_ptr + row * order + n, mask=inside, other=0.0)
    for j in range(group * GROUP, tl.minimum(group * GROUP + GROUP, chunks)):
        at = (row * chunks + j) * order
        tl.store(before_ptr + at + n, x, mask=inside)
        tl.debug_barrier()  # a product needs it in other lanes: it goes through memory
        x = tl.load(add_ptr + at + n, mask=inside, other=0.0)
        for block in range(0, order, BLOCK):
            k = block + tl.arange(0, BLOCK)
            part = tl.load(
                before_ptr + at + k[None, :],
                mask=(row < rows) & (k[None, :] < order),
                other=0.0,
            )
            matrix = tl.load(
                map_ptr + j * map_stride + k[:, None] * order + n,
                mask=(k[:, None] < order) & (n < order),
                other=0.0,
            )
            x += tl.dot(part, matrix, input_precision="ieee")  # eq. 4.14
    at = (row * tl.num_programs(1) + group) * order
    tl.store(after_ptr + at + n, x, mask=inside)


@triton.jit(do_not_specialize=["length", "outs"])
def reach_kernel(
    first_ptr,
    x_ptr,
    weights_ptr,
    out_ptr,
    length,
    channels,
    order,
    rows,
    outs,
    group_stride,
    SIZE: tl.constexpr,
    GROUP: tl.constexpr,
    FROM: tl.constexpr,
    COUNT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The states before COUNT items of each group, from item FROM on (R, outs, N): what
    reaches them of the group's first state (R, groups, N), zeros if None, and of the
    items before, SIZE numbers of x (B, L, D) each."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    blocks = (order + COLUMNS - 1) // COLUMNS
    n = tl.program_id(1) % blocks * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    place = tl.program_id(1) // blocks  # of the state, among those of its row
    group = (place // COUNT).to(tl.int64)
    item = FROM + place % COUNT
    weights_ptr += group * group_stride + item * (order + GROUP * SIZE) * order
    state = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    if first_ptr is not None:
        groups = (outs + COUNT - 1) // COUNT
        for block in range(0, order, BLOCK):
            k = block + tl.arange(0, BLOCK)
            first = tl.load(
                first_ptr + (row * groups + group) * order + k[None, :],
                mask=(row < rows) & (k[None, :] < order),
                other=0.0,
            )
            weights = tl.load(
                weights_ptr + k[:, None] * order + n,
                mask=(k[:, None] < order) & (n < order),
                other=0.0,
            )
            state += tl.dot(first, weights, input_precision=PRECISION)  # eq. 4.14
    weights_ptr += order * order
    begin = group * GROUP * SIZE
    heard = tl.minimum(item * SIZE, length - begin)
    sample = ((row // channels) * length + begin) * channels + row % channels
    for block in range(0, heard, BLOCK):
        k = block + tl.arange(0, BLOCK)
        x = tl.load(
            x_ptr + sample + k[None, :] * channels,
            mask=(row < rows) & (k[None, :] < heard),
            other=0.0,
        ).to(tl.float32)
        weights = tl.load(
            weights_ptr + k[:, None] * order + n,
            mask=(k[:, None] < heard) & (n < order),
            other=0.0,
        )
        state += tl.dot(x, weights, input_precision=PRECISION)
    at = (row * outs + place) * order + n
    tl.store(out_ptr + at, state, mask=(row < rows) & (n < order) & (place < outs))


@triton.jit(do_not_specialize=["length", "chunks"])
def expand_kernel(
    f_ptr,
    start_ptr,
    weights_ptr,
    c_ptr,
    last_ptr,
    length,
    channels,
    order,
    pairs,
    chunks,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    ORDER: tl.constexpr,
):
    """Coefficients of step i of ROWS (row, chunk) pairs, from the signal inside the
    chunk and the state before it (R, J, N); without ``c_ptr`` the last ones alone."""
    i = tl.program_id(1)
    pair = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    row = pair // chunks
    begin = pair % chunks * STEPS
    sample = (row // channels) * length * channels + row % channels
    n = tl.arange(0, ORDER)[None, :]
    weights_ptr += i * (STEPS + order) * order

    step = tl.arange(0, STEPS)
    t = begin + step[None, :]
    # Later samples have no weight, but not a number times 0 is not a number.
    f = tl.load(
        f_ptr + sample + t * channels,
        mask=(pair < pairs) & (t < length) & (step[None, :] <= i),
        other=0.0,
    ).to(tl.float32)
    weights = tl.load(
        weights_ptr + step[:, None] * order + n,
        mask=(step[:, None] >= 0) & (n < order),
        other=0.0,
    )
    c = tl.dot(f, weights, input_precision="ieee")
    for block in range(0, order, BLOCK):
        k = block + tl.arange(0, BLOCK)
        state = tl.load(
            start_ptr + pair * order + k[None, :],
            mask=(pair < pairs) & (k[None, :] < order),
            other=0.0,
        )
        weights = tl.load(
            weights_ptr + (STEPS + k[:, None]) * order + n,
            mask=(k[:, None] < order) & (n < order),
            other=0.0,
        )
        c += tl.dot(state, weights, input_precision="ieee")  # eq. 4.14

    now = begin + i
    inside = (pair < pairs) & (now < length) & (n < order)
    if c_ptr is not None:
        place = (sample + now * channels) * order + n
        tl.store(c_ptr + place, c.to(c_ptr.dtype.element_ty), mask=inside)
    tl.store(last_ptr + row * order + n, c, mask=inside & (now == length - 1))


@triton.jit(do_not_specialize=["length", "chunks"])
def contract_kernel(
    grad_c_ptr,
    grad_last_ptr,
    weights_ptr,
    out_ptr,
    length,
    channels,
    order,
    pairs,
    chunks,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The transpose of ``expand_kernel``: gradients (R, J, C + N) of the signal in each
    chunk and of the state before it, as far as they come through the chunk's own
    coefficients; COLUMNS of them here."""
    pair = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    row = pair // chunks
    begin = pair % chunks * STEPS
    sample = (row // channels) * length * channels + row % channels
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    width = STEPS + order
    out = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    for i in range(0, STEPS):
        now = begin + i
        alive = (pair < pairs) & (now < length)
        for block in range(0, order, BLOCK):
            n = block + tl.arange(0, BLOCK)
            place = (sample + now * channels) * order + n[None, :]
            inside = alive & (n[None, :] < order)
            g = tl.load(
                grad_last_ptr + row * order + n[None, :],
                mask=inside & (now == length - 1),
                other=0.0,
            )
            if grad_c_ptr is not None:
                g += tl.load(grad_c_ptr + place, mask=inside, other=0.0).to(tl.float32)
            weights = tl.load(
                weights_ptr + (i * width + column) * order + n[:, None],
                mask=(column < width) & (n[:, None] < order),
                other=0.0,
            )
            out += tl.dot(g, weights, input_precision="ieee")
    tl.store(
        out_ptr + pair * width + column, out, mask=(pair < pairs) & (column < width)
    )


def project(
    f: Tensor, state: Tensor | None, memory: Memory, start: int, return_all: bool
) -> tuple[Tensor, Tensor]:
    """c (B, L, D, N), or (B, D, N) if not ``return_all``, and the last state; the
    arguments are those of the op, already checked."""
    f = f.contiguous()
    batch, length, channels = f.shape
    shape = (batch, channels, memory.order)
    if not return_all and _has_weights(memory, length):
        weights, kept = _legs_weights(memory, start, length)
        last = _weigh(f, weights).view(shape)
        if state is not None:
            last += state @ kept
        return last.to(f.dtype, copy=True), last
    c = f.new_empty((batch, length, channels, memory.order)) if return_all else None
    with torch.cuda.device_of(f):
        form = _project_legs if memory.measure == "legs" else _project_invariant
        last = form(f, state, c, memory, start).view(shape)
    return last.to(f.dtype, copy=True) if c is None else c, last


def gradients(
    grad_c: Tensor,
    grad_last: Tensor,
    length: int,
    memory: Memory,
    start: int,
    return_all: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients to f (B, L, D) and to the first state (B, D, N)."""
    batch, channels, _ = grad_last.shape
    if not return_all:
        grad_last = grad_last + grad_c
        if _has_weights(memory, length):
            weights, kept = _legs_weights(memory, start, length)
            grad_f = (grad_last @ weights.T).transpose(1, 2).to(grad_c.dtype)
            return grad_f.contiguous(), grad_last @ kept.T
    grad_f = grad_c.new_empty((batch, length, channels))
    every = grad_c.contiguous() if return_all else None
    with torch.cuda.device_of(grad_last):
        form = _gradients_legs if memory.measure == "legs" else _gradients_invariant
        grad_state = form(every, grad_last.contiguous(), grad_f, memory, start)
    return grad_f, grad_state.view(grad_last.shape)


def _has_weights(memory: Memory, length: int) -> bool:
    return memory.measure == "legs" and memory.order * length <= MOST_WEIGHTS


@lru_cache(maxsize=4)
def _legs_weights(memory: Memory, start: int, length: int) -> tuple[Tensor, Tensor]:
    """What each sample (L, N) and the state before them (N, N) give to the last
    coefficients: the adjoint of LegS, applied to the unit vectors."""
    units = torch.eye(memory.order, device=memory.device)[:, None]
    of_samples = units.new_empty((memory.order, length, 1))
    with torch.cuda.device_of(units):
        of_state = _gradients_legs(None, units, of_samples, memory, start)
    return of_samples[:, :, 0].T.contiguous(), of_state.view(units.shape)[:, 0].T


def _weigh(f: Tensor, weights: Tensor) -> Tensor:
    """The samples of every row by their weights (L, N), summed: (R, N)."""
    batch, length, channels = f.shape
    rows, order = batch * channels, weights.shape[1]
    span = 256 if f.is_cuda else length
    spans = triton.cdiv(length, span)
    parts = f.new_empty((spans, rows, order), dtype=torch.float32)
    with torch.cuda.device_of(f):
        weigh_kernel[(spans, triton.cdiv(rows, 16))](
            f, weights, parts, length, channels, order, rows, span,
            STEPS=16, ROWS=16, ORDER=_padded(order), num_stages=4,
        )  # fmt: skip
    return parts.sum(0)


def _project_legs(
    f: Tensor, state: Tensor | None, c: Tensor | None, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = f.shape
    rows = batch * channels
    steps = _legs_steps(f, memory.order)
    chunks = triton.cdiv(length, steps)
    ends = f.new_empty((rows, chunks, memory.order), dtype=torch.float32)
    grid, constants = _legs_tiling(f, rows, chunks, memory)
    numbers = (length, channels, memory.order, rows, chunks, start, steps)
    if chunks == 1 or _reaches(memory, chunks, steps):
        starts = state
        if chunks > 1:
            starts = _reach(f, state, _samples_reach(memory, start, length, steps))
        walk_kernel[grid](f, starts, c, ends, *numbers, **constants)
        return ends[:, -1].contiguous()
    walk_kernel[grid](f, None, None, ends, *numbers, **constants)
    starts, last = _carry(state, ends, _legs_jumps(memory, start, length, steps, False))
    if c is not None:
        walk_kernel[grid](f, starts, c, ends, *numbers, **constants)
        last = ends[:, -1]
    return last.contiguous()


def _gradients_legs(
    grad_c: Tensor | None, grad_last: Tensor, grad_f: Tensor, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = grad_f.shape
    rows = batch * channels
    steps = _legs_steps(grad_f, memory.order)
    chunks = triton.cdiv(length, steps)
    leave = grad_last.new_empty((rows, chunks, memory.order))
    grid, constants = _legs_tiling(grad_f, rows, chunks, memory)
    numbers = (length, channels, memory.order, rows, chunks, start, steps)
    arrive = None
    if chunks > 1:
        walk_back_kernel[grid](
            grad_c, grad_last, None, None, leave, *numbers, **constants
        )
        if _reaches(memory, chunks, memory.order):
            reach = _adjoint_reach(memory, start, length, steps)
            arrive = _reach(leave.view(rows, -1, 1), None, reach)
        else:
            jumps = _legs_jumps(memory, start, length, steps, True)
            arrive = _carry(None, leave, jumps)[0]
    walk_back_kernel[grid](
        grad_c, grad_last, arrive, grad_f, leave, *numbers, **constants
    )
    return leave[:, -1].contiguous()


def _project_invariant(
    f: Tensor, state: Tensor | None, c: Tensor | None, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = f.shape
    order, rows = memory.order, batch * channels
    chunks = triton.cdiv(length, STEPS)
    weights = _invariant_weights(memory)
    padded = f.new_zeros((batch, chunks * STEPS, channels), dtype=torch.float32)
    padded[:, :length] = f
    inside = padded.transpose(1, 2).reshape(rows, chunks, STEPS)
    starts, _ = _carry(
        state, inside @ weights[-1, :STEPS], _invariant_jumps(memory, chunks, False)
    )
    last = f.new_empty((rows, order), dtype=torch.float32)
    pairs = rows * chunks
    expand_kernel[(triton.cdiv(pairs, 16), STEPS)](
        f, starts, weights, c, last, length, channels, order, pairs, chunks,
        STEPS=STEPS, ROWS=16, BLOCK=_blocks(f, order)[0], ORDER=_padded(order),
    )  # fmt: skip
    return last


def _gradients_invariant(
    grad_c: Tensor | None, grad_last: Tensor, grad_f: Tensor, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = grad_f.shape
    order, rows = memory.order, batch * channels
    chunks = triton.cdiv(length, STEPS)
    weights = _invariant_weights(memory)
    pairs = rows * chunks
    width = STEPS + order
    own = grad_last.new_empty((rows, chunks, width))
    BLOCK, COLUMNS = _blocks(grad_f, order)
    contract_kernel[(triton.cdiv(pairs, 16), triton.cdiv(width, COLUMNS))](
        grad_c, grad_last, weights, own, length, channels, order, pairs, chunks,
        STEPS=STEPS, ROWS=16, BLOCK=BLOCK, COLUMNS=COLUMNS,
    )  # fmt: skip
    arrive, grad_state = _carry(
        None, own[..., STEPS:].flip(1), _invariant_jumps(memory, chunks, True)
    )
    inside = own[..., :STEPS] + arrive.flip(1) @ weights[-1, :STEPS].mT
    every = inside.reshape(batch, channels, chunks * STEPS)[..., :length]
    grad_f.copy_(every.transpose(1, 2))  # eq. 4.15
    return grad_state


def _carry(first: Tensor | None, add: Tensor, jumps: Jumps) -> tuple[Tensor, Tensor]:
    """The states before the chunks (R, J, N) and after them (R, N), from that before the
    first and what each chunk adds."""
    rows, chunks, order = add.shape
    before = torch.empty_like(add)
    groups = 1 if jumps.groups is None else triton.cdiv(chunks, GROUP)
    after = add.new_empty((rows, groups, order))
    begin = first if groups == 1 and first is not None else None
    carry_kernel[(triton.cdiv(rows, 16), groups)](
        None if begin is None else begin.contiguous(), add.contiguous(), jumps.maps, before, after,
        rows, chunks, order, 0 if len(jumps.maps) == 1 else order * order,
        GROUP=GROUP, ROWS=16, BLOCK=_blocks(add, order)[0], ORDER=_padded(order),
    )  # fmt: skip
    if jumps.groups is None:
        return before, after[:, 0]
    assert jumps.within is not None
    starts, _ = _carry(first, after, jumps.groups)
    within = jumps.within.expand(groups, -1, -1)
    heard = (starts.transpose(0, 1) @ within).unflatten(2, (GROUP, order))
    before += heard.transpose(0, 1).flatten(1, 2)[:, :chunks]
    return before, before[:, -1] @ jumps.maps[-1] + add[:, -1]


def _reach(x: Tensor, first: Tensor | None, reach: Reach) -> Tensor:
    """The states before the chunks (R, J, N), from that before the first (R, N), and
    what the chunks hear (B, L, D)."""
    if reach.upper is not None:
        ends = _launch_reach(x, None, reach, last=True)
        first = _reach(ends.view(len(ends), -1, 1), first, reach.upper)
    return _launch_reach(x, first, reach, last=False)


def _launch_reach(x: Tensor, first: Tensor | None, reach: Reach, last: bool) -> Tensor:
    """The states before each item or, ``last``, after each group, as from zeros."""
    batch, length, channels = x.shape
    rows = batch * channels
    order = reach.weights.shape[-1]
    groups = triton.cdiv(reach.items, reach.group)
    outs = groups if last else reach.items
    out = x.new_empty((rows, outs, order), dtype=torch.float32)
    COUNT = 1 if last else reach.group
    ROWS, BLOCK, COLUMNS, warps, precision = (
        REACH if x.is_cuda else (16, 16, _padded(order), 4, "ieee")
    )
    grid = (triton.cdiv(rows, ROWS), groups * COUNT * triton.cdiv(order, COLUMNS))
    reach_kernel[grid](
        None if first is None else first.contiguous(), x, reach.weights, out,
        length, channels, order, rows, outs, reach.weights.stride(0),
        SIZE=reach.size, GROUP=reach.group, FROM=reach.group if last else 0, COUNT=COUNT,
        ROWS=ROWS, BLOCK=BLOCK, COLUMNS=COLUMNS, PRECISION=precision, num_warps=warps,
    )  # fmt: skip
    return out


def _reaches(memory: Memory, chunks: int, size: int) -> bool:
    """Whether it is little to keep what reaches every chunk."""
    return reach_numbers(chunks, size, memory.order) <= MOST_WEIGHTS


@lru_cache(maxsize=4)
def _samples_reach(memory: Memory, start: int, length: int, steps: int) -> Reach:
    """What reaches each chunk of LegS of the samples before it."""
    order = memory.order
    chunks = triton.cdiv(length, steps)
    # The samples' part in their chunk's end: its gradient, at every order.
    units = torch.eye(order, device=memory.device)[:, None].repeat(1, chunks, 1)
    heard = units.new_zeros((order, chunks * steps, 1))
    grid, constants = _legs_tiling(units, order, chunks, memory)
    walk_back_kernel[grid](
        None, units.new_zeros((order, order)), units, heard, None,
        chunks * steps, 1, order, order, chunks, start, steps, **constants,
    )  # fmt: skip
    inputs = heard.view(order, chunks, steps).permute(1, 2, 0)
    return reach_of(inputs, _legs_maps(memory, start, length, steps))


@lru_cache(maxsize=4)
def _adjoint_reach(memory: Memory, start: int, length: int, steps: int) -> Reach:
    """What reaches the end of each chunk of what leaves the later ones, from the last
    chunk to the first."""
    maps = _legs_maps(memory, start, length, steps).flip(0).mT
    unit = torch.eye(memory.order, device=memory.device)
    return reach_of(unit.expand_as(maps), maps)


def _legs_maps(memory: Memory, start: int, length: int, steps: int) -> Tensor:
    """Phi_j transposed (J, N, N), where each unit vector ends that a chunk starts from."""
    order = memory.order
    chunks = triton.cdiv(length, steps)
    units = torch.eye(order, device=memory.device)[:, None].repeat(1, chunks, 1)
    ends = torch.empty_like(units)
    grid, constants = _legs_tiling(units, order, chunks, memory)
    walk_kernel[grid](
        None, units, None, ends, length, 1, order, order, chunks, start, steps, **constants
    )  # fmt: skip
    return ends.transpose(0, 1)


@lru_cache(maxsize=4)
def _legs_jumps(
    memory: Memory, start: int, length: int, steps: int, back: bool
) -> Jumps:
    """How the chunks map states; for the gradient, BACK, transposed and from the last
    chunk to the first. Kept, as the signal has no part in it."""
    maps = _legs_maps(memory, start, length, steps)
    return jumps_of(maps.flip(0).mT if back else maps, len(maps))


def _wide(memory: Memory) -> tuple[Tensor, Tensor]:
    """A_bar and B_bar of a time-invariant measure in float64: their powers are what is
    used, and a power of a rounded matrix is another matrix."""
    A_bar, B_bar = replace(memory, dtype=torch.float64).steps([1])
    return A_bar[0], B_bar[0]


@lru_cache(maxsize=8)
def _invariant_jumps(memory: Memory, chunks: int, back: bool) -> Jumps:
    """The same for a time-invariant measure: one map for all chunks."""
    jump = torch.linalg.matrix_power(_wide(memory)[0], STEPS)
    return jumps_of((jump if back else jump.mT)[None], chunks)


@lru_cache(maxsize=8)
def _invariant_weights(memory: Memory) -> Tensor:
    """W (C, C + N, N): what the samples of a chunk and the state before it contribute to
    the coefficients after each of its steps."""
    A_bar, B_bar = _wide(memory)
    powers = [torch.eye(memory.order).to(A_bar)]
    for _ in range(STEPS):
        powers.append(A_bar @ powers[-1])
    weights = B_bar.new_zeros((STEPS, STEPS + memory.order, memory.order))
    for i in range(STEPS):
        for earlier in range(i + 1):
            weights[i, earlier] = powers[i - earlier] @ B_bar
        weights[i, STEPS:] = powers[i + 1].mT
    return weights.float()


def _padded(order: int) -> int:
    """The lanes for ``order`` coefficients: a power of two, of at least 16 for tl.dot."""
    return max(16, triton.next_power_of_2(order))


STEPS = 16  # of a chunk of the time-invariant measures


MOST_WEIGHTS = 2**24  # numbers to keep of what reaches where: 64 MiB
MOST_IN_MAPS = 2**25  # numbers to keep for the maps of the chunks: 128 MiB
NUMBERS = 512  # that a warp walks with: 16 a lane
WALKERS = 2**13  # pairs of a chunk and a row: enough to keep an H100 busy
# ROWS, BLOCK, COLUMNS, warps and precision of what reaches a chunk: three products on
# tensor cores for each, whose digits add up to float32's.
REACH = (16, 64, 32, 2, "tf32x3")


def _legs_steps(like: Tensor, order: int) -> int:
    """Steps of a chunk: few enough that the chunks of all rows keep the GPU busy, and as
    many as it takes to keep a map for each."""
    if not like.is_cuda:  # the interpreter visits the numbers one by one
        return 3 if order < 64 else 8
    batch, length, channels = like.shape
    steps = max(
        16,
        batch * channels * length // WALKERS,
        length * order * order // MOST_IN_MAPS,
    )
    return triton.next_power_of_2(steps)


def _legs_tiling(
    like: Tensor, rows: int, chunks: int, memory: Memory
) -> tuple[tuple[int], dict]:
    """The grid and the constants of a walk."""
    order = _padded(memory.order)
    most = max(1, NUMBERS // order) if like.is_cuda else 4
    PAIRS = min(most, triton.next_power_of_2(rows))
    constants = {
        "ALPHA": ALPHA[memory.method], "PAIRS": PAIRS, "ORDER": order, "num_warps": 1,
    }  # fmt: skip
    return (triton.cdiv(rows, PAIRS) * chunks,), constants


def _blocks(like: Tensor, order: int) -> tuple[int, int]:
    """BLOCK and COLUMNS of a matrix product: all at once in the interpreter, which pays
    for every block."""
    return (16, 32) if like.is_cuda else (_padded(order), _padded(STEPS + order))
