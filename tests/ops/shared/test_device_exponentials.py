"""Exponentials and reciprocals in kernels, to their last digits."""

import numpy as np
import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.device.exponentials import exp, reciprocal
from seqlab.ops.interpreter import runner

TINY = torch.finfo(torch.float32).tiny


@triton.jit
def both_kernel(x_ptr, exp_ptr, reciprocal_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    tl.store(exp_ptr + i, exp(x))
    tl.store(reciprocal_ptr + i, reciprocal(x))


def computed(x):
    exponentials, reciprocals = torch.empty_like(x), torch.empty_like(x)
    runner(both_kernel, x)[(1,)](x, exponentials, reciprocals, BLOCK=len(x))
    return exponentials, reciprocals


def test_exponentials_have_the_digits_of_their_exponents():
    x = torch.linspace(-87, 88, 4096)
    with np.errstate(invalid="ignore"):
        found, _ = computed(x)
    error = (found / x.double().exp() - 1).abs()
    assert (error < 3e-7 + 1e-7 * x.abs()).all()


def test_exponentials_of_no_number_and_of_none_left():
    with np.errstate(all="ignore"):
        found, _ = computed(torch.tensor([0.0, -torch.inf, torch.inf, torch.nan, -1e38, 1e38, -1e4, 1e4]))
    torch.testing.assert_close(
        found,
        torch.tensor([1, 0, torch.inf, torch.nan, 0, torch.inf, 0, torch.inf]),
        rtol=0,
        atol=0,
        equal_nan=True,
    )


def test_reciprocals_have_all_digits_wherever_a_number_is_normal():
    x = torch.logspace(np.log10(TINY) + 1e-4, -np.log10(TINY) - 0.1, 4096, dtype=torch.float64).float()
    with np.errstate(over="ignore"):
        _, found = computed(x)
    assert (found * x.double() - 1).abs().max() < 1.8e-7
    ones = torch.tensor([1.0, 2.0, 4.0, 1024.0, 0.25, 0.5, torch.nan, torch.inf])
    with np.errstate(invalid="ignore"):
        _, found = computed(ones)
    assert torch.equal(found[:6], 1 / ones[:6])
    assert found[6].isnan()
