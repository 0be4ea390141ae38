"""LegS as Triton kernels, forward and backward.

A row is the history of one batch entry and channel; there are R = B D of them. Time is
cut into J chunks of S steps, on a grid that is the same for all signals (``plan``), and
all chunks of all rows run at the same time, in three launches:

      time  ------>   chunk 0     chunk 1    ...   chunk J-1
      1. summaries    s_1         E_1              -             where each leads from zero
      2. carry        s_1 ------> s_2 ----- ... -> s_{J-1}       s_{j+1} = s_j Phi_j + E_j
      3. outputs      c_1 c_2 ..  ...              ... c_L       from s_j, written once

Chunk 0 begins with the given state, so that its summary is a state already; an input of
one chunk takes the third launch alone. States are row vectors, and Phi_j (N x N) is the
transition of chunk j (equation 4.14, transposed): where it leads each unit vector. So
unit vectors are N more rows of the first launch. For long signals of few rows, where they
would be most of the work, transitions are kept for later calls instead.

One program owns one chunk of a few rows. Their N coefficients lie across the lanes of a
warp, in registers from the first step of the chunk to the last. A step is one triangular
solve (equation 4.18), and the solve is a linear recurrence over the order (equation
4.13): an associative scan, or late in time a running sum (equation 4.19). O(N) work, no
N x N matrix anywhere. The carry multiplies states by transitions, GROUP chunks after each
other: within all groups at the same time, then from group to group, then within each
group again, from its right state.

The backward pass is the same with A transposed, from late to early times (equation 4.15):
sums run, and solves go, from the highest order down, and the carry takes the transitions
transposed.

Bytes (equation 4.16), with e bytes a number: forward reads e R L and writes e R L N, or
4 R N where the last coefficients alone are wanted; backward the same the other way. The
first two launches add e R L and about 16 (R + N) J N.
"""

import triton
import triton.language as tl


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
def load_orders(order, BACK: tl.constexpr, ORDER: tl.constexpr):
    """The orders n of the lanes (1, ORDER), which of them exist, and r_n and n + 1 there;
    BACK from the last lane's down, which makes the transpose of A lower triangular."""
    lane = tl.arange(0, ORDER)[None, :]
    n = ORDER - 1 - lane if BACK else lane
    exists = n < order
    r = tl.sqrt(tl.where(exists, 2.0 * n + 1.0, 0.0))
    return n, exists, r, tl.where(exists, n + 1.0, 0.0)


@triton.jit
def solve(y, a, r, d, ROWS: tl.constexpr, ORDER: tl.constexpr):
    """x with (I - a A) x = y for every row, where A = -(r r^T below the diagonal, d on
    it). And A x, which x itself no longer holds: beside the y of a long history, a
    A x is lost in rounding."""
    inverse = 1.0 / (1.0 + a * d)
    decay = tl.broadcast_to((1.0 + a * (d - r * r)) * inverse, (ROWS, ORDER))
    one = tl.full((ROWS, ORDER), 1.0, tl.float32)
    zero = tl.full((ROWS, ORDER), 0.0, tl.float32)
    _, _, _, q = tl.associative_scan(
        (decay, r * y * inverse, one, zero), 1, compose
    )  # eq. 4.13
    return (y - a * r * q) * inverse, -(d * y + r * q) * inverse


@triton.jit
def solve_transposed(y, a, order, ROWS: tl.constexpr, ORDER: tl.constexpr):
    """``solve`` with A transposed: the same from the highest order down. The lanes are
    turned around in registers: with orders loaded from high to low addresses, what Triton
    3.6 compiled for an H100 gave wrong gradients, and its interpreter right ones."""
    n, _, r, d = load_orders(order, True, ORDER)
    turned = tl.broadcast_to(n, (ROWS, ORDER))
    x, A_x = solve(tl.gather(y, turned, 1), a, r, d, ROWS, ORDER)
    return tl.gather(x, turned, 1), tl.gather(A_x, turned, 1)


