"""Gated linear attention as Triton kernels, on the shared code for a state that is a
matrix (``seqlab/ops/device/matrix_state.py``).

Both directions in time are the same two kernels. With S the state, D the gradient that
flows into it from later times, and q scaled:

  values_kernel   y = q S    forward       (q reads, k writes)
                  dv = k D   backward      (k reads, q writes, dy for v)
  keys_kernel     dq = S dy  forward       (dy reads, v writes, k is what it finds)
                  dk = D v   backward      (v reads, dy writes, q is what it finds)

A program of the first has all key channels and BLOCK_V value channels of one chunk of one
head, and a program of the second BLOCK_K key channels and all value channels:

                     |<- values ->|
      k, v, q        [ S           ] keys          STEPS steps are read at once,
      | group 0      [             ]               S reads and writes as products
      v ...                                        of matrices

What flows into the logarithm of a decay from within a chunk is a sum over later steps
(``keys_kernel``), and what flows past the chunk's end is S . D there, row by row.

Bytes. With E = B L H, forward reads k, v and the decay twice, q once, and writes y;
backward reads and writes about three times as much. States between chunks are 4 K V bytes
for every CHUNK steps, written by launch 1, read and written by launch 2, read by launch 3.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.matrix_state import (
    Shape,
    carry,
    chunk_coordinates,
    load_log_decay,
    load_row,
    load_rows,
    new_summaries,
    product,
    shape_of,
    state_before,
    state_places,
    store_rows,
    weights_after,
    weights_to_read,
)
from seqlab.ops.device.pairs import real_numbers
from seqlab.ops.interpreter import runner

SIZES = ["batch", "length", "chunks", "scale"]
COMPILED = 128, 16  # CHUNK and STEPS
INTERPRETED = 8, 4
NUMBERS = 8192  # of a state's tile


@triton.jit
def load_bonus(u_ptr, head, column, keys):
    """The weight of the present: 1 unless there is a bonus (H, K)."""
    if u_ptr is not None:
        return tl.load(u_ptr + head * keys + column, mask=column < keys, other=0.0)
    else:
        return tl.full(column.shape, 1.0, tl.float32)


@triton.jit(do_not_specialize=SIZES)
def values_kernel(
    reader_ptr, writer_ptr, v_ptr, g_ptr, u_ptr, state_ptr, carry_ptr,
    y_ptr, last_ptr, summary_ptr, decay_ptr,
    scale, batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, FIXED: tl.constexpr, PER_HEAD: tl.constexpr,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """Launch 1 with a place for summaries, else launch 3. What is scaled is q, which reads
    if time goes forward."""
    blocks = tl.cdiv(values, BLOCK_V)
    block, head, turn, _, steps, begin, step = chunk_coordinates(
        batch, length, heads, chunks, blocks, REVERSED, CHUNK
    )
    DECAY_FIRST: tl.constexpr = u_ptr is None and not REVERSED
    DECAY_LAST: tl.constexpr = u_ptr is None and REVERSED
    IS_WIDE: tl.constexpr = v_ptr.dtype.element_ty == tl.float32
    PRECISION: tl.constexpr = "tf32x3" if IS_WIDE else "tf32"
    row, key = tl.arange(0, STEPS), tl.arange(0, BLOCK_K)
    value = block * BLOCK_V + tl.arange(0, BLOCK_V)
    count = batch.to(tl.int64) * heads * keys * values
    place, exists = state_places(head, key[:, None], value[None, :], keys, values)
    between = (turn - 1) * count + place
    state = state_before(turn == 0, state_ptr, carry_ptr, place, between, exists)
    u = load_bonus(u_ptr, head % heads, key, keys)
    log_decay = tl.zeros((BLOCK_K,), tl.float32)
    for first in range(0, steps, STEPS):
        tokens, alive = begin + (first + row) * step, first + row < steps
        writer = load_rows(writer_ptr, tokens, key, keys, alive).to(tl.float32)
        v = load_rows(v_ptr, tokens, value, values, alive)
        if REVERSED:
            writer *= scale
        weights = tl.zeros((STEPS, BLOCK_K), tl.float32)
        reach = tl.zeros((STEPS, BLOCK_K), tl.float32)
        scores = tl.zeros((STEPS, STEPS), tl.float32)
        since, log_since = (
            tl.full((BLOCK_K,), 1.0, tl.float32),
            tl.zeros_like(log_decay),
        )
        for i in range(STEPS):
            token, is_alive = begin + (first + i) * step, first + i < steps
            g = load_log_decay(
                g_ptr, token, head % heads, key, keys, is_alive, FIXED, PER_HEAD
            )
            a, is_own = tl.exp(g), row[:, None] == i
            if summary_ptr is None:
                reader = load_row(reader_ptr, token, key, keys, is_alive)
                found = weights_to_read(weights, a[None, :], DECAY_FIRST) * writer
                score = tl.sum(found * reader[None, :], 1)
                scores = tl.where(row[None, :] == i, score[:, None], scores)
                before = weights_to_read(since, a, DECAY_FIRST)
                reach = tl.where(is_own, before[None, :], reach)
            weights = weights_after(weights, a[None, :], is_own, DECAY_LAST)
            since *= a
            log_since += g
        if summary_ptr is None:
            reader = load_rows(reader_ptr, tokens, key, keys, alive)
            y = tl.dot(reader * reach, state, input_precision=PRECISION)
            y = product(tl.trans(scores), v, y)
            y += tl.sum(reader * u[None, :] * writer, 1)[:, None] * v
            if not REVERSED:
                y *= scale
            store_rows(y_ptr, y, tokens, value, values, alive)
        state *= tl.exp(log_since)[:, None]
        state = product(tl.trans(writer * weights), v, state, WHOLE=True)
        log_decay += log_since
    if summary_ptr is None:
        tl.store(last_ptr + place, state, mask=exists & (turn == chunks - 1))
    else:
        tl.store(summary_ptr + turn * count + place, state, mask=exists)
        rows = turn * batch * heads + head
        mask = (key < keys) & (block == 0)
        tl.store(decay_ptr + rows * keys + key, tl.exp(log_decay), mask=mask)


@triton.jit(do_not_specialize=SIZES)
def keys_kernel(
    reader_ptr, writer_ptr, found_ptr, own_ptr, g_ptr, u_ptr,
    state_ptr, carry_ptr, after_ptr, end_ptr,
    grad_ptr, share_ptr, grad_u_ptr, grad_g_ptr,
    scale, batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, FIXED: tl.constexpr, PER_HEAD: tl.constexpr,
    CHUNK: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """The gradient of q, or of k in reversed time. The former leaves what q's part in the
    gradient of the decays is in ``share_ptr`` (B, L, H, K), and the bonus' gradient over
    each chunk; the latter makes the gradient of the decays of it, from the states at the
    end of each chunk, ``after_ptr`` (chunks - 1, B, H, K, V) and ``end_ptr``."""
    blocks = tl.cdiv(keys, BLOCK_K)
    block, head, turn, chunk, steps, begin, step = chunk_coordinates(
        batch, length, heads, chunks, blocks, REVERSED, CHUNK
    )
    DECAY_FIRST: tl.constexpr = u_ptr is None and not REVERSED
    DECAY_LAST: tl.constexpr = u_ptr is None and REVERSED
    row, value = tl.arange(0, STEPS), tl.arange(0, BLOCK_V)
    key = block * BLOCK_K + tl.arange(0, BLOCK_K)
    count = batch.to(tl.int64) * heads * keys * values
    place, exists = state_places(head, key[None, :], value[:, None], keys, values)
    between = (turn - 1) * count + place
    state = state_before(turn == 0, state_ptr, carry_ptr, place, between, exists)
    u = load_bonus(u_ptr, head % heads, key, keys)
    du = tl.zeros((BLOCK_K,), tl.float32)
    if REVERSED:  # what flows past the end of the chunk into the decays within it
        between = chunk * count + place
        end = state_before(turn == 0, end_ptr, after_ptr, place, between, exists)
        past = tl.sum(end * state, 0)
    for first in range(0, steps, STEPS):
        tokens, alive = begin + (first + row) * step, first + row < steps
        reader = load_rows(reader_ptr, tokens, value, values, alive)
        writer = load_rows(writer_ptr, tokens, value, values, alive)
        found = load_rows(found_ptr, tokens, key, keys, alive).to(tl.float32)
        own = load_rows(own_ptr, tokens, key, keys, alive).to(tl.float32)
        if REVERSED:
            found *= scale
        else:
            own *= scale
        scores = product(writer, tl.trans(reader))
        weights = tl.zeros((STEPS, BLOCK_K), tl.float32)
        reach = tl.zeros((STEPS, BLOCK_K), tl.float32)
        inside = tl.zeros((STEPS, BLOCK_K), tl.float32)
        since, log_since = tl.full((BLOCK_K,), 1.0, tl.float32), tl.zeros_like(du)
        for i in range(STEPS):
            token, is_alive = begin + (first + i) * step, first + i < steps
            g = load_log_decay(
                g_ptr, token, head % heads, key, keys, is_alive, FIXED, PER_HEAD
            )
            a, is_own = tl.exp(g), row[:, None] == i
            score = tl.sum(tl.where(row[None, :] == i, scores, 0.0), 1)
            left = weights_to_read(weights, a[None, :], DECAY_FIRST) * found
            grad = tl.sum(left * score[:, None], 0)
            inside = tl.where(is_own, grad[None, :], inside)
            before = weights_to_read(since, a, DECAY_FIRST)
            reach = tl.where(is_own, before[None, :], reach)
            weights = weights_after(weights, a[None, :], is_own, DECAY_LAST)
            since *= a
            log_since += g
        inside += reach * product(reader, state, WHOLE=True)
        present = tl.sum(reader.to(tl.float32) * writer, 1)[:, None] * found
        grad = inside + present * u[None, :]
        if not REVERSED:
            grad *= scale
        store_rows(grad_ptr, grad, tokens, key, keys, alive)
        if REVERSED:
            share = load_rows(share_ptr, tokens, key, keys, alive)
            lower = row[:, None] >= row[None, :]
            strict = lower if u_ptr is None else row[:, None] > row[None, :]
            lower, strict = tl.where(lower, 1.0, 0.0), tl.where(strict, 1.0, 0.0)
            dg = tl.dot(strict, share, input_precision="tf32x3") + past[None, :]
            dg -= tl.dot(lower, own * inside, input_precision="tf32x3")
            store_rows(grad_g_ptr, dg, tokens, key, keys, alive)
            past += tl.sum(share - own * inside, 0)
        else:
            store_rows(share_ptr, own * inside, tokens, key, keys, alive)
            du += tl.sum(own * present, 0)
        state *= tl.exp(log_since)[None, :]
        state = product(tl.trans(writer), found * weights, state, WHOLE=True)
    if grad_u_ptr is not None:
        rows = chunk * batch * heads + head
        tl.store(grad_u_ptr + rows * keys + key, du, mask=key < keys)


class Plan(NamedTuple):
    """What the launches of a kernel need beside their tensors: looked up by shape."""

    all_but_one: tuple[int]
    """Programs of launch 1."""
    grid: tuple[int]
    """Programs of launch 3."""
    constants: tuple[int, ...]
    """CHUNK, STEPS, BLOCK_K, BLOCK_V"""
    num_warps: int


@lru_cache(maxsize=1024)
def plan_launches(shape: Shape, of_keys: bool, like: torch.dtype, on_gpu: bool) -> Plan:
    """The launches of ``keys_kernel`` or of ``values_kernel``."""
    least = 16 if on_gpu else 2  # products of matrices have no smaller tiles
    # float16 is multiplied as float32, beside what it is loaded as: a T4 has 64 KB for it.
    numbers = NUMBERS // 2 if of_keys and like == torch.float16 else NUMBERS
    BLOCK_K, BLOCK_V = (
        max(least, triton.next_power_of_2(x)) for x in (shape.keys, shape.values)
    )
    if of_keys:
        BLOCK_K = max(least, min(BLOCK_K, 64, numbers // BLOCK_V))
        blocks = triton.cdiv(shape.keys, BLOCK_K)
    else:
        BLOCK_V = max(least, min(BLOCK_V, 64, numbers // BLOCK_K))
        blocks = triton.cdiv(shape.values, BLOCK_V)
    programs = blocks * shape.batch * shape.heads
    return Plan(
        ((shape.chunks - 1) * programs,),
        (shape.chunks * programs,),
        (*(COMPILED if on_gpu else INTERPRETED), BLOCK_K, BLOCK_V),
        num_warps=2 if 2 * BLOCK_K * BLOCK_V <= NUMBERS else 4,
    )


def walk(
    reader: Tensor,
    writer: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state and the states between chunks; in reverse, dv, the gradient of the
    first state and what flows between chunks. The tensors are contiguous."""
    shape = shape_of(writer, v, chunk_of(v))
    plan = plan_launches(shape, False, v.dtype, v.is_cuda)
    y = torch.empty_like(v, memory_format=torch.contiguous_format)
    last = log_decay.new_empty((shape.batch, shape.heads, shape.keys, shape.values))
    inputs = reader, writer, v, log_decay, bonus, state
    constants = (scale, *shape, reverse, *form_of(log_decay), *plan.constants)
    run = runner(values_kernel, v)
    between, decays = new_summaries(v, shape)
    if shape.chunks > 1:
        places = None, None, None, between, decays
        run[plan.all_but_one](*inputs, *places, *constants, num_warps=plan.num_warps)
        carry(between, decays)
    places = between if shape.chunks > 1 else None, y, last, None, None
    run[plan.grid](*inputs, *places, *constants, num_warps=plan.num_warps)
    return y, last, between


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state and the states between chunks."""
    q, k, v, log_decay, bonus, state = (
        None if x is None else real_numbers(x)
        for x in (q, k, v, log_decay, bonus, state)
    )
    return walk(q, k, v, log_decay, bonus, state, scale, False)


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    last: Tensor,
    between: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor]:
    """Gradients to q, k, v, the logarithms of the decays, the bonus and the first state,
    from all of these, the last state, the states between chunks and the gradients of y
    and of the last state."""
    shape = shape_of(k, v, chunk_of(v))
    q, k, v, log_decay, bonus, state, grad_y, grad_last = (
        None if x is None else real_numbers(x)
        for x in (q, k, v, log_decay, bonus, state, grad_y, grad_last)
    )
    grad_v, grad_state, flows = walk(
        k, q, grad_y, log_decay, bonus, grad_last, scale, True
    )
    plan = plan_launches(shape, True, v.dtype, v.is_cuda)
    if shape.chunks == 1:
        between = flows = None
    grad_q, grad_k = torch.empty_like(q), torch.empty_like(k)
    share, grad_log = (torch.empty_like(k, dtype=torch.float32) for _ in range(2))
    grad_bonus = None
    if bonus is not None:
        grad_bonus = bonus.new_empty((shape.chunks, shape.batch, *bonus.shape))
    run = runner(keys_kernel, v)
    constants = (*form_of(log_decay), *plan.constants)
    run[plan.grid](
        grad_y, v, k, q, log_decay, bonus, state, between, None, None,
        grad_q, share, grad_bonus, None,
        scale, *shape, False, *constants, num_warps=plan.num_warps,
    )  # fmt: skip
    run[plan.grid](
        v, grad_y, q, k, log_decay, bonus, grad_last, flows, between, last,
        grad_k, share, None, grad_log,
        scale, *shape, True, *constants, num_warps=plan.num_warps,
    )  # fmt: skip
    fixed, per_head = form_of(log_decay)
    axes = (0, 1) * fixed + (3,) * per_head
    if axes:
        grad_log = grad_log.sum(axes)
    if grad_bonus is not None:
        grad_bonus = grad_bonus.sum((0, 1))
    return grad_q, grad_k, grad_v, grad_log, grad_bonus, grad_state


def form_of(log_decay: Tensor) -> tuple[bool, bool]:
    """Whether decays are fixed in time, and whether all channels of a head share one."""
    return log_decay.ndim <= 2, log_decay.ndim in (1, 3)


def chunk_of(like: Tensor) -> int:
    """Steps in a chunk."""
    return COMPILED[0] if like.is_cuda else INTERPRETED[0]


def chunks_in(v: Tensor) -> int:
    """Chunks in a tensor (B, L, H, V)."""
    return triton.cdiv(v.shape[1], chunk_of(v))
