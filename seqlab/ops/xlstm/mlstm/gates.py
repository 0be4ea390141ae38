"""What mLSTM has beside gated linear attention, as Triton kernels: a maximum before it, of
one number a step, and a normalizer behind it."""

import torch
import triton
import triton.language as tl

from seqlab.ops.device.gates import at_least, larger, log_sigmoid, running_maxima
from seqlab.ops.device.matrix_state import load_rows, load_steps, store_steps
from seqlab.ops.xlstm.mlstm import portable

SCAN = 512, 4  # steps that the maximum takes at once: compiled, interpreted
SCAN_WARPS = 16  # a lane for each: few programs walk, and what counts is how soon
LOWEST = tl.constexpr(portable.LOWEST)
TINY = tl.constexpr(torch.finfo(torch.float32).tiny)


@triton.jit(do_not_specialize=["batch", "length", "heads", "scale"])
def gates_kernel(
    i_ptr, f_ptr, before_ptr, gates_ptr, last_ptr,
    scale, batch, length, heads, STEPS: tl.constexpr,
):  # fmt: skip
    """``gates_ptr`` (4, B, L, H) gets m, g and the key's weight, scale included; the rest is
    for n . q."""
    head = tl.program_id(0).to(tl.int64)
    begin = head // heads * length * heads + head % heads
    count = batch.to(tl.int64) * length * heads
    # A long text's (start + step) * heads may not fit 32 bits.
    step = tl.arange(0, STEPS).to(tl.int64)
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
        tl.store(gates_ptr + count + token, g, mask=alive)
        tl.store(gates_ptr + 2 * count + token, tl.exp(i - m) * scale, mask=alive)
        tl.store(last_ptr + head + 0 * step, m, mask=start + step == length - 1)
        carried = tl.sum(tl.where(step == STEPS - 1, before, 0.0), 0, keep_dims=True)


@triton.jit
def normalizer_of(nq, m):
    """max(|n . q|, e^-m), and 0 where it has not all its digits: 1 over it may be too
    large for a number."""
    size = larger(tl.abs(nq), tl.exp(-m))
    return tl.where(size < TINY, 0.0, size)


@triton.jit(do_not_specialize=["count"])
def normalizer_kernel(
    h_ptr, rest_ptr, grad_h_ptr, gates_ptr, normalizer_ptr,
    count, values, ROWS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """``normalizer_ptr`` (2, B, L, H) gets 1 over the normalizer, and the gradient of n . q,
    for each of ``count`` = B L H tokens."""
    token = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    alive, count = token < count, count.to(tl.int64)
    dot = tl.zeros((ROWS,), tl.float32)
    for first in range(0, values, BLOCK_V):
        value = first + tl.arange(0, BLOCK_V)
        h = load_rows(h_ptr, token, value, values, alive).to(tl.float32)
        if rest_ptr is not None:
            h += load_rows(rest_ptr, token, value, values, alive)
        dot += tl.sum(h * load_rows(grad_h_ptr, token, value, values, alive), 1)
    m, nq = (
        load_steps(gates_ptr, token, alive, 0.0),
        load_steps(gates_ptr + 3 * count, token, alive, 0.0),
    )
    size = normalizer_of(nq, m)
    inverse = 1.0 / tl.where(size == 0.0, 1.0, size)
    sign = tl.where(nq < 0.0, 1.0, -1.0)
    # Where n . q is no number, neither is this.
    grad = tl.where(tl.abs(nq) <= tl.exp(-m), 0.0, sign * dot * inverse)
    store_steps(normalizer_ptr, inverse, token, alive)
    store_steps(normalizer_ptr + count, grad, token, alive)


@triton.jit(do_not_specialize=["count", "blocks"])
def gate_gradients_kernel(
    partial_ptr, f_ptr, of_i_ptr, of_g_ptr, grad_i_ptr, grad_f_ptr,
    count, blocks, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of i and f at each of ``count`` = B L H tokens. ``partial_ptr`` (2, blocks of
    keys, B, L, H) is what comes by these to i and to the logarithm of a decay, ``of_i_ptr``
    and ``of_g_ptr`` (B, L, H) what the last m gives to both, if they are not None."""
    token = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    alive, count = token < count, count.to(tl.int64)
    di, dg = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for block in range(blocks):
        di += load_steps(partial_ptr + block * count, token, alive, 0.0)
        dg += load_steps(partial_ptr + (blocks + block) * count, token, alive, 0.0)
    if of_i_ptr is not None:
        di += load_steps(of_i_ptr, token, alive, 0.0)
        dg += load_steps(of_g_ptr, token, alive, 0.0)
    f = load_steps(f_ptr, token, alive, 0.0)
    # In float64, as a large f is an exponent whose rounding would be seen.
    forgotten = tl.sigmoid(-f.to(tl.float64)).to(tl.float32)
    store_steps(grad_i_ptr, di, token, alive)
    store_steps(grad_f_ptr, dg * forgotten, token, alive)
