"""Products of float32 matrices by tensor cores, which take tf32, numbers of 11 bits.

A number is the sum of two of these, x = x_high + x_low, to 23 bits, and of the product's
four terms the smallest is dropped: x y = x_low y_high + x_high y_low + x_high y_high. So
does ``tl.dot`` in its precision "tf32x3". But here a matrix is taken apart once, however
many products it is in, and what those that are no numbers, or infinite, make of others is
not mended in each: such a number makes its row or column NaN.
"""

import triton
import triton.language as tl


@triton.jit
def parts(x, FULL: tl.constexpr):
    """The two parts of a float32 tensor; twice itself where tf32 will do, not FULL."""
    if FULL:
        bits = x.to(tl.int32, bitcast=True)
        high = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)  # to nearest
        return high, x - high
    else:
        return x, x


@triton.jit
def product(x, y, FULL: tl.constexpr):
    """The matrix product of x and y, each in its parts."""
    if FULL:
        z = tl.dot(x[1], y[0], input_precision="tf32")
        z = tl.dot(x[0], y[1], z, input_precision="tf32")
        return tl.dot(x[0], y[0], z, input_precision="tf32")
    else:
        return tl.dot(x[0], y[0], input_precision="tf32")
