"""mLSTM as Triton kernels: a scan for the maximum, gated linear attention on the shared code
for a state that is a matrix (``seqlab/ops/device/matrix_state.py``), a division.

  gates_kernel    m_t = max(log f_t + m_{t-1}, i_t), and of it what follows needs: the
                  logarithm of a decay a step, g_t, at most 0, and the weight of a key
  summary_kernel  what a chunk adds to the state, from nothing
  (carry)         the states between chunks, in place of the summaries
  values_kernel   y = q S and a division; in reversed time dv = k D
  keys_kernel     dq, dk and the gradients of both gates, from S before and D after a chunk

With S the state and D the gradient that flows into it. A chunk has STEPS steps, taken at
once, by products of (STEPS, STEPS) tiles with the decays between steps:

                  j: writes
               | 1           |      D[t, j] = e^(g_{j+1} + ... + g_t), a sum of numbers of
     t: reads  | .  1        |      one sign: nothing is divided, and no difference taken
               | .  .  1     |

A program of ``values_kernel`` has BLOCK_V value channels and walks over the keys, one of
``keys_kernel`` BLOCK_K key channels and walks over the values. Beside the values stands
one more, 1 at every step, for the normalizer; it is a vector in every program.

Bytes. With E = B L H, forward reads q and k once for every BLOCK_V values and v, and writes
h; backward as much for dv, and for dq and dk reads v and dh once for every BLOCK_K keys.
States between chunks are 4 K (V + 1) bytes for every STEPS steps, written by the
summaries, read and written by the carry, and read.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.gates import at_least, larger, log_sigmoid, running_maxima
from seqlab.ops.device.matrix_state import (
    Shape,
    carry,
    chunk_coordinates,
    decays_between,
    load_decays,
    load_rows,
    load_steps,
    product,
    shape_of,
    store_rows,
    store_steps,
)
from seqlab.ops.device.pairs import real_numbers
from seqlab.ops.interpreter import runner
from seqlab.ops.xlstm.mlstm import portable

SIZES = ["batch", "length", "heads", "chunks", "scale"]
COMPILED = {16: (64, 64, 64), 32: (32, 32, 64)}
"""STEPS, BLOCK_K and BLOCK_V for numbers of 16 and of 32 bits."""
INTERPRETED = 4, 4, 4
WARPS, STAGES = 4, 2
SCAN = 256, 4  # steps that the maximum takes at once: compiled, interpreted
LOWEST = tl.constexpr(portable.LOWEST)
TINY = tl.constexpr(torch.finfo(torch.float32).tiny)
LEAST = tl.constexpr(-1e4)
"""The logarithm of a decay that is 0 whatever the dtype: -inf times 0 is not a number."""


@triton.jit(do_not_specialize=SIZES)
def gates_kernel(
    i_ptr, f_ptr, before_ptr, gates_ptr, last_ptr,
    scale, batch, length, heads, STEPS: tl.constexpr,
):  # fmt: skip
    """``gates_ptr`` (3, B, L, H) gets m, g and the weight of the key, its scale included."""
    head = tl.program_id(0).to(tl.int64)
    begin = head // heads * length * heads + head % heads
    count = (batch * length).to(tl.int64) * heads
    step = tl.arange(0, STEPS)
    first = tl.full((1,), LOWEST, tl.float32)
    if before_ptr is not None:
        first = at_least(tl.load(before_ptr + head + tl.arange(0, 1)), LOWEST)
    carried = tl.full((1,), LOWEST, tl.float32)
    for start in range(0, length, STEPS):
        token, alive = begin + (start + step) * heads, start + step < length
        # The maximum before each step: over all steps, each one place on.
        seen = alive & (start + step > 0)
        i = tl.load(i_ptr + token - heads, mask=seen, other=0.0).to(tl.float32)
        f = tl.load(f_ptr + token - heads, mask=seen, other=0.0).to(tl.float32)
        i, f = tl.where(seen, i, first), tl.where(seen, log_sigmoid(f), 0.0)
        m, f = running_maxima((i, f))
        before = at_least(larger(carried + f, m), LOWEST)
        i = tl.load(i_ptr + token, mask=alive, other=0.0).to(tl.float32)
        f = tl.load(f_ptr + token, mask=alive, other=0.0).to(tl.float32)
        f = log_sigmoid(f)
        m = at_least(larger(before + f, i), LOWEST)
        # What rounding makes of a maximum, the decay makes up for.
        g = (before - m) + f
        tl.store(gates_ptr + token, m, mask=alive)
        tl.store(gates_ptr + count + token, at_least(g, LEAST), mask=alive)
        tl.store(gates_ptr + 2 * count + token, tl.exp(i - m) * scale, mask=alive)
        tl.store(last_ptr + head + 0 * step, m, mask=start + step == length - 1)
        carried = tl.sum(tl.where(step == STEPS - 1, before, 0.0), 0, keep_dims=True)


@triton.jit(do_not_specialize=SIZES)
def summary_kernel(
    writer_ptr, v_ptr, weight_ptr, inverse_ptr, column_ptr, g_ptr, state_ptr, decay_ptr,
    batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """What a chunk adds to the state: of weighted keys and values, or in reversed time of
    queries and gradients, over the normalizer. It goes behind the first state, into
    ``state_ptr`` (chunks + 1, B, H, K V + K), what is left of a state into ``decay_ptr``
    (chunks + 1, B, H), both in the order of turns."""
    over_values = tl.cdiv(values, BLOCK_V)
    blocks = tl.cdiv(keys, BLOCK_K) * over_values
    # From the step that is written last, so that decays add up on the way.
    block, head, _, chunk, steps, begin, step = chunk_coordinates(
        batch, length, heads, chunks, blocks, not REVERSED, STEPS
    )
    turn = chunks - 1 - chunk if REVERSED else chunk
    row = tl.arange(0, STEPS)
    tokens, alive = begin + row * step, row < steps
    key = block // over_values * BLOCK_K + tl.arange(0, BLOCK_K)
    value = block % over_values * BLOCK_V + tl.arange(0, BLOCK_V)
    left = tl.exp(
        tl.cumsum(load_decays(g_ptr, tokens, step, row, steps, not REVERSED), 0)
    )
    if weight_ptr is not None:
        left *= load_steps(weight_ptr, tokens, alive, 0.0)
    writer = load_rows(writer_ptr, tokens, key, keys, alive)
    v = load_rows(v_ptr, tokens, value, values, alive)
    column = tl.where(alive, 1.0, 0.0)
    if inverse_ptr is not None:
        column = load_steps(column_ptr, tokens, alive, 0.0)
        own = left * load_steps(inverse_ptr, tokens, alive, 0.0)
    else:
        own = left
    summary = product(tl.trans(writer), v * own[:, None], WHOLE=True)
    size = keys * (values + 1)
    rows = (turn + 1) * batch * heads + head
    place = rows * size + key[:, None] * values + value[None, :]
    mask = (key < keys)[:, None] & (value < values)[None, :]
    tl.store(state_ptr + place, summary, mask=mask)
    if block % over_values == 0:
        n = tl.sum(writer * (left * column)[:, None], 0)
        tl.store(state_ptr + rows * size + keys * values + key, n, mask=key < keys)
    if block == 0:
        g = load_steps(g_ptr, tokens, alive, 0.0)
        tl.store(decay_ptr + rows, tl.exp(tl.sum(g)))


@triton.jit(do_not_specialize=SIZES)
def values_kernel(
    reader_ptr, writer_ptr, v_ptr, gates_ptr, inverse_ptr, state_ptr, y_ptr, nq_ptr,
    batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """h, where queries read what keys wrote; in reversed time the gradient of v, where keys
    read what queries wrote. ``nq_ptr`` (B, L, H) gets n . q."""
    blocks = tl.cdiv(values, BLOCK_V)
    block, head, turn, _, steps, begin, step = chunk_coordinates(
        batch, length, heads, chunks, blocks, REVERSED, STEPS
    )
    row, k = tl.arange(0, STEPS), tl.arange(0, BLOCK_K)
    value = block * BLOCK_V + tl.arange(0, BLOCK_V)
    tokens, alive = begin + row * step, row < steps
    count = (batch * length).to(tl.int64) * heads
    m = load_steps(gates_ptr, tokens, alive, 0.0)
    g = load_decays(gates_ptr + count, tokens, step, row, steps, REVERSED)
    weight = load_steps(gates_ptr + 2 * count, tokens, alive, 0.0)
    size = keys * (values + 1)
    state_ptr += (turn * batch * heads + head) * size
    scores = tl.zeros((STEPS, STEPS), tl.float32)
    y = tl.zeros((STEPS, BLOCK_V), tl.float32)
    nq = tl.zeros((STEPS,), tl.float32)
    for first in range(0, keys, BLOCK_K):
        key = first + k
        reader = load_rows(reader_ptr, tokens, key, keys, alive)
        writer = load_rows(writer_ptr, tokens, key, keys, alive)
        mask = (key < keys)[:, None] & (value < values)[None, :]
        place = key[:, None] * values + value[None, :]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        scores = product(reader, tl.trans(writer), scores)
        y = product(reader, state, y)
        if not REVERSED:
            n = tl.load(state_ptr + keys * values + key, mask=key < keys, other=0.0)
            nq += tl.sum(reader * n[None, :], 1)
    v = load_rows(v_ptr, tokens, value, values, alive)
    reach = tl.exp(tl.cumsum(g, 0))
    y *= reach[:, None]
    scores *= decays_between(g, row, v_ptr.dtype.element_ty)
    if REVERSED:
        scores *= load_steps(inverse_ptr, tokens, alive, 0.0)[None, :]
        y = product(scores, v, y)
        y *= weight[:, None]
    else:
        scores *= weight[None, :]
        y = product(scores, v, y)
        nq = nq * reach + tl.sum(scores, 1)
        size = normalizer_of(nq, m)
        nothing = (size == 0.0) & (tl.sum(tl.where(y == 0.0, 0, 1), 1) == 0)
        y *= (1.0 / tl.where(nothing, 1.0, size))[:, None]
        if block == 0:
            tl.store(nq_ptr + tokens, nq, mask=alive)
    store_rows(y_ptr, y, tokens, value, values, alive)


@triton.jit
def normalizer_of(nq, m):
    """max(|n . q|, e^-m), and 0 where it has not all its digits: 1 over it may be too
    large for a number."""
    size = larger(tl.abs(nq), tl.exp(-m))
    return tl.where(size < TINY, 0.0, size)


@triton.jit(do_not_specialize=SIZES)
def normalizer_kernel(
    h_ptr, grad_h_ptr, gates_ptr, nq_ptr, inverse_ptr, grad_nq_ptr,
    count, values, ROWS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """1 over the normalizer, and the gradient of n . q, for each of ``count`` = B L H
    tokens."""
    token = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    alive = token < count
    dot = tl.zeros((ROWS,), tl.float32)
    for first in range(0, values, BLOCK_V):
        value = first + tl.arange(0, BLOCK_V)
        h = load_rows(h_ptr, token, value, values, alive).to(tl.float32)
        dot += tl.sum(h * load_rows(grad_h_ptr, token, value, values, alive), 1)
    m, nq = (
        load_steps(gates_ptr, token, alive, 0.0),
        load_steps(nq_ptr, token, alive, 0.0),
    )
    size = normalizer_of(nq, m)
    inverse = 1.0 / tl.where(size == 0.0, 1.0, size)
    sign = tl.where(nq < 0.0, 1.0, -1.0)
    grad = tl.where(tl.abs(nq) > tl.exp(-m), sign * dot * inverse, 0.0)
    store_steps(inverse_ptr, inverse, token, alive)
    store_steps(grad_nq_ptr, grad, token, alive)


@triton.jit(do_not_specialize=SIZES)
def keys_kernel(
    q_ptr, k_ptr, v_ptr, grad_h_ptr, gates_ptr, inverse_ptr, grad_nq_ptr,
    state_ptr, flow_ptr, grad_q_ptr, grad_k_ptr, grad_i_ptr, grad_g_ptr,
    batch, length, heads, keys, values, chunks,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """``grad_i_ptr`` and ``grad_g_ptr`` (blocks of keys, B, L, H) get what comes by
    these."""
    blocks = tl.cdiv(keys, BLOCK_K)
    block, head, _, chunk, steps, begin, _ = chunk_coordinates(
        batch, length, heads, chunks, blocks, False, STEPS
    )
    row, vs = tl.arange(0, STEPS), tl.arange(0, BLOCK_V)
    key = block * BLOCK_K + tl.arange(0, BLOCK_K)
    tokens, alive = begin + row * heads, row < steps
    count = (batch * length).to(tl.int64) * heads
    g = load_steps(gates_ptr + count, tokens, alive, 0.0)
    weight = load_steps(gates_ptr + 2 * count, tokens, alive, 0.0)
    inverse = load_steps(inverse_ptr, tokens, alive, 0.0)
    grad_nq = load_steps(grad_nq_ptr, tokens, alive, 0.0)
    size = keys * (values + 1)
    state_ptr += (chunk * batch * heads + head) * size
    flow_ptr += ((chunks - 1 - chunk) * batch * heads + head) * size
    pairs = tl.zeros((STEPS, STEPS), tl.float32)  # t, j
    grad_q = tl.zeros((STEPS, BLOCK_K), tl.float32)
    grad_k = tl.zeros((STEPS, BLOCK_K), tl.float32)
    past = 0.0
    for first in range(0, values, BLOCK_V):
        value = first + vs
        v = load_rows(v_ptr, tokens, value, values, alive)
        grad_h = load_rows(grad_h_ptr, tokens, value, values, alive)
        mask = (key < keys)[None, :] & (value < values)[:, None]
        place = key[None, :] * values + value[:, None]
        state = tl.load(state_ptr + place, mask=mask, other=0.0)
        flow = tl.load(flow_ptr + place, mask=mask, other=0.0)
        pairs = product(grad_h, tl.trans(v), pairs)
        grad_q = product(grad_h, state, grad_q)
        grad_k = product(v, flow, grad_k)
        past += tl.sum(state * flow)
    n = tl.load(state_ptr + keys * values + key, mask=key < keys, other=0.0)
    flow = tl.load(flow_ptr + keys * values + key, mask=key < keys, other=0.0)
    past += tl.sum(n * flow)
    q = load_rows(q_ptr, tokens, key, keys, alive)
    k = load_rows(k_ptr, tokens, key, keys, alive)
    decay = decays_between(g, row, v_ptr.dtype.element_ty)
    reach = tl.exp(tl.cumsum(g, 0))
    left = tl.sum(tl.where(row[:, None] == STEPS - 1, decay, 0.0), 0)
    pairs = (pairs * inverse[:, None] + grad_nq[:, None]) * decay * weight[None, :]
    of_state = grad_q * inverse[:, None] + grad_nq[:, None] * n[None, :]
    of_state *= reach[:, None]
    grad_q = product(pairs, k, of_state)
    store_rows(grad_q_ptr, grad_q, tokens, key, keys, alive)

    of_flow = (grad_k + flow[None, :]) * (left * weight)[:, None]
    grad_k = product(tl.trans(pairs), q, of_flow)
    store_rows(grad_k_ptr, grad_k, tokens, key, keys, alive)
    partial = block * count + tokens
    store_steps(grad_i_ptr, tl.sum(grad_k * k, 1), partial, alive)

    # A decay is in all that is read from its step on of what was written before it: sums of
    # just that, as a difference of sums has the rounding of what they share.
    scores = product(q, tl.trans(k)) * pairs
    from_here = tl.where(row[:, None] <= row[None, :], 1.0, 0.0)
    read_later = product(from_here.to(q.dtype), scores)
    read_later += tl.sum(k * of_flow, 1)[None, :]
    of_past = tl.sum(q * of_state, 1)[None, :]
    grad_g = tl.sum(tl.where(row[:, None] > row[None, :], read_later, of_past), 1)
    grad_g += past * tl.exp(tl.sum(g))
    store_steps(grad_g_ptr, grad_g, partial, alive)


class Plan(NamedTuple):
    """What the launches need beside their tensors: looked up by shape."""

    over_tiles: tuple[int]
    """Programs of ``summary_kernel``."""
    over_values: tuple[int]
    """Programs of ``values_kernel``."""
    over_keys: tuple[int]
    """Programs of ``keys_kernel``."""
    blocks: int
    """Blocks of keys."""
    constants: tuple[int, ...]
    """STEPS, BLOCK_K, BLOCK_V"""


@lru_cache(maxsize=1024)
def plan_launches(shape: Shape, dtype: torch.dtype, on_gpu: bool) -> Plan:
    tiles = COMPILED[8 * dtype.itemsize] if on_gpu else INTERPRETED
    _, BLOCK_K, BLOCK_V = tiles
    over_keys, over_values = (
        triton.cdiv(shape.keys, BLOCK_K),
        triton.cdiv(shape.values, BLOCK_V),
    )
    programs = shape.chunks * shape.batch * shape.heads
    return Plan(
        (over_keys * over_values * programs,),
        (over_values * programs,),
        (over_keys * programs,),
        over_keys,
        tiles,
    )


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, the last state, and for backward the states between chunks, what became of the
    gates, and n . q."""
    q, k, v, i, f = map(real_numbers, (q, k, v, i, f))
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, v.dtype, v.is_cuda)
    gates, nq = i.new_empty((3, *i.shape)), torch.empty_like(i)
    last = i.new_empty(i[:, 0].shape)
    STEPS = SCAN[0] if v.is_cuda else SCAN[1]
    m = None if m is None else real_numbers(m)
    runner(gates_kernel, v)[(shape.batch * shape.heads,)](
        i, f, m, gates, last,
        shape.keys**-0.5, shape.batch, shape.length, shape.heads, STEPS,
    )  # fmt: skip
    states = walk(k, v, gates, None, None, C, n, shape, plan)
    h = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        q, k, v, gates, None, states, h, nq,
        *shape, False, *plan.constants, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    C, n = parts(states[-1], shape)
    return h, C, n, last, states, gates, nq


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    h: Tensor,
    states: Tensor,
    gates: Tensor,
    nq: Tensor,
    grad_h: Tensor,
    grad_C: Tensor | None,
    grad_n: Tensor | None,
    grad_m: Tensor | None,
) -> tuple[Tensor, ...]:
    """Gradients to q, k, v, i, f and the parts of the first state."""
    q, k, v, i, f, grad_h = map(real_numbers, (q, k, v, i, f, grad_h))
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, v.dtype, v.is_cuda)
    inverse, grad_nq = torch.empty_like(nq), torch.empty_like(nq)
    ROWS, BLOCK_V = (16, 64) if v.is_cuda else (8, 4)
    runner(normalizer_kernel, v)[(triton.cdiv(nq.numel(), ROWS),)](
        h, grad_h, gates, nq, inverse, grad_nq, nq.numel(), shape.values, ROWS, BLOCK_V
    )
    flows = walk(q, grad_h, gates, inverse, grad_nq, grad_C, grad_n, shape, plan)
    grad_v = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        k, q, grad_h, gates, inverse, flows, grad_v, None,
        *shape, True, *plan.constants, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    grad_q, grad_k = torch.empty_like(q), torch.empty_like(k)
    written, grad_g = (i.new_empty((plan.blocks, *i.shape)) for _ in range(2))
    runner(keys_kernel, v)[plan.over_keys](
        q, k, v, grad_h, gates, inverse, grad_nq, states, flows,
        grad_q, grad_k, written, grad_g,
        *shape, *plan.constants, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    dm = None
    if grad_C is not None or grad_n is not None or grad_m is not None:
        dm = -(states[-1] * flows[0]).sum(-1)
        dm = dm if grad_m is None else dm + grad_m
    log_f = torch.nn.functional.logsigmoid(f)
    before = gates[0, :, 0].new_full(gates[0, :, 0].shape, portable.LOWEST)
    before = before if m is None else m.clamp(min=portable.LOWEST)
    past = torch.cat([before[:, None], gates[0, :, :-1]], dim=1) + log_f
    grad_i, grad_f, dm = portable.gate_gradients(
        written.sum(0), grad_g.sum(0), i, f, past, dm
    )
    dm = dm + (states[0] * flows[-1]).sum(-1)
    return grad_q, grad_k, grad_v, grad_i, grad_f, *parts(flows[-1], shape), dm


def walk(
    writer: Tensor,
    v: Tensor,
    gates: Tensor,
    inverse: Tensor | None,
    column: Tensor | None,
    first: Tensor | None,
    first_n: Tensor | None,
    shape: Shape,
    plan: Plan,
) -> Tensor:
    """The states before every chunk and after the last, (chunks + 1, B, H, K V + K); with
    the normalizer, in reversed time, what flows into them."""
    rows = shape.chunks + 1, shape.batch, shape.heads
    states = gates.new_empty((*rows, shape.keys * (shape.values + 1)))
    decays = gates.new_empty(rows)
    C, n = parts_in(states[0], shape)
    for place, given in ((C, first), (n, first_n)):
        if given is None:
            place.zero_()
        else:
            place.copy_(given)
    decays[0] = 1
    weight = gates[2] if inverse is None else None
    runner(summary_kernel, v)[plan.over_tiles](
        writer, v, weight, inverse, column, gates[1], states, decays,
        *shape, inverse is not None, *plan.constants,
    )  # fmt: skip
    carry(states, decays)
    return states


def parts_in(state: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """C (B, H, K, V) and n (B, H, K) within a state (B, H, K V + K)."""
    C, n = state.split((shape.keys * shape.values, shape.keys), dim=-1)
    return C.unflatten(-1, (shape.keys, shape.values)), n


def parts(state: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Likewise, each in memory of its own."""
    C, n = parts_in(state, shape)
    return C.clone(memory_format=torch.contiguous_format), n.clone()


def kept_shapes(k: Tensor, v: Tensor) -> tuple[tuple[int, ...], ...]:
    """Shapes of what ``scan`` keeps for backward."""
    shape = shape_of(k, v, steps_of(v))
    states = shape.chunks + 1, shape.batch, shape.heads, shape.keys * (shape.values + 1)
    tokens = shape.batch, shape.length, shape.heads
    return states, (3, *tokens), tokens


def steps_of(like: Tensor) -> int:
    """Steps in a chunk."""
    return COMPILED[8 * like.itemsize][0] if like.is_cuda else INTERPRETED[0]
