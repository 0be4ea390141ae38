"""The linear recurrence as a Triton kernel, forward and backward.

A lane of a warp carries a *pair* of float32 numbers along the time axis: real and
imaginary part of a complex channel, or two neighboring real channels. Only the product
of two pairs (``times``) knows which, so one kernel serves both. In memory a time step
is ``width`` numbers: D for real tensors, 2 D for complex ones.

Tiling. One program owns PAIRS pairs of one batch entry and walks along time in tiles of
RUNS x STEPS steps:

                        |<-- PAIRS pairs -->|
      time   run 0      |  STEPS steps, one after the other, in registers
       |     run 1      |  the same, at the same time, in other lanes
       v     ...        |
             run RUNS-1 |
                           the carry, one pair each, goes on to the next tile

  1. every run takes its steps from a zero state: how it maps the state before it
     (equation 2.2);
  2. the maps of the runs are composed by an associative scan across lanes (2.3): the
     state before each run;
  3. every run takes its steps again, now from that state (2.1), and writes.

Bytes. Inputs are read once, outputs written once, and nothing in between leaves the
chip. With e bytes a number and E = B L width numbers: forward 3 e E (a, b in; h out),
backward 5 e E (a, dh, h in; da, db out). An ``a`` that is fixed in time stays in
registers: forward 2 e E, backward 3 e E (dh, h in; db out). Equation 2.10.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


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
def add(x, y):
    return x + y


@triton.jit
def power(x0, x1, COMPLEX: tl.constexpr, EXPONENT: tl.constexpr):
    """A pair to the power of EXPONENT, a power of two, rounded once: an error in the decay
    of a whole tile would come back with every tile."""
    x0 = x0.to(tl.float64)
    x1 = x1.to(tl.float64)
    for i in tl.static_range(16):
        if 2 << i <= EXPONENT:
            x0, x1 = times(x0, x1, x0, x1, COMPLEX)
    return x0.to(tl.float32), x1.to(tl.float32)


@triton.jit
def states_before_runs(
    e0,
    e1,
    f0,
    f1,
    carry0,
    carry1,
    tile0,
    tile1,
    WHOLE: tl.constexpr,
    COMPLEX: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """The state before each run, and the new carry, from the runs' own maps h -> e h +
    f and the old carry; the decay of a WHOLE tile is known beforehand."""
    one = tl.full((RUNS, PAIRS), 1.0, tl.float32)
    zero = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    if COMPLEX:
        e0, e1, f0, f1, p0, p1, q0, q1 = tl.associative_scan(
            (e0, e1, f0, f1, one, zero, zero, zero), 0, compose_complex
        )
    else:
        e0, e1, f0, f1, p0, p1, q0, q1 = tl.associative_scan(
            (e0, e1, f0, f1, one, one, zero, zero), 0, compose_real
        )
    before0, before1 = times(p0, p1, carry0, carry1, COMPLEX)
    if WHOLE:
        e0 = tile0
        e1 = tile1
    after0, after1 = times(e0, e1, carry0, carry1, COMPLEX)
    last = tl.arange(0, RUNS)[:, None] == RUNS - 1
    carry0 = tl.broadcast_to(
        tl.reduce(tl.where(last, after0 + f0, 0.0), 0, add)[None, :], (RUNS, PAIRS)
    )
    carry1 = tl.broadcast_to(
        tl.reduce(tl.where(last, after1 + f1, 0.0), 0, add)[None, :], (RUNS, PAIRS)
    )
    return before0 + q0, before1 + q1, carry0, carry1


@triton.jit
def load_pairs(pointers, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    """One time step of every run, (RUNS, 2 PAIRS) numbers, as two (RUNS, PAIRS)
    tensors; 0 where masked."""
    numbers = tl.load(pointers, mask=mask, other=0.0).to(tl.float32)
    return tl.split(tl.reshape(numbers, (RUNS, PAIRS, 2)))


@triton.jit
def store_pairs(pointers, x0, x1, mask, RUNS: tl.constexpr, PAIRS: tl.constexpr):
    numbers = tl.reshape(tl.join(x0, x1), (RUNS, 2 * PAIRS))
    tl.store(pointers, numbers.to(pointers.dtype.element_ty), mask=mask)


@triton.jit
def load_decay(
    pointers,
    mask,
    alive,
    fixed0,
    fixed1,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """The decay of one time step of every run: 1 past the end, which leaves the state
    as it is."""
    if FIXED:
        a0 = fixed0
        a1 = fixed1
    else:
        a0, a1 = load_pairs(pointers, mask, RUNS, PAIRS)
    if COMPLEX:
        return tl.where(alive, a0, 1.0), tl.where(alive, a1, 0.0)
    else:
        return tl.where(alive, a0, 1.0), tl.where(alive, a1, 1.0)


@triton.jit
def forward_tile(
    a_ptr,
    b_ptr,
    h_ptr,
    fixed0,
    fixed1,
    tile0,
    tile1,
    carry0,
    carry1,
    steps_left,
    step,
    offsets,
    channels_in,
    MASKED: tl.constexpr,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """One tile of RUNS x STEPS steps; returns the carry. Only the last tile may be
    MASKED."""
    row = tl.arange(0, RUNS)[:, None] * STEPS
    a = ()
    b = ()
    for k in tl.static_range(STEPS):
        alive = (row + k < steps_left) if MASKED else (row >= 0)
        mask = channels_in & alive
        a = a + (
            load_decay(
                a_ptr + k * step + offsets,
                mask,
                alive,
                fixed0,
                fixed1,
                FIXED,
                COMPLEX,
                RUNS,
                PAIRS,
            ),
        )
        b = b + (load_pairs(b_ptr + k * step + offsets, mask, RUNS, PAIRS),)

    e0, e1 = a[0]
    f0, f1 = b[0]
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0], a[k][1], e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], f0, f1, COMPLEX)
        f0 += b[k][0]
        f1 += b[k][1]
    h0, h1, carry0, carry1 = states_before_runs(
        e0, e1, f0, f1, carry0, carry1,
        tile0, tile1, FIXED and not MASKED, COMPLEX, RUNS, PAIRS,
    )  # fmt: skip

    for k in tl.static_range(STEPS):
        alive = (row + k < steps_left) if MASKED else (row >= 0)
        h0, h1 = times(a[k][0], a[k][1], h0, h1, COMPLEX)
        h0 += b[k][0]  # eq. 2.1
        h1 += b[k][1]
        store_pairs(
            h_ptr + k * step + offsets, h0, h1, channels_in & alive, RUNS, PAIRS
        )
    return carry0, carry1


@triton.jit(do_not_specialize=["length"])
def forward_kernel(
    a_ptr,
    b_ptr,
    state_ptr,
    h_ptr,
    last_ptr,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """h and the last state. ``step`` is the distance from one time to the next in scan
    order: width, or -width."""
    blocks = (width + 2 * PAIRS - 1) // (2 * PAIRS)
    batch = (tl.program_id(0) // blocks).to(tl.int64)
    number = (tl.program_id(0) % blocks) * 2 * PAIRS + tl.arange(0, 2 * PAIRS)[None, :]
    first_row = tl.arange(0, RUNS)[:, None] == 0
    channels_in = tl.broadcast_to(number < width, (RUNS, 2 * PAIRS))
    row = tl.arange(0, RUNS)[:, None] * STEPS
    offsets = row * step + number

    everywhere = tl.broadcast_to(number, (RUNS, 2 * PAIRS))
    carry0 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    carry1 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    if state_ptr is not None:
        carry0, carry1 = load_pairs(
            state_ptr + batch * width + everywhere, channels_in, RUNS, PAIRS
        )
    fixed0 = carry0
    fixed1 = carry1
    tile0 = carry0
    tile1 = carry1
    TILE: tl.constexpr = RUNS * STEPS
    if FIXED:
        fixed0, fixed1 = load_pairs(a_ptr + everywhere, channels_in, RUNS, PAIRS)
        tile0, tile1 = power(fixed0, fixed1, COMPLEX, TILE)

    far = step.to(tl.int64)  # distances between tiles may pass 2^31
    start = batch * length * width
    if step < 0:
        start -= (length - 1) * far
    whole = length // TILE * TILE
    for t in tl.range(0, whole, TILE, num_stages=STAGES):
        tile = start + t * far
        carry0, carry1 = forward_tile(
            a_ptr if FIXED else a_ptr + tile,
            b_ptr + tile,
            h_ptr + tile,
            fixed0,
            fixed1,
            tile0,
            tile1,
            carry0,
            carry1,
            length - t,
            step,
            offsets,
            channels_in,
            False,
            FIXED,
            COMPLEX,
            STEPS,
            RUNS,
            PAIRS,
        )
    if whole < length:
        tile = start + whole * far
        carry0, carry1 = forward_tile(
            a_ptr if FIXED else a_ptr + tile,
            b_ptr + tile,
            h_ptr + tile,
            fixed0,
            fixed1,
            tile0,
            tile1,
            carry0,
            carry1,
            length - whole,
            step,
            offsets,
            channels_in,
            True,
            FIXED,
            COMPLEX,
            STEPS,
            RUNS,
            PAIRS,
        )
    store_pairs(
        last_ptr + batch * width + everywhere,
        carry0,
        carry1,
        channels_in & first_row,
        RUNS,
        PAIRS,
    )


@triton.jit
def backward_tile(
    a_ptr,
    h_ptr,
    grad_h_ptr,
    grad_a_ptr,
    grad_b_ptr,
    fixed0,
    fixed1,
    tile0,
    tile1,
    state0,
    state1,
    sum0,
    sum1,
    carry0,
    carry1,
    steps_left,
    step,
    offsets,
    channels_in,
    MASKED: tl.constexpr,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """One tile, walked from late to early: the carry is conj(a_t) g_t, what flows into
    the time before.

    ``h_ptr`` points one step earlier than the others: to h_{t-1}.
    """
    row = tl.arange(0, RUNS)[:, None] * STEPS
    a = ()
    dh = ()
    h = ()
    for k in tl.static_range(STEPS):
        alive = (row + k < steps_left) if MASKED else (row >= 0)
        mask = channels_in & alive
        a0, a1 = load_decay(
            a_ptr + k * step + offsets,
            mask,
            alive,
            fixed0,
            fixed1,
            FIXED,
            COMPLEX,
            RUNS,
            PAIRS,
        )
        a = a + ((a0, -a1 if COMPLEX else a1),)
        dh = dh + (load_pairs(grad_h_ptr + k * step + offsets, mask, RUNS, PAIRS),)
        has_previous = channels_in & (row + k + 1 < steps_left)
        h0, h1 = load_pairs(h_ptr + k * step + offsets, has_previous, RUNS, PAIRS)
        if MASKED:  # before the first time stands the first state
            h0 = tl.where(row + k + 1 == steps_left, state0, h0)
            h1 = tl.where(row + k + 1 == steps_left, state1, h1)
        h = h + ((h0, h1),)

    e0, e1 = a[0]
    f0, f1 = times(a[0][0], a[0][1], dh[0][0], dh[0][1], COMPLEX)
    for k in tl.static_range(1, STEPS):
        e0, e1 = times(a[k][0], a[k][1], e0, e1, COMPLEX)
        f0, f1 = times(a[k][0], a[k][1], dh[k][0] + f0, dh[k][1] + f1, COMPLEX)
    f0, f1, carry0, carry1 = states_before_runs(
        e0, e1, f0, f1, carry0, carry1,
        tile0, tile1, FIXED and not MASKED, COMPLEX, RUNS, PAIRS,
    )  # fmt: skip

    for k in tl.static_range(STEPS):
        alive = (row + k < steps_left) if MASKED else (row >= 0)
        g0 = dh[k][0] + f0  # eq. 2.6
        g1 = dh[k][1] + f1
        store_pairs(
            grad_b_ptr + k * step + offsets, g0, g1, channels_in & alive, RUNS, PAIRS
        )  # eq. 2.7
        da0, da1 = times(
            h[k][0], -h[k][1] if COMPLEX else h[k][1], g0, g1, COMPLEX
        )  # eq. 2.8
        if FIXED:
            if MASKED:
                da0 = tl.where(alive, da0, 0.0)
                da1 = tl.where(alive, da1, 0.0)
            sum0 += da0
            sum1 += da1
        else:
            store_pairs(
                grad_a_ptr + k * step + offsets,
                da0,
                da1,
                channels_in & alive,
                RUNS,
                PAIRS,
            )
        f0, f1 = times(a[k][0], a[k][1], g0, g1, COMPLEX)
    return sum0, sum1, carry0, carry1


@triton.jit(do_not_specialize=["length"])
def backward_kernel(
    a_ptr,
    h_ptr,
    state_ptr,
    grad_h_ptr,
    grad_last_ptr,
    grad_a_ptr,
    grad_b_ptr,
    grad_state_ptr,
    length,
    width,
    step,
    FIXED: tl.constexpr,
    COMPLEX: tl.constexpr,
    STEPS: tl.constexpr,
    RUNS: tl.constexpr,
    PAIRS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Gradients; ``step`` leads from late to early times."""
    blocks = (width + 2 * PAIRS - 1) // (2 * PAIRS)
    batch = (tl.program_id(0) // blocks).to(tl.int64)
    number = (tl.program_id(0) % blocks) * 2 * PAIRS + tl.arange(0, 2 * PAIRS)[None, :]
    first_row = tl.arange(0, RUNS)[:, None] == 0
    channels_in = tl.broadcast_to(number < width, (RUNS, 2 * PAIRS))
    row = tl.arange(0, RUNS)[:, None] * STEPS
    offsets = row * step + number

    everywhere = tl.broadcast_to(number, (RUNS, 2 * PAIRS))
    carry0, carry1 = load_pairs(
        grad_last_ptr + batch * width + everywhere, channels_in, RUNS, PAIRS
    )
    fixed0 = carry0
    fixed1 = carry1
    tile0 = carry0
    tile1 = carry1
    TILE: tl.constexpr = RUNS * STEPS
    if FIXED:
        fixed0, fixed1 = load_pairs(a_ptr + everywhere, channels_in, RUNS, PAIRS)
        tile0, tile1 = power(fixed0, -fixed1 if COMPLEX else fixed1, COMPLEX, TILE)
    sum0 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    sum1 = tl.full((RUNS, PAIRS), 0.0, tl.float32)

    far = step.to(tl.int64)  # distances between tiles may pass 2^31
    start = batch * length * width
    if step < 0:
        start -= (length - 1) * far
    whole = (length - 1) // TILE * TILE
    for t in tl.range(0, whole, TILE, num_stages=STAGES):
        tile = start + t * far
        sum0, sum1, carry0, carry1 = backward_tile(
            a_ptr if FIXED else a_ptr + tile,
            h_ptr + tile + step,
            grad_h_ptr + tile,
            grad_a_ptr if FIXED else grad_a_ptr + tile,
            grad_b_ptr + tile,
            fixed0,
            fixed1,
            tile0,
            tile1,
            sum0,
            sum1,
            sum0,
            sum1,
            carry0,
            carry1,
            length - t,
            step,
            offsets,
            channels_in,
            False,
            FIXED,
            COMPLEX,
            STEPS,
            RUNS,
            PAIRS,
        )
    state0 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    state1 = tl.full((RUNS, PAIRS), 0.0, tl.float32)
    if state_ptr is not None:
        state0, state1 = load_pairs(
            state_ptr + batch * width + everywhere, channels_in, RUNS, PAIRS
        )
    tile = start + whole * far
    sum0, sum1, carry0, carry1 = backward_tile(
        a_ptr if FIXED else a_ptr + tile,
        h_ptr + tile + step,
        grad_h_ptr + tile,
        grad_a_ptr if FIXED else grad_a_ptr + tile,
        grad_b_ptr + tile,
        fixed0,
        fixed1,
        tile0,
        tile1,
        state0,
        state1,
        sum0,
        sum1,
        carry0,
        carry1,
        length - whole,
        step,
        offsets,
        channels_in,
        True,
        FIXED,
        COMPLEX,
        STEPS,
        RUNS,
        PAIRS,
    )
    once = channels_in & first_row
    store_pairs(
        grad_state_ptr + batch * width + everywhere, carry0, carry1, once, RUNS, PAIRS
    )  # eq. 2.9
    if FIXED:
        sum0 = tl.broadcast_to(tl.reduce(sum0, 0, add)[None, :], (RUNS, PAIRS))
        sum1 = tl.broadcast_to(tl.reduce(sum1, 0, add)[None, :], (RUNS, PAIRS))
        store_pairs(
            grad_a_ptr + batch * width + everywhere, sum0, sum1, once, RUNS, PAIRS
        )


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
    with torch.cuda.device_of(b):
        forward_kernel[_grid(batch, width, tiling)](
            _numbers(a), numbers, None if state is None else _numbers(state), _numbers(h), _numbers(last),
            length, width, -width if reverse else width,
            FIXED=a.ndim == 1, COMPLEX=b.is_complex(), **tiling,
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
    batch, length, _ = h.shape
    fixed = a.ndim == 1
    grad_b = torch.empty_like(h, memory_format=torch.contiguous_format)
    # For a fixed decay each batch entry's sum over time is written apart, in float32.
    grad_a = torch.empty_like(
        grad_last if fixed else h, memory_format=torch.contiguous_format
    )
    grad_state = torch.empty_like(grad_last, memory_format=torch.contiguous_format)
    numbers = _numbers(h)
    width = numbers[0, 0].numel()
    tiling = _tiling(numbers, fixed, backward=True)
    with torch.cuda.device_of(h):
        backward_kernel[_grid(batch, width, tiling)](
            _numbers(a), numbers, None if state is None else _numbers(state),
            _numbers(grad_h), _numbers(grad_last),
            _numbers(grad_a), _numbers(grad_b), _numbers(grad_state),
            length, width, width if reverse else -width,
            FIXED=fixed, COMPLEX=h.is_complex(), **tiling,
        )  # fmt: skip
    if fixed:
        grad_a = grad_a.sum(0)
    return grad_a.to(a.dtype), grad_b, grad_state


def _numbers(tensor: Tensor) -> Tensor:
    """The tensor as contiguous real numbers, a complex one with its two parts side by
    side."""
    tensor = tensor.resolve_conj().contiguous()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _grid(batch: int, width: int, tiling: dict) -> tuple[int]:
    return (batch * triton.cdiv(width, 2 * tiling["PAIRS"]),)


# Tilings that won a sweep on an H100 (benchmarks/linear_scan_tilings.py), by the number
# of pairs that there are in all: with many, few runs each and wide rows of memory; with
# few, many runs to keep the chip busy. STEPS, RUNS, PAIRS, STAGES, warps.
TILINGS = {
    # pairs: (forward fixed, forward varying, backward fixed, backward varying)
    6144: ((8, 4, 32, 3, 4), (16, 16, 16, 1, 8), (8, 8, 32, 3, 8), (8, 4, 32, 3, 4)),
    3072: ((8, 8, 16, 3, 4), (16, 16, 16, 1, 8), (8, 8, 32, 3, 8), (8, 8, 32, 3, 8)),
    1536: (
        (8, 16, 16, 4, 8),
        (16, 16, 16, 1, 8),
        (16, 16, 16, 1, 8),
        (4, 16, 16, 4, 8),
    ),
    0: ((8, 32, 8, 3, 8), (16, 32, 8, 1, 8), (16, 32, 8, 1, 8), (8, 32, 8, 3, 8)),
}
INTERPRETED = (
    4,
    4,
    2,
    1,
    4,
)  # small, since Triton's interpreter visits the elements one by one


def _tiling(numbers: Tensor, fixed: bool, backward: bool) -> dict:
    batch, _, width = numbers.flatten(2).shape
    if numbers.is_cuda:
        row = next(row for pairs, row in TILINGS.items() if batch * width >= 2 * pairs)
        sizes = row[2 * backward + (not fixed)]
    else:
        sizes = INTERPRETED
    return dict(
        zip(("STEPS", "RUNS", "PAIRS", "STAGES", "num_warps"), sizes, strict=True)
    )
