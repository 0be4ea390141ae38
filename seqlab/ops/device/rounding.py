"""What rounding drops of a float32 product (Dekker, 1971)."""

import triton
import triton.language as tl


@triton.jit
def leading_half(x):
    """x cut to its 12 leading bits: the product of two such numbers is exact."""
    return (x.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)


@triton.jit
def product_error(x, y, product):
    """x y - product, where product is x y rounded (Dekker, 1971): the digits of a large
    angle that float32 has no room for."""
    x_lead = leading_half(x)
    y_lead = leading_half(y)
    x_rest = x - x_lead
    y_rest = y - y_lead
    error = x_lead * y_lead - product
    return (error + x_lead * y_rest + x_rest * y_lead) + x_rest * y_rest
