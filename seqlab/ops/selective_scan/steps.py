"""What a step of the selective scan is made of, in its kernels: a lane has a channel and its
states, tiles are (STATES, BLOCK)."""

import triton
import triton.language as tl

from seqlab.ops.device.exponentials import LOG2_E
from seqlab.ops.device.gates import at_least
from seqlab.ops.selective_scan import plan

LEAST_RATE = tl.constexpr(-3.4e38)
"""-inf times a step of 0, as those past the end are, is no number."""
NO_RATE = tl.constexpr(-1e-38)
"""A of states and channels that do not exist: e^{dt A} is a number for every finite dt of
either sign, so that their states stay 0. An infinite dt makes NaN of them, as its product
with a B of 0 is none, and so of y at its time and after it where N is no power of two."""
MARGIN = tl.constexpr(plan.MARGIN)
NEAR = tl.constexpr(0.5)
"""Below it phi_1 and its slope are sums of their series."""


@triton.jit
def softplus(x):
    """log(1 + e^x) to all digits, of which the hardware's logarithm has few near 1: log(1 +
    y) / y is a polynomial, off by no more than 5e-9 of itself from 0 to 1, and its first
    term is 1. A series would be as short only after a division."""
    y = tl.exp2(-tl.abs(x) * LOG2_E)
    p = 0.019851265475153923 + y * -0.003243981394916773
    p = 0.10603617131710052 + y * (-0.05695916339755058 + y * p)
    p = 0.19675931334495544 + y * (-0.15305569767951965 + y * p)
    p = 0.3332996368408203 + y * (-0.24954132735729218 + y * p)
    p = 1.0 + y * (-0.4999990165233612 + y * p)
    return tl.maximum(x, 0.0) + y * p


@triton.jit
def phi(x, e):
    """phi_1(x) = (e^x - 1) / x and its slope, given e = e^x."""
    near = tl.abs(x) < NEAR
    away = tl.where(near, 1.0, x)
    x = tl.where(near, x, 0.0)
    value = (e - 1.0) / away
    slope = (e - value) / away
    series = 1 / 24 + x * (1 / 120 + x * (1 / 720 + x * (1 / 5040 + x * (1 / 40320))))
    series = 1.0 + x * (1 / 2 + x * (1 / 6 + x * series))
    of_series = 1 / 30 + x * (1 / 144 + x * (1 / 840 + x * (1 / 5760 + x / 45360)))
    of_series = 1 / 2 + x * (1 / 3 + x * (1 / 8 + x * of_series))
    return tl.where(near, series, value), tl.where(near, of_series, slope)


