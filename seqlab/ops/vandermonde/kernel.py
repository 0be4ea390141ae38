"""The kernel of a diagonal state-space model as Triton kernels, forward and backward.

Tiling. K of one channel, of length L, is a matrix of rows of COLUMNS numbers: K_j stands
in row i, column k, where j = COLUMNS i + k. As A_bar^j = A_bar^(COLUMNS i) A_bar^k, a tile
of ROWS rows is a product over the modes of what belongs to its rows and what belongs to
its columns:

               modes                 columns k                  columns k
            +---------+           +-------------+           +-------------+
     rows i | w A^..i |  x  modes |     A^k     |   =  rows |      K      |
            +---------+           +-------------+           +-------------+

One program owns one tile of one channel and walks over modes, MODES at a time. Backward,
one program owns MODES modes of one channel and walks over tiles; where there are too few
channels for that, tiles are split between programs whose sums a second launch adds.

Powers. A_bar, A_bar^2, A_bar^4, ... come by squaring in float64, which keeps |A_bar|^j and
its phase for any j, and each is rounded once. A power in a tile is a product of those that
the bits of its exponent call for, a few float32 products whatever j is.

Bytes. 4 D L for K and next to nothing for A_bar, B_bar and C: (D, N, L), which a plain
expression writes and reads again, is never made. The products are 2 N L D multiply-adds,
twice that for complex numbers, and backward twice as many.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import laid_out, power, times, times_conjugate
from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

# The fastest on an H200 of those that benchmarks/kernel_tilings.py tries.
FORWARD = {"ROWS": 64, "COLUMNS": 64, "MODES": 16, "num_warps": 4}
BACKWARD = {"ROWS": 32, "COLUMNS": 64, "MODES": 16, "num_warps": 8}
INTERPRETED = {"ROWS": 2, "COLUMNS": 4, "MODES": 2}
PROGRAMS = 1024
"""So many backward programs keep a GPU busy; tiles are split until there are."""


@triton.jit
def load_modes(pointer, place, exists, COMPLEX: tl.constexpr):
    """Numbers of modes, as pairs; 0 where there is no mode."""
    if COMPLEX:
        x0 = tl.load(pointer + 2 * place, mask=exists, other=0.0)
        return x0, tl.load(pointer + 2 * place + 1, mask=exists, other=0.0)
    else:
        x0 = tl.load(pointer + place, mask=exists, other=0.0)
        return x0, x0 * 0.0


@triton.jit
def store_modes(pointer, place, x0, x1, exists, COMPLEX: tl.constexpr):
    if COMPLEX:
        tl.store(pointer + 2 * place, x0, mask=exists)
        tl.store(pointer + 2 * place + 1, x1, mask=exists)
    else:
        tl.store(pointer + place, x0, mask=exists)


@triton.jit
def small_powers(x0, x1, exponent, COUNT: tl.constexpr, COMPLEX: tl.constexpr):
    """x to each of the exponents, which are below COUNT, a power of two, in float32; x in
    float64. Whatever x is, its power 0 is 1."""
    asked = exponent & 1 == 1
    p0 = tl.where(asked, x0.to(tl.float32), 1.0)
    p1 = tl.where(asked, x1.to(tl.float32), 0.0)
    for i in tl.static_range(1, 16):
        if 1 << i < COUNT:
            x0, x1 = times(x0, x1, x0, x1, COMPLEX)
            q0, q1 = times(p0, p1, x0.to(tl.float32), x1.to(tl.float32), COMPLEX)
            asked = (exponent >> i) & 1 == 1
            p0 = tl.where(asked, q0, p0)
            p1 = tl.where(asked, q1, p1)
    return p0, p1


@triton.jit
def large_power(x0, x1, exponent, COMPLEX: tl.constexpr):
    """x to one exponent, a number that the program finds, in float64."""
    p0 = tl.full(x0.shape, 1.0, tl.float64)
    p1 = tl.full(x0.shape, 0.0, tl.float64)
    while exponent > 0:
        if exponent % 2 == 1:
            p0, p1 = times(p0, p1, x0, x1, COMPLEX)
        x0, x1 = times(x0, x1, x0, x1, COMPLEX)
        exponent = exponent // 2
    return p0, p1


@triton.jit(do_not_specialize=["channels", "length"])
def forward_kernel(
    A_ptr, B_ptr, C_ptr, K_ptr,
    channels, states, length,
    COMPLEX: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """K (D, L) from A_bar, B_bar and C (D, N)."""
    channel = (tl.program_id(0) % channels).to(tl.int64)
    tile = tl.program_id(0) // channels
    row = tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    K = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, states, MODES):
        across = first + tl.arange(0, MODES)[None, :]
        place = channel * states + across
        exists = across < states
        a0, a1 = load_modes(A_ptr, place, exists, COMPLEX)
        b0, b1 = load_modes(B_ptr, place, exists, COMPLEX)
        c0, c1 = load_modes(C_ptr, place, exists, COMPLEX)
        w0, w1 = times(b0, b1, c0, c1, COMPLEX)
        r0, r1 = power(a0, a1, COMPLEX, COLUMNS)
        x0, x1 = small_powers(r0, r1, row, ROWS, COMPLEX)
        r0, r1 = power(r0, r1, COMPLEX, ROWS)
        t0, t1 = large_power(r0, r1, tile, COMPLEX)
        w0, w1 = times(w0, w1, t0.to(tl.float32), t1.to(tl.float32), COMPLEX)
        x0, x1 = times(x0, x1, w0, w1, COMPLEX)
        down = first + tl.arange(0, MODES)[:, None]
        a0, a1 = load_modes(A_ptr, channel * states + down, down < states, COMPLEX)
        y0, y1 = small_powers(
            a0.to(tl.float64), a1.to(tl.float64), column, COLUMNS, COMPLEX
        )
        K = tl.dot(x0, y0, K, input_precision="ieee")
        if COMPLEX:
            K = tl.dot(x1, -y1, K, input_precision="ieee")
    j = (tile.to(tl.int64) * ROWS + row) * COLUMNS + column
    tl.store(K_ptr + channel * length + j, K, mask=j < length)


@triton.jit(do_not_specialize=["channels", "length", "tiles"])
def backward_kernel(
    A_ptr, B_ptr, C_ptr, grad_K_ptr, grad_A_ptr, grad_B_ptr, grad_C_ptr, sums_ptr,
    channels, states, length, tiles,
    COMPLEX: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """The sums over j of g_j A_bar^j and of g_j j A_bar^(j - 1), over ``tiles`` tiles: the
    gradients, where those are all, else their part for ``sums_ptr`` (splits, 4, D, N)."""
    blocks = tl.cdiv(states, MODES)
    channel = (tl.program_id(0) % channels).to(tl.int64)
    block = tl.program_id(0) // channels % blocks
    split = tl.program_id(0) // channels // blocks
    row = tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    mode = block * MODES + tl.arange(0, MODES)
    exists = mode < states
    place = channel * states + mode
    a0, a1 = load_modes(A_ptr, place, exists, COMPLEX)
    a0 = a0.to(tl.float64)
    a1 = a1.to(tl.float64)
    down = tl.arange(0, COLUMNS)[:, None]
    y0, y1 = small_powers(a0[None, :], a1[None, :], down, COLUMNS, COMPLEX)
    r0, r1 = power(a0, a1, COMPLEX, COLUMNS)
    x0, x1 = small_powers(r0[None, :], r1[None, :], row, ROWS, COMPLEX)
    r0, r1 = power(r0, r1, COMPLEX, ROWS)
    t0, t1 = large_power(r0, r1, split * tiles, COMPLEX)
    zero = tl.zeros((MODES,), tl.float32)
    total0 = zero
    total1 = zero
    later0 = zero
    later1 = zero
    j = (split.to(tl.int64) * tiles * ROWS + row) * COLUMNS + column
    for _ in range(tiles):
        g_ptr = grad_K_ptr + channel * length + j
        g = tl.load(g_ptr, mask=j < length, other=0.0)
        # of j A^(j - 1), which needs no division by an A that may be 0
        moved = tl.load(g_ptr + 1, mask=j + 1 < length, other=0.0) * (j + 1)
        s0, s1 = weighed(g, x0, x1, y0, y1, COMPLEX)
        s0, s1 = times(s0, s1, t0.to(tl.float32), t1.to(tl.float32), COMPLEX)
        total0 += s0
        total1 += s1
        s0, s1 = weighed(moved, x0, x1, y0, y1, COMPLEX)
        s0, s1 = times(s0, s1, t0.to(tl.float32), t1.to(tl.float32), COMPLEX)
        later0 += s0
        later1 += s1
        t0, t1 = times(t0, t1, r0, r1, COMPLEX)
        j += ROWS * COLUMNS
    if sums_ptr is None:
        store_gradients(
            B_ptr, C_ptr, grad_A_ptr, grad_B_ptr, grad_C_ptr,
            total0, total1, later0, later1, place, exists, COMPLEX,
        )  # fmt: skip
    else:
        count = channels.to(tl.int64) * states
        part = sums_ptr + split * 4 * count + place
        tl.store(part, total0, mask=exists)
        tl.store(part + count, total1, mask=exists)
        tl.store(part + 2 * count, later0, mask=exists)
        tl.store(part + 3 * count, later1, mask=exists)


@triton.jit
def weighed(g, x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """The sum over rows i and columns k of g x y, for g (ROWS, COLUMNS), x (ROWS, MODES)
    and y (COLUMNS, MODES)."""
    z0 = tl.dot(g, y0, input_precision="ieee")
    z1 = tl.dot(g, y1, input_precision="ieee") if COMPLEX else z0
    z0, z1 = times(z0, z1, x0, x1, COMPLEX)
    return tl.sum(z0, 0), tl.sum(z1, 0)


@triton.jit
def store_gradients(
    B_ptr, C_ptr, grad_A_ptr, grad_B_ptr, grad_C_ptr,
    total0, total1, later0, later1, place, exists, COMPLEX: tl.constexpr,
):  # fmt: skip
    """Gradients from the sums over j, both conjugated: those of PyTorch."""
    b0, b1 = load_modes(B_ptr, place, exists, COMPLEX)
    c0, c1 = load_modes(C_ptr, place, exists, COMPLEX)
    if COMPLEX:
        total1 = -total1
        later1 = -later1
    w0, w1 = times(b0, b1, c0, c1, COMPLEX)
    x0, x1 = times_conjugate(later0, later1, w0, w1, COMPLEX)
    store_modes(grad_A_ptr, place, x0, x1, exists, COMPLEX)
    x0, x1 = times_conjugate(total0, total1, c0, c1, COMPLEX)
    store_modes(grad_B_ptr, place, x0, x1, exists, COMPLEX)
    x0, x1 = times_conjugate(total0, total1, b0, b1, COMPLEX)
    store_modes(grad_C_ptr, place, x0, x1, exists, COMPLEX)


@triton.jit(do_not_specialize=["splits"])
def finish_kernel(
    B_ptr, C_ptr, sums_ptr, grad_A_ptr, grad_B_ptr, grad_C_ptr,
    count, splits, COMPLEX: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add up the parts (splits, 4, D, N) and store the gradients."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = place < count
    zero = tl.zeros((BLOCK,), tl.float32)
    total0 = zero
    total1 = zero
    later0 = zero
    later1 = zero
    part = sums_ptr + place
    for _ in range(splits):
        total0 += tl.load(part, mask=exists, other=0.0)
        total1 += tl.load(part + count, mask=exists, other=0.0)
        later0 += tl.load(part + 2 * count, mask=exists, other=0.0)
        later1 += tl.load(part + 3 * count, mask=exists, other=0.0)
        part += 4 * count
    store_gradients(
        B_ptr, C_ptr, grad_A_ptr, grad_B_ptr, grad_C_ptr,
        total0, total1, later0, later1, place, exists, COMPLEX,
    )  # fmt: skip


class Plan(NamedTuple):
    """What the launches need beside their tensors: looked up by shape."""

    forward: tuple[int]
    backward: tuple[int]
    """Programs of each."""
    tiles: int
    """For each backward program."""
    splits: int
    """Backward programs for the same modes."""


@lru_cache(maxsize=1024)
def plan_launches(channels: int, states: int, length: int, compiled: bool) -> Plan:
    forward, backward = (FORWARD, BACKWARD) if compiled else (INTERPRETED, INTERPRETED)
    tiles = ceil_div(length, backward["ROWS"] * backward["COLUMNS"])
    owners = channels * ceil_div(states, backward["MODES"])
    programs = PROGRAMS if compiled else owners * 2
    each = ceil_div(tiles, max(1, programs // owners))
    splits = ceil_div(tiles, each)
    own = ceil_div(length, forward["ROWS"] * forward["COLUMNS"])
    return Plan((channels * own,), (owners * splits,), each, splits)


def kernel(A_bar: Tensor, B_bar: Tensor, C: Tensor, length: int) -> Tensor:
    """K (D, L); the arguments are those of the registered op."""
    channels, states = A_bar.shape
    plan = plan_launches(channels, states, length, A_bar.is_cuda)
    tiling = FORWARD if A_bar.is_cuda else INTERPRETED
    K = A_bar.new_empty((channels, length), dtype=torch.float32)
    runner(forward_kernel, A_bar)[plan.forward](
        laid_out(A_bar), laid_out(B_bar), laid_out(C), K,
        channels, states, length, A_bar.is_complex(), **tiling,
    )  # fmt: skip
    return K


def gradients(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, grad_K: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to A_bar, B_bar and C."""
    channels, states = A_bar.shape
    length = grad_K.shape[1]
    plan = plan_launches(channels, states, length, A_bar.is_cuda)
    tiling = BACKWARD if A_bar.is_cuda else INTERPRETED
    imaginary = A_bar.is_complex()
    B_bar, C = laid_out(B_bar), laid_out(C)
    found = tuple(A_bar.new_empty(A_bar.shape) for _ in range(3))
    parts = None
    if plan.splits > 1:
        shape = plan.splits, 4, channels, states
        parts = grad_K.new_empty(shape)
    runner(backward_kernel, A_bar)[plan.backward](
        laid_out(A_bar), B_bar, C, laid_out(grad_K),
        *((None,) * 3 if plan.splits > 1 else found), parts,
        channels, states, length, plan.tiles, imaginary, **tiling,
    )  # fmt: skip
    if plan.splits > 1:
        count = channels * states
        block = 128 if A_bar.is_cuda else 4
        runner(finish_kernel, A_bar)[(ceil_div(count, block),)](
            B_bar, C, parts, *found, count, plan.splits, imaginary, block
        )
    return found
