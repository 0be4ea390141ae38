"""The linear recurrence as a Triton kernel, forward and backward.

A lane of a warp carries a *pair* of float32 numbers along the time axis: real and
imaginary part of a complex channel, or two neighboring real channels. Only the product
of two pairs (``times``) knows which, so one kernel serves both. In memory a time step
is ``width`` numbers: D for real tensors, 2 D for complex ones.

Tiling. One program owns one tile: PAIRS pairs of one batch entry, and RUNS x STEPS time
steps.

                        |<-- PAIRS pairs -->|
                              carry, one pair each, from the program of the tile before
      time   run 0      |  STEPS steps, one after the other, in registers
       |     run 1      |  the same, at the same time, in other lanes
       v     ...        |
             run RUNS-1 |
                              carry, to the program of the next tile

  1. every run takes its steps from a zero state: how it maps the state before it
     (equation 2.2);
  2. the maps of the runs are composed by an associative scan across lanes (2.3);
  3. the carry comes in, and what the whole tile makes of it goes on at once (2.5);
  4. every run takes its steps again, now from the state before it (2.1), and writes.

Programs are numbered tile after tile in time, for ENTRIES batch entries at a time. GPUs
start them in this order, so the program that another one waits for has always been
started before, and those that wait are never all that there are. CUDA does not promise
the order; NVIDIA's own scan, in CUB, counts on it too (github.com/NVIDIA/cub/issues/245).
Hundreds of tiles are loading while a few carries travel.

Bytes. Inputs are read once, outputs written once. With e bytes a number and E = B L
width numbers: forward 3 e E (a, b in; h out), backward 5 e E (a, dh, h in; da, db out).
An ``a`` that is fixed in time stays in registers: forward 2 e E, backward 3 e E (dh, h
in; db out). Equation 2.10. Of what is in between the carries leave the chip, and of a
fixed ``a`` each tile's sum of gradients, 4 bytes a number and tile.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.streams import on_default_stream

# Not there yet: the bits of a NaN that no arithmetic returns.
MISSING = tl.constexpr(-1)
NAN = tl.constexpr(0x7FC00000)


@triton.jit
def times(x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """The product of two pairs: of complex numbers, or channel by channel."""
    if COMPLEX:
        return x0 * y0 - x1 * y1, x0 * y1 + x1 * y0
    else:
        return x0 * y0, x1 * y1


@triton.jit
def compose_complex(a0, a1, b0, b1, p0, p1, q0, q1, c0, c1, d0, d1, r0, r1, s0, s1):
    """Compose two neighboring stretches of runs, the earlier one first: the combine
    function of the scan.

    A stretch is two maps: h -> a h + b leads past its last run, h -> p h + q only up to
    its last run.
    """
    return (
        c0 * a0 - c1 * a1,
        c0 * a1 + c1 * a0,
        c0 * b0 - c1 * b1 + d0,  # eq. 2.3
        c0 * b1 + c1 * b0 + d1,
        r0 * a0 - r1 * a1,
        r0 * a1 + r1 * a0,
        r0 * b0 - r1 * b1 + s0,
        r0 * b1 + r1 * b0 + s1,
    )


@triton.jit
def compose_real(a0, a1, b0, b1, p0, p1, q0, q1, c0, c1, d0, d1, r0, r1, s0, s1):
    """The same for pairs of real channels."""
    return (
        c0 * a0,
        c1 * a1,
        c0 * b0 + d0,  # eq. 2.3
        c1 * b1 + d1,
        r0 * a0,
        r1 * a1,
        r0 * b0 + s0,
        r1 * b1 + s1,
    )


@triton.jit
def compose_runs(
    e0, e1, f0, f1, COMPLEX: tl.constexpr, RUNS: tl.constexpr, PAIRS: tl.constexpr
):
    """From the map of each run, h -> e h + f, the maps of all runs up to it, with and
    without itself."""
    one = tl.full((RUNS, PAIRS), 1.0, tl.float32)
    zero = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    if COMPLEX:
        return tl.associative_scan(
            (e0, e1, f0, f1, one, zero, zero, zero), 0, compose_complex
        )
    else:
        return tl.associative_scan(
            (e0, e1, f0, f1, one, one, zero, zero), 0, compose_real
        )


@triton.jit
def add(x, y):
    return x + y


@triton.jit
def bits_of_either(x, y):
    return x | y


@triton.jit
def power(x0, x1, COMPLEX: tl.constexpr, EXPONENT: tl.constexpr):
    """A pair to the power of EXPONENT, a power of two, rounded once: an error in the decay
    of a run or of a tile would come back with every other one."""
    x0 = x0.to(tl.float64)
    x1 = x1.to(tl.float64)
    for i in tl.static_range(16):
        if 2 << i <= EXPONENT:
            x0, x1 = times(x0, x1, x0, x1, COMPLEX)
    return x0.to(tl.float32), x1.to(tl.float32)


@triton.jit
def split_pairs(numbers, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    return tl.split(tl.reshape(numbers, (RUNS, PAIRS, 2)))


@triton.jit
def join_pairs(x0, x1, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    return tl.reshape(tl.join(x0, x1), (RUNS, 2 * PAIRS))


@triton.jit
def load_pairs(pointers, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """One time step of every run, (RUNS, 2 PAIRS) numbers, as two (RUNS, PAIRS)
    tensors; 0 where masked."""
    numbers = tl.load(pointers, mask=mask, other=0.0).to(tl.float32)
    return split_pairs(numbers, RUNS, PAIRS)


@triton.jit
def store_pairs(pointers, x0, x1, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    numbers = join_pairs(x0, x1, RUNS, PAIRS)
    tl.store(pointers, numbers.to(pointers.dtype.element_ty), mask=mask)


@triton.jit
def send(pointers, x0, x1, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """Hand a carry to the program of the next tile, every number a word of its own that
    also says that it is there."""
    numbers = join_pairs(x0, x1, RUNS, PAIRS)
    words = tl.where(numbers == numbers, numbers.to(tl.int32, bitcast=True), NAN)
    tl.atomic_xchg(pointers, words, mask=mask, sem="relaxed")


@triton.jit
def receive(pointers, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """Wait for the carry of the program of the tile before, and leave its words as they
    were, for the next launch, which is to find them in the L2 cache."""
    words = tl.load(pointers, mask=mask, other=0, volatile=True)
    while any_missing(words):
        words = tl.load(pointers, mask=mask, other=0, volatile=True)
    tl.debug_barrier()  # until every lane has its words
    missing = tl.full((RUNS, 2 * PAIRS), MISSING, tl.int32)
    once = mask & (tl.arange(0, RUNS)[:, None] == 0)
    tl.store(pointers, missing, mask=once, eviction_policy="evict_last")
    return split_pairs(words.to(tl.float32, bitcast=True), RUNS, PAIRS)


@triton.jit
def any_missing(words):
    missing = (words == MISSING).to(tl.int32)
    return tl.reduce(tl.reduce(missing, 1, bits_of_either), 0, bits_of_either) == 1


@triton.jit
def place(
    batch,
    length,
    width,
    step,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """Where this program stands: its tile, the address at which the tile begins, how
    many steps are left from there, the offset of each run and channel, each channel's
    number, and its place among the states (B, width)."""
    blocks = (width + 2 * PAIRS - 1) // (2 * PAIRS)
    tiles = (length + RUNS * STEPS - 1) // (RUNS * STEPS)
    lot = tl.program_id(0) // (tiles * ENTRIES * blocks) * ENTRIES
    turn = tl.program_id(0) % (tiles * ENTRIES * blocks)
    entries = tl.minimum(batch - lot, ENTRIES)
    tile = (turn // (entries * blocks)).to(tl.int64)
    entry = (lot + turn // blocks % entries).to(tl.int64)
    number = (tl.program_id(0) % blocks) * 2 * PAIRS + tl.arange(0, 2 * PAIRS)[None, :]
    number = tl.broadcast_to(number, (RUNS, 2 * PAIRS))
    first = tile * (RUNS * STEPS)
    begin = entry * length * width + first * step
    if step < 0:
        begin -= (length - 1).to(tl.int64) * step
    offsets = tl.arange(0, RUNS)[:, None] * STEPS * step + number
    return tile, begin, length - first, offsets, number, entry * width + number


@triton.jit
def load_fixed(
    a_ptr,
    number,
    exists,
    FIXED: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """A decay that is fixed in time; ones that nobody reads if it varies."""
    if FIXED:
        return load_pairs(a_ptr + number, exists, RUNS, PAIRS)
    else:
        one = tl.full((RUNS, PAIRS), 1.0, tl.float32)
        return one, one


@triton.jit
def load_state(state_ptr, states, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """The first state, zeros if there is none."""
    if state_ptr is not None:
        return load_pairs(state_ptr + states, mask, RUNS, PAIRS)
    else:
        zero = tl.full((RUNS, PAIRS), 0.0, tl.float32)
        return zero, zero


@triton.jit
def states_before_runs(
    e0,
    e1,
    f0,
    f1,
    fixed,
    carry,
    carry_ptr,
    tile,
    left,
    states,
    count,
    exists,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """The state before each run, from the runs' own maps h -> e h + f, and from the
    carry: that of the tile before or, in the first tile, the one handed in. What the
    tile makes of it goes on to the next."""
    if FIXED:
        e0, e1 = power(fixed[0], fixed[1], COMPLEX, STEPS)
    e0, e1, f0, f1, p0, p1, q0, q1 = compose_runs(e0, e1, f0, f1, COMPLEX, RUNS, PAIRS)
    if FIXED:
        e0, e1 = power(fixed[0], fixed[1], COMPLEX, RUNS * STEPS)
    carry0, carry1 = carry
    if tile > 0:
        carry0, carry1 = receive(
            carry_ptr + (tile - 1) * count + states, exists, RUNS, PAIRS
        )
    if left > RUNS * STEPS:
        after0, after1 = times(e0, e1, carry0, carry1, COMPLEX)
        after0 += f0  # eq. 2.5
        after1 += f1
        last_run = exists & (tl.arange(0, RUNS)[:, None] == RUNS - 1)
        send(carry_ptr + tile * count + states, after0, after1, last_run, RUNS, PAIRS)
    before0, before1 = times(p0, p1, carry0, carry1, COMPLEX)
    return before0 + q0, before1 + q1


@triton.jit(do_not_specialize=["batch", "length"])
def forward_kernel(
    a_ptr,
    b_ptr,
    state_ptr,
    h_ptr,
    last_ptr,
    carry_ptr,
    batch,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
    FAR: tl.constexpr,
):
    """h and the last state.

    ``step`` is the distance from one time to the next in scan order: width, or -width.
    ``carry_ptr`` (tiles - 1, B, width) is made of words that are MISSING, before and
    after.
    """
    if FAR:
        step = step.to(tl.int64)
    tile, begin, left, offsets, number, states = place(
        batch, length, width, step, STEPS, RUNS, PAIRS, ENTRIES
    )
    exists = number < width
    run = tl.arange(0, RUNS)[:, None] * STEPS
    fixed = load_fixed(a_ptr, number, exists, FIXED, RUNS, PAIRS)
    a = ()
    b = ()
    for k in tl.static_range(STEPS):
        now = begin + k * step + offsets
        mask = exists & (run + k < left)
        a = a + (fixed if FIXED else load_pairs(a_ptr + now, mask, RUNS, PAIRS),)
        b = b + (load_pairs(b_ptr + now, mask, RUNS, PAIRS),)
    state = load_state(state_ptr, states, exists & (tile == 0), RUNS, PAIRS)

    e0, e1 = a[0]
    f0, f1 = b[0]
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0], a[k][1], e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], f0, f1, COMPLEX)
        f0 += b[k][0]
        f1 += b[k][1]
    h0, h1 = states_before_runs(
        e0, e1, f0, f1, fixed, state, carry_ptr,
        tile, left, states, batch * width, exists, FIXED, COMPLEX, STEPS, RUNS, PAIRS,
    )  # fmt: skip
    last0 = h0
    last1 = h1
    for k in tl.static_range(STEPS):
        h0, h1 = times(a[k][0], a[k][1], h0, h1, COMPLEX)
        h0 += b[k][0]  # eq. 2.1
        h1 += b[k][1]
        last0 = tl.where(run + k < left, h0, last0)
        last1 = tl.where(run + k < left, h1, last1)
        mask = exists & (run + k < left)
        store_pairs(h_ptr + begin + k * step + offsets, h0, h1, mask, RUNS, PAIRS)
    ends = exists & (run < left) & (run + STEPS >= left)
    store_pairs(last_ptr + states, last0, last1, ends, RUNS, PAIRS)


@triton.jit(do_not_specialize=["batch", "length"])
def backward_kernel(
    a_ptr,
    h_ptr,
    state_ptr,
    grad_h_ptr,
    grad_last_ptr,
    grad_a_ptr,
    grad_b_ptr,
    grad_state_ptr,
    carry_ptr,
    batch,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    ENTRIES: tl.constexpr,
    FAR: tl.constexpr,
):
    """Gradients, from late to early times, which is where ``step`` leads: the carry is
    conj(a_t) g_t, what flows into the time before. For a fixed decay ``grad_a_ptr``
    (tiles, B, width) gets the sum over each tile."""
    if FAR:
        step = step.to(tl.int64)
    tile, begin, left, offsets, number, states = place(
        batch, length, width, step, STEPS, RUNS, PAIRS, ENTRIES
    )
    exists = number < width
    run = tl.arange(0, RUNS)[:, None] * STEPS
    fixed = load_fixed(a_ptr, number, exists, FIXED, RUNS, PAIRS)
    if FIXED and COMPLEX:
        fixed = (fixed[0], -fixed[1])
    is_last = exists & (left <= RUNS * STEPS)
    state0, state1 = load_state(state_ptr, states, is_last, RUNS, PAIRS)
    a = ()
    dh = ()
    h = ()
    for k in tl.static_range(STEPS):
        now = begin + k * step + offsets
        mask = exists & (run + k < left)
        if FIXED:
            a = a + (fixed,)
        else:
            a0, a1 = load_pairs(a_ptr + now, mask, RUNS, PAIRS)
            a = a + ((a0, -a1 if COMPLEX else a1),)
        dh = dh + (load_pairs(grad_h_ptr + now, mask, RUNS, PAIRS),)
        mask = exists & (run + k + 1 < left)
        h0, h1 = load_pairs(h_ptr + now + step, mask, RUNS, PAIRS)
        first = run + k + 1 == left  # before it stands the first state
        h = h + ((tl.where(first, state0, h0), tl.where(first, state1, h1)),)
    grad_last = load_pairs(grad_last_ptr + states, exists & (tile == 0), RUNS, PAIRS)

    e0, e1 = a[0]
    f0, f1 = times(a[0][0], a[0][1], dh[0][0], dh[0][1], COMPLEX)
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0], a[k][1], e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], dh[k][0] + f0, dh[k][1] + f1, COMPLEX)
    f0, f1 = states_before_runs(
        e0, e1, f0, f1, fixed, grad_last, carry_ptr,
        tile, left, states, batch * width, exists, FIXED, COMPLEX, STEPS, RUNS, PAIRS,
    )  # fmt: skip
    last0 = f0
    last1 = f1
    sum0 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    sum1 = sum0
    for k in tl.static_range(STEPS):
        alive = run + k < left
        now = begin + k * step + offsets
        g0 = dh[k][0] + f0  # eq. 2.6
        g1 = dh[k][1] + f1
        store_pairs(grad_b_ptr + now, g0, g1, exists & alive, RUNS, PAIRS)  # eq. 2.7
        da0, da1 = times(
            h[k][0], -h[k][1] if COMPLEX else h[k][1], g0, g1, COMPLEX
        )  # eq. 2.8
        if FIXED:
            sum0 += tl.where(alive, da0, 0.0)
            sum1 += tl.where(alive, da1, 0.0)
        else:
            store_pairs(grad_a_ptr + now, da0, da1, exists & alive, RUNS, PAIRS)
        f0, f1 = times(a[k][0], a[k][1], g0, g1, COMPLEX)
        last0 = tl.where(alive, f0, last0)
        last1 = tl.where(alive, f1, last1)
    ends = exists & (run < left) & (run + STEPS >= left)
    store_pairs(grad_state_ptr + states, last0, last1, ends, RUNS, PAIRS)  # eq. 2.9
    if FIXED:
        sum0 = tl.broadcast_to(tl.reduce(sum0, 0, add)[None, :], (RUNS, PAIRS))
        sum1 = tl.broadcast_to(tl.reduce(sum1, 0, add)[None, :], (RUNS, PAIRS))
        sums = grad_a_ptr + tile * batch * width + states
        store_pairs(sums, sum0, sum1, exists & (run == 0), RUNS, PAIRS)


def scan(
    a: Tensor, b: Tensor, state: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    """h (B, L, D) and the last state (B, D); the arguments are those of the op, already
    checked."""
    batch, length, channels = b.shape
    h = torch.empty_like(b, memory_format=torch.contiguous_format)
    last = b.new_empty(
        (batch, channels), dtype=torch.promote_types(b.dtype, torch.float32)
    )
    numbers = _numbers(b)
    width = numbers[0, 0].numel()
    tiling = _tiling(numbers, fixed=a.ndim == 1, backward=False)
    tiles = _tiles(length, tiling)
    with torch.cuda.device_of(b):
        forward_kernel[_grid(tiles, batch, width, tiling)](
            _numbers(a), numbers, None if state is None else _numbers(state), _numbers(h), _numbers(last),
            _carries(tiles, numbers), batch, length, width, -width if reverse else width,
            FIXED=a.ndim == 1, COMPLEX=b.is_complex(), FAR=_is_far(width, tiling),
            **tiling,
        )  # fmt: skip
    return h, last


def gradients(
    a: Tensor,
    h: Tensor,
    state: Tensor | None,
    grad_h: Tensor,
    grad_last: Tensor,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to a, b and the first state."""
    batch, length, channels = h.shape
    fixed = a.ndim == 1
    numbers = _numbers(h)
    width = numbers[0, 0].numel()
    tiling = _tiling(numbers, fixed, backward=True)
    tiles = _tiles(length, tiling)
    grad_a = (
        grad_last.new_empty((tiles, batch, channels)) if fixed else h.new_empty(h.shape)
    )
    grad_b = h.new_empty(h.shape)
    grad_state = grad_last.new_empty(grad_last.shape)
    with torch.cuda.device_of(h):
        backward_kernel[_grid(tiles, batch, width, tiling)](
            _numbers(a), numbers, None if state is None else _numbers(state),
            _numbers(grad_h), _numbers(grad_last),
            _numbers(grad_a), _numbers(grad_b), _numbers(grad_state),
            _carries(tiles, numbers), batch, length, width, width if reverse else -width,
            FIXED=fixed, COMPLEX=h.is_complex(), FAR=_is_far(width, tiling),
            **tiling,
        )  # fmt: skip
    if fixed:
        grad_a = grad_a.sum((0, 1))
    return grad_a.to(a.dtype), grad_b, grad_state