@triton.jit
def over_channels(x, y):
    """The sums over channels of two tiles (STATES, BLOCK), (2 STATES, 1): x and y in turns.

    Neighbours that are split have to lie in one thread, so Triton first brings channels
    there from the lanes, through shared memory; ``tl.sum`` alone would leave them in lanes,
    and take five shuffles for each number."""
    rows: tl.constexpr = 2 * x.shape[0]
    x = tl.reshape(tl.permute(tl.join(x, y), (0, 2, 1)), (rows, x.shape[1]))
    for _ in tl.static_range(3):
        if x.shape[1] > 1:
            even, odd = tl.split(tl.reshape(x, (rows, x.shape[1] // 2, 2)))
            x = even + odd
    return tl.sum(x, 1, keep_dims=True)


@triton.jit
def load_group(pointer, now, width, left, exists, STEPS: tl.constexpr):
    """The numbers of STEPS steps of a tensor (B, L, D) from place ``now`` on, a tuple, in
    float32; 0 where a channel does not exist or the sequence has ended."""
    step = tl.arange(0, STEPS)[:, None]
    mask = exists & (step < left)
    x = tl.load(pointer + now + step * width, mask=mask, other=0.0)
    rows = parts_of(x, 1)
    numbers = ()
    for k in tl.static_range(STEPS):
        numbers = numbers + (rows[k].to(tl.float32),)
    return numbers


@triton.jit
def parts_of(x, ROWS: tl.constexpr):
    """A tile's parts of ROWS rows each, a tuple. A thread has to have all rows of a column,
    and the compiler brings them there."""
    parts = (x,)
    for _ in tl.static_range(3):  # a group has MARGIN steps at most
        if parts[0].shape[0] > ROWS:
            halves = ()
            for i in tl.static_range(len(parts)):
                halves = halves + upper_and_lower(parts[i])
            parts = halves
    return parts


@triton.jit
def upper_and_lower(x):
    """The halves of a tile's rows."""
    x = tl.reshape(x, (2, x.shape[0] // 2, x.shape[1]))
    return tl.split(tl.permute(x, (1, 2, 0)))


@triton.jit
def below_each_other(upper, lower):
    """The other way round: a tile of two halves."""
    x = tl.permute(tl.join(upper, lower), (2, 0, 1))
    return tl.reshape(x, (2 * upper.shape[0], upper.shape[1]))


@triton.jit
def step_sizes(raw, bias, left, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr):
    """Of a group the raw steps with their bias, and the steps dt, 0 after the end."""
    tl.static_assert(STEPS <= MARGIN)
    biased = ()
    sizes = ()
    for k in tl.static_range(STEPS):
        x = raw[k] + bias
        dt = softplus(x) if SOFTPLUS else x
        biased = biased + (x,)
        sizes = sizes + (tl.where(k < left, dt, 0.0),)
    return biased, sizes


@triton.jit
def load_weights(
    pointer, row, state, channel, MODES: tl.constexpr, STEPS: tl.constexpr
):
    """B_t or C_t, (STATES, BLOCK), of STEPS steps from the one that is ``row`` in (B, L +
    MARGIN, N), a tuple."""
    STATES: tl.constexpr = state.shape[0]
    place = tl.arange(0, STEPS * STATES)[:, None]
    step, of_step = place // STATES, place % STATES
    x = tl.load(
        pointer + (row + step) * MODES + of_step, mask=of_step < MODES, other=0.0
    )
    return parts_of(tl.broadcast_to(x, (STEPS * STATES, channel.shape[1])), STATES)


@triton.jit
def begins_at(begins_ptr, time, alive):
    """Whether a sequence begins at this time, as a number."""
    if begins_ptr is not None:
        return tl.load(begins_ptr + time, mask=alive, other=0).to(tl.int32)
    else:
        return 0


@triton.jit
def advance(h, rate, dt, u, weights, begins, ZOH: tl.constexpr):
    """The states (STATES, BLOCK) after a step: ``rate`` is A log2(e)."""
    h = tl.where(begins != 0, 0.0, h)
    decay = tl.exp2(dt * rate)
    if ZOH:
        first, _ = phi(dt * rate / LOG2_E, decay)
        return decay * h + (dt * u) * first * weights
    else:
        return decay * h + (dt * u) * weights


@triton.jit
def places_of(state, channels, MODES: tl.constexpr):
    """Offsets (BLOCK, STATES / 4) of each channel's first quarter of states, where a channel
    has MODES numbers in a row."""
    QUARTER: tl.constexpr = (state.shape[0] + 3) // 4
    return tl.trans(channels) * MODES + tl.arange(0, QUARTER)[None, :]


@triton.jit
def load_states(
    pointers, apart, exists, OTHER: tl.constexpr, MODES: tl.constexpr, STATES: tl.constexpr
):  # fmt: skip
    """A tile (STATES, BLOCK) from memory, as four quarters ``apart`` from each other; OTHER
    where there is no such state or channel. A channel's STATES / 4 numbers of a quarter are
    contiguous, so that a thread loads up to four of them at once, and a channel's states
    stay in one lane, as there is one way alone to deal a quarter out."""
    tile = load_quarter(pointers, 0, apart, exists, OTHER, MODES)
    if STATES > 1:
        second = load_quarter(pointers, 1, apart, exists, OTHER, MODES)
        tile = below_each_other(tile, second)
    if STATES > 2:
        third = load_quarter(pointers, 2, apart, exists, OTHER, MODES)
        fourth = load_quarter(pointers, 3, apart, exists, OTHER, MODES)
        tile = below_each_other(tile, below_each_other(third, fourth))
    return tile


@triton.jit
def load_quarter(
    pointers, i, apart, exists, OTHER: tl.constexpr, MODES: tl.constexpr
):  # fmt: skip
    """The quarter of that number, (STATES / 4, BLOCK)."""
    mask = mask_of_quarter(pointers, i, exists, MODES)
    return tl.trans(tl.load(pointers + i * apart, mask=mask, other=OTHER))


@triton.jit
def mask_of_quarter(pointers, i, exists, MODES: tl.constexpr):
    """Which numbers of it there are, (BLOCK, STATES / 4)."""
    QUARTER: tl.constexpr = pointers.shape[1]
    state = i * QUARTER + tl.arange(0, QUARTER)[None, :]
    return tl.trans(exists) & (state < MODES)


@triton.jit
def store_states(pointers, apart, h, exists, MODES: tl.constexpr, STATES: tl.constexpr):
    """Writes a tile (STATES, BLOCK) where ``load_states`` reads it."""
    QUARTER: tl.constexpr = pointers.shape[1]
    parts = parts_of(h, QUARTER)
    for i in tl.static_range(STATES // QUARTER):
        mask = mask_of_quarter(pointers, i, exists, MODES)
        tl.store(pointers + i * apart, tl.trans(parts[i]), mask=mask)


@triton.jit
def places_of_tile(
    entry, channel, states, batch, width, MODES: tl.constexpr, STATES: tl.constexpr
):  # fmt: skip
    """The numbers of a tile's states, (STATES, 1); which of its channels exist, (1, BLOCK);
    its first quarter's places in (B, D, N); its own in (B, N, D), and how many there are.

    At the latter a program reads and writes once, so number by number will do. The compiler
    is told of no alignment: it would put four channels into a lane, which would then hold
    fewer states of each."""
    state = tl.arange(0, STATES)[:, None]
    between = entry * MODES * width + (state * width + channel)
    between = tl.multiple_of(between, (1, 1))
    count = batch.to(tl.int64) * MODES * width
    return state, channel < width, places_of(state, states, MODES), between, count


@triton.jit
def state_before(
    is_first, state_ptr, carry_ptr, places, between, exists,
    MODES: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """The states that the chunk walked before this one left, at the places ``between`` in
    (B, N, D), or those handed in, in (B, D, N), if this ``is_first``; zeros if there are
    none."""
    h = tl.zeros(between.shape, tl.float32)
    if state_ptr is not None:
        there = exists & is_first
        h = load_states(state_ptr + places, places.shape[1], there, 0.0, MODES, STATES)
    if carry_ptr is not None:
        mask = exists & (tl.arange(0, STATES)[:, None] < MODES) & (is_first == 0)
        h = tl.where(is_first, h, tl.load(carry_ptr + between, mask=mask, other=0.0))
    return h


@triton.jit
def load_fixed(
    a_ptr, bias_ptr, state, channel, width, MODES: tl.constexpr, STATES: tl.constexpr
):  # fmt: skip
    """A log2(e), (STATES, BLOCK), and the bias of the steps, (1, BLOCK)."""
    exists = channel < width
    places = places_of(state, channel, MODES)
    rate = load_states(a_ptr + places, places.shape[1], exists, NO_RATE, MODES, STATES)
    rate = at_least(rate * LOG2_E, LEAST_RATE)
    bias = tl.zeros(channel.shape, tl.float32)
    if bias_ptr is not None:
        bias = tl.load(bias_ptr + channel, mask=exists, other=0.0)
    return rate, bias


@triton.jit
def walk(
    h, rate, bias, u_ptr, delta_ptr, b_ptr, begins_ptr,
    now, row, time, left, width, MODES: tl.constexpr, channel, state,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """The states after the next STEPS steps, from place ``now`` in (B, L, D), row ``row``
    in (B, L + MARGIN, N) and time ``time`` on, of which ``left`` are left."""
    exists = channel < width
    u = load_group(u_ptr, now, width, left, exists, STEPS)
    raw = load_group(delta_ptr, now, width, left, exists, STEPS)
    b = load_weights(b_ptr, row, state, channel, MODES, STEPS)
    _, dt = step_sizes(raw, bias, left, STEPS, SOFTPLUS)
    for k in tl.static_range(STEPS):
        begins = begins_at(begins_ptr, time + k, k < left)
        h = advance(h, rate, dt[k], u[k], b[k], begins, ZOH)
    return h
