"""Pairs of float32 numbers, as Triton has no complex ones: the real and the imaginary
part of a complex number, or two real numbers side by side.

Only products know which of the two a pair is, so that one kernel serves both. In memory
the numbers of a pair are neighbors, as ``torch.view_as_real`` shows them.
"""

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def times(x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """x y, of complex numbers or of each with its own."""
    if COMPLEX:
        return x0 * y0 - x1 * y1, x0 * y1 + x1 * y0
    else:
        return x0 * y0, x1 * y1


@triton.jit
def plus_product(s0, s1, x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """s + x y, in multiply-adds alone."""
    if COMPLEX:
        return s0 + x0 * y0 - x1 * y1, s1 + x0 * y1 + x1 * y0
    else:
        return s0 + x0 * y0, s1 + x1 * y1


@triton.jit
def times_conjugate(x0, x1, y0, y1, COMPLEX: tl.constexpr):
    """x y^*, of complex numbers or of each with its own."""
    if COMPLEX:
        return x0 * y0 + x1 * y1, x1 * y0 - x0 * y1
    else:
        return x0 * y0, x1 * y1


@triton.jit
def reciprocal(x0, x1, COMPLEX: tl.constexpr):
    """1 / x, of a complex number or of each; x is scaled first, as the square of its
    modulus may overflow."""
    if COMPLEX:
        scale = 1.0 / tl.maximum(tl.abs(x0), tl.abs(x1))
        y0 = x0 * scale
        y1 = x1 * scale
        scale = scale / (y0 * y0 + y1 * y1)
        return y0 * scale, -y1 * scale
    else:
        return 1.0 / x0, 1.0 / x1


@triton.jit
def power(x0, x1, COMPLEX: tl.constexpr, EXPONENT: tl.constexpr):
    """x to the power of EXPONENT, a power of two, in float64: the error of a decay over a
    chunk would come back with every other chunk."""
    x0 = x0.to(tl.float64)
    x1 = x1.to(tl.float64)
    for i in tl.static_range(16):
        if 2 << i <= EXPONENT:
            x0, x1 = times(x0, x1, x0, x1, COMPLEX)
    return x0, x1


@triton.jit
def split_pairs(numbers, ROWS: tl.constexpr, PAIRS: tl.constexpr):
    """(ROWS, 2 PAIRS) numbers as two (ROWS, PAIRS) tensors."""
    return tl.split(tl.reshape(numbers, (ROWS, PAIRS, 2)))


@triton.jit
def join_pairs(x0, x1, ROWS: tl.constexpr, PAIRS: tl.constexpr):
    """Two (ROWS, PAIRS) tensors as (ROWS, 2 PAIRS) numbers."""
    return tl.reshape(tl.join(x0, x1), (ROWS, 2 * PAIRS))


@triton.jit
def load_pairs(pointers, mask, ROWS: tl.constexpr, PAIRS: tl.constexpr):
    """(ROWS, 2 PAIRS) numbers as two (ROWS, PAIRS) tensors; 0 where masked."""
    numbers = tl.load(pointers, mask=mask, other=0.0).to(tl.float32)
    return split_pairs(numbers, ROWS, PAIRS)


@triton.jit
def store_pairs(pointers, x0, x1, mask, ROWS: tl.constexpr, PAIRS: tl.constexpr):
    """Two (ROWS, PAIRS) tensors to (ROWS, 2 PAIRS) places, in the dtype there."""
    numbers = join_pairs(x0, x1, ROWS, PAIRS)
    tl.store(pointers, numbers.to(pointers.dtype.element_ty), mask=mask)


def laid_out(x: Tensor) -> Tensor:
    """The tensor as kernels read it: contiguous, and conjugated where it is marked so. A
    launch takes a complex one for its real numbers (``seqlab/ops/launch.py``)."""
    x = x.resolve_neg() if x.is_neg() else x
    return (x.resolve_conj() if x.is_conj() else x).contiguous()
