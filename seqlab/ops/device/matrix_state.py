"""A matrix for a state, S_t = diag(a_t) S_{t-1} + k_t v_t^T, in chunks of STEPS steps, which
are taken at once, by products of matrices. First come the states between all chunks, by
programs that walk over time with a tile of the state of one head in registers:

  |<-    part 0    ->|<-    part 1    ->|      A part of time is ``span`` chunks; where
  S_0  S_1  S_2  ..  S_4  S_5  S_6  ..         there are heads and tiles enough to keep a
   chunk  chunk  ..   chunk  chunk             GPU busy, one part is all. Else

  1. summaries   what every part but the last makes of nothing
  2. carry       a scan over them: the state after each part
  3. states      every part again, from the state before it

Then an op's own kernels take all chunks side by side, each from the state before it.
Decays between steps are exponentials of sums of logarithms, and each sum has those that it
needs and no others: none is a difference, and there is no quotient of decays, so that a
decay of 0 is one like any other.

Tensors over time are (B, L, H, width). Their row number token = (entry L + time) H + head
has 64 bits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.jit import JITFunction

from seqlab.ops.device.chunks import last_row
from seqlab.ops.device.combines import affine_prefixes
from seqlab.ops.device.gates import at_least
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div, power_of_two

LEAST = tl.constexpr(-1e4)
"""The logarithm of a decay that is 0 whatever the dtype: -inf times 0 is not a number."""


@triton.jit
def coordinates(batch, heads, blocks):
    """Of this program: its block, its head among those of all batch entries, and its turn
    in time."""
    block = tl.program_id(0) % blocks
    head = (tl.program_id(0) // blocks % (batch * heads)).to(tl.int64)
    turn = (tl.program_id(0) // blocks // (batch * heads)).to(tl.int64)
    return block, head, turn


@triton.jit
def steps_of_chunk(
    head, chunk, length, heads, REVERSED: tl.constexpr, STEPS: tl.constexpr
):
    """How many steps a chunk has; the token of the one that is taken first, which is its
    last if REVERSED, and the distance from one to the next."""
    begin = (head // heads * length + chunk * STEPS) * heads + head % heads
    steps = tl.minimum(length - chunk * STEPS, STEPS)
    if REVERSED:
        begin += (steps - 1) * heads
    return steps, begin, -heads if REVERSED else heads


@triton.jit
def load_rows(pointer, tokens, column, width, alive):
    """(STEPS, columns) numbers; 0 where there is no such step or column. Those of 16 bits
    are for products, or to be made float32."""
    place = pointer + tokens[:, None] * width + column[None, :]
    mask = alive[:, None] & (column < width)[None, :]
    return tl.load(place, mask=mask, other=0.0)


@triton.jit
def store_rows(pointer, x, tokens, column, width, alive):
    place = pointer + tokens[:, None] * width + column[None, :]
    mask = alive[:, None] & (column < width)[None, :]
    tl.store(place, x, mask=mask)


@triton.jit
def load_steps(pointer, tokens, alive, default: tl.constexpr):
    """One number a step in float32, (STEPS,), of a tensor (B, L, H)."""
    return tl.load(pointer + tokens, mask=alive, other=default).to(tl.float32)


@triton.jit
def store_steps(pointer, x, tokens, alive):
    tl.store(pointer + tokens, x, mask=alive)


@triton.jit
def state_before(is_first, state_ptr, carry_ptr, place, between, exists):
    """The state before a part of time, a tile: that after another part, at the places
    ``between`` in (parts - 1, B, H, K, V), or the one that is handed in if this part
    ``is_first``, at ``place`` in (B, H, K, V); zeros if there is none."""
    state = tl.zeros(place.shape, tl.float32)
    if state_ptr is not None:
        state = tl.load(state_ptr + place, mask=exists & is_first, other=0.0)
    if carry_ptr is not None:
        mask = exists & (is_first == 0)
        carry = tl.load(carry_ptr + between, mask=mask, other=0.0)
        state = tl.where(is_first, state, carry)
    return state


@triton.jit
def load_decay_rows(pointer, tokens, head, column, width, alive, FIXED: tl.constexpr):
    """The logarithms of key channels' decays, (STEPS, columns): fixed in time, (H, K), or
    not, (B, L, H, K). 0 where there is no such step or channel, and for a decay of 0 a
    number, as -inf times 0 is none."""
    row = 0 * tokens + head if FIXED else tokens
    place = row[:, None] * width + column[None, :]
    mask = alive[:, None] & (column < width)[None, :]
    g = tl.load(pointer + place, mask=mask, other=0.0).to(tl.float32)
    return at_least(g, LEAST)


@triton.jit
def sums_over(chosen, x, DTYPE: tl.constexpr):
    """Of x (STEPS, columns) in float32, the sums over the steps that each row of ``chosen``
    (STEPS, STEPS) has: nothing else is in them, so that what is of one sign adds up with
    all its digits. 0 and 1 are of type ``DTYPE``, for the sake of speed."""
    return product(tl.where(chosen, 1.0, 0.0).to(DTYPE), x, WHOLE=True)


@triton.jit
def product(
    x, y, total=None, WHOLE: tl.constexpr = False, beside: tl.constexpr = tl.float32
):
    """x y, added to ``total`` if there is one, in float32. Two tiles of 16 bits are
    multiplied as they are, which is exact. Beside one of these, a tile of float32 is taken
    to 16 digits or more, which is enough for results of 16 bits, or WHOLE. Two of float32
    are multiplied as such, or to 16 digits if ``beside`` are inputs of bfloat16."""
    if x.dtype == tl.float32 and y.dtype == tl.float32:
        if beside == tl.bfloat16:
            parts, of_y = split(x, beside, False), split(y, beside, False)
            total = tl.dot(parts[1], of_y[0], tl.dot(parts[0], of_y[1], total))
            return tl.dot(parts[0], of_y[0], total)
        else:
            return tl.dot(x, y, total, input_precision="tf32x3")
    elif x.dtype == tl.float32:
        parts = split(x, y.dtype, WHOLE)
        y = y.to(parts[0].dtype)
        if len(parts) == 3:
            total = tl.dot(parts[2], y, total)
        return tl.dot(parts[0], y, tl.dot(parts[1], y, total))
    elif y.dtype == tl.float32:
        parts = split(y, x.dtype, WHOLE)
        x = x.to(parts[0].dtype)
        if len(parts) == 3:
            total = tl.dot(x, parts[2], total)
        return tl.dot(x, parts[0], tl.dot(x, parts[1], total))
    else:
        return tl.dot(x, y, total)


@triton.jit
def split(x, beside: tl.constexpr, WHOLE: tl.constexpr):
    """x as a sum of tiles for products with one of the type ``beside``: of bfloat16, which
    has 8 digits, two, or three if WHOLE. Beside float16 they are TF32, as x may be too
    large for that type: two, of which it has the first, and the second but for its last
    digit."""
    if beside == tl.bfloat16:
        high, rest = cut(x, 16)
        if WHOLE:
            middle, rest = cut(rest, 16)
            return high.to(beside), middle.to(beside), rest.to(beside)
        else:
            return high.to(beside), rest.to(beside)
    else:
        return cut(x, 13)


@triton.jit
def cut(x, bits: tl.constexpr):
    """x rounded to a number whose last bits are 0, and what that leaves."""
    whole = x.to(tl.int32, bitcast=True) + (1 << (bits - 1))
    high = (whole & -(1 << bits)).to(tl.float32, bitcast=True)
    return high, x - high


@triton.jit
def carry_kernel(
    summary_ptr,
    decay_ptr,
    parts,
    count,
    values,
    PARTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Summaries (parts, count), where count is B H K V, become the states after each part;
    ``decay_ptr`` (parts, B H K). A program walks over all parts, PARTS at a time, for BLOCK
    of the numbers."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]
    rows = count // values
    state = tl.zeros((1, BLOCK), tl.float32)
    for first in range(0, parts, PARTS):
        part = (first + tl.arange(0, PARTS)[:, None]).to(tl.int64)
        mask = (part < parts) & (place < count)
        here = summary_ptr + part * count + place
        local = tl.load(here, mask=mask, other=0.0)
        decay = decay_ptr + part * rows + place // values
        decay = tl.load(decay, mask=mask, other=1.0)
        local, decay = affine_prefixes((local, decay))
        after = decay * state + local
        tl.store(here, after, mask=mask)
        state = last_row(after, PARTS)


class Shape(NamedTuple):
    """The sizes of a launch."""

    batch: int
    length: int
    heads: int
    keys: int
    values: int
    chunks: int

    @property
    def of_state(self) -> tuple[int, int, int, int]:
        """Of a state: (B, H, K, V)."""
        return self.batch, self.heads, self.keys, self.values

    @property
    def of_states(self) -> tuple[int]:
        """Of the states before all chunks, in a row: PyTorch would not trace an axis that is
        1 for some lengths and more for others."""
        return (self.chunks * self.batch * self.heads * self.keys * self.values,)


def shape_of(k: Tensor, v: Tensor, CHUNK: int) -> Shape:
    """The sizes of keys (B, L, H, K) and values (B, L, H, V) in chunks of CHUNK steps."""
    batch, length, heads, keys = k.shape
    chunks = ceil_div(length, CHUNK)
    return Shape(batch, length, heads, keys, v.shape[-1], chunks)


Tile = tuple[int, int, int]
"""STEPS, BLOCK_K and BLOCK_V of a kernel."""


def fit(tile: Tile, shape: Shape) -> Tile:
    """The tile without channels that no head has; products have no side of less than 16."""
    STEPS, BLOCK_K, BLOCK_V = tile
    keys, values = (max(16, power_of_two(x)) for x in (shape.keys, shape.values))
    return STEPS, min(BLOCK_K, keys), min(BLOCK_V, values)


BUSY = 132
"""Programs that keep a GPU busy."""
LEAST_SPAN = 16
"""Chunks of a part, at least: fewer are taken one after another sooner than twice."""


def parts_of(chunks: int, programs: int, on_gpu: bool) -> tuple[int, int]:
    """In how many parts to take time, and of how many chunks, where one part has so many
    programs."""
    most, least_span = (BUSY // programs, LEAST_SPAN) if on_gpu else (chunks, 2)
    parts = max(1, min(most, chunks // least_span))
    span = ceil_div(chunks, parts)
    return ceil_div(chunks, span), span


def walk(
    kernel: JITFunction,
    inputs: Sequence[Tensor | None],
    states: Tensor,
    of_state: Sequence[int],
    over_states: int,
    parts: int,
    constants: Sequence[Any],
    options: Mapping[str, int],
) -> None:
    """Launches 1 to 3, or launch 3 alone where time is one part.

    Args:
        kernel: of launches 1 and 3. It takes the inputs, the states after parts (parts - 1,
            ...), a place for the states between chunks, one for summaries and one for what
            is left of a state after a part, and the constants. What it shall not read or
            write is None.
        inputs: of the op, and places for its last state.
        states: the place for the states between chunks, in float32.
        of_state: the shape of one, (B, H, ...).
        over_states: programs for a part.
        parts: of time.
        constants: sizes and the tiling.
        options: of the launches.
    """
    run, carried = runner(kernel, states), None
    if parts > 1:
        carried = states.new_empty((parts - 1, *of_state))
        decays = states.new_empty(carried.shape[:-1])
        run[((parts - 1) * over_states,)](
            *inputs, None, None, carried, decays, *constants, **options
        )
        carry(carried, decays)
    run[(parts * over_states,)](
        *inputs, carried, states, None, None, *constants, **options
    )


def carry(summaries: Tensor, decays: Tensor) -> None:
    """Launch 2: summaries become the states after each part."""
    parts = summaries.shape[0]
    count = summaries.numel() // parts
    # One warp has all parts of a number in one thread, and so scans without a word.
    PARTS, BLOCK = (8, 128) if summaries.is_cuda else (2, 8)
    runner(carry_kernel, summaries)[(ceil_div(count, BLOCK),)](
        summaries,
        decays,
        parts,
        count,
        summaries.shape[-1],
        PARTS,
        BLOCK,
        num_warps=1,
    )
