"""What a step of the selective scan is made of, in its kernels for a complex A: a lane has
channels and their states, tiles are pairs (STATES, BLOCK)."""

import triton
import triton.language as tl

from seqlab.ops.device.angles import cos_and_sin
from seqlab.ops.device.chunks import load_steps, tile_coordinates
from seqlab.ops.device.exponentials import LOG2_E
from seqlab.ops.device.gates import at_least
from seqlab.ops.device.matrix_state import state_before
from seqlab.ops.device.pairs import times
from seqlab.ops.discretize.kernel import phis
from seqlab.ops.selective_scan.steps import (
    LEAST_RATE,
    begins_at,
    step_sizes,
)

TURN = tl.constexpr(6.283185307179586)


@triton.jit
def exponential(dt, A):
    """e^{dt A} as a pair, where A is (Re A log2(e), Im A)."""
    size = tl.exp2(dt * A[0])
    cos, sin = cos_and_sin(dt * A[1])
    return size * cos, size * sin


@triton.jit
def exponential_of_sum(total, A):
    """The same of a sum in float64: a mode that hardly decays turns round many times."""
    size = tl.exp2((total * A[0]).to(tl.float32))
    angle = total * A[1]
    angle -= TURN * tl.floor(angle / TURN + 0.5)
    cos, sin = cos_and_sin(angle.to(tl.float32))
    return size * cos, size * sin


@triton.jit
def hold(dt, A, decay):
    """phi_1(dt A) and its slope, given e^{dt A}."""
    p0, p1, s0, s1, _, _, _, _, _, _ = phis(
        dt * A[0] / LOG2_E, dt * A[1], decay[0], decay[1], True
    )
    return (p0, p1), (s0, s1)


@triton.jit
def product(x, y):
    return times(x[0], x[1], y[0], y[1], True)


@triton.jit
def unless(begins, x):
    """x, but 0 where a sequence begins."""
    return tl.where(begins != 0, 0.0, x[0]), tl.where(begins != 0, 0.0, x[1])


@triton.jit
def load_pair(pointer, place, mask):
    x0 = tl.load(pointer + 2 * place, mask=mask, other=0.0)
    return x0, tl.load(pointer + 2 * place + 1, mask=mask, other=0.0)


@triton.jit
def store_pair(pointer, place, x, mask):
    tl.store(pointer + 2 * place, x[0], mask=mask)
    tl.store(pointer + 2 * place + 1, x[1], mask=mask)


@triton.jit
def tile(
    batch, length, width, MODES: tl.constexpr, chunks, REVERSED: tl.constexpr, span,
    BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """This program's turn and chunk; how many steps are left from the chunk's first one;
    that step's row in (B, L) and offsets in (B, L, D), (1, BLOCK); the channels and their
    places in (B, D), (1, BLOCK); the numbers of states, (STATES, 1), their places in (B, N,
    D), and how many there are."""
    turn, chunk, left, now, channel, channels = tile_coordinates(
        batch, length, width, chunks, REVERSED, span, BLOCK
    )
    entry = (tl.program_id(0) // tl.cdiv(width, BLOCK) % batch).to(tl.int64)
    row = entry * length + chunk * span
    now, channel, channels = now[None, :], channel[None, :], channels[None, :]
    state = tl.arange(0, STATES)[:, None]
    between = entry * MODES * width + (state * width + channel)
    count = batch.to(tl.int64) * MODES * width
    return turn, chunk, left, row, now, channel, channels, state, between, count


@triton.jit
def load_fixed(a_ptr, bias_ptr, channel, state, width, MODES: tl.constexpr):
    """A as (Re A log2(e), Im A), pairs (STATES, BLOCK), and the bias of the steps."""
    mask = (channel < width) & (state < MODES)
    a0, a1 = load_pair(a_ptr, channel * MODES + state, mask)
    bias = tl.zeros(channel.shape, tl.float32)
    if bias_ptr is not None:
        bias = tl.load(bias_ptr + channel, mask=channel < width, other=0.0)
    return (at_least(a0 * LOG2_E, LEAST_RATE), a1), bias


@triton.jit
def load_state(edge, state_ptr, carry_ptr, place, turn, chunks, count, between, mask):
    """The state before a chunk, or the flow behind it: the one handed in at the ``edge``,
    else that of the turn before, pairs (2, chunks - 1, B, N, D)."""
    between += (turn - 1) * count
    h0 = state_before(edge, state_ptr, carry_ptr, 2 * place, between, mask)
    between += (chunks - 1) * count
    return h0, state_before(edge, state_ptr, carry_ptr, 2 * place + 1, between, mask)


@triton.jit
def load_group(
    u_ptr, delta_ptr, bias, here, width, left, present,
    SOFTPLUS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Of the next STEPS steps, u, the raw steps with their bias, and dt."""
    u = load_steps(u_ptr + here, width, left, present, 0.0, STEPS)
    raw = load_steps(delta_ptr + here, width, left, present, 0.0, STEPS)
    raw, dt = step_sizes(raw, bias, left, STEPS, SOFTPLUS)
    return u, raw, dt


@triton.jit
def advance(h, A, dt, u, b, begins, ZOH: tl.constexpr):
    """The states after a step, and its decay."""
    decay = exponential(dt, A)
    if ZOH:
        b = product(hold(dt, A, decay)[0], b)
    h = product(decay, unless(begins, h))
    return (h[0] + (dt * u) * b[0], h[1] + (dt * u) * b[1]), decay


@triton.jit
def load_weights(
    pointer, row, left, state, MODES: tl.constexpr, STEPS: tl.constexpr
):  # fmt: skip
    """B_t or C_t, pairs (STATES, 1), of STEPS steps from the one that is ``row`` in (B, L, N),
    a tuple, all of them on their way at once; 0 after the end."""
    weights = ()
    for k in tl.static_range(STEPS):
        mask = (state < MODES) & (k < left)
        weights = weights + (load_pair(pointer, (row + k) * MODES + state, mask),)
    return weights


@triton.jit
def walk(h, A, dt, u, b, begins_ptr, time, left, ZOH: tl.constexpr):
    """The states before and after each of the steps of a group, and the decays of these."""
    found, decays = (h,), ()
    for k in tl.static_range(len(dt)):
        begins = begins_at(begins_ptr, time + k, k < left)
        h, decay = advance(h, A, dt[k], u[k], b[k], begins, ZOH)
        found, decays = found + (h,), decays + (decay,)
    return found, decays
