"""A matrix for a state, S_t = diag(a_t) S_{t-1} + k_t v_t^T, in three launches, with the
states between chunks of time in a tensor:

  1. summaries   every chunk of time but the last, from nothing
  2. carry       a scan over the summaries: the state after each chunk
  3. outputs     every chunk again, from the state before it

Launches 1 and 3 are an op's own; launch 2 is here, and so is what their programs do.

A program takes a chunk of one head in groups of STEPS steps, forward in time or backward.
Within a group, step j writes into the state and step i reads from it. What is written
decays on its way, by ``weights`` (STEPS, keys): after the group these are what each step
leaves in the state, and while the group is walked over, what each step finds of the ones
before it. They are products of at most STEPS decays, and there is no quotient of them:
a decay of 0 is one like any other. From group to group decays are added as logarithms.

Tensors over time are (B, L, H, width). Their row number token = (entry L + time) H + head
has 64 bits.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.chunks import last_row
from seqlab.ops.device.combines import affine_prefixes
from seqlab.ops.interpreter import runner


@triton.jit
def chunk_coordinates(
    batch, length, heads, chunks, blocks, REVERSED: tl.constexpr, CHUNK: tl.constexpr
):
    """Of this program: its block; its head among those of all batch entries; its turn and
    its chunk, which count from opposite ends if REVERSED; how many steps the chunk has;
    the token of the first one that is taken, and the distance from one to the next."""
    block = tl.program_id(0) % blocks
    head = (tl.program_id(0) // blocks % (batch * heads)).to(tl.int64)
    turn = (tl.program_id(0) // blocks // (batch * heads)).to(tl.int64)
    chunk = chunks - 1 - turn if REVERSED else turn
    begin = (head // heads * length + chunk * CHUNK) * heads + head % heads
    steps = tl.minimum(length - chunk * CHUNK, CHUNK)
    if REVERSED:
        begin += (steps - 1) * heads
    return block, head, turn, chunk, steps, begin, -heads if REVERSED else heads


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
def load_row(pointer, token, column, width, alive):
    """Likewise of one step: (columns,)."""
    mask = (column < width) & alive
    return tl.load(pointer + token * width + column, mask=mask, other=0.0).to(
        tl.float32
    )


@triton.jit
def load_steps(pointer, tokens, alive, default: tl.constexpr):
    """One number a step in float32, (STEPS,), of a tensor (B, L, H)."""
    return tl.load(pointer + tokens, mask=alive, other=default).to(tl.float32)


@triton.jit
def store_steps(pointer, x, tokens, alive):
    tl.store(pointer + tokens, x, mask=alive)


@triton.jit
def load_log_decay(
    pointer, token, head, column, width, alive,
    FIXED: tl.constexpr, PER_HEAD: tl.constexpr,
):  # fmt: skip
    """The logarithm of each key channel's decay at one step, (keys,): fixed in time, (H, K)
    or (H,), or not, (B, L, H, K) or (B, L, H). 0 where there is no such step."""
    row = head if FIXED else token
    place = row + 0 * column if PER_HEAD else row * width + column
    mask = (column < width) & alive
    return tl.load(pointer + place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def state_places(head, row, column, keys, values):
    """Places in (B, H, K, V) and whether they exist, for a tile of rows and columns that
    broadcast against each other."""
    place = (head * keys + row) * values + column
    return place, (row < keys) & (column < values)


@triton.jit
def state_before(is_first, state_ptr, carry_ptr, place, between, exists):
    """The state before a chunk, a tile: that after another chunk, at the places
    ``between`` in (chunks - 1, B, H, K, V), or the one that is handed in if this chunk
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
def weights_to_read(weights, a, DECAY_FIRST: tl.constexpr):
    """What a step finds of the ones before it, where a is its own decay: which counts if
    the state has decayed once more when it is read."""
    return weights * a if DECAY_FIRST else weights


@triton.jit
def weights_after(weights, a, is_own, DECAY_LAST: tl.constexpr):
    """The weights when a step has been taken, which leaves 1 of its own; or its decay, if
    what it writes decays at once."""
    return tl.where(is_own, a if DECAY_LAST else 1.0, weights * a)


@triton.jit
def load_decays(pointer, tokens, step, row, steps, BACKWARD: tl.constexpr):
    """Where all channels of a head share one decay: its logarithm, of a tensor (B, L, H),
    between each step and the one taken before. Forward in time a state has decayed when
    it is read, and backward it has not."""
    if BACKWARD:
        return load_steps(pointer, tokens - step, (row > 0) & (row < steps), 0.0)
    else:
        return load_steps(pointer, tokens, row < steps, 0.0)


