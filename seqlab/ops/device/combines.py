"""What a scan over time combines: associative operations on tuples of numbers, the states
first, then what becomes of the state before them."""

from typing import NamedTuple

import triton
import triton.language as tl
from triton.runtime.jit import JITFunction


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
def compose_log_add(m1, w1, m2, w2):
    """m -> log(e^(m - w1) + e^m1) and then the same with w2 and m2 (equation 2.12)."""
    top, first, second = exponentials(m1 - w2, m2)
    return top + tl.log(first + second), w1 + w2


@triton.jit
def log_add_prefixes(elements):
    return tl.associative_scan(elements, 0, compose_log_add)


LOG_ADD = Combine(compose_log_add, log_add_prefixes, (float("-inf"), 0.0))


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
