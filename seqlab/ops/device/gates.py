"""Gates of recurrent networks, so that no digit is lost and no exponential overflows."""

import triton
import triton.language as tl


@triton.jit
def log_sigmoid(x):
    """-log(1 + e^-x), with all digits where it is close to 0."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x < 0.0, x, 0.0) - log1p(small)


@triton.jit
def log1p(x):
    """log(1 + x): the rounding of 1 + x is taken back out."""
    rounded = 1.0 + x
    added = rounded - 1.0
    exact = added == 0.0
    return tl.where(exact, x, tl.log(rounded) * (x / tl.where(exact, 1.0, added)))


@triton.jit
def tanh(x):
    """By the exponential of a number that is not positive."""
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(x < 0.0, -size, size)


@triton.jit
def larger(x, y):
    """The larger one of two numbers, and NaN if either is."""
    return tl.where(x > y, x, tl.where(y >= x, y, x + y))


@triton.jit
def at_least(x, least: tl.constexpr):
    """The larger one of a number and a constant, and NaN if the number is."""
    return tl.where(x < least, least, x)


@triton.jit
def compose_maxima(m1, f1, m2, f2):
    """m -> max(m + f1, m1) and then the same with f2 and m2."""
    return larger(m1 + f2, m2), f1 + f2


@triton.jit
def running_maxima(elements):
    """``tl.associative_scan`` with it, along the first axis of (m, f)."""
    return tl.associative_scan(elements, 0, compose_maxima)
