"""mLSTM as Triton kernels: a scan for the maximum, gated linear attention with a decay a head
on the shared code for it (``seqlab/ops/device/head_decay.py``), a division.

  gates_kernel    m_t = max(log f_t + m_{t-1}, i_t), and of it what follows needs: the
                  logarithm of a decay a step, g_t, at most 0, and the weight of a key
  states_kernel   the states between chunks of time
  values_kernel   y = q S and a division; in reversed time dv = k D
  keys_kernel     dq, dk and the gradients of both gates, from S before and D after a chunk

With S the state and D the gradient that flows into it. A program of ``values_kernel`` has
BLOCK_V value channels and walks over the keys, one of ``keys_kernel`` BLOCK_K key channels
and walks over the values. Beside the values stands one more, 1 at every step, for the
normalizer; it is a vector in every program.

Bytes, where a tile has all channels of a head, of numbers of e bytes. A step of a head takes
e (3 K + 3 V) forward: k and v for the states, q, k, v and h for the values; and e V for what
rounding takes off h, where numbers have 16 bits. Backward it takes e (7 K + 6 V), and that e V:
h and dh for the normalizer; q and dh for D; q, k, dh and dv; q, k, v, dh, dq and dk. S and D
are 4 K (V + 1) bytes for every STEPS steps: S is written and read forward, and read again
backward, where D is written once and read twice.
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
    load_steps,
    product,
    shape_of,
    state_before,
    steps_of_chunk,
    store_rows,
    store_steps,
)
from seqlab.ops.device.pairs import laid_out
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div
from seqlab.ops.xlstm.mlstm import portable
from seqlab.ops.xlstm.mlstm.gates import (
    SCAN,
    SCAN_WARPS,
    gate_gradients_kernel,
    gates_kernel,
    normalizer_kernel,
    normalizer_of,
)

SIZES = ["batch", "length", "heads", "chunks", "span", "scale"]
COMPILED = {
    torch.bfloat16: ((64, 64, 128), (64, 32, 128), (64, 64, 64)),
    **WIDER,
}
"""``Tiles`` by dtype."""


@triton.jit(do_not_specialize=SIZES)
def states_kernel(
    writer_ptr, v_ptr, gates_ptr, normalizer_ptr,
    first_ptr, first_n_ptr, last_ptr, last_n_ptr,
    carry_ptr, state_ptr, summary_ptr, decay_ptr,
    batch, length, heads, keys, values, chunks, span,
    REVERSED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """From chunk to chunk of a part of ``span`` of them: weighted keys write values into a
    state, or in reversed time queries write gradients over the normalizer. Launch 1 with a
    place for summaries. A state is C and n, K V + K numbers; the last one is also written
    in two tensors of its own, if there are any."""
    over_values = tl.cdiv(values, BLOCK_V)
    blocks = tl.cdiv(keys, BLOCK_K) * over_values
    block, head, part = coordinates(batch, heads, blocks)
    key = block // over_values * BLOCK_K + tl.arange(0, BLOCK_K)
    value = block % over_values * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = key[:, None] * values + value[None, :]
    exists = (key < keys)[:, None] & (value < values)[None, :]
    inside_n = keys * values + key
    has_n = (key < keys) & (block % over_values == 0)
    own, own_n = head * keys * values + inside, head * keys + key
    size = keys * (values + 1)
    count = batch.to(tl.int64) * heads * size
    place = (part - 1) * count + head * size
    C = state_before(part == 0, first_ptr, carry_ptr, own, place + inside, exists)
    n = state_before(part == 0, first_n_ptr, carry_ptr, own_n, place + inside_n, has_n)
    tokens_in_all = batch.to(tl.int64) * length * heads
    log_decay = 0.0
    for turn in range(part * span, tl.minimum((part + 1) * span, chunks)):
        place = turn * count + head * size
        if summary_ptr is None:
            tl.store(state_ptr + place + inside, C, mask=exists)
            tl.store(state_ptr + place + inside_n, n, mask=has_n)
        chunk = chunks - 1 - turn if REVERSED else turn
        tokens, alive, left, of_chunk = writers_of_chunk(
            gates_ptr + tokens_in_all,
            head,
            chunk,
            length,
            heads,
            REVERSED,
            False,
            STEPS,
        )
        if not REVERSED:
            left *= load_steps(gates_ptr + 2 * tokens_in_all, tokens, alive, 0.0)
        writer = load_rows(writer_ptr, tokens, key, keys, alive)
        v = load_rows(v_ptr, tokens, value, values, alive)
        column = left
        if REVERSED:
            column *= load_steps(normalizer_ptr + tokens_in_all, tokens, alive, 0.0)
            left *= load_steps(normalizer_ptr, tokens, alive, 0.0)
        decay = tl.exp(of_chunk)
        C = product(tl.trans(writer), v * left[:, None], C * decay)
        n = n * decay + tl.sum(writer * column[:, None], 0)
        log_decay += of_chunk
    if summary_ptr is None:
        is_last = (part + 1) * span >= chunks
        place = chunks * count + head * size
        tl.store(state_ptr + place + inside, C, mask=exists & is_last)
        tl.store(state_ptr + place + inside_n, n, mask=has_n & is_last)
        if last_ptr is not None:
            tl.store(last_ptr + own, C, mask=exists & is_last)
            tl.store(last_n_ptr + own_n, n, mask=has_n & is_last)
    else:
        place = part * count + head * size
        tl.store(summary_ptr + place + inside, C, mask=exists)
        tl.store(summary_ptr + place + inside_n, n, mask=has_n)
        if block == 0:
            tl.store(decay_ptr + part * batch * heads + head, tl.exp(log_decay))


@triton.jit(do_not_specialize=SIZES)
def values_kernel(
    reader_ptr, writer_ptr, v_ptr, gates_ptr, normalizer_ptr, state_ptr,
    y_ptr, rest_ptr,
    batch, length, heads, keys, values, chunks,
    REVERSED: tl.constexpr, STEPS: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):  # fmt: skip
    """h, where queries read what keys wrote; in reversed time the gradient of v, where keys
    read what queries wrote. ``rest_ptr`` gets what rounding takes off h, and the last part of
    ``gates_ptr`` n . q."""
    block, head, turn = coordinates(batch, heads, tl.cdiv(values, BLOCK_V))
    chunk = chunks - 1 - turn if REVERSED else turn
    steps, begin, step = steps_of_chunk(head, chunk, length, heads, REVERSED, STEPS)
    row = tl.arange(0, STEPS)
    value = block * BLOCK_V + tl.arange(0, BLOCK_V)
    tokens, alive = begin + row * step, row < steps
    count = batch.to(tl.int64) * length * heads
    m = load_steps(gates_ptr, tokens, alive, 0.0)
    g = load_decays(gates_ptr + count, tokens, step, row, steps, REVERSED)
    weight = load_steps(gates_ptr + 2 * count, tokens, alive, 0.0)
    size = keys * (values + 1)
    state_ptr += (turn * batch * heads + head) * size
    scores, y, nq = read_chunk(
        reader_ptr, writer_ptr, state_ptr,
        None if REVERSED else state_ptr + keys * values,
        tokens, alive, value, keys, values, STEPS, BLOCK_K, BLOCK_V,
    )  # fmt: skip
    v = load_rows(v_ptr, tokens, value, values, alive)
    reach = tl.exp(tl.cumsum(g, 0))
    y *= reach[:, None]
    scores *= decays_between(g, row, v_ptr.dtype.element_ty, False)
    if REVERSED:
        scores *= load_steps(normalizer_ptr, tokens, alive, 0.0)[None, :]
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
            tl.store(gates_ptr + 3 * count + tokens, nq, mask=alive)
    store_rows(y_ptr, y, tokens, value, values, alive)
    if rest_ptr is not None:
        rest = y - y.to(y_ptr.dtype.element_ty).to(tl.float32)
        store_rows(rest_ptr, rest, tokens, value, values, alive)


@triton.jit(do_not_specialize=SIZES)
def keys_kernel(
    q_ptr, k_ptr, v_ptr, grad_h_ptr, gates_ptr, normalizer_ptr,
    state_ptr, flow_ptr, grad_q_ptr, grad_k_ptr, partial_ptr,
    batch, length, heads, keys, values, chunks,
    STEPS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """``partial_ptr`` (2, blocks of keys, B, L, H) gets what comes by these to i and to the
    logarithm of a decay."""
    blocks = tl.cdiv(keys, BLOCK_K)
    block, head, chunk = coordinates(batch, heads, blocks)
    steps, begin, _ = steps_of_chunk(head, chunk, length, heads, False, STEPS)
    row = tl.arange(0, STEPS)
    key = block * BLOCK_K + tl.arange(0, BLOCK_K)
    tokens, alive = begin + row * heads, row < steps
    count = batch.to(tl.int64) * length * heads
    g = load_decays(gates_ptr + count, tokens, heads, row, steps, False)
    weight = load_steps(gates_ptr + 2 * count, tokens, alive, 0.0)
    inverse = load_steps(normalizer_ptr, tokens, alive, 0.0)
    grad_nq = load_steps(normalizer_ptr + count, tokens, alive, 0.0)
    size = keys * (values + 1)
    state_ptr += (chunk * batch * heads + head) * size
    flow_ptr += ((chunks - 1 - chunk) * batch * heads + head) * size
    pairs, grad_q, grad_k, past = gradients_of_chunk(
        v_ptr, grad_h_ptr, state_ptr, flow_ptr, tokens, alive, key, keys, values,
        STEPS, BLOCK_K, BLOCK_V,
    )  # fmt: skip
    n = tl.load(state_ptr + keys * values + key, mask=key < keys, other=0.0)
    flow = tl.load(flow_ptr + keys * values + key, mask=key < keys, other=0.0)
    past += tl.sum(n * flow)
    q = load_rows(q_ptr, tokens, key, keys, alive)
    k = load_rows(k_ptr, tokens, key, keys, alive)
    decay = decays_between(g, row, v_ptr.dtype.element_ty, False)
    reach, left = tl.exp(tl.cumsum(g, 0)), left_after(g, row)
    pairs = (pairs * inverse[:, None] + grad_nq[:, None]) * decay * weight[None, :]
    of_state = grad_q * inverse[:, None] + grad_nq[:, None] * n[None, :]
    of_state *= reach[:, None]
    grad_q = product(pairs, k, of_state)
    store_rows(grad_q_ptr, grad_q, tokens, key, keys, alive)

    of_flow = (grad_k + flow[None, :]) * (left * weight)[:, None]
    grad_k = product(tl.trans(pairs), q, of_flow)
    store_rows(grad_k_ptr, grad_k, tokens, key, keys, alive)
    partial = block * count + tokens
    store_steps(partial_ptr, tl.sum(grad_k * k, 1), partial, alive)

    past *= tl.exp(tl.sum(g))
    grad_g = gradient_of_decays(q, k, pairs, of_state, of_flow, past, row, False)
    store_steps(partial_ptr + blocks * count, grad_g, partial, alive)


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    differentiable: bool = True,
) -> tuple[Tensor | None, ...]:
    """h, the last state, and for backward the states between chunks, what became of the
    gates with n . q, and what rounding took off h, if its numbers have 16 bits and if h is
    to be ``differentiable``."""
    q, k, v, i, f = map(laid_out, (q, k, v, i, f))
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, tiles_for(v, COMPILED), v.is_cuda)
    gates, last = i.new_empty((4, *i.shape)), i.new_empty((shape.batch, shape.heads))
    STEPS = SCAN[0] if v.is_cuda else SCAN[1]
    m = None if m is None else laid_out(m)
    runner(gates_kernel, v)[(shape.batch * shape.heads,)](
        i, f, m, gates, last,
        shape.keys**-0.5, shape.batch, shape.length, shape.heads, STEPS,
        num_warps=SCAN_WARPS,
    )  # fmt: skip
    first = C, n
    C, n = i.new_empty(shape.of_state), i.new_empty(shape.of_state[:3])
    states = walk(k, v, gates, None, first, (C, n), shape, plan)
    # Of h, backward takes differences: the digits of 16 bits are too few for it.
    keeps = differentiable and v.itemsize == 2
    h, rest = torch.empty_like(v), torch.empty_like(v) if keeps else None
    runner(values_kernel, v)[plan.over_values](
        q, k, v, gates, None, states, h, rest,
        *shape, False, *plan.tiles.values, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return h, C, n, last, states, gates, rest


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
    rest: Tensor | None,
    grad_h: Tensor,
    grad_C: Tensor | None,
    grad_n: Tensor | None,
    grad_m: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Gradients to q, k, v, i, f and the parts of the first state, None where that is
    None."""
    q, k, v, i, f, grad_h = map(laid_out, (q, k, v, i, f, grad_h))
    h, states, gates = map(laid_out, (h, states, gates))
    rest = None if rest is None else laid_out(rest)
    shape = shape_of(k, v, steps_of(v))
    plan = plan_launches(shape, tiles_for(v, COMPILED), v.is_cuda)
    normalizer, count = i.new_empty((2, *i.shape)), i.numel()
    ROWS, BLOCK_V = (16, 64) if v.is_cuda else (8, 4)
    runner(normalizer_kernel, v)[(ceil_div(count, ROWS),)](
        h, rest, grad_h, gates, normalizer, count, shape.values, ROWS, BLOCK_V
    )
    of_C, of_n, of_m = None, None, None
    if C is not None:
        of_C, of_n = i.new_empty(shape.of_state), i.new_empty(shape.of_state[:3])
    flows = walk(
        q, grad_h, gates, normalizer, (grad_C, grad_n), (of_C, of_n), shape, plan
    )
    grad_v = torch.empty_like(v)
    runner(values_kernel, v)[plan.over_values](
        k, q, grad_h, gates, normalizer, flows, grad_v, None,
        *shape, True, *plan.tiles.values, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    grad_q, grad_k = torch.empty_like(q), torch.empty_like(k)
    partial = i.new_empty((2, plan.blocks, *i.shape))
    runner(keys_kernel, v)[plan.over_keys](
        q, k, v, grad_h, gates, normalizer, states, flows, grad_q, grad_k, partial,
        *shape, *plan.tiles.keys, num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    of_i = of_g = of_first = None
    if grad_C is not None or grad_n is not None or grad_m is not None:
        dm = -(states[-1] * flows[0]).sum(-1)
        dm = dm if grad_m is None else dm + grad_m
        past = maxima_before(m, gates[0]) + torch.nn.functional.logsigmoid(f)
        of_i, of_g, of_first = portable.gradients_of_maximum(i, past, dm)
    grad_i, grad_f = torch.empty_like(i), torch.empty_like(f)
    BLOCK = 256 if v.is_cuda else 8
    runner(gate_gradients_kernel, v)[(ceil_div(count, BLOCK),)](
        partial, f, of_i, of_g, grad_i, grad_f, count, plan.blocks, BLOCK
    )
    if m is not None:
        of_m = (states[0] * flows[-1]).sum(-1)
        of_m = of_m if of_first is None else of_m + of_first
    return grad_q, grad_k, grad_v, grad_i, grad_f, of_C, of_n, of_m


def maxima_before(first: Tensor | None, m: Tensor) -> Tensor:
    """m before every step, (B, L, H), of the one that is handed in and those after."""
    if first is None:
        first = m.new_full((m.shape[0], m.shape[2]), portable.LOWEST)
    first = first.clamp(min=portable.LOWEST)
    return torch.cat([first[:, None], m[:, :-1]], dim=1)


def walk(
    writer: Tensor,
    v: Tensor,
    gates: Tensor,
    normalizer: Tensor | None,
    first: tuple[Tensor | None, Tensor | None],
    last: tuple[Tensor | None, Tensor | None],
    shape: Shape,
    plan: Plan,
) -> Tensor:
    """The states before every chunk and after the last, (chunks + 1, B, H, K V + K); with
    the normalizer, in reversed time, what flows into them. ``first`` and ``last`` are C and
    n, and places for them."""
    of_state = shape.batch, shape.heads, shape.keys * (shape.values + 1)
    states = gates.new_empty((shape.chunks + 1, *of_state))
    C, n = (None if x is None else laid_out(x) for x in first)
    matrix_state.walk(
        states_kernel, (writer, v, gates, normalizer, C, n, *last),
        states, of_state, plan.over_states, plan.parts,
        (*shape, plan.span, normalizer is not None, *plan.tiles.states),
        {"num_warps": WARPS, "num_stages": STAGES},
    )  # fmt: skip
    return states


def kept_shapes(k: Tensor, v: Tensor) -> tuple[tuple[int, ...], ...]:
    """Shapes of what ``scan`` keeps for backward in float32."""
    shape = shape_of(k, v, steps_of(v))
    states = shape.chunks + 1, shape.batch, shape.heads, shape.keys * (shape.values + 1)
    tokens = shape.batch, shape.length, shape.heads
    return states, (4, *tokens)


def steps_of(like: Tensor) -> int:
    """Steps in a chunk."""
    return tiles_for(like, COMPILED)[0][0]