def _numbers(tensor: Tensor) -> Tensor:
    """The tensor as contiguous real numbers, a complex one with its two parts side by
    side."""
    tensor = tensor.resolve_conj().contiguous()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _tiles(length: int, tiling: dict) -> int:
    return triton.cdiv(length, tiling["RUNS"] * tiling["STEPS"])


def _is_far(width: int, tiling: dict) -> bool:
    """Whether distances inside a tile pass 32 bits, as they do for millions of channels."""
    return tiling["RUNS"] * tiling["STEPS"] * width >= 2**31


def _grid(tiles: int, batch: int, width: int, tiling: dict) -> tuple[int]:
    return (tiles * batch * triton.cdiv(width, 2 * tiling["PAIRS"]),)


_WORDS: dict[torch.device, Tensor] = {}


def _carries(tiles: int, numbers: Tensor) -> Tensor:
    """A word for each number that a program hands to the next, none of them there yet.
    Each launch leaves them so, and those of a default stream are kept for its next one."""
    count = (tiles - 1) * numbers[:, 0].numel()
    device = numbers.device
    if not on_default_stream(numbers):
        return _missing(count, numbers)
    if device not in _WORDS or len(_WORDS[device]) < count:
        _WORDS[device] = _missing(count, numbers)
    return _WORDS[device]