@triton.jit
def decays_between(g, row, DTYPE: tl.constexpr):
    """What is left, at a step that reads, of what each step up to it has written, (STEPS
    that read, STEPS that write), where g is as above. Sums of logarithms are products
    with 0 and 1 of type ``DTYPE``, as numbers of one sign alone are added."""
    exists = row[:, None] >= row[None, :]
    upto = tl.where(exists, g[None, :], 0.0)
    after = tl.where(row[:, None] > row[None, :], 1.0, 0.0)
    return tl.where(exists, tl.exp(product(upto, after.to(DTYPE))), 0.0)


@triton.jit
def product(x, y, total=None, WHOLE: tl.constexpr = False):
    """x y, added to ``total`` if there is one, in float32. Two tiles of 16 bits are
    multiplied as they are, which is exact. Beside one of these, a tile of float32 is taken
    to 16 digits or more, which is enough for results of 16 bits, or WHOLE. Two of float32
    are multiplied as such."""
    if x.dtype == tl.float32 and y.dtype == tl.float32:
        return tl.dot(x, y, total, input_precision="tf32x3")
    elif x.dtype == tl.float32:
        parts = split(x, y.dtype)
        y = y.to(parts[0].dtype)
        if WHOLE and len(parts) == 3:
            total = tl.dot(parts[2], y, total)
        return tl.dot(parts[0], y, tl.dot(parts[1], y, total))
    elif y.dtype == tl.float32:
        parts = split(y, x.dtype)
        x = x.to(parts[0].dtype)
        if WHOLE and len(parts) == 3:
            total = tl.dot(x, parts[2], total)
        return tl.dot(x, parts[0], tl.dot(x, parts[1], total))
    else:
        return tl.dot(x, y, total)


@triton.jit
def split(x, beside: tl.constexpr = tl.float16):
    """x as a sum of tiles for products with one of the type ``beside``: three of bfloat16,
    which has 8 digits, or two of which TF32 has the first and all of the second but its
    last two digits. Beside float16 it is TF32, as x may be too large for that type."""
    if beside == tl.bfloat16:
        high = x.to(tl.bfloat16)
        rest = x - high.to(tl.float32)
        middle = rest.to(tl.bfloat16)
        return high, middle, (rest - middle.to(tl.float32)).to(tl.bfloat16)
    else:
        high = (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        return high, x - high


@triton.jit
def carry_kernel(
    summary_ptr,
    decay_ptr,
    chunks,
    count,
    values,
    CHUNKS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Summaries (chunks, count), where count is B H K V, become the states after each
    chunk; ``decay_ptr`` (chunks, B H K). A program walks over all chunks, CHUNKS at a
    time, for BLOCK of the numbers."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[None, :]
    rows = count // values
    state = tl.zeros((1, BLOCK), tl.float32)
    for first in range(0, chunks, CHUNKS):
        chunk = (first + tl.arange(0, CHUNKS)[:, None]).to(tl.int64)
        mask = (chunk < chunks) & (place < count)
        here = summary_ptr + chunk * count + place
        local = tl.load(here, mask=mask, other=0.0)
        decay = decay_ptr + chunk * rows + place // values
        decay = tl.load(decay, mask=mask, other=1.0)
        local, decay = affine_prefixes((local, decay))
        after = decay * state + local
        tl.store(here, after, mask=mask)
        state = last_row(after, CHUNKS)


class Shape(NamedTuple):
    """The sizes of a launch."""

    batch: int
    length: int
    heads: int
    keys: int
    values: int
    chunks: int


def shape_of(k: Tensor, v: Tensor, CHUNK: int) -> Shape:
    """The sizes of keys (B, L, H, K) and values (B, L, H, V) in chunks of CHUNK steps."""
    batch, length, heads, keys = k.shape
    chunks = triton.cdiv(length, CHUNK)
    return Shape(batch, length, heads, keys, v.shape[-1], chunks)


def new_summaries(like: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """A place for the summaries of all chunks but the last, (chunks - 1, B, H, K, V), and
    for what is left after each of what was before, (chunks - 1, B, H, K)."""
    rows = shape.chunks - 1, shape.batch, shape.heads, shape.keys
    return (
        like.new_empty((*rows, shape.values), dtype=torch.float32),
        like.new_empty(rows, dtype=torch.float32),
    )


def carry(summaries: Tensor, decays: Tensor) -> None:
    """Launch 2: summaries become the states after each chunk."""
    chunks, count = summaries.shape[0], summaries[0].numel()
    # One warp has all chunks of a number in one thread, and so scans without a word.
    CHUNKS, BLOCK = (8, 128) if summaries.is_cuda else (2, 8)
    runner(carry_kernel, summaries)[(triton.cdiv(count, BLOCK),)](
        summaries,
        decays,
        chunks,
        count,
        summaries.shape[-1],
        CHUNKS,
        BLOCK,
        num_warps=1,
    )
