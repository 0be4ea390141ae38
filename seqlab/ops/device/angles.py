"""Cosine and sine of an angle, both by one reduction: the hardware's own have few digits,
and those of the CUDA library two branches, for angles that no state has."""

import triton
import triton.language as tl


@triton.jit
def cos_and_sin(angle):
    """Whole quarters of a turn are taken off in three parts, the first two short enough for
    exact products (Cody and Waite, 1980), and Taylor series do for the eighth that is left.
    Where float32 knows an angle to a fraction of a turn at best, from about 1e6 on, the
    pair is that of some angle."""
    quarters = tl.floor(angle * 0.6366197723675814 + 0.5)
    x = (angle - quarters * 1.5703125) - quarters * 4.837512969970703e-4
    x -= quarters * 7.549789948768648e-8
    x = tl.where(tl.abs(x) < 1.0, x, 0.0 * x)
    q = x * x
    sin = x * (1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q / 362880))))
    cos = q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q / 3628800)))
    cos = 1.0 - q * (0.5 - cos)
    halves = tl.floor(0.5 * quarters)
    sign = 1.0 - 2.0 * (halves - 2.0 * tl.floor(0.5 * halves))
    odd = quarters > 2.0 * halves
    return sign * tl.where(odd, -sin, cos), sign * tl.where(odd, cos, sin)
