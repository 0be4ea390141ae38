"""Cosine and sine of an angle, both by one reduction: the hardware's own have few digits,
and those of the CUDA library two branches, for angles that no state has."""

import triton
import triton.language as tl

WHOLE = tl.constexpr(12582912.0)
"""1.5 * 2^23. A float32 as large has no digits after the point: a small number that is
added is rounded to a whole one, and that stands in the last bits."""


@triton.jit
def cos_and_sin(angle):
    """Whole quarters of a turn are taken off in three parts, the first two short enough for
    exact products (Cody and Waite, 1980), and Taylor series do for the eighth that is left.
    Where float32 knows an angle to a fraction of a turn at best, from about 1e6 on, the
    pair is that of some angle."""
    whole = angle * 0.6366197723675814 + WHOLE
    quarters = whole - WHOLE
    x = (angle - quarters * 1.5703125) - quarters * 4.837512969970703e-4
    x -= quarters * 7.549789948768648e-8
    x = tl.where(tl.abs(x) < 1.0, x, 0.0 * x)
    q = x * x
    sin = x * (1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q / 362880))))
    cos = q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q / 3628800)))
    cos = 1.0 - q * (0.5 - cos)
    turned = whole.to(tl.int32, bitcast=True)
    odd = (turned & 1) != 0
    return (
        negative_if(tl.where(odd, sin, cos), turned + 1),
        negative_if(tl.where(odd, cos, sin), turned),
    )


@triton.jit
def negative_if(x, bits):
    """-x where the second last bit is set."""
    return (x.to(tl.int32, bitcast=True) ^ ((bits & 2) << 30)).to(
        tl.float32, bitcast=True
    )