def _missing(count: int, like: Tensor) -> Tensor:
    return like.new_full((count,), MISSING.value, dtype=torch.int32)


# Tilings that won a sweep on an H100 (benchmarks/linear_scan_tilings.py) or came near, by
# the number of pairs that there are in all: with few, tiles are long, as carries travel
# one tile after the other (the last row lies outside of the sweep). A lane needs a number
# of its own to wait for: with fewer than lanes, two would wait for the same, and only one
# be asked. STEPS, RUNS, PAIRS, ENTRIES, warps.
TILINGS = {
    # pairs: (forward fixed, forward varying, backward fixed, backward varying)
    3072: ((16, 8, 32, 8, 4), (8, 16, 32, 8, 4), (16, 16, 16, 2, 4), (8, 8, 32, 8, 4)),
    1536: ((16, 16, 16, 2, 4), (16, 16, 32, 4, 8), (16, 16, 16, 2, 4), (8, 16, 16, 4, 8)),
    512: ((8, 32, 16, 2, 4), (16, 16, 32, 4, 8), (16, 16, 32, 4, 8), (16, 8, 32, 4, 8)),
    0: ((16, 32, 8, 2, 8), (16, 32, 8, 2, 8), (16, 32, 8, 2, 4), (8, 32, 8, 2, 8)),
}  # fmt: skip
OF_16_BITS = (16, 16, 16, 8, 4)
INTERPRETED = (4, 4, 2, 2, 4)  # small, as the interpreter visits the numbers one by one


def _tiling(numbers: Tensor, fixed: bool, backward: bool) -> dict:
    batch, _, width = numbers.flatten(2).shape
    if not numbers.is_cuda:
        sizes = INTERPRETED
    elif numbers.element_size() == 2:
        sizes = OF_16_BITS
    else:
        row = next(row for pairs, row in TILINGS.items() if batch * width >= 2 * pairs)
        sizes = row[2 * backward + (not fixed)]
    names = ("STEPS", "RUNS", "PAIRS", "ENTRIES", "num_warps")
    return dict(zip(names, sizes, strict=True))
