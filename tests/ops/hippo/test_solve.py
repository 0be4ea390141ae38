"""The slope of a step of LegS inside a program, early and late in time, held to SciPy's triangular solver."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_triangular

from seqlab.ops.backends import has_triton
from seqlab.ops.hippo import reference

if not has_triton():
    pytest.skip("no Triton", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.hippo.kernel import add, late_coefficients, load_orders, solve, solve_transposed
from seqlab.ops.interpreter import runner


@triton.jit
def slopes(
    c_ptr,
    early_ptr,
    late_ptr,
    weighted_ptr,
    a,
    f,
    order,
    BACK: tl.constexpr,
    ROWS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The slope of a step, A x + B f, by the scan and by the running sum; BACK that of a step back, A^T x, and
    B^T x, of which the gradient to f is made."""
    n, exists, r, d = load_orders(order, False, ORDER)
    here = tl.arange(0, ROWS)[:, None] * order + n
    c = tl.load(c_ptr + here, mask=exists, other=0.0)
    before, after, own = late_coefficients(a, r, d)
    if BACK:
        _, early = solve_transposed(c, a, order, ROWS, ORDER)
        late = own * c - before * tl.associative_scan(after * c, 1, add, reverse=True)
    else:
        _, A_x = solve(c + a * r * f, a, r, d, ROWS, ORDER)
        early = A_x + r * f
        late = after * (f - tl.associative_scan(before * c, 1, add)) + own * c
    tl.store(early_ptr + here, early, mask=exists)
    tl.store(late_ptr + here, late, mask=exists)
    tl.store(weighted_ptr + tl.arange(0, ROWS)[:, None], tl.reduce(after * c, 1, add)[:, None])


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("order", [1, 5, 37, 64])
def test_scan_and_running_sum_find_the_slope_of_a_step(order, back):
    rows, lanes = 4, 64
    # Nearly the largest that is_late lets through.
    a = min(0.5 / order, 32 / order**2) * 0.999
    f = 0.0 if back else 2.5
    c = torch.from_numpy(np.random.default_rng(0).standard_normal((rows, order))).float()
    early, late, weighted = torch.empty(rows, order), torch.empty(rows, order), torch.empty(rows)
    runner(slopes, c)[(1,)](c, early, late, weighted, a, f, order, BACK=back, ROWS=rows, ORDER=lanes)
    A, B = reference.hippo_transition("legs", order)
    A = A.T if back else A
    y = c.double().numpy().T + a * f * B[:, None]
    x = solve_triangular(np.eye(order) - a * A, y, lower=not back)
    slope = (A @ x + f * B[:, None]).T
    for found in (early, late):
        np.testing.assert_allclose(found.numpy(), slope, rtol=0, atol=2e-6 * np.abs(A @ x).max())
    if back:
        np.testing.assert_allclose(weighted.numpy(), B @ x, rtol=0, atol=1e-5 * np.abs(B @ x).max())
