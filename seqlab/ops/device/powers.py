"""Powers of a decay that is fixed in time: what a walk in chunks of T steps multiplies by.

They are formed in float64, as an error of the last one would come back with every chunk.
Channels are D, and ``modes`` real numbers make a state.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.device.pairs import (
    join_pairs,
    laid_out,
    load_pairs,
    plus_product,
    store_pairs,
    times,
)
from seqlab.ops.interpreter import runner


@triton.jit
def load_row(pointers, modes, PAIRS: tl.constexpr):
    """So many numbers, then zeros, as pairs (1, PAIRS)."""
    column = tl.arange(0, 2 * PAIRS)[None, :]
    return load_pairs(pointers + column, column < modes, 1, PAIRS)


@triton.jit
def store_row(pointers, x0, x1, modes, PAIRS: tl.constexpr):
    column = tl.arange(0, 2 * PAIRS)[None, :]
    store_pairs(pointers + column, x0, x1, column < modes, 1, PAIRS)


@triton.jit
def load_powers(power_ptr, exponents, PAIRS: tl.constexpr):
    """The powers A_bar^k of these exponents (T,), as (T, 2 PAIRS) numbers."""
    column = tl.arange(0, 2 * PAIRS)[None, :]
    return tl.load(power_ptr + exponents[:, None] * 2 * PAIRS + column)


@triton.jit
def load_mirrored(mirror_ptr, begin, numbers, T: tl.constexpr):
    """T of the mirrored powers from place ``begin`` on, these numbers (M,) of each, as (T,
    M). Tensor cores are handed several numbers of tf32 at once where those that a product
    sums over are neighbors, as times are here."""
    place = begin + tl.arange(0, T)
    return tl.load(mirror_ptr + place[:, None] + numbers[None, :] * 2 * T)


@triton.jit
def load_decay(power_ptr, T: tl.constexpr, PAIRS: tl.constexpr):
    """A_bar^T, and what rounding dropped of it, which would be dropped at every chunk."""
    high = load_row(power_ptr + T * 2 * PAIRS, 2 * PAIRS, PAIRS)
    low = load_row(power_ptr + (T + 1) * 2 * PAIRS, 2 * PAIRS, PAIRS)
    return high, low


@triton.jit
def step_on(decay, x0, x1, s0, s1, alive, COMPLEX: tl.constexpr):
    """A_bar^T x + s in rows that are alive, x in others."""
    high, low = decay
    s0, s1 = plus_product(s0, s1, low[0], low[1], x0, x1, COMPLEX)
    s0, s1 = plus_product(s0, s1, high[0], high[1], x0, x1, COMPLEX)
    return tl.where(alive, s0, x0), tl.where(alive, s1, x1)


@triton.jit(do_not_specialize=["span"])
def power_kernel(
    a_ptr, b_ptr, c_ptr, skip_ptr, power_ptr, mirror_ptr, k_ptr, over_ptr, span, modes,
    COMPLEX: tl.constexpr, T: tl.constexpr, PAIRS: tl.constexpr,
):  # fmt: skip
    """The ``Tables``, a program for each channel; ``skip_ptr`` (D,), if it is not None, is
    added to the first number of K."""
    channel = tl.program_id(0).to(tl.int64)
    power_ptr += channel * (T + 2) * 2 * PAIRS
    step, column = tl.arange(0, T)[:, None], tl.arange(0, 2 * PAIRS)[None, :]
    a0, a1 = load_row(a_ptr + channel * modes, modes, PAIRS)
    a0, a1 = a0.to(tl.float64), a1.to(tl.float64)
    p0 = tl.full((T, PAIRS), 1.0, tl.float64)
    p1 = tl.full((T, PAIRS), 0.0 if COMPLEX else 1.0, tl.float64)
    for i in tl.static_range(16):
        if 1 << i < T:
            q0, q1 = times(a0, a1, p0, p1, COMPLEX)
            p0 = tl.where((step >> i) & 1 == 1, q0, p0)
            p1 = tl.where((step >> i) & 1 == 1, q1, p1)
            a0, a1 = times(a0, a1, a0, a1, COMPLEX)
    powers = join_pairs(p0.to(tl.float32), p1.to(tl.float32), T, PAIRS)
    tl.store(power_ptr + step * 2 * PAIRS + column, powers)
    mirror_ptr += channel * 4 * T * PAIRS + column * 2 * T
    # Falling exponents at rising places, so that neighbors in memory are stored together.
    tl.store(mirror_ptr + step, tl.gather(powers, T - 1 - step + 0 * column, 0))
    tl.store(mirror_ptr + T - 1 + step, powers)
    last = join_pairs(a0.to(tl.float32), a1.to(tl.float32), 1, PAIRS)
    tl.store(mirror_ptr + 2 * T - 1, last)
    store_row(power_ptr + T * 2 * PAIRS, a0, a1, 2 * PAIRS, PAIRS)
    low0, low1 = a0 - a0.to(tl.float32), a1 - a1.to(tl.float32)
    store_row(power_ptr + (T + 1) * 2 * PAIRS, low0, low1, 2 * PAIRS, PAIRS)
    b0, b1 = load_row(b_ptr + channel * modes, modes, PAIRS)
    c0, c1 = load_row(c_ptr + channel * modes, modes, PAIRS)
    g0, g1 = times(b0.to(tl.float64), b1.to(tl.float64), c0, c1, COMPLEX)
    p0, p1 = times(g0, g1, p0, p1, COMPLEX)
    k = tl.sum(p0 if COMPLEX else p0 + p1, 1)
    if skip_ptr is not None:
        k += tl.where(tl.arange(0, T) == 0, tl.load(skip_ptr + channel), 0.0)
    k_ptr += channel * (2 * T - 1) + T - 1
    tl.store(k_ptr - tl.arange(0, T), k.to(tl.float32))
    tl.store(k_ptr + tl.arange(0, T), k.to(tl.float32))
    e0 = tl.full((1, PAIRS), 1.0, tl.float64)
    e1 = tl.full((1, PAIRS), 0.0 if COMPLEX else 1.0, tl.float64)
    for i in tl.static_range(31):
        q0, q1 = times(a0, a1, e0, e1, COMPLEX)
        e0 = tl.where((span >> i) & 1 == 1, q0, e0)
        e1 = tl.where((span >> i) & 1 == 1, q1, e1)
        a0, a1 = times(a0, a1, a0, a1, COMPLEX)
    store_row(over_ptr + channel * modes, e0, e1, modes, PAIRS)


class Tables(NamedTuple):
    """What depends on the parameters alone."""

    powers: Tensor
    """A_bar^0 to A_bar^T, and what float32 has no room for of the last one, (D, T + 2, 2
    PAIRS)."""
    mirrored: Tensor
    """A_bar^(T-1) down to A_bar^0 and up to A_bar^T, time last, (D, 2 PAIRS, 2 T)."""
    k: Tensor
    """K_(T-1) down to K_0 and up to K_(T-1), (D, 2 T - 1)."""
    over: Tensor
    """The decay over a segment, (D, N), as A_bar has it."""


def make_tables(
    A_bar: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    span: int,
    T: int,
    PAIRS: int,
) -> Tables:
    """Tables for chunks of T steps and segments of ``span`` chunks; b and c are B_bar and C,
    laid out, and ``skip`` (D,) is added to the first number of K."""
    channels, N = A_bar.shape
    is_complex = A_bar.is_complex()
    powers = A_bar.new_empty((channels, T + 2, 2 * PAIRS), dtype=torch.float32)
    mirrored = A_bar.new_empty((channels, 2 * PAIRS, 2 * T), dtype=torch.float32)
    k = A_bar.new_empty((channels, 2 * T - 1), dtype=torch.float32)
    over = torch.empty_like(A_bar, memory_format=torch.contiguous_format)
    runner(power_kernel, k)[(channels,)](
        laid_out(A_bar), b, c, skip, powers, mirrored, k, over,
        span, 2 * N if is_complex else N, is_complex, T, PAIRS,
    )  # fmt: skip
    return Tables(powers, mirrored, k, over)
