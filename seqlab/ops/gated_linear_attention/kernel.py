"""Gated linear attention with a decay a key channel as Triton kernels, on the shared code
for a state that is a matrix (``seqlab/ops/device/matrix_state.py``). Where all channels of
a head share a decay, ``head_decay.py`` has less to do.

  scores_kernel   how much of what a step has written another reads, within a chunk
  states_kernel   the states between chunks of time
  values_kernel   y = q S and scores v; in reversed time dv = k D and what is left of dy
  keys_kernel     dq, dk, and the gradients of the decays and of the bonus, from S before
                  and D after a chunk

With S the state, D the gradient that flows into it from later times, and q scaled. A chunk
has STEPS steps, taken at once. Of two of them, the one that reads finds what the other has
written times the decays between, one for each key channel. A product of matrices has to
have this decay as a product of two, one of the step that reads and one of the step that
writes, and e^{G_t} e^{-G_j}, with G the sum of logarithms from the chunk's beginning on,
overflows where decays are small. So time is halved. Two steps lie on either side of the
middle of just one of these blocks, and their decay is what is left at the middle times
what is left of it after:

      half = 1    |. .|. .|. .|. .|          t ^ j, as numbers in base 2, has its highest
      half = 2    |.  .   |.  .   |          digit at ``half``: so each pair of steps is
      half = 4    |.   :   .      |          in one product, of the level with that half
                    j  ^    t
                       the middle

Each level is one product of (STEPS, keys) by (keys, STEPS), of q e^{..} in the steps behind
a middle and k e^{..} in those before it, in one tile. No exponent is above 0, and nothing
is divided, or taken as a difference: a decay of 0 is one like any other.

Bytes, where a tile has all channels of a head, of numbers of e bytes and decays of 4. A step
of a head takes e (4 K + 3 V) + 12 K forward: q, k and decays for the scores, k, v and decays
for the states, q, v, y and decays for the values. Backward it takes e (6 K + 5 V) + 16 K: q,
dy and decays for D; k, dy, dv and decays; q, k, v, dy, dq, dk, decays and their gradients.
Scores are 4 STEPS bytes a step, written once and read forward and backward. S and D are 4 K V
bytes for every STEPS steps: S is written and read forward, and read again backward, where D
is written once and read twice.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device import matrix_state
from seqlab.ops.device.matrix_state import (
    Shape,
    coordinates,
    fit,
    load_decay_rows,
    load_rows,
    parts_of,
    product,
    shape_of,
    state_before,
    steps_of_chunk,
    store_rows,
    sums_over,
)
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

SIZES = ["batch", "length", "chunks", "span", "scale"]
COMPILED = {
    torch.bfloat16: (64, 64, 64),
    torch.float16: (32, 32, 64),  # multiplied as float32, in the 64 KB of a T4
    torch.float32: (32, 32, 64),
}
"""STEPS, BLOCK_K and BLOCK_V."""
INTERPRETED = 4, 4, 4
WARPS, STAGES = 4, 1


@triton.jit
def load_bonus(u_ptr, head, column, keys):
    """The weight of the present: 1 unless there is a bonus (H, K)."""
    if u_ptr is not None:
        return tl.load(u_ptr + head * keys + column, mask=column < keys, other=0.0)
    else:
        return tl.full(column.shape, 1.0, tl.float32)


@triton.jit
def until(at, step, STRICT: tl.constexpr):
    """Whether a step's decay counts for a state that is read ``at`` another: with a bonus
    it is read before it decays."""
    return step < at if STRICT else step <= at


@triton.jit
def is_behind(at, half):
    """Whether a step is behind the middle of its block of two halves."""
    return (at & half) != 0


@triton.jit
def to_middle(at, step, half, STRICT: tl.constexpr):
    """Whether a step's decay lies between the step ``at`` and the middle of its block of
    two halves: of a step behind it from there on, of one before it up to there."""
    read = until(at, step, STRICT)
    written = at < step
    return ((at ^ step) < half) & tl.where(is_behind(at, half), read, written)


@triton.jit(do_not_specialize=SIZES)
def states_kernel(
    writer_ptr, v_ptr, g_ptr, first_ptr, last_ptr,
    carry_ptr, state_ptr, summary_ptr, decay_ptr,
    scale, batch, length, heads, keys, values, chunks, span,
    REVERSED: tl.constexpr, STRICT: tl.constexpr, FIXED: tl.constexpr,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """From chunk to chunk of a part of ``span`` of them: keys write values into a state, or
    in reversed time queries gradients. Launch 1 with a place for summaries."""
    over_values = tl.cdiv(values, BLOCK_V)
    blocks = tl.cdiv(keys, BLOCK_K) * over_values
    block, head, part = coordinates(batch, heads, blocks)
    row = tl.arange(0, STEPS)
    at, step = row[:, None], row[None, :]
    counts = until(at, step, STRICT) if REVERSED else at < step
    key = block // over_values * BLOCK_K + tl.arange(0, BLOCK_K)
    value = block % over_values * BLOCK_V + tl.arange(0, BLOCK_V)
    place = (head * keys + key)[:, None] * values + value[None, :]
    exists = (key < keys)[:, None] & (value < values)[None, :]
    count = batch.to(tl.int64) * heads * keys * values
    between = (part - 1) * count + place
    state = state_before(part == 0, first_ptr, carry_ptr, place, between, exists)
    log_decay = tl.zeros((BLOCK_K,), tl.float32)
    for turn in range(part * span, tl.minimum((part + 1) * span, chunks)):
        if summary_ptr is None:
            tl.store(state_ptr + turn * count + place, state, mask=exists)
        chunk = chunks - 1 - turn if REVERSED else turn
        steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
        tokens, alive = begin + row * heads, row < steps
        writer = load_rows(writer_ptr, tokens, key, keys, alive).to(tl.float32)
        v = load_rows(v_ptr, tokens, value, values, alive)
        g = load_decay_rows(g_ptr, tokens, head % heads, key, keys, alive, FIXED)
        writer *= tl.exp(sums_over(counts, g, v_ptr.dtype.element_ty))
        if REVERSED:
            writer *= scale
        of_chunk = tl.sum(g, 0)
        state = product(
            tl.trans(writer), v, state * tl.exp(of_chunk)[:, None], WHOLE=True
        )
        log_decay += of_chunk
    if summary_ptr is None:
        if last_ptr is not None:
            is_last = (part + 1) * span >= chunks
            tl.store(last_ptr + place, state, mask=exists & is_last)
    else:
        tl.store(summary_ptr + part * count + place, state, mask=exists)
        rows = (part * batch * heads + head) * keys + key
        mask = (key < keys) & (block % over_values == 0)
        tl.store(decay_ptr + rows, tl.exp(log_decay), mask=mask)


@triton.jit(do_not_specialize=SIZES)
def scores_kernel(
    q_ptr, k_ptr, g_ptr, u_ptr, scores_ptr,
    scale, batch, length, heads, keys, values, chunks,
    FIXED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr, LEVELS: tl.constexpr,
):  # fmt: skip
    """How much of what each step of a chunk has written each step reads: ``scores_ptr``
    (B, L, H, STEPS)."""
    DTYPE: tl.constexpr = q_ptr.dtype.element_ty
    STRICT: tl.constexpr = u_ptr is not None
    _, head, chunk = coordinates(batch, heads, 1)
    steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
    row = tl.arange(0, STEPS)
    at, step = row[:, None], row[None, :]
    tokens, alive = begin + row * heads, row < steps
    scores = tl.zeros((STEPS, STEPS), tl.float32)
    present = tl.zeros((STEPS,), tl.float32)
    for first in range(0, keys, BLOCK_K):
        key = first + tl.arange(0, BLOCK_K)
        q = load_rows(q_ptr, tokens, key, keys, alive)
        k = load_rows(k_ptr, tokens, key, keys, alive)
        u = load_bonus(u_ptr, head % heads, key, keys)
        present += tl.sum(q.to(tl.float32) * u[None, :] * k, 1)
        g = load_decay_rows(g_ptr, tokens, head % heads, key, keys, alive, FIXED)
        for level in range(LEVELS):
            half = 1 << level
            decay = tl.exp(sums_over(to_middle(at, step, half, STRICT), g, DTYPE))
            both = tl.where(is_behind(at, half), q, k).to(tl.float32) * decay
            pairs = product(both, tl.trans(both), beside=DTYPE)
            scores += tl.where(((at ^ step) & -half) == half, pairs, 0.0)
    scores = tl.where(at > step, scores, 0.0)
    scores = scale * tl.where(at == step, present[:, None], scores)
    store_rows(scores_ptr, scores, tokens, row, STEPS, alive)


@triton.jit(do_not_specialize=SIZES)
def values_kernel(
    reader_ptr, v_ptr, g_ptr, scores_ptr, state_ptr, y_ptr,
    scale, batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, STRICT: tl.constexpr, FIXED: tl.constexpr,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """y, which queries read. In reversed time dv, which keys read of dy in place of v and
    of what flows into states."""
    DTYPE: tl.constexpr = v_ptr.dtype.element_ty
    block, head, chunk = coordinates(batch, heads, tl.cdiv(values, BLOCK_V))
    steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
    turn = chunks - 1 - chunk if REVERSED else chunk
    row = tl.arange(0, STEPS)
    at, step = row[:, None], row[None, :]
    tokens, alive = begin + row * heads, row < steps
    value = block * BLOCK_V + tl.arange(0, BLOCK_V)
    counts = at < step if REVERSED else until(at, step, STRICT)
    state_ptr += (turn * batch * heads + head) * keys * values
    y = tl.zeros((STEPS, BLOCK_V), tl.float32)
    for first in range(0, keys, BLOCK_K):
        key = first + tl.arange(0, BLOCK_K)
        g = load_decay_rows(g_ptr, tokens, head % heads, key, keys, alive, FIXED)
        reader = load_rows(reader_ptr, tokens, key, keys, alive).to(tl.float32)
        reader *= tl.exp(sums_over(counts, g, DTYPE))
        place = key[:, None] * values + value[None, :]
        mask = (key < keys)[:, None] & (value < values)[None, :]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        y = product(reader, state, y, beside=DTYPE)
    v = load_rows(v_ptr, tokens, value, values, alive)
    scores = load_rows(scores_ptr, tokens, row, STEPS, alive)
    if REVERSED:
        scores = tl.trans(scores)
    else:
        y *= scale
    store_rows(y_ptr, product(scores, v, y), tokens, value, values, alive)


@triton.jit(do_not_specialize=SIZES)
def keys_kernel(
    q_ptr, k_ptr, v_ptr, grad_y_ptr, g_ptr, u_ptr, state_ptr, flow_ptr,
    grad_q_ptr, grad_k_ptr, grad_g_ptr, grad_u_ptr,
    scale, batch, length, heads, keys, values, chunks,
    FIXED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr, LEVELS: tl.constexpr,
):  # fmt: skip
    """``grad_g_ptr`` (B, L, H, K) gets what comes by each step, ``grad_u_ptr`` (chunks, B,
    H, K) what comes by each chunk."""
    DTYPE: tl.constexpr = v_ptr.dtype.element_ty
    STRICT: tl.constexpr = u_ptr is not None
    block, head, chunk = coordinates(batch, heads, tl.cdiv(keys, BLOCK_K))
    steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
    row = tl.arange(0, STEPS)
    at, step = row[:, None], row[None, :]
    tokens, alive = begin + row * heads, row < steps
    key = block * BLOCK_K + tl.arange(0, BLOCK_K)
    state_ptr += (chunk * batch * heads + head) * keys * values
    flow_ptr += ((chunks - 1 - chunk) * batch * heads + head) * keys * values
    pairs = tl.zeros((STEPS, STEPS), tl.float32)
    grad_q = tl.zeros((STEPS, BLOCK_K), tl.float32)
    grad_k = tl.zeros((STEPS, BLOCK_K), tl.float32)
    past = tl.zeros((BLOCK_K,), tl.float32)
    for first in range(0, values, BLOCK_V):
        value = first + tl.arange(0, BLOCK_V)
        v = load_rows(v_ptr, tokens, value, values, alive)
        grad_y = load_rows(grad_y_ptr, tokens, value, values, alive)
        place = key[None, :] * values + value[:, None]
        mask = (key < keys)[None, :] & (value < values)[:, None]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        flow = tl.load(flow_ptr + place, mask=mask, other=0.0)
        pairs = product(grad_y, tl.trans(v), pairs)
        grad_q = product(grad_y, state, grad_q, WHOLE=True)
        grad_k = product(v, flow, grad_k, WHOLE=True)
        past += tl.sum(state * flow, 0)
    q = load_rows(q_ptr, tokens, key, keys, alive).to(tl.float32) * scale
    k = load_rows(k_ptr, tokens, key, keys, alive).to(tl.float32)
    g = load_decay_rows(g_ptr, tokens, head % heads, key, keys, alive, FIXED)
    grad_q *= tl.exp(sums_over(until(at, step, STRICT), g, DTYPE))
    grad_k *= tl.exp(sums_over(at < step, g, DTYPE))
    # A decay is in all that is read from its step on of what was written before it. What
    # is in the exponent of a product gets the product's gradient times the product.
    grad_g = sums_over(until(step, at, STRICT), q * grad_q, DTYPE)
    grad_g += sums_over(step < at, k * grad_k, DTYPE)
    grad_g += (past * tl.exp(tl.sum(g, 0)))[None, :]

    present = tl.sum(tl.where(at == step, pairs, 0.0), 1)[:, None]
    pairs = tl.where(at > step, pairs, 0.0)
    pairs += tl.trans(pairs)
    for level in range(LEVELS):
        half = 1 << level
        decay = tl.exp(sums_over(to_middle(at, step, half, STRICT), g, DTYPE))
        behind = is_behind(at, half)
        both = tl.where(behind, q, k)
        of_level = tl.where(((at ^ step) & -half) == half, pairs, 0.0)
        grad = decay * product(of_level, both * decay, beside=DTYPE)
        grad_q += tl.where(behind, grad, 0.0)
        grad_k += tl.where(behind, 0.0, grad)
        grad_g += sums_over(to_middle(step, at, half, STRICT), both * grad, DTYPE)
    store_rows(grad_g_ptr, grad_g, tokens, key, keys, alive)
    u = load_bonus(u_ptr, head % heads, key, keys)[None, :]
    grad_q = scale * (grad_q + present * u * k)
    store_rows(grad_q_ptr, grad_q, tokens, key, keys, alive)
    store_rows(grad_k_ptr, grad_k + present * u * q, tokens, key, keys, alive)
    if grad_u_ptr is not None:
        place = (chunk * batch * heads + head) * keys + key
        tl.store(grad_u_ptr + place, tl.sum(q * present * k, 0), mask=key < keys)


class Plan(NamedTuple):
    """What the launches need beside their tensors: looked up by shape."""

    over_chunks: tuple[int]
    """Programs of ``scores_kernel``."""
    over_states: int
    """Programs of ``states_kernel`` for a part of time."""
    parts: int
    span: int
    """How many parts there are, and of how many chunks."""
    over_values: tuple[int]
    """Programs of ``values_kernel``."""
    over_keys: tuple[int]
    """Programs of ``keys_kernel``."""
    constants: tuple[int, int, int]
    """STEPS, BLOCK_K, BLOCK_V"""
    levels: int


@lru_cache(maxsize=1024)
def plan_launches(shape: Shape, dtype: torch.dtype, on_gpu: bool) -> Plan:
    constants = fit(COMPILED[dtype] if on_gpu else INTERPRETED, shape)
    STEPS, BLOCK_K, BLOCK_V = constants
    over_keys, over_values = (
        ceil_div(shape.keys, BLOCK_K),
        ceil_div(shape.values, BLOCK_V),
    )
    tiles = over_keys * over_values * shape.batch * shape.heads
    programs = shape.chunks * shape.batch * shape.heads
    return Plan(
        (programs,),
        tiles,
        *parts_of(shape.chunks, tiles, on_gpu),
        (over_values * programs,),
        (over_keys * programs,),
        constants,
        STEPS.bit_length() - 1,
    )


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y, the last state, and for backward the states before all chunks, (chunks, B, H, K, V)
    in a row, and the scores within chunks, (B, L, H, STEPS)."""
    q, k, v, log_decay, bonus, state = (
        None if x is None else laid_out(x) for x in (q, k, v, log_decay, bonus, state)
    )
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, v.dtype, v.is_cuda)
    fixed, strict = log_decay.ndim == 2, bonus is not None
    scores = log_decay.new_empty((*v.shape[:3], plan.constants[0]))
    runner(scores_kernel, v)[plan.over_chunks](
        q, k, log_decay, bonus, scores,
        scale, *shape, fixed, *plan.constants, plan.levels,
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    last = log_decay.new_empty(shape.of_state)
    states = walk(k, v, log_decay, state, last, scale, shape, plan, False, strict)
    y = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        q, v, log_decay, scores, states, y,
        scale, *shape, False, strict, fixed, *plan.constants,
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return y, last, states, scores


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    states: Tensor,
    scores: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    scale: float,
) -> tuple[Tensor | None, ...]:
    """Gradients to q, k, v, the logarithms of the decays, the bonus and the first state,
    None where that is None."""
    q, k, v, log_decay, bonus, grad_y, grad_last = (
        None if x is None else laid_out(x)
        for x in (q, k, v, log_decay, bonus, grad_y, grad_last)
    )
    states, scores = laid_out(states), laid_out(scores)
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, v.dtype, v.is_cuda)
    fixed, strict = log_decay.ndim == 2, bonus is not None
    grad_state = None if state is None else log_decay.new_empty(shape.of_state)
    flows = walk(
        q, grad_y, log_decay, grad_last, grad_state, scale, shape, plan, True, strict
    )
    grad_v = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        k, grad_y, log_decay, scores, flows, grad_v,
        scale, *shape, True, strict, fixed, *plan.constants,
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    grad_q, grad_k = torch.empty_like(q), torch.empty_like(k)
    grad_log = torch.empty_like(k, dtype=torch.float32)
    grad_bonus = None
    if bonus is not None:
        grad_bonus = bonus.new_empty((shape.chunks, shape.batch, *bonus.shape))
    runner(keys_kernel, v)[plan.over_keys](
        q, k, v, grad_y, log_decay, bonus, states, flows,
        grad_q, grad_k, grad_log, grad_bonus,
        scale, *shape, fixed, *plan.constants, plan.levels,
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    if fixed:
        grad_log = grad_log.sum((0, 1))
    if grad_bonus is not None:
        grad_bonus = grad_bonus.sum((0, 1))
    return grad_q, grad_k, grad_v, grad_log, grad_bonus, grad_state


def walk(
    writer: Tensor,
    v: Tensor,
    log_decay: Tensor,
    first: Tensor | None,
    last: Tensor | None,
    scale: float,
    shape: Shape,
    plan: Plan,
    reverse: bool,
    strict: bool,
) -> Tensor:
    """The states before every chunk; in reversed time what flows into them, in the order of
    turns. ``last`` gets the one after all."""
    states = log_decay.new_empty(shape.of_states)
    fixed = log_decay.ndim == 2
    matrix_state.walk(
        states_kernel, (writer, v, log_decay, first, last), states, shape.of_state, plan.over_states, plan.parts,
        (scale, *shape, plan.span, reverse, strict, fixed, *plan.constants),
        {"num_warps": WARPS, "num_stages": STAGES},
    )  # fmt: skip
    return states


def steps_of(like: Tensor) -> int:
    """Steps in a chunk."""
    return COMPILED[like.dtype][0] if like.is_cuda else INTERPRETED[0]


def kept_shapes(k: Tensor, v: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of what ``scan`` keeps for backward."""
    STEPS = steps_of(v)
    shape = shape_of(k, v, STEPS)
    scores = shape.batch, shape.length, shape.heads, STEPS
    return shape.of_states, scores
