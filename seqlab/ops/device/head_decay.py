"""A matrix for a state whose rows share one decay at each step, S_t = a_t S_{t-1} + k_t v_t^T:
what the kernels of gated linear attention with a decay a head and those of mLSTM have in
common, beside ``matrix_state.py``. With D the gradient that flows into S, a chunk of STEPS
steps is taken at once, by products of tiles:

                  j: writes
               | 1           |      decays between its steps, e^(g_{j+1} + ... + g_t), by
     t: reads  | .  1        |      which products (STEPS, STEPS) of readers and writers
               | .  .  1     |      are multiplied

  values    y = decays (q k^T) v + reach (q S), from the S before a chunk, with ``reach``
            what is left of it at each step. The gradient of v is the same in reversed
            time: keys read what queries have written, and D
  keys      pairs = decays (dy v^T); dq = pairs k + reach (dy S^T), and with ``left``, what
            is left after the chunk of what a step has written, dk = pairs^T q + left (v D^T)

Where a state is read before it decays, STRICT, the next step finds what a step has written
whole, and what reads and writes at the same step is an op's own affair.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.exponentials import exp
from seqlab.ops.device.gates import at_least
from seqlab.ops.device.matrix_state import (
    LEAST,
    Shape,
    Tile,
    fit,
    load_rows,
    load_steps,
    parts_of,
    product,
    steps_of_chunk,
)
from seqlab.ops.device.tf32_products import takes_tf32
from seqlab.ops.sizes import ceil_div


@triton.jit
def load_decays(pointer, tokens, step, row, steps, BEFORE: tl.constexpr):
    """The logarithms of decays, of a tensor (B, L, H): each step's, or that of the step
    taken BEFORE it, so that sums up to a step hold what lies between it and the first. 0
    where there is no such step, and for a decay of 0 a number, as -inf times 0 is none."""
    if BEFORE:
        g = load_steps(pointer, tokens - step, (row > 0) & (row < steps), 0.0)
    else:
        g = load_steps(pointer, tokens, row < steps, 0.0)
    return at_least(g, LEAST)


@triton.jit
def decays_between(g, row, DTYPE: tl.constexpr, STRICT: tl.constexpr):
    """What is left, at a step that reads, of what each step up to it has written, (STEPS
    that read, STEPS that write), of the logarithms g between each step that reads and the
    one before. Their sums are products with 0 and 1 of type ``DTYPE``: numbers of one sign
    alone are added, and no difference is taken."""
    exists = row[:, None] >= row[None, :]
    upto = tl.where(exists, g[None, :], 0.0)
    whole = row + 1 if STRICT else row
    after = tl.where(row[:, None] > whole[None, :], 1.0, 0.0)
    return tl.where(exists, exp(product(upto, after.to(DTYPE))), 0.0)


@triton.jit
def left_after(g, row):
    """What is left, after a chunk, of what each of its steps has written, (STEPS,), of each
    step's logarithm g."""
    later = row[:, None] < row[None, :]
    return tl.exp(tl.sum(tl.where(later, g[None, :], 0.0), 1))


