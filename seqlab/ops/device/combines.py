"""What a scan over time combines: associative operations on tuples of numbers, the states
first, then what becomes of the state before them."""

from typing import NamedTuple

import triton
import triton.language as tl
from triton.runtime.jit import JITFunction

from seqlab.ops import exponents
from seqlab.ops.device.exponentials import exp
from seqlab.ops.device.gates import at_least
from seqlab.ops.device.pairs import times

LOWEST = tl.constexpr(exponents.LOWEST)


class Combine(NamedTuple):
    """An associative way to join two tuples of numbers, the earlier one first."""

    combine: JITFunction
    """Of the numbers of both, one by one."""
    prefixes: JITFunction
    """``tl.associative_scan`` with it, along the first axis of a tuple of tensors."""
    neutral: tuple[float, ...]
    """The numbers that change nothing."""


@triton.jit
def compose_affine(b1, a1, b2, a2):
    """h -> a1 h + b1 and then h -> a2 h + b2 (equation 2.3)."""
    return a2 * b1 + b2, a2 * a1


@triton.jit
def affine_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_affine)


AFFINE = Combine(compose_affine, affine_prefixes, (0.0, 1.0))


@triton.jit
def compose_affine_shear(b1, c1, a1, s1, b2, c2, a2, s2):
    """Likewise of two numbers with the same a, where the first is added to the second:
    h -> a h + b and g -> a g + s h + c."""
    return a2 * b1 + b2, a2 * c1 + s2 * b1 + c2, a2 * a1, a2 * s1 + s2 * a1


@triton.jit
def affine_shear_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_affine_shear)


AFFINE_SHEAR = Combine(
    compose_affine_shear, affine_shear_prefixes, (0.0, 0.0, 1.0, 0.0)
)


@triton.jit
def compose_affine_complex(b0, b1, a0, a1, d0, d1, c0, c1):
    """The same for complex numbers: h -> a h + b and then h -> c h + d."""
    f0, f1 = times(c0, c1, b0, b1, True)
    e0, e1 = times(c0, c1, a0, a1, True)
    return f0 + d0, f1 + d1, e0, e1


@triton.jit
def affine_complex_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_affine_complex)


AFFINE_COMPLEX = Combine(
    compose_affine_complex, affine_complex_prefixes, (0.0, 0.0, 1.0, 0.0)
)


@triton.jit
def compose_affine_each(b0, b1, a0, a1, d0, d1, c0, c1):
    """The same for pairs of real numbers."""
    return c0 * b0 + d0, c1 * b1 + d1, c0 * a0, c1 * a1


@triton.jit
def affine_each_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_affine_each)


AFFINE_EACH = Combine(compose_affine_each, affine_each_prefixes, (0.0, 0.0, 1.0, 1.0))


@triton.jit
def compose_log_add(m1, w1, m2, w2):
    """m -> log(e^(m - w1) + e^m1) and then the same with w2 and m2 (equation 2.12)."""
    top, first, second = exponentials(m1 - w2, m2)
    return top + tl.log(first + second), w1 + w2


@triton.jit
def log_add_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_log_add)


LOG_ADD = Combine(compose_log_add, log_add_prefixes, (float("-inf"), 0.0))


@triton.jit
def join_weighted(a1, b1, m1, w, a2, b2, m2):
    """The sums a e^m and b e^m of two stretches of time, of which the first decays by w,
    and how much of each they hold. No exponential overflows; what rounding makes of the
    exponent, the other two numbers make up for. Nothing, whose exponent is too large to
    grow or to decay by any w, stays nothing."""
    m = at_least(tl.maximum(m1 - w, m2), LOWEST)
    p = exp(tl.where(m1 <= LOWEST, float("-inf"), (m1 - m) - w))
    q = exp(m2 - m)
    return p * a1 + q * a2, p * b1 + q * b2, m, p, q


@triton.jit
def compose_weighted(a1, b1, m1, w1, a2, b2, m2, w2):
    a, b, m, _, _ = join_weighted(a1, b1, m1, w2, a2, b2, m2)
    return a, b, m, w1 + w2


@triton.jit
def weighted_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_weighted)


WEIGHTED = Combine(compose_weighted, weighted_prefixes, (0.0, 0.0, LOWEST.value, 0.0))


@triton.jit
def exponentials(x, y):
    """The larger one of x and y, and e^x and e^y with it taken out: log(e^x + e^y) is
    top + log(first + second), and no exponential overflows. Of two equal infinities
    both are 1, but a y of -inf is always nothing."""
    top = tl.maximum(x, y)
    second = tl.where(y == float("-inf"), 0.0, tl.exp(minus(y, top)))
    return top, tl.exp(minus(x, top)), second


@triton.jit
def minus(x, y):
    """x - y, and 0 for two equal infinities, of which no difference is taken."""
    return tl.where(x == y, 0.0, x - tl.where(x == y, 0.0, y))