@triton.jit
def late_coefficients(a, r, d):
    """What a step takes of each order where no decay is near 0 (equation 4.19): the slope
    is own c - after S, where S is the running sum of before c, and a sample adds after
    f."""
    n = d - 1.0
    below = 1.0 / (1.0 - a * n)
    above = 1.0 / (1.0 + a * d)
    decay = tl.where(d > 0.0, (1.0 - a * n) * above, 1.0)
    product = tl.associative_scan(decay, 1, multiply)  # rho
    return r * above / product, r * below * product, n * below


@triton.jit
def is_late(first, order, ALPHA: tl.constexpr):
    """Whether from step ``first`` on every decay of a solve and their product, about
    exp(-a N^2), are far enough from 0 to divide by them."""
    a = ALPHA / first.to(tl.float32)
    return (a * order < 0.5) & (a * order * order < 32.0)


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
def recurrence(
    c,
    f_ptr,
    c_ptr,
    first,
    steps,
    order,
    channels,
    signal,
    alive,
    LATE: tl.constexpr,
    ALPHA: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """c (ROWS, N) after the steps of a chunk, the first of which is step ``first``. Rows
    in ``signal`` have samples, and all coefficients go to ``c_ptr``, unless None."""
    n, exists, r, d = load_orders(order, False, ORDER)
    ahead = tl.load(f_ptr, mask=signal, other=0.0)
    for i in range(0, steps):
        f = ahead.to(tl.float32)
        f_ptr += channels
        # A step early: memory is slow.
        ahead = tl.load(f_ptr, mask=signal & (i + 1 < steps), other=0.0)
        k = (first + i).to(tl.float32)
        a, step = step_sizes(k, ALPHA)
        if LATE:
            before, after, own = late_coefficients(a, r, d)
            S = tl.associative_scan(before * c, 1, add)
            c += step * (after * (f - S) + own * c)  # eq. 4.19
        else:
            x, A_x = solve(c + a * r * f, a, r, d, ROWS, ORDER)
            c = advance(c, x, A_x + r * f, a, step, order)
            c = tl.where(k == 1.0, tl.where(n == 0, f, 0.0), c)  # eq. 4.10
        if c_ptr is not None:
            out = c.to(c_ptr.dtype.element_ty)
            tl.store(c_ptr + n, out, mask=alive & exists, cache_modifier=".cs")
            c_ptr += channels * order
    return c


@triton.jit
def adjoint(
    g,
    grad_c_ptr,
    grad_f_ptr,
    last,
    steps,
    order,
    channels,
    signal,
    LATE: tl.constexpr,
    ALPHA: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The gradient g (ROWS, N) to the state before the steps of a chunk, from that to the
    state after them, the last of which is step ``last``. Rows in ``signal`` have
    gradients to all coefficients, unless None, and get those to their samples."""
    n, exists, r, d = load_orders(order, False, ORDER)
    inside = signal & exists
    if grad_c_ptr is not None:
        ahead = tl.load(grad_c_ptr + n, mask=inside, other=0.0)
    for i in range(0, steps):
        if grad_c_ptr is not None:
            g += ahead.to(tl.float32)
            grad_c_ptr -= channels * order
            # A step early: memory is slow.
            more = inside & (i + 1 < steps)
            ahead = tl.load(grad_c_ptr + n, mask=more, other=0.0)
        k = (last - i).to(tl.float32)
        a, step = step_sizes(k, ALPHA)
        if LATE:
            before, after, own = late_coefficients(a, r, d)
            weighted = after * g
            if grad_f_ptr is not None:
                grad_f = step * tl.reduce(weighted, 1, add)[:, None]  # eq. 4.15
            S = tl.associative_scan(weighted, 1, add, reverse=True)  # sums commute
            g += step * (own * g - before * S)
        else:
            x, A_x = solve_transposed(g, a, order, ROWS, ORDER)
            if grad_f_ptr is not None:
                weight = tl.where(k == 1.0, tl.where(n == 0, g, 0.0), step * r * x)
                grad_f = tl.reduce(weight, 1, add)[:, None]  # eq. 4.15
            g = tl.where(k == 1.0, 0.0, advance(g, x, A_x, a, step, order))
        if grad_f_ptr is not None:
            tl.store(grad_f_ptr, grad_f.to(grad_f_ptr.dtype.element_ty), mask=signal)
            grad_f_ptr -= channels
    return g


@triton.jit
def tile(first_chunk, signals, start, length, size, ROWS: tl.constexpr):
    """The program's rows (ROWS, 1) and chunk, the chunk's first time and its steps."""
    blocks = (signals + ROWS - 1) // ROWS
    row = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)[:, None]
    chunk = (first_chunk + tl.program_id(0) // blocks).to(tl.int64)
    start = start.to(tl.int64)
    edge = (start // size + chunk) * size - start
    begin = tl.maximum(edge, 0)
    steps = (tl.minimum(edge + size, length) - begin).to(tl.int32)
    return row.to(tl.int64), chunk, begin, steps


@triton.jit(do_not_specialize=["length", "start", "chunks", "first_chunk"])
def recurrence_kernel(
    f_ptr,
    state_ptr,
    between_ptr,
    c_ptr,
    last_ptr,
    length,
    channels,
    order,
    signals,
    width,
    start,
    size,
    chunks,
    first_chunk,
    SUMMARY: tl.constexpr,
    ALPHA: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """SUMMARY: where each chunk but the last leads, to ``between_ptr`` (J - 1, width, N):
    ``signals`` rows from zero, but in chunk 0 from ``state_ptr`` (R, N), then unit
    vectors. Else outputs: from the states there, None for a single chunk, all
    coefficients (B, L, D, N), unless None, and the last (R, N)."""
    count = width if SUMMARY else signals
    row, chunk, begin, steps = tile(first_chunk, count, start, length, size, ROWS)
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    alive = row < count
    signal = row < signals
    c = tl.full((ROWS, ORDER), 0.0, tl.float32)
    if SUMMARY:
        c = tl.where(row - signals == n, 1.0, 0.0)
    elif between_ptr is not None:
        state = between_ptr + ((chunk - 1) * width + row) * order + n
        c = tl.load(state, mask=alive & exists & (chunk > 0), other=0.0)
    if state_ptr is not None:
        inside = signal & exists & (chunk == 0)
        c += tl.load(state_ptr + row * order + n, mask=inside, other=0.0)
    now = ((row // channels) * length + begin) * channels + row % channels
    f_ptr += now
    if c_ptr is not None:
        c_ptr += now * order
    first = start + begin + 1
    if is_late(first, order, ALPHA):
        c = recurrence(
            c, f_ptr, c_ptr, first, steps, order, channels, signal, alive, True, ALPHA,
            ROWS, ORDER,
        )  # fmt: skip
    else:
        c = recurrence(
            c, f_ptr, c_ptr, first, steps, order, channels, signal, alive, False, ALPHA,
            ROWS, ORDER,
        )  # fmt: skip
    if SUMMARY:
        to = between_ptr + (chunk * width + row) * order + n
        tl.store(to, c, mask=alive & exists)
    else:
        final = alive & exists & (chunk == chunks - 1)
        tl.store(last_ptr + row * order + n, c, mask=final)


@triton.jit(do_not_specialize=["length", "start", "chunks", "first_chunk"])
def adjoint_kernel(
    grad_c_ptr,
    grad_last_ptr,
    between_ptr,
    grad_f_ptr,
    grad_state_ptr,
    length,
    channels,
    order,
    signals,
    width,
    start,
    size,
    chunks,
    first_chunk,
    SUMMARY: tl.constexpr,
    ALPHA: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The same for gradients, from late to early. SUMMARY: what leaves each chunk but the
    first at its start; the last chunk begins with ``grad_last_ptr`` (R, N). Else outputs:
    the gradients to f (B, L, D) and to the first state (R, N)."""
    count = width if SUMMARY else signals
    row, chunk, begin, steps = tile(first_chunk, count, start, length, size, ROWS)
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    alive = row < count
    signal = row < signals
    final = chunk == chunks - 1
    g = tl.full((ROWS, ORDER), 0.0, tl.float32)
    if SUMMARY:
        g = tl.where(row - signals == n, 1.0, 0.0)
    elif between_ptr is not None:
        state = between_ptr + (chunk * width + row) * order + n
        g = tl.load(state, mask=alive & exists & (chunk < chunks - 1), other=0.0)
    if grad_last_ptr is not None:
        inside = signal & exists & final
        g += tl.load(grad_last_ptr + row * order + n, mask=inside, other=0.0)
    end = begin + steps - 1
    now = ((row // channels) * length + end) * channels + row % channels
    if grad_c_ptr is not None:
        grad_c_ptr += now * order
    if grad_f_ptr is not None:
        grad_f_ptr += now
    last = start + end + 1
    if is_late(start + begin + 1, order, ALPHA):
        g = adjoint(
            g, grad_c_ptr, grad_f_ptr, last, steps, order, channels, signal, True, ALPHA,
            ROWS, ORDER,
        )  # fmt: skip
    else:
        g = adjoint(
            g, grad_c_ptr, grad_f_ptr, last, steps, order, channels, signal, False, ALPHA,
            ROWS, ORDER,
        )  # fmt: skip
    if SUMMARY:
        to = between_ptr + ((chunk - 1) * width + row) * order + n
        tl.store(to, g, mask=alive & exists)
    else:
        first = alive & exists & (chunk == 0)
        tl.store(grad_state_ptr + row * order + n, g, mask=first)


@triton.jit(do_not_specialize=["items", "first", "group", "shift"])
def carry_kernel(
    add_ptr,
    start_ptr,
    state_ptr,
    transition_ptr,
    items,
    first,
    group,
    shift,
    order,
    rows,
    signals,
    add_stride,
    start_stride,
    state_stride,
    transition_stride,
    from_stride,
    to_stride,
    BACK: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    ORDER: tl.constexpr,
):
    """x <- x Phi_i + add_i over items i = 0, 1, ... or BACK from the last one down, each
    x to ``state_ptr``, for all groups at the same time. Rows after the first ``signals``
    are the transitions of the items so far.

    A group are the items i with the same (first + i) // ``group``. It begins at zero, or
    with the state at ``start_ptr`` that the group before it, ``shift`` further down,
    ended with. Strides are those of items and, of transitions, of the orders from which
    and to which they lead.
    """
    blocks = (rows + ROWS - 1) // ROWS
    row = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    number = tl.program_id(0) // blocks
    n = tl.arange(0, ORDER)[None, :]
    inside = (row < rows) & (n < order)
    edge = number * group - first % group
    low = tl.maximum(edge, 0)
    high = tl.minimum(edge + group, items)
    i = (high - 1 if BACK else low).to(tl.int64)
    direction = -1 if BACK else 1
    steps = high - low
    from_ptr = state_ptr + i * state_stride  # where x is, for the products below
    groups = (first % group + items + group - 1) // group
    begins = number == (groups - 1 if BACK else 0)
    if start_ptr is not None:
        from_ptr = tl.where(
            begins, from_ptr, start_ptr + (number - direction - shift) * start_stride
        )
    else:
        begins = True
    if begins:  # at zero
        x = tl.load(add_ptr + i * add_stride + row * order + n, mask=inside, other=0.0)
        tl.store(from_ptr + row * order + n, x, mask=inside)
        tl.debug_barrier()  # a product needs x in other lanes: it goes through memory
        i += direction
        steps -= 1
    for _ in range(0, steps):
        here = add_ptr + i * add_stride + row * order + n
        x = tl.load(here, mask=inside & (row < signals), other=0.0)
        for block in range(0, order, BLOCK):
            k = block + tl.arange(0, BLOCK)
            part = tl.load(
                from_ptr + row * order + k[None, :],
                mask=(row < rows) & (k[None, :] < order),
                other=0.0,
            )
            transition = tl.load(
                transition_ptr
                + i * transition_stride
                + k[:, None] * from_stride
                + n * to_stride,
                mask=(k[:, None] < order) & (n < order),
                other=0.0,
            )
            x += tl.dot(part, transition, input_precision="ieee")  # eq. 4.14
        from_ptr = state_ptr + i * state_stride
        tl.store(from_ptr + row * order + n, x, mask=inside)
        tl.debug_barrier()
        i += direction
