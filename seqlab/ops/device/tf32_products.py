"""Products of float32 matrices by tensor cores, which take tf32, of 11 significant bits.

A number is the sum of two of these, x = x_high + x_low, to 23 bits, and of the product's
four terms the smallest is dropped: x_low y_high + x_high y_low + x_high y_high is left. So
does ``tl.dot`` in its precision "tf32x3". But here a matrix is taken apart once, however
many products it is in, and the NaN of inf - inf is not repaired: an infinite number makes
its row or column NaN.
"""

from functools import cache

import torch
import triton
import triton.language as tl


@triton.jit
def tf32_parts(x, IN_PARTS: tl.constexpr):
    """x_high and x_low of a float32 tensor; x and x again where one product will do."""
    if IN_PARTS:
        bits = x.to(tl.int32, bitcast=True)
        high = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)  # to nearest
        return high, x - high
    else:
        return x, x


@triton.jit
def tf32_product(x, y, IN_PARTS: tl.constexpr):
    """The matrix product of x and y, each as ``tf32_parts`` returns it."""
    if IN_PARTS:
        z = tl.dot(x[1], y[0], input_precision="tf32")
        z = tl.dot(x[0], y[1], z, input_precision="tf32")
        return tl.dot(x[0], y[0], z, input_precision="tf32")
    else:
        return tl.dot(x[0], y[0], input_precision="tf32")


@cache
def takes_tf32(device: torch.device) -> bool:
    """Whether tensor cores take tf32, from compute capability 8.0 on; also on a CPU, where
    the interpreter tries the same code. Other GPUs multiply float32 numbers as they are, and
    need no parts."""
    return device.type == "cpu" or torch.cuda.get_device_capability(device) >= (8, 0)
