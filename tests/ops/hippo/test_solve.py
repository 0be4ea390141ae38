"""The solve of a step of LegS inside a program, early and late in time, held to SciPy's triangular solver."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_triangular

from seqlab.ops.backends import has_triton, load_kernel
from seqlab.ops.hippo import reference

if not has_triton():
    pytest.skip("no Triton", allow_module_level=True)

import triton
import triton.language as tl

kernel = load_kernel("hippo", torch.zeros(1))  # interpreted, as the kernel below
before, triton.knobs.runtime.interpret = triton.knobs.runtime.interpret, True
load_transition, solve = kernel.load_transition, kernel.solve
coefficients_late, running_sum = kernel.coefficients_late, kernel.running_sum


@triton.jit
def slopes(
    c_ptr,
    early_ptr,
    late_ptr,
    sum_ptr,
    a,
    f,
    order,
    BACK: tl.constexpr,
    PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
):
    """The slope of a step, A x + B f, by the scan and by the running sum; BACK that of a step
    back, A^T x, and what it takes for the gradient to f."""
    n, exists, r, d = load_transition(order, ORDER)
    here = tl.arange(0, PAIRS)[:, None] * order + n
    c = tl.load(c_ptr + here, mask=exists, other=0.0)
    _, lost = solve(c + a * r * f, a, r, d, BACK, PAIRS, ORDER)
    tl.store(early_ptr + here, r * f - lost, mask=exists)
    weight, heard, own = coefficients_late(a, r, d)
    if BACK:
        sums = running_sum(heard * c, True, PAIRS, ORDER)
        tl.store(late_ptr + here, own * c - weight * sums, mask=exists)
        tl.store(sum_ptr + here, sums, mask=exists)
    else:
        sums = running_sum(weight * c, False, PAIRS, ORDER)
        tl.store(late_ptr + here, heard * (f - sums) + own * c, mask=exists)


triton.knobs.runtime.interpret = before


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("order", [1, 5, 37, 64])
def test_scan_and_running_sum_find_the_slope_of_a_step(order, back):
    rows, lanes = 4, 64
    # Nearly the largest that is_late lets through.
    a = min(0.5 / order, 32 / order**2) * 0.999
    f = 0.0 if back else 2.5
    c = torch.from_numpy(np.random.default_rng(0).standard_normal((rows, order))).float()
    early, late, sums = (torch.empty(rows, order) for _ in range(3))
    slopes[(1,)](c, early, late, sums, a, f, order, BACK=back, PAIRS=rows, ORDER=lanes)
    A, B = reference.hippo_transition("legs", order)
    A = A.T if back else A
    y = c.double().numpy().T + a * f * B[:, None]
    x = solve_triangular(np.eye(order) - a * A, y, lower=not back)
    slope = (A @ x + f * B[:, None]).T
    for found in (early, late):
        np.testing.assert_allclose(found.numpy(), slope, rtol=0, atol=2e-6 * np.abs(A @ x).max())
    if back:  # what walk_back takes for the gradient to f
        np.testing.assert_allclose(sums[:, 0].numpy(), B @ x, rtol=0, atol=1e-5 * np.abs(B @ x).max())
