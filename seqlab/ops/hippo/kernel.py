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
product with what each chunk makes of its group's first state.

Where all that the samples contribute to the states between the chunks is little to keep
(``Reach``), one launch does it all. The programs of a group of chunks, each with its own
chunk, form products of samples and kept weights, and send words to each other:

      samples of the group              ------>  where it ends, from zero     end_group
      ends of all groups before it      ------>  their part in the state
                                                 before the next group        hand_over
      both, of the group before, and
      samples of the group's i chunks
      before its own                    ------>  the state before its own     state_before
      that                              ------>  its coefficients             walk

      s_i (rows x N) = [ sum of the words | f of the i chunks ]  @  W_i ((N + i C) x N)

for chunks of C steps. A word is the bits of a float32, or says that it is not there yet;
who needs it asks until it is (see linear_scan). There are two sets of words: a launch
uses one and leaves the other as the next launch is to find it. Programs wait for words of
earlier groups alone, and are numbered group after group, for TOGETHER blocks of rows at a
time. GPUs start them in this order, so whoever another one waits for has been started
before.

The backward pass does the same from late to early, with what leaves each chunk in place
of samples. Where the last coefficients alone are wanted, of a signal that is not too
long, the N x L weights of the samples are kept, and there is one matrix product in all.

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
Steps 1 and 2 add e R L and 8 R J N, a tenth for float32, chunks of 32 steps and N = 32,
and what is kept: at most 4 MOST_WEIGHTS bytes for one length, or about 8 J N^2. The words
of G groups are 8 R G N (1 + SPANS) bytes; each chunk reads what reaches its own group,
from the cache.
"""

from dataclasses import replace
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

from seqlab.ops.hippo.jumps import GROUP, Jumps, jumps_of
from seqlab.ops.hippo.kept import kept
from seqlab.ops.hippo.reach import Reach, reach_numbers, reach_of
from seqlab.ops.hippo.transition import ALPHA, Memory
from seqlab.ops.streams import on_default_stream

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
# Not there yet: the bits of a NaN that no arithmetic returns.
MISSING = tl.constexpr(-1)
NAN = tl.constexpr(0x7FC00000)
# Blocks of rows at a time, so that a multiprocessor has chunks of early and late times.
TOGETHER = tl.constexpr(4)


@triton.jit
def add(x, y):
    return x + y


@triton.jit
def multiply(x, y):
    return x * y


@triton.jit
def bits_of_either(x, y):
    return x | y


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
    inverse = divide(1.0, 1.0 + a * d)
    decay = tl.broadcast_to((1.0 + a * (d - r * r)) * inverse, (PAIRS, ORDER))
    one = tl.full((PAIRS, ORDER), 1.0, tl.float32)
    zero = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    _, _, _, q = tl.associative_scan(
        (decay, r * y * inverse, one, zero), 1, compose, reverse=BACK
    )  # eq. 4.13
    return (y - a * r * q) * inverse, (d * y + r * q) * inverse


@triton.jit
def divide(x, y):
    """x / y to the last digit but one, for a y that is neither huge nor tiny."""
    if INTERPRETED:
        return x / y
    else:
        return libdevice.fast_dividef(x, y)


@triton.jit
def coefficients_late(a, r, d):
    """Of a step where no decay is near 0, the numbers of each order that make its slope
    heard (f - S) + own c, where S is the running sum of weight c (equation 4.19)."""
    n = d - 1.0
    below = 1.0 - a * n
    above = 1.0 + a * d
    product = tl.associative_scan(divide(below, above), 1, multiply)  # rho
    weight = divide(r, above * product)
    return weight, divide(r * product, below), divide(n, below)


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
def load_pairs(rows, chunks, PAIRS: tl.constexpr):
    """The program's block of rows, which rows they are, and how many chunks come before
    its own in the order in which programs start."""
    blocks = (rows + PAIRS - 1) // PAIRS
    lot = tl.program_id(0) // (TOGETHER * chunks) * TOGETHER
    turn = tl.program_id(0) % (TOGETHER * chunks)
    together = tl.minimum(blocks - lot, TOGETHER)
    block = (lot + turn % together).to(tl.int64)
    row = block * PAIRS + tl.arange(0, PAIRS)[:, None]
    return block, row, (turn // together).to(tl.int64)


@triton.jit
def is_late(first, order, ALPHA: tl.constexpr):
    """Whether from step ``first`` on every decay of a solve and their product, about
    exp(-a N^2), are far enough from 0 to divide by them."""
    a = ALPHA / first.to(tl.float32)
    return (a * order < 0.5) & (a * order * order < 32.0)


@triton.jit
def step_sizes(k, ALPHA: tl.constexpr):
    """Of step k: how far ahead x lies, and how far its slope leads."""
    ahead = divide(ALPHA, k)
    return ahead, ahead + divide(1.0 - ALPHA, tl.maximum(k - 1.0, 1.0))


@triton.jit
def advance(c, x, slope, a, step, order):
    """Equation 4.18 in two forms, each where the other loses digits: near the start the
    slope is steep, far from it a step changes next to nothing."""
    late = c + step * slope
    early = x + (divide(step, a) - 1.0) * (x - c)
    return tl.where(a * order < 1.0, late, early)  # eq. 4.18


@triton.jit
def walk(
    c,
    ahead,
    f_ptr,
    c_ptr,
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
    """c after ``steps`` steps, the first of which is step number ``first`` and hears
    ``ahead``, the sample at ``f_ptr``."""
    n, exists, r, d = load_transition(order, ORDER)
    first = first.to(tl.float32)
    f = tl.full((PAIRS, 1), 0.0, tl.float32)
    if LATE:
        a, step = step_sizes(first, ALPHA)
        weight, heard, own = coefficients_late(a, r, d)
    for i in range(0, steps):
        k = first + i
        if f_ptr is not None:  # a step early: memory is slow
            f = ahead.to(tl.float32)
            f_ptr += channels
            ahead = tl.load(f_ptr, mask=alive & (i + 1 < steps), other=0.0)
        if LATE:
            # Those of the next step meanwhile: they take long, and do not need c.
            a, next_step = step_sizes(k + 1.0, ALPHA)
            next_weight, next_heard, next_own = coefficients_late(a, r, d)
            sums = running_sum(weight * c, False, PAIRS, ORDER)
            c += step * (heard * (f - sums) + own * c)  # eq. 4.19
            step = next_step
            weight = next_weight
            heard = next_heard
            own = next_own
        else:
            a, step = step_sizes(k, ALPHA)
            x, lost = solve(c + a * r * f, a, r, d, False, PAIRS, ORDER)
            c = advance(c, x, r * f - lost, a, step, order)
            c = tl.where(k == 1.0, tl.where(n == 0, f, 0.0), c)  # eq. 4.10
        if c_ptr is not None:
            out = c.to(c_ptr.dtype.element_ty)
            tl.store(c_ptr, out, mask=alive & exists, cache_modifier=".cs")
            c_ptr += channels * order
    return c


@triton.jit
def rounded(x):
    """x with 11 of its binary digits."""
    bits = x.to(tl.int32, bitcast=True) + 0x1000
    return (bits & -0x2000).to(tl.float32, bitcast=True)


@triton.jit
def multiply_add(x, y, z, SPLIT: tl.constexpr):
    """x y + z to the digits of a float32. Tensor cores multiply 11 binary digits, and cut
    off where they add: three products of parts, small ones first, and z comes last. A
    part of an infinite number is not a number."""
    if SPLIT:
        x_high = rounded(x)
        y_high = rounded(y)
        product = tl.dot(x - x_high, y_high, input_precision="tf32")
        product = tl.dot(x_high, y - y_high, product, input_precision="tf32")
        return z + tl.dot(x_high, y_high, product, input_precision="tf32")
    else:
        return tl.dot(x, y, z, input_precision="ieee")


@triton.jit
def load_weights(weights_ptr, k, end, n, order):
    """Rows k, (K, 1), of a matrix (end, order), and their orders n, (1, N); 0 outside."""
    return tl.load(weights_ptr + k * order + n, mask=(k < end) & (n < order), other=0.0)


@triton.jit
def hear(
    state,
    x_ptr,
    weights_ptr,
    n,
    begin,
    end,
    stride,
    order,
    alive,
    BLOCK: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """The state and, added to it, the product of numbers ``begin`` to ``end`` of each
    row of x, ``stride`` apart, and the rows of weights for them."""
    for block in range(begin, end, BLOCK):
        k = block + tl.arange(0, BLOCK)
        x = tl.load(
            x_ptr + k[None, :].to(tl.int64) * stride,
            mask=alive & (k[None, :] < end),
            other=0.0,
        ).to(tl.float32)
        weights = load_weights(weights_ptr, k[:, None], end, n, order)
        state = multiply_add(x, weights, state, SPLIT)  # eq. 4.14
    return state


@triton.jit
def in_slices(SLICE: tl.constexpr, SLICES: tl.constexpr):
    """SLICES times SLICE places, along a row (SLICES, 1, SLICE) and down a column
    (SLICES, SLICE, 1)."""
    first = tl.arange(0, SLICES)[:, None, None] * SLICE
    places = tl.arange(0, SLICE)
    return first + places[None, None, :], first + places[None, :, None]


@triton.jit
def over_slices(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SLICES: tl.constexpr):
    """The sum over the slices (SLICES, ROWS, COLUMNS). Each is in a warp of its own: all
    of them move to one lane, pair by pair."""
    x = tl.permute(x, (1, 2, 0))
    for halving in tl.static_range(5):
        if SLICES >> halving > 1:
            pairs = tl.reshape(x, (ROWS, COLUMNS, SLICES >> (halving + 1), 2))
            even, odd = tl.split(pairs)
            x = even + odd
    return tl.reshape(x, (ROWS, COLUMNS))


@triton.jit
def hear_in_slices(
    state,
    x_ptr,
    weights_ptr,
    n,
    begin,
    end,
    stride,
    order,
    alive,
    STAGES: tl.constexpr,
    SLICE: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
):
    """``hear``, where every warp hears a slice of its own; state (SLICES, ROWS, N)."""
    along, down = in_slices(SLICE, SLICES)
    for block in tl.range(begin, end, SLICES * SLICE, num_stages=STAGES):
        k = block + along
        x = tl.load(
            x_ptr[None, :, :] + k.to(tl.int64) * stride,
            mask=alive[None, :, :] & (k < end),
            other=0.0,
        ).to(tl.float32)
        weights = load_weights(weights_ptr, block + down, end, n[None, :, :], order)
        state = multiply_add(x, weights, state, SPLIT)  # eq. 4.14
    return state


@triton.jit
def send(pointers, numbers, mask):
    """Every number as a word that also says that it is there."""
    words = tl.where(numbers == numbers, numbers.to(tl.int32, bitcast=True), NAN)
    tl.store(pointers, words, mask=mask)


@triton.jit
def ask(pointers, apart, mask, COUNT: tl.constexpr):
    """The sums of COUNT words, ``apart`` from each other, and whether one is missing."""
    words = tl.load(pointers, mask=mask, other=0, volatile=True)
    missing = (words == MISSING).to(tl.int32)
    numbers = words.to(tl.float32, bitcast=True)
    for each in tl.static_range(1, COUNT):
        words = tl.load(pointers + each * apart, mask=mask, other=0, volatile=True)
        missing |= (words == MISSING).to(tl.int32)
        numbers += words.to(tl.float32, bitcast=True)
    return numbers, tl.reduce(missing, None, bits_of_either)


@triton.jit
def receive(pointers, apart, mask, COUNT: tl.constexpr):
    """The sums of COUNT words, once all of them are there. Every lane needs words of its
    own: where two have the same, only one of them is asked."""
    numbers, missing = ask(pointers, apart, mask, COUNT)
    while missing == 1:
        numbers, missing = ask(pointers, apart, mask, COUNT)
    return numbers


@triton.jit
def hear_words(
    state,
    word_ptr,
    apart,
    weights_ptr,
    n,
    begin,
    end,
    order,
    alive,
    COUNT: tl.constexpr,
    SLICE: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
):
    """``hear_in_slices`` of the sums of COUNT words, which other programs send."""
    along, down = in_slices(SLICE, SLICES)
    for block in tl.range(begin, end, SLICES * SLICE, num_stages=1):
        weights = load_weights(weights_ptr, block + down, end, n[None, :, :], order)
        k = block + along
        inside = alive[None, :, :] & (k < end)
        x = receive(word_ptr[None, :, :] + k, apart, inside, COUNT)
        state = multiply_add(x, weights, state, SPLIT)  # eq. 4.14
    return state


@triton.jit
def rows_before(item, size, order):
    """The rows of weights for the items before ``item`` (see ``Reach``)."""
    return item * order + item * (item - 1) // 2 * size


@triton.jit
def end_group(
    x_ptr,
    weights_ptr,
    word_ptr,
    item,
    items,
    size,
    stride,
    order,
    alive,
    COLUMNS: tl.constexpr,
    SLICE: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """Send where the group ends, from zero, if that is for this item of it to do: a tile
    of COLUMNS orders each, of what the group's items hear."""
    for tile in range(item, (order + COLUMNS - 1) // COLUMNS, items):
        n = tile * COLUMNS + tl.arange(0, COLUMNS)[None, :]
        state = hear_in_slices(
            tl.full((SLICES, PAIRS, COLUMNS), 0.0, tl.float32), x_ptr, weights_ptr, n, 0,
            items * size, stride, order, alive, 4, SLICE, SPLIT, SLICES,
        )  # fmt: skip
        numbers = over_slices(state, PAIRS, COLUMNS, SLICES)
        send(word_ptr + n, numbers, alive & (n < order))


@triton.jit
def hand_over(
    first_ptr,
    weights_ptr,
    end_ptr,
    word_ptr,
    apart,
    row,
    item,
    items,
    group,
    order,
    alive,
    SPANS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLICE: tl.constexpr,
    LONG: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """Send what reaches the next group of where the groups before this one end, in SPANS
    parts, and in the first one of the first state, if that is for this item to do: tiles
    again, for the items after those that end the group."""
    blocks = (order + COLUMNS - 1) // COLUMNS
    span = (group + SPANS - 1) // SPANS * order
    for tile in range((item + items - blocks % items) % items, blocks * SPANS, items):
        n = tile // SPANS * COLUMNS + tl.arange(0, COLUMNS)[None, :]
        part = tile % SPANS
        state = tl.full((SLICES, PAIRS, COLUMNS), 0.0, tl.float32)
        if first_ptr is not None:
            state = hear_in_slices(
                state, first_ptr + row * order, weights_ptr, n, 0,
                tl.where(part == 0, order, 0), 1, order, alive, 3, SLICE, SPLIT, SLICES,
            )  # fmt: skip
        begin = tl.minimum(part * span, group * order)
        state = hear_words(
            state, end_ptr, apart, weights_ptr + order * order, n, begin,
            tl.minimum(begin + span, group * order), order, alive, 1, LONG, SPLIT, SLICES,
        )  # fmt: skip
        numbers = over_slices(state, PAIRS, COLUMNS, SLICES)
        send(word_ptr + part * apart + n, numbers, alive & (n < order))


@triton.jit
def forget(
    word_ptr,
    apart,
    item,
    items,
    order,
    alive,
    COUNT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The words that this group sends are not there yet."""
    for tile in range(item, (order + COLUMNS - 1) // COLUMNS * COUNT, items):
        n = tile // COUNT * COLUMNS + tl.arange(0, COLUMNS)[None, :]
        missing = tl.full((1, COLUMNS), MISSING, tl.int32)
        place = word_ptr + tile % COUNT * apart + n
        tl.store(place, missing, mask=alive & (n < order))


@triton.jit
def state_before(
    first_ptr,
    x_ptr,
    weights_ptr,
    to_end_ptr,
    between_ptr,
    word_ptr,
    turn_ptr,
    block,
    row,
    place,
    chunks,
    items,
    size,
    stride,
    order,
    rows,
    SPANS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLICE: tl.constexpr,
    LONG: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The state before item ``place`` of ``chunks``, which come in groups of ``items``:
    what reaches it of what the group's items before it hear, ``size`` numbers of each row
    of x, and of its group's first state: that is what the group before sends or, of the
    first group, the state at ``first_ptr`` (R, N), zeros if None.

    The words (2, 1 + SPANS, R, groups - 1, N) are those of this launch and of the next
    one, in turns, which ``turn_ptr`` (blocks, chunks) tells each program.
    """
    n = tl.arange(0, ORDER)[None, :]
    alive = row < rows
    item = (place % items).to(tl.int32)
    group = (place // items).to(tl.int32)
    later = (chunks + items - 1) // items - 1
    apart = later.to(tl.int64) * order * rows
    x_ptr += (place - item) * size * stride
    if to_end_ptr is not None:
        turn_ptr += block * chunks + place
        turn = tl.load(turn_ptr)
        end_ptr = word_ptr + turn * (1 + SPANS) * apart + row * later * order
        next_ptr = word_ptr + (1 - turn) * (1 + SPANS) * apart + row * later * order
        if group < later:
            end_group(
                x_ptr, to_end_ptr + group * items * size * order, end_ptr + group * order,
                item, items, size, stride, order, alive, COLUMNS, SLICE, SPLIT,
                SLICES, PAIRS,
            )  # fmt: skip
            forget(
                next_ptr + group * order, apart, item, items, order, alive, 1 + SPANS,
                COLUMNS,
            )  # fmt: skip
    weights_ptr += group.to(tl.int64) * rows_before(items, size, order) * order
    weights_ptr += rows_before(item, size, order) * order
    state = hear_in_slices(
        tl.full((SLICES, PAIRS, ORDER), 0.0, tl.float32), x_ptr,
        weights_ptr + order * order, n, 0, item * size, stride, order, alive, 3, SLICE,
        SPLIT, SLICES,
    )  # fmt: skip
    # Two conditions, as the compiler is to leave the second one out.
    if to_end_ptr is not None:  # noqa: SIM102
        if group < later:
            hand_over(
                first_ptr, between_ptr + rows_before(group + 1, order, order) * order,
                end_ptr, end_ptr + apart + group * order, apart, row, item, items, group,
                order, alive, SPANS, COLUMNS, SLICE, LONG, SPLIT, SLICES, PAIRS,
            )  # fmt: skip
    if group == 0:
        if first_ptr is not None:
            state = hear_in_slices(
                state, first_ptr + row * order, weights_ptr, n, 0, order, 1, order, alive,
                3, SLICE, SPLIT, SLICES,
            )  # fmt: skip
    elif to_end_ptr is not None:
        state = hear_words(
            state, end_ptr + (group - 1) * order, apart, weights_ptr, n, 0, order, order,
            alive, 1 + SPANS, SLICE, SPLIT, SLICES,
        )  # fmt: skip
    if to_end_ptr is not None:
        tl.debug_barrier()  # until every lane knows its turn
        tl.store(turn_ptr, 1 - turn)
    return over_slices(state, PAIRS, ORDER, SLICES)


# Where length and steps are multiples of 16, a single channel is loaded by fours.
@triton.jit(do_not_specialize=["start", "items"])
def walk_kernel(
    f_ptr,
    first_ptr,
    weights_ptr,
    to_end_ptr,
    between_ptr,
    word_ptr,
    turn_ptr,
    start_ptr,
    c_ptr,
    end_ptr,
    last_ptr,
    length,
    channels,
    order,
    rows,
    chunks,
    start,
    steps,
    items,
    ALPHA: tl.constexpr,
    SPANS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLICE: tl.constexpr,
    LONG: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """LegS from the states before the chunks (R, J, N), zeros if None; with
    ``weights_ptr`` they are made here, from the first (R, N) and what chunks in groups of
    ``items`` send each other, and laid down at ``start_ptr``.

    Out: every coefficient (B, L, D, N), those after each chunk (R, J, N), and the last
    (R, N); none of them if None. Without ``f_ptr`` the signal is zero.
    """
    block, row, j = load_pairs(rows, chunks, PAIRS)
    begin = j * steps
    alive = row < rows
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    at = (row * chunks + j) * order + n
    sample = (row // channels) * length * channels + row % channels
    now = sample + begin * channels
    ahead = tl.full((PAIRS, 1), 0.0, tl.float32)
    if f_ptr is not None:  # before all that there may be to wait for
        ahead = tl.load(f_ptr + now, mask=alive, other=0.0)
    c = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    if weights_ptr is not None:
        before = state_before(
            first_ptr, f_ptr + sample, weights_ptr, to_end_ptr, between_ptr, word_ptr,
            turn_ptr, block, row, j, chunks, items, steps, channels, order, rows, SPANS,
            COLUMNS, SLICE, LONG, SPLIT, SLICES, PAIRS, ORDER,
        )  # fmt: skip
        tl.store(start_ptr + at, before, mask=alive & exists)
        tl.debug_barrier()  # the walk wants it in other lanes: it goes through memory
    if start_ptr is not None:
        c = tl.load(start_ptr + at, mask=alive & exists, other=0.0)
    if f_ptr is not None:
        f_ptr += now
    if c_ptr is not None:
        c_ptr += now * order + n
    first = start + begin + 1
    steps = tl.minimum(steps, length - begin).to(tl.int32)
    if is_late(first, order, ALPHA):
        c = walk(
            c, ahead, f_ptr, c_ptr, first, steps, order, channels, alive, True, ALPHA,
            PAIRS, ORDER,
        )  # fmt: skip
    else:
        c = walk(
            c, ahead, f_ptr, c_ptr, first, steps, order, channels, alive, False, ALPHA,
            PAIRS, ORDER,
        )  # fmt: skip
    if end_ptr is not None:
        tl.store(end_ptr + at, c, mask=alive & exists)
    if last_ptr is not None:
        final = alive & (j == chunks - 1) & exists
        tl.store(last_ptr + row * order + n, c, mask=final)


@triton.jit
def walk_back(
    g,
    grad_c_ptr,
    grad_f_ptr,
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
    """The gradient g after ``steps`` steps back, the first of which is number ``last``,
    with its gradients at the pointers."""
    n, exists, r, d = load_transition(order, ORDER)
    last = last.to(tl.float32)
    if grad_c_ptr is not None:
        ahead = tl.load(grad_c_ptr, mask=alive & exists, other=0.0)
    if LATE:
        a, step = step_sizes(last, ALPHA)
        weight, heard, own = coefficients_late(a, r, d)
    for i in range(0, steps):
        k = last - i
        if grad_c_ptr is not None:  # a step early: memory is slow
            g += ahead.to(tl.float32)
            inside = alive & exists & (i + 1 < steps)
            grad_c_ptr -= channels * order
            ahead = tl.load(grad_c_ptr, mask=inside, other=0.0)
        if LATE:
            # Those of the step before meanwhile: they take long, and do not need g.
            a, next_step = step_sizes(k - 1.0, ALPHA)
            next_weight, next_heard, next_own = coefficients_late(a, r, d)
            sums = running_sum(heard * g, True, PAIRS, ORDER)
            grad_f = step * tl.reduce(heard * g, 1, add)[:, None]
            g += step * (own * g - weight * sums)
            step = next_step
            weight = next_weight
            heard = next_heard
            own = next_own
        else:
            a, step = step_sizes(k, ALPHA)
            x, lost = solve(g, a, r, d, True, PAIRS, ORDER)
            grad_f = step * tl.reduce(r * x, 1, add)[:, None]  # eq. 4.15
            if k == 1.0:
                grad_f = tl.reduce(tl.where(n == 0, g, 0.0), 1, add)[:, None]
            g = tl.where(k == 1.0, 0.0, advance(g, x, -lost, a, step, order))
        if grad_f_ptr is not None:
            out = grad_f.to(grad_f_ptr.dtype.element_ty)
            tl.store(grad_f_ptr, out, mask=alive)
            grad_f_ptr -= channels
    return g


@triton.jit(do_not_specialize=["length", "start", "steps", "items"])
def walk_back_kernel(
    grad_c_ptr,
    grad_last_ptr,
    heard_ptr,
    weights_ptr,
    to_end_ptr,
    between_ptr,
    word_ptr,
    turn_ptr,
    arrive_ptr,
    grad_f_ptr,
    leave_ptr,
    grad_state_ptr,
    length,
    channels,
    order,
    rows,
    chunks,
    start,
    steps,
    items,
    ALPHA: tl.constexpr,
    SPANS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLICE: tl.constexpr,
    LONG: tl.constexpr,
    SPLIT: tl.constexpr,
    SLICES: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The adjoint of ``walk_kernel``, from late to early times.

    In: gradients of every coefficient (none if None), of the last ones (R, N), and what
    arrives at each chunk's end from the later ones (R, J, N), zeros if None; with
    ``weights_ptr`` that is made here, of what is heard of each chunk (R, J, N) and what
    chunks in groups of ``items`` send each other. Out: gradients of f, what leaves each
    chunk at its start, and the gradient of the first state (R, N); none of them if None.
    All (R, J, N) count the chunks from the last.
    """
    block, row, place = load_pairs(rows, chunks, PAIRS)
    j = chunks - 1 - place
    begin = j * steps
    alive = row < rows
    n = tl.arange(0, ORDER)[None, :]
    exists = n < order
    at = (row * chunks + place) * order + n
    g = tl.full((PAIRS, ORDER), 0.0, tl.float32)
    if weights_ptr is not None:
        before = state_before(
            None, heard_ptr + row * chunks * order, weights_ptr, to_end_ptr, between_ptr,
            word_ptr, turn_ptr, block, row, place, chunks, items, order, 1, order, rows,
            SPANS, COLUMNS, SLICE, LONG, SPLIT, SLICES, PAIRS, ORDER,
        )  # fmt: skip
        tl.store(arrive_ptr + at, before, mask=alive & exists)
        tl.debug_barrier()  # the walk wants it in other lanes: it goes through memory
    if arrive_ptr is not None:
        g = tl.load(arrive_ptr + at, mask=alive & exists, other=0.0)
    final = alive & (j == chunks - 1) & exists
    g += tl.load(grad_last_ptr + row * order + n, mask=final, other=0.0)
    steps = tl.minimum(steps, length - begin).to(tl.int32)
    end = begin + steps - 1
    now = ((row // channels) * length + end) * channels + row % channels
    if grad_c_ptr is not None:
        grad_c_ptr += now * order + n
    if grad_f_ptr is not None:
        grad_f_ptr += now
    last = start + end + 1
    if is_late(start + begin + 1, order, ALPHA):
        g = walk_back(
            g, grad_c_ptr, grad_f_ptr, last, steps, order, channels, alive, True, ALPHA,
            PAIRS, ORDER,
        )  # fmt: skip
    else:
        g = walk_back(
            g, grad_c_ptr, grad_f_ptr, last, steps, order, channels, alive, False, ALPHA,
            PAIRS, ORDER,
        )  # fmt: skip
    if leave_ptr is not None:
        tl.store(leave_ptr + at, g, mask=alive & exists)
    if grad_state_ptr is not None:
        begins = alive & (j == 0) & exists
        tl.store(grad_state_ptr + row * order + n, g, mask=begins)


@triton.jit(do_not_specialize=["length", "count", "spans"])
def weigh_kernel(
    x_ptr,
    weights_ptr,
    sum_ptr,
    length,
    count,
    channels,
    order,
    rows,
    span,
    spans,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """What comes of each span of the first ``count`` times of x (B, L, D): the numbers in
    it by their weights (count, N), summed (R, spans, N)."""
    blocks = (order + COLUMNS - 1) // COLUMNS
    tiles = (rows + ROWS - 1) // ROWS * blocks
    tile = tl.program_id(0) % tiles
    part = (tl.program_id(0) // tiles).to(tl.int64)
    n = tile % blocks * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    row = tile // blocks * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    begin = part * span
    end = tl.minimum(begin + span, count)
    sample = (row // channels) * length * channels + row % channels
    state = hear(
        tl.full((ROWS, COLUMNS), 0.0, tl.float32), x_ptr + sample, weights_ptr, n, begin,
        end, channels, order, row < rows, BLOCK, SPLIT,
    )  # fmt: skip
    at = (row * spans + part) * order + n
    tl.store(sum_ptr + at, state, mask=(row < rows) & (n < order))


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
    groups = (chunks + GROUP - 1) // GROUP
    row = tl.program_id(0) // groups * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    group = tl.program_id(0) % groups
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
            matrix = load_weights(map_ptr + j * map_stride, k[:, None], order, n, order)
            x += tl.dot(part, matrix, input_precision="ieee")  # eq. 4.14
    at = (row * groups + group) * order
    tl.store(after_ptr + at + n, x, mask=inside)


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
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """Coefficients of step i of ROWS (row, chunk) pairs, COLUMNS orders of them, from the
    signal inside the chunk and the state before it (R, J, N); without ``c_ptr`` the last
    ones alone."""
    i = tl.program_id(1) % STEPS
    n = tl.program_id(1) // STEPS * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    pair = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    row = pair // chunks
    begin = pair % chunks * STEPS
    sample = (row // channels) * length * channels + row % channels
    now = begin + i
    alive = (pair < pairs) & (now < length)
    weights_ptr += i * (STEPS + order) * order
    c = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    # Later samples have no weight, but not a number times 0 is not a number.
    c = hear(
        c, f_ptr + sample + begin * channels, weights_ptr, n, 0, i + 1, channels, order,
        alive, STEPS, SPLIT,
    )  # fmt: skip
    c = hear(
        c, start_ptr + pair * order, weights_ptr + STEPS * order, n, 0, order, 1, order,
        alive, BLOCK, SPLIT,
    )  # fmt: skip
    inside = alive & (n < order)
    if c_ptr is not None:
        place = (sample + now * channels) * order + n
        tl.store(c_ptr + place, c.to(c_ptr.dtype.element_ty), mask=inside)
    tl.store(last_ptr + row * order + n, c, mask=inside & (now == length - 1))


@triton.jit(do_not_specialize=["length", "chunks"])
def contract_kernel(
    grad_c_ptr,
    weights_ptr,
    out_ptr,
    length,
    channels,
    order,
    pairs,
    chunks,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLIT: tl.constexpr,
):
    """The transpose of ``expand_kernel``: gradients (R, J, C + N) of the signal in each
    chunk and of the state before it, as far as they come through the chunk's own
    coefficients; COLUMNS of them here."""
    width = STEPS + order
    shares = (width + COLUMNS - 1) // COLUMNS  # side by side: they load the same
    pair = tl.program_id(0) // shares * ROWS + tl.arange(0, ROWS)[:, None].to(tl.int64)
    column = tl.program_id(0) % shares * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    row = pair // chunks
    begin = pair % chunks * STEPS
    sample = (row // channels) * length * channels + row % channels
    blocks = (order + BLOCK - 1) // BLOCK
    out = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    for each in range(0, STEPS * blocks):
        i = each // blocks
        n = each % blocks * BLOCK + tl.arange(0, BLOCK)
        now = begin + i
        g = tl.load(
            grad_c_ptr + (sample + now * channels) * order + n[None, :],
            mask=(pair < pairs) & (now < length) & (n[None, :] < order),
            other=0.0,
        ).to(tl.float32)
        weights = tl.load(
            weights_ptr + (i * width + column) * order + n[:, None],
            mask=(column < width) & (n[:, None] < order),
            other=0.0,
        )
        out = multiply_add(g, weights, out, SPLIT)
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
        last = _weigh(f, weights).sum(1).view(shape)
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
@kept
def _legs_weights(memory: Memory, start: int, length: int) -> tuple[Tensor, Tensor]:
    """What each sample (L, N) and the state before them (N, N) give to the last
    coefficients: the adjoint of LegS, applied to the unit vectors."""
    units = torch.eye(memory.order, device=memory.device)[:, None]
    of_samples = units.new_empty((memory.order, length, 1))
    with torch.cuda.device_of(units):
        of_state = _gradients_legs(None, units, of_samples, memory, start)
    return of_samples[:, :, 0].T.contiguous(), of_state.view(units.shape)[:, 0].T


def _weigh(x: Tensor, weights: Tensor) -> Tensor:
    """What comes of each SPAN of time (R, spans, N): the numbers of x (B, L, D) by their
    weights (L, N)."""
    batch, length, channels = x.shape
    order = weights.shape[1]
    rows, spans = batch * channels, triton.cdiv(length, SPAN)
    sums = x.new_empty((rows, spans, order), dtype=torch.float32)
    constants = _product_tiling(LAST, x, rows, order)
    with torch.cuda.device_of(x):
        weigh_kernel[(spans * _tiles(rows, order, constants),)](
            x, weights, sums, length, length, channels, order, rows, SPAN, spans, **constants,
        )  # fmt: skip
    return sums


def _project_legs(
    f: Tensor, state: Tensor | None, c: Tensor | None, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = f.shape
    rows = batch * channels
    state = None if state is None else state.contiguous()
    # Walks that begin with a product are fewer and longer: products take time as well.
    steps = _legs_steps(f, memory.order, WALKERS // 2)
    reaches = _reaches(memory, triton.cdiv(length, steps), steps)
    if not reaches:
        steps = _legs_steps(f, memory.order, WALKERS)
    chunks = triton.cdiv(length, steps)
    numbers = (length, channels, memory.order, rows, chunks, start, steps)
    reach, starts = None, state
    last = f.new_empty((rows, memory.order), dtype=torch.float32)
    if chunks > 1:
        each = f.new_empty((rows, chunks, memory.order), dtype=torch.float32)
        if reaches:
            reach, starts = _samples_reach(memory, start, length, steps), each
        else:
            grid, constants = _legs_tiling(f, rows, chunks, memory)
            walk_kernel[grid](
                f, None, *NO_PRODUCT, None, None, each, None, *numbers, 1, **constants,
            )  # fmt: skip
            jumps = _legs_jumps(memory, start, length, steps, False)
            starts, last = _carry(state, each, jumps)
            if c is None:
                return last.contiguous()
    tile = None if reach is None else TILE
    grid, constants = _legs_tiling(f, rows, chunks, memory, tile)
    product, items = _product(reach, f, rows, chunks, constants["PAIRS"])
    walk_kernel[grid](
        f, state, *product, starts, c, None, last, *numbers, items, **constants
    )
    return last


def _gradients_legs(
    grad_c: Tensor | None, grad_last: Tensor, grad_f: Tensor, memory: Memory, start: int
) -> Tensor:
    batch, length, channels = grad_f.shape
    rows = batch * channels
    steps = _legs_steps(grad_f, memory.order, WALKERS)
    chunks = triton.cdiv(length, steps)
    numbers = (length, channels, memory.order, rows, chunks, start, steps)
    grad_state = grad_last.new_empty((rows, memory.order))
    reach, leave, arrive = None, None, None
    if chunks > 1:
        leave = grad_last.new_empty((rows, chunks, memory.order))
        grid, constants = _legs_tiling(grad_f, rows, chunks, memory)
        walk_back_kernel[grid](
            grad_c, grad_last, None, *NO_PRODUCT, None, None, leave, None,
            *numbers, 1, **constants,
        )  # fmt: skip
        if _reaches(memory, chunks, memory.order):
            reach = _adjoint_reach(memory, start, length, steps)
            arrive = torch.empty_like(leave)
        else:
            jumps = _legs_jumps(memory, start, length, steps, True)
            arrive, _ = _carry(None, leave, jumps)
    tile = None if reach is None else TILE_BACK
    grid, constants = _legs_tiling(grad_f, rows, chunks, memory, tile)
    product, items = _product(reach, grad_last, rows, chunks, constants["PAIRS"])
    walk_back_kernel[grid](
        grad_c, grad_last, leave, *product, arrive, grad_f, None, grad_state,
        *numbers, items, **constants,
    )  # fmt: skip
    return grad_state


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
    constants = _product_tiling(INVARIANT, f, pairs, order)
    ROWS, COLUMNS = constants["ROWS"], constants["COLUMNS"]
    expand_kernel[(triton.cdiv(pairs, ROWS), STEPS * triton.cdiv(order, COLUMNS))](
        f, starts, weights, c, last, length, channels, order, pairs, chunks,
        STEPS=STEPS, **constants,
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
    shape = (rows, chunks, width)
    own = grad_last.new_zeros(shape) if grad_c is None else grad_last.new_empty(shape)
    if grad_c is not None:
        constants = _product_tiling(INVARIANT, grad_f, pairs, width)
        contract_kernel[(_tiles(pairs, width, constants),)](
            grad_c, weights, own, length, channels, order, pairs, chunks,
            STEPS=STEPS, **constants,
        )  # fmt: skip
    own[:, -1] += grad_last.flatten(0, 1) @ weights[(length - 1) % STEPS].mT
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
    carry_kernel[(triton.cdiv(rows, 16) * groups,)](
        None if begin is None else begin.contiguous(), add.contiguous(), jumps.maps, before, after,
        rows, chunks, order, 0 if len(jumps.maps) == 1 else order * order,
        GROUP=GROUP, ROWS=16, BLOCK=16 if add.is_cuda else _padded(order), ORDER=_padded(order),
    )  # fmt: skip
    if jumps.groups is None:
        return before, after[:, 0]
    assert jumps.within is not None
    starts, _ = _carry(first, after, jumps.groups)
    within = jumps.within.expand(groups, -1, -1)
    heard = (starts.transpose(0, 1) @ within).unflatten(2, (GROUP, order))
    before += heard.transpose(0, 1).flatten(1, 2)[:, :chunks]
    return before, before[:, -1] @ jumps.maps[-1] + add[:, -1]


NO_PRODUCT = (None,) * 5  # arguments of a walk from a given state


def _product(
    reach: Reach | None, like: Tensor, rows: int, chunks: int, pairs: int
) -> tuple[tuple[Tensor | None, ...], int]:
    """Arguments of the product that a walk begins with, and the chunks of a group."""
    if reach is None:
        return NO_PRODUCT, 1
    if reach.groups is None:
        return (reach.weights, *NO_PRODUCT[1:]), reach.group
    later = triton.cdiv(chunks, reach.group) - 1
    sizes = (
        (2, 1 + SPANS, rows, later, reach.weights.shape[-1]),
        (triton.cdiv(rows, pairs), chunks),
    )
    make = _words if on_default_stream(like) else _words.__wrapped__
    words = make(like.device, *sizes)
    weights = (reach.weights, reach.groups.ends, reach.groups.weights)
    return (*weights, *words), reach.group


@lru_cache(maxsize=4)
def _words(
    device: torch.device, words: tuple[int, ...], programs: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Words for this launch and for the next one, none of them there yet, and which of
    them it is each program's turn to use: the first. Each launch leaves them so that the
    next one may have them, if it follows on the same stream."""
    return (
        torch.full(words, MISSING.value, dtype=torch.int32, device=device),
        torch.zeros(programs, dtype=torch.int32, device=device),
    )


def _reaches(memory: Memory, chunks: int, size: int) -> bool:
    """Whether it is little to keep what reaches every chunk."""
    numbers = reach_numbers(chunks, size, memory.order)
    return memory.order <= MOST_ORDER and numbers <= MOST_WEIGHTS


@lru_cache(maxsize=4)
@kept
def _samples_reach(memory: Memory, start: int, length: int, steps: int) -> Reach:
    """What reaches each chunk of LegS of the samples before it."""
    order = memory.order
    chunks = triton.cdiv(length, steps)
    # The samples' part in their chunk's end: its gradient, at every order.
    units = torch.eye(order, device=memory.device)[:, None].repeat(1, chunks, 1)
    heard = units.new_zeros((order, chunks * steps, 1))
    grid, constants = _legs_tiling(units, order, chunks, memory)
    walk_back_kernel[grid](
        None, units.new_zeros((order, order)), None, *NO_PRODUCT, units, heard, None,
        None, chunks * steps, 1, order, order, chunks, start, steps, 1, **constants,
    )  # fmt: skip
    inputs = heard.view(order, chunks, steps).permute(1, 2, 0)
    return reach_of(inputs, _legs_maps(memory, start, length, steps))


@lru_cache(maxsize=4)
@kept
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
        None, None, *NO_PRODUCT, units, None, ends, None,
        length, 1, order, order, chunks, start, steps, 1, **constants,
    )  # fmt: skip
    return ends.transpose(0, 1)


@lru_cache(maxsize=4)
@kept
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
@kept
def _invariant_jumps(memory: Memory, chunks: int, back: bool) -> Jumps:
    """The same for a time-invariant measure: one map for all chunks."""
    jump = torch.linalg.matrix_power(_wide(memory)[0], STEPS)
    return jumps_of((jump if back else jump.mT)[None], chunks)


@lru_cache(maxsize=8)
@kept
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
NUMBERS = 512  # that a warp walks with at most: 16 a lane
WALKERS = 2**13  # pairs of a chunk and a row: enough to keep an H100 busy
# Of a walk that begins with a product: the orders at most, as its tile has at least 16
# rows; the numbers of a tile, forward and backward, and its warps at least; a short and a
# long slice; the parts of what groups hand over, and the columns of a tile of them.
MOST_ORDER = 256
TILE, TILE_BACK, WARPS = 1024, 2048, 4
SLICE, LONG = 16, 32
SPANS, COLUMNS = 2, 32
SPAN = 512  # samples, where all are weighed at once
# The tiles of products: of all samples, and of the steps of the time-invariant measures.
LAST = {"ROWS": 16, "COLUMNS": 128, "BLOCK": 32, "num_warps": 4}
INVARIANT = {"ROWS": 128, "COLUMNS": 32, "BLOCK": 32, "num_warps": 8}


def _legs_steps(like: Tensor, order: int, walkers: int) -> int:
    """Steps of a chunk: few enough that there are so many pairs of a chunk and a row, and
    as many as it takes to keep a map for each."""
    if not like.is_cuda:  # the interpreter visits the numbers one by one
        return 3 if order < 64 else 8
    batch, length, channels = like.shape
    steps = max(
        16,
        batch * channels * length // walkers,
        length * order * order // MOST_IN_MAPS,
    )
    return triton.next_power_of_2(steps)


def _legs_tiling(
    like: Tensor, rows: int, chunks: int, memory: Memory, tile: int | None = None
) -> tuple[tuple[int], dict]:
    """The grid and the constants of a walk, or with ``tile`` numbers a program of one
    that begins with a product."""
    order = _padded(memory.order)
    if tile is None:
        least, most, warps = 1, max(1, NUMBERS // order), 1
    else:
        least, most, warps = 16, max(16, tile // order), WARPS
    if not like.is_cuda:
        most = max(least, 4)
    PAIRS = min(most, max(least, triton.next_power_of_2(rows)))
    warps = max(warps, PAIRS * order // NUMBERS)
    constants = {
        "ALPHA": ALPHA[memory.method],
        "SPANS": SPANS,
        "COLUMNS": min(COLUMNS, order),
        "SLICE": SLICE,
        "LONG": LONG,
        "SPLIT": like.is_cuda,
        "SLICES": _slices(order, warps) if like.is_cuda else 2,
        "PAIRS": PAIRS,
        "ORDER": order,
        "num_warps": warps,
    }
    return (triton.cdiv(rows, PAIRS) * chunks,), constants


def _slices(order: int, warps: int) -> int:
    """A slice for each warp, as long as a block of the weights fits in shared memory."""
    return min(warps, max(1, 4096 // (SLICE * order)))


def _product_tiling(
    tile: dict[str, int], like: Tensor, rows: int, columns: int
) -> dict[str, int | bool]:
    """The constants of a matrix product: nearly all at once in the interpreter, which
    pays for every block."""
    width = _padded(columns)
    if not like.is_cuda:
        tile = tile | {"ROWS": 16, "COLUMNS": width, "BLOCK": max(64, width)}
    return tile | {
        "ROWS": min(tile["ROWS"], max(16, triton.next_power_of_2(rows))),
        "COLUMNS": min(tile["COLUMNS"], width),
        "SPLIT": like.is_cuda,
    }


def _tiles(rows: int, columns: int, constants: dict) -> int:
    """How many tiles a matrix product has."""
    across = triton.cdiv(columns, constants["COLUMNS"])
    return triton.cdiv(rows, constants["ROWS"]) * across