@triton.jit
def writers_of_chunk(
    g_ptr, head, chunk, length, heads,
    REVERSED: tl.constexpr, STRICT: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """The steps of a chunk that write into a state, or in reversed time into what flows
    into it: their tokens, which of them exist, what is left after the chunk of what each
    writes, and the logarithm of what is left of the state."""
    row = tl.arange(0, STEPS)
    # From the step that is written last, so that decays add up on the way.
    steps, begin, step = steps_of_chunk(head, chunk, length, heads, not REVERSED, STEPS)
    tokens = begin + row * step
    between = load_decays(g_ptr, tokens, step, row, steps, STRICT or not REVERSED)
    of_chunk = tl.sum(load_decays(g_ptr, tokens, step, row, steps, False))
    return tokens, row < steps, tl.exp(tl.cumsum(between, 0)), of_chunk


@triton.jit
def read_chunk(
    reader_ptr, writer_ptr, state_ptr, n_ptr, tokens, alive, value, keys, values,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """What steps read, decays aside: of the keys of each step (STEPS, STEPS), of the state
    before their chunk (STEPS, BLOCK_V), and of n (K,) beside it, if there is one,
    (STEPS,)."""
    scores = tl.zeros((STEPS, STEPS), tl.float32)
    y = tl.zeros((STEPS, BLOCK_V), tl.float32)
    nq = tl.zeros((STEPS,), tl.float32)
    for first in range(0, keys, BLOCK_K):
        key = first + tl.arange(0, BLOCK_K)
        reader = load_rows(reader_ptr, tokens, key, keys, alive)
        writer = load_rows(writer_ptr, tokens, key, keys, alive)
        mask = (key < keys)[:, None] & (value < values)[None, :]
        place = key[:, None] * values + value[None, :]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        scores = product(reader, tl.trans(writer), scores)
        y = product(reader, state, y)
        if n_ptr is not None:
            n = tl.load(n_ptr + key, mask=key < keys, other=0.0)
            nq += tl.sum(reader * n[None, :], 1)
    return scores, y, nq


@triton.jit
def gradients_of_chunk(
    v_ptr, grad_ptr, state_ptr, flow_ptr, tokens, alive, key, keys, values,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """What becomes of the gradients of y at the steps of a chunk, decays aside: products
    with the values, (STEPS that read, STEPS that write), the gradients of queries by the
    state before the chunk and of keys by what flows into the one after it, (STEPS,
    BLOCK_K) both, and the product of these two states."""
    pairs = tl.zeros((STEPS, STEPS), tl.float32)
    grad_q = tl.zeros((STEPS, BLOCK_K), tl.float32)
    grad_k = tl.zeros((STEPS, BLOCK_K), tl.float32)
    past = 0.0
    for first in range(0, values, BLOCK_V):
        value = first + tl.arange(0, BLOCK_V)
        v = load_rows(v_ptr, tokens, value, values, alive)
        grad = load_rows(grad_ptr, tokens, value, values, alive)
        mask = (key < keys)[None, :] & (value < values)[:, None]
        place = key[None, :] * values + value[:, None]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        flow = tl.load(flow_ptr + place, mask=mask, other=0.0)
        pairs = product(grad, tl.trans(v), pairs)
        grad_q = product(grad, state, grad_q)
        grad_k = product(v, flow, grad_k)
        past += tl.sum(state * flow)
    return pairs, grad_q, grad_k, past


@triton.jit
def gradient_of_decays(q, k, pairs, of_state, of_flow, past, row, STRICT: tl.constexpr):
    """Of each step's logarithm, (STEPS,): a decay is in all that is read from its step on
    (STRICT: after it) of what was written before it. Of that these are sums, as a
    difference of sums has the rounding of what they share.

    ``of_state`` and ``of_flow`` (STEPS, BLOCK_K) are what gradients of queries and keys get
    by the states on either side, ``pairs`` is (STEPS that read, STEPS that write), all with
    their decays, and ``past`` is the gradient of what passes the chunk."""
    scores = product(q, tl.trans(k)) * pairs
    at, step = row[:, None], row[None, :]
    from_here = tl.where(at < step if STRICT else at <= step, 1.0, 0.0)
    read_later = product(from_here.to(q.dtype), scores)
    read_later += tl.sum(k * of_flow, 1)[None, :]
    of_past = tl.sum(q * of_state, 1)[None, :]
    if STRICT:
        of_past = tl.where(at < step, of_past, 0.0)
    return past + tl.sum(tl.where(at > step, read_later, of_past), 1)


class Tiles(NamedTuple):
    """STEPS, BLOCK_K and BLOCK_V of each kernel; the first is the same for all."""

    states: Tile
    values: Tile
    keys: Tile


WARPS, STAGES = 4, 2
WIDER = {
    torch.float16: ((64, 64, 64), (64, 64, 64), (64, 64, 64)),
    torch.float32: ((32, 32, 64), (32, 32, 64), (32, 32, 64)),
}
"""``Tiles`` of what is multiplied as float32."""
INTERPRETED = (4, 4, 4), (4, 4, 4), (4, 4, 4)


def tiles_for(
    like: Tensor, compiled: Mapping[torch.dtype, tuple[Tile, Tile, Tile]]
) -> tuple[Tile, Tile, Tile]:
    """Those of a tensor's dtype on a GPU, and the interpreter's elsewhere. Without tensor
    cores for it, as on a T4, numbers of 16 bits are multiplied one by one, as those of 32:
    in wider tiles the compiler would take ten times as long."""
    if not like.is_cuda:
        return INTERPRETED
    return compiled[like.dtype if takes_tf32(like.device) else torch.float32]


class Plan(NamedTuple):
    """What the launches need beside their tensors: looked up by shape."""

    over_states: int
    """Programs of ``states_kernel`` for a part of time."""
    parts: int
    span: int
    """How many parts there are, and of how many chunks."""
    over_values: tuple[int]
    """Programs of ``values_kernel``."""
    over_keys: tuple[int]
    """Programs of ``keys_kernel``."""
    blocks: int
    """Blocks of keys."""
    tiles: Tiles


@lru_cache(maxsize=1024)
def plan_launches(shape: Shape, tiles: tuple[Tile, Tile, Tile], on_gpu: bool) -> Plan:
    fitted = Tiles(*(fit(tile, shape) for tile in tiles))
    heads = shape.batch * shape.heads
    of_states = heads * (
        ceil_div(shape.keys, fitted.states[1])
        * ceil_div(shape.values, fitted.states[2])
    )
    of_values = ceil_div(shape.values, fitted.values[2])
    of_keys = ceil_div(shape.keys, fitted.keys[1])
    return Plan(
        of_states,
        *parts_of(shape.chunks, of_states, on_gpu),
        (of_values * shape.chunks * heads,),
        (of_keys * shape.chunks * heads,),
        of_keys,
        fitted,
    )
