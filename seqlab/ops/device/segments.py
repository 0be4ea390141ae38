"""A walk over time whose rows are segments of it: Triton functions of kernels that multiply
by the same matrices in every row.

A sequence is chunks of T steps, and a segment is some of them, one after the other. A
program has ROWS segments, of all batch entries but of one channel, and takes a chunk of
each at once. A state is PAIRS pairs of numbers a row, of which ``modes`` numbers exist.
"""

import triton
import triton.language as tl

from seqlab.ops.device.pairs import load_pairs


@triton.jit
def segments_of_program(
    batch, channels, chunks, span, segments, walked,
    LATE_FIRST: tl.constexpr, ROWS: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """This program's channel, and of each of its rows the batch entry, the segment, how
    many chunks that has, and where in (B, D, chunks T) it begins. Of each entry's segments
    the ``walked`` first ones have rows, or the last ones if LATE_FIRST; a row beyond them
    all has no chunks."""
    groups = tl.cdiv(batch * walked, ROWS)
    channel = (tl.program_id(0) // groups).to(tl.int64)
    series = tl.program_id(0) % groups * ROWS + tl.arange(0, ROWS)
    entry = (series // walked).to(tl.int64)
    segment = series % walked
    if LATE_FIRST:
        segment += segments - walked
    count = tl.minimum(chunks - segment * span, span)
    count = tl.where(series < batch * walked, count, 0)
    begin = ((entry * channels + channel) * chunks + segment * span) * T
    return channel, entry, segment, count, begin


@triton.jit
def load_chunk(
    pointers, begin, count, done, LATE_FIRST: tl.constexpr, T: tl.constexpr
):  # fmt: skip
    """The numbers (ROWS, T) of each row's next chunk after so many, zeros if it has none.
    A walk asks for them one chunk ahead."""
    place = chunk_place(begin, count, done, LATE_FIRST, T)
    return tl.load(pointers + place, mask=(done < count)[:, None], other=0.0)


@triton.jit
def chunk_place(begin, count, done, LATE_FIRST: tl.constexpr, T: tl.constexpr):
    chunk = count - 1 - done if LATE_FIRST else done
    return (begin + chunk * T)[:, None] + tl.arange(0, T)[None, :]


@triton.jit
def load_states(
    state_ptr, between_ptr, channel, entry, segment, count, channels, segments, modes,
    LATE_FIRST: tl.constexpr, COMPLEX: tl.constexpr,
    ROWS: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The state before each row's segment, pairs (ROWS, PAIRS): those in between (B,
    segments - 1, D, modes), and at the edge the one handed in, (B, D, modes), zeros if it
    is None. If LATE_FIRST, what flows into a segment from behind; at the edge that is a
    gradient, of which the conjugate is taken."""
    x0 = tl.zeros((ROWS, PAIRS), tl.float32)
    x1 = tl.zeros((ROWS, PAIRS), tl.float32)
    column = tl.arange(0, 2 * PAIRS)[None, :]
    mask = (count > 0)[:, None] & (column < modes)
    edge = (segment == (segments - 1 if LATE_FIRST else 0))[:, None]
    if state_ptr is not None:
        place = (entry * channels + channel)[:, None] * modes + column
        x0, x1 = load_pairs(state_ptr + place, mask & edge, ROWS, PAIRS)
        x1 = -x1 if LATE_FIRST and COMPLEX else x1
    if between_ptr is not None:
        border = segment if LATE_FIRST else segment - 1
        place = (entry * (segments - 1) + border) * channels + channel
        place = place[:, None] * modes + column
        e0, e1 = load_pairs(between_ptr + place, mask & (edge == 0), ROWS, PAIRS)
        x0, x1 = x0 + e0, x1 + e1
    return x0, x1
