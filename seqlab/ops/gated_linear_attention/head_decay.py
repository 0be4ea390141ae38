"""Gated linear attention whose key channels share one decay a head, as Triton kernels, on
the shared code for it (``seqlab/ops/device/head_decay.py``).

  states_kernel   the states between chunks of time
  values_kernel   y = q S; in reversed time dv = k D
  keys_kernel     dq, dk, and the gradients of the decays and of the bonus, from S before
                  and D after a chunk

With S the state, D the gradient that flows into it from later times, and q scaled. A decay
is a factor of a pair of steps, not of its channels, so one product of tiles has what all
steps of a chunk read of each other, and what is between them is no tensor of its own. A
program of ``values_kernel`` has BLOCK_V value channels and walks over the keys, one of
``keys_kernel`` BLOCK_K key channels and walks over the values.

Bytes, where a tile has all channels of a head, of numbers of e bytes. A step of a head takes
e (3 K + 3 V) forward: k and v for the states, q, k, v and y for the values. Backward it takes
e (7 K + 5 V): q and dy for D; q, k, dy and dv; q, k, v, dy, dq and dk. Its decay is 4 in each
launch. S and D are 4 K V bytes for every STEPS steps: S is written and read forward, and read
again backward, where D is written once and read twice.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device import matrix_state
from seqlab.ops.device.head_decay import (
    STAGES,
    WARPS,
    WIDER,
    Plan,
    decays_between,
    gradient_of_decays,
    gradients_of_chunk,
    left_after,
    load_decays,
    plan_launches,
    read_chunk,
    tiles_for,
    writers_of_chunk,
)
from seqlab.ops.device.matrix_state import (
    Shape,
    coordinates,
    load_rows,
    product,
    shape_of,
    state_before,
    steps_of_chunk,
    store_rows,
    store_steps,
)
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner

SIZES = ["batch", "length", "heads", "chunks", "span", "scale"]
COMPILED = {
    torch.bfloat16: ((64, 64, 64), (64, 32, 128), (64, 64, 64)),
    **WIDER,
}
"""``Tiles`` by dtype."""


@triton.jit(do_not_specialize=SIZES)
def states_kernel(
    writer_ptr, v_ptr, g_ptr, first_ptr, last_ptr,
    carry_ptr, state_ptr, summary_ptr, decay_ptr,
    scale, batch, length, heads, keys, values, chunks, span,
    REVERSED: tl.constexpr, STRICT: tl.constexpr,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """From chunk to chunk of a part of ``span`` of them: keys write values into a state, or
    in reversed time queries gradients. Launch 1 with a place for summaries."""
    over_values = tl.cdiv(values, BLOCK_V)
    blocks = tl.cdiv(keys, BLOCK_K) * over_values
    block, head, part = coordinates(batch, heads, blocks)
    key = block // over_values * BLOCK_K + tl.arange(0, BLOCK_K)
    value = block % over_values * BLOCK_V + tl.arange(0, BLOCK_V)
    place = (head * keys + key)[:, None] * values + value[None, :]
    exists = (key < keys)[:, None] & (value < values)[None, :]
    count = batch.to(tl.int64) * heads * keys * values
    between = (part - 1) * count + place
    state = state_before(part == 0, first_ptr, carry_ptr, place, between, exists)
    log_decay = 0.0
    for turn in range(part * span, tl.minimum((part + 1) * span, chunks)):
        if summary_ptr is None:
            tl.store(state_ptr + turn * count + place, state, mask=exists)
        chunk = chunks - 1 - turn if REVERSED else turn
        tokens, alive, left, of_chunk = writers_of_chunk(
            g_ptr, head, chunk, length, heads, REVERSED, STRICT, STEPS
        )
        if REVERSED:
            left *= scale
        writer = load_rows(writer_ptr, tokens, key, keys, alive)
        v = load_rows(v_ptr, tokens, value, values, alive)
        state = product(
            tl.trans(writer), v * left[:, None], state * tl.exp(of_chunk), WHOLE=True
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


@triton.jit
def read_present(
    reader_ptr, writer_ptr, u_ptr, tokens, alive, keys,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """What each step reads of its own key, by the bonus u (K,): (STEPS,)."""
    present = tl.zeros((STEPS,), tl.float32)
    for first in range(0, keys, BLOCK_K):
        key = first + tl.arange(0, BLOCK_K)
        reader = load_rows(reader_ptr, tokens, key, keys, alive).to(tl.float32)
        writer = load_rows(writer_ptr, tokens, key, keys, alive)
        u = tl.load(u_ptr + key, mask=key < keys, other=0.0)
        present += tl.sum(reader * u[None, :] * writer, 1)
    return present


@triton.jit(do_not_specialize=SIZES)
def values_kernel(
    reader_ptr, writer_ptr, v_ptr, g_ptr, u_ptr, state_ptr, y_ptr,
    scale, batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """y, where queries read what keys wrote. In reversed time dv, where keys read what
    queries wrote, of dy in place of v and of what flows into states."""
    STRICT: tl.constexpr = u_ptr is not None
    block, head, turn = coordinates(batch, heads, tl.cdiv(values, BLOCK_V))
    chunk = chunks - 1 - turn if REVERSED else turn
    steps, begin, step = steps_of_chunk(head, chunk, length, heads, REVERSED, STEPS)
    row = tl.arange(0, STEPS)
    value = block * BLOCK_V + tl.arange(0, BLOCK_V)
    tokens, alive = begin + row * step, row < steps
    g = load_decays(g_ptr, tokens, step, row, steps, REVERSED or STRICT)
    state_ptr += (turn * batch * heads + head) * keys * values
    scores, y, _ = read_chunk(
        reader_ptr, writer_ptr, state_ptr, None, tokens, alive, value, keys, values,
        STEPS, BLOCK_K, BLOCK_V,
    )  # fmt: skip
    v = load_rows(v_ptr, tokens, value, values, alive)
    scores *= decays_between(g, row, v_ptr.dtype.element_ty, STRICT)
    if STRICT:
        u_ptr += head % heads * keys
        present = read_present(
            reader_ptr, writer_ptr, u_ptr, tokens, alive, keys, STEPS, BLOCK_K
        )
        scores = tl.where(row[:, None] == row[None, :], present[:, None], scores)
    reach = tl.exp(tl.cumsum(g, 0))
    # What flows into states has its scale already.
    y *= (reach if REVERSED else scale * reach)[:, None]
    y = product(scale * scores, v, y)
    store_rows(y_ptr, y, tokens, value, values, alive)


@triton.jit(do_not_specialize=SIZES)
def keys_kernel(
    q_ptr, k_ptr, v_ptr, grad_y_ptr, g_ptr, u_ptr, state_ptr, flow_ptr,
    grad_q_ptr, grad_k_ptr, grad_g_ptr, grad_u_ptr,
    scale, batch, length, heads, keys, values, chunks,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """``grad_g_ptr`` (blocks of keys, B, L, H) gets what comes by these, ``grad_u_ptr``
    (chunks, B, H, K) what comes by each chunk."""
    STRICT: tl.constexpr = u_ptr is not None
    block, head, chunk = coordinates(batch, heads, tl.cdiv(keys, BLOCK_K))
    steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
    row = tl.arange(0, STEPS)
    key = block * BLOCK_K + tl.arange(0, BLOCK_K)
    tokens, alive = begin + row * heads, row < steps
    state_ptr += (chunk * batch * heads + head) * keys * values
    flow_ptr += ((chunks - 1 - chunk) * batch * heads + head) * keys * values
    pairs, grad_q, grad_k, past = gradients_of_chunk(
        v_ptr, grad_y_ptr, state_ptr, flow_ptr, tokens, alive, key, keys, values,
        STEPS, BLOCK_K, BLOCK_V,
    )  # fmt: skip
    g = load_decays(g_ptr, tokens, heads, row, steps, False)
    between = load_decays(g_ptr, tokens, heads, row, steps, STRICT)
    q = load_rows(q_ptr, tokens, key, keys, alive)
    k = load_rows(k_ptr, tokens, key, keys, alive)
    pairs *= scale
    is_present = row[:, None] == row[None, :]
    present = tl.sum(tl.where(is_present, pairs, 0.0), 1)[:, None]
    pairs *= decays_between(between, row, v_ptr.dtype.element_ty, STRICT)
    if STRICT:
        pairs = tl.where(is_present, 0.0, pairs)
    of_state = grad_q * (scale * tl.exp(tl.cumsum(between, 0)))[:, None]
    of_flow = grad_k * left_after(g, row)[:, None]
    grad_q = product(pairs, k, of_state)
    grad_k = product(tl.trans(pairs), q, of_flow)
    if STRICT:
        mask = key < keys
        u = tl.load(u_ptr + head % heads * keys + key, mask=mask, other=0.0)
        grad_q += present * u[None, :] * k
        grad_k += present * u[None, :] * q
        place = (chunk * batch * heads + head) * keys + key
        tl.store(grad_u_ptr + place, tl.sum(present * q * k, 0), mask=mask)
    store_rows(grad_q_ptr, grad_q, tokens, key, keys, alive)
    store_rows(grad_k_ptr, grad_k, tokens, key, keys, alive)
    past *= tl.exp(tl.sum(g))
    grad_g = gradient_of_decays(q, k, pairs, of_state, of_flow, past, row, STRICT)
    count = batch.to(tl.int64) * length * heads
    store_steps(grad_g_ptr, grad_g, block * count + tokens, alive)


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and for backward the states before all chunks, (chunks, B, H, K, V)
    in a row."""
    q, k, v = map(laid_out, (q, k, v))
    bonus, state = (None if x is None else laid_out(x) for x in (bonus, state))
    log_decay = of_all_steps(log_decay, v)
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, tiles_for(v, COMPILED), v.is_cuda)
    strict = bonus is not None
    last = log_decay.new_empty(shape.of_state)
    states = walk(k, v, log_decay, state, last, scale, shape, plan, False, strict)
    y = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        q, k, v, log_decay, bonus, states, y,
        scale, *shape, False, *plan.tiles.values, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return y, last, states


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    states: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    scale: float,
) -> tuple[Tensor | None, ...]:
    """Gradients to q, k, v, the logarithms of the decays, the bonus and the first state,
    None where that is None."""
    q, k, v, states, grad_y = map(laid_out, (q, k, v, states, grad_y))
    bonus, grad_last = (None if x is None else laid_out(x) for x in (bonus, grad_last))
    fixed, log_decay = log_decay.ndim == 1, of_all_steps(log_decay, v)
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, tiles_for(v, COMPILED), v.is_cuda)
    strict = bonus is not None
    grad_state = None if state is None else log_decay.new_empty(shape.of_state)
    flows = walk(
        q, grad_y, log_decay, grad_last, grad_state, scale, shape, plan, True, strict
    )
    grad_v = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        k, q, grad_y, log_decay, bonus, flows, grad_v,
        scale, *shape, True, *plan.tiles.values, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    grad_q, grad_k = torch.empty_like(q), torch.empty_like(k)
    several = (plan.blocks,) if plan.blocks > 1 else ()
    grad_log = log_decay.new_empty((*several, *log_decay.shape))
    grad_bonus = None
    if bonus is not None:
        grad_bonus = bonus.new_empty((shape.chunks, shape.batch, *bonus.shape))
    runner(keys_kernel, v)[plan.over_keys](
        q, k, v, grad_y, log_decay, bonus, states, flows,
        grad_q, grad_k, grad_log, grad_bonus,
        scale, *shape, *plan.tiles.keys, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    axes = tuple(range(grad_log.ndim - 1 if fixed else len(several)))
    grad_log = grad_log.sum(axes) if axes else grad_log
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
    matrix_state.walk(
        states_kernel, (writer, v, log_decay, first, last), states, shape.of_state, plan.over_states, plan.parts,
        (scale, *shape, plan.span, reverse, strict, *plan.tiles.states),
        {"num_warps": WARPS, "num_stages": STAGES},
    )  # fmt: skip
    return states


def of_all_steps(log_decay: Tensor, v: Tensor) -> Tensor:
    """Decays (B, L, H), of such or of those that are fixed in time, (H,)."""
    if log_decay.ndim == 1:
        log_decay = log_decay.expand(v.shape[:3])
    return laid_out(log_decay)


def steps_of(like: Tensor) -> int:
    """Steps in a chunk."""
    return tiles_for(like, COMPILED)[0][0]


def kept_shape(k: Tensor, v: Tensor) -> tuple[int]:
    """The shape of what ``scan`` keeps for backward."""
    return shape_of(k, v, steps_of(v)).of_states
