"""Right-angle convolutions of more points than a test can transform: their angles, and their indices."""

import numpy as np
import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.convolution import transforms
from seqlab.ops.interpreter import runner


@triton.jit(do_not_specialize=["n"])
def turns_kernel(t_ptr, cos_ptr, sin_ptr, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    cos, sin = transforms.quarter_turn(tl.load(t_ptr + i), n)
    tl.store(cos_ptr + i, cos)
    tl.store(sin_ptr + i, sin)


@pytest.mark.parametrize("n", [1, 3 * 2**7, 9 * 2**9, 15 * 2**16, 2**24, 9 * 2**22, 15 * 2**26])
def test_a_turn_has_its_digits_whatever_the_number_of_points(n):
    """From 2^24 on float32 has not every time, but its nearest neighbor, by which an angle errs as little."""
    t = torch.from_numpy(np.linspace(0, n - 1, 4096).astype(np.int64))
    cos, sin = torch.empty(2, 4096)
    runner(turns_kernel, t)[(1,)](t, cos, sin, n, BLOCK=4096)
    angle = t.double() / n * (np.pi / 2)
    assert (cos - angle.cos()).abs().max() < 3e-7
    assert (sin - angle.sin()).abs().max() < 3e-7


def test_a_row_of_2_to_the_30_points_is_written_and_read():
    """Its beginning, by one program each: it has 2^31 real numbers, one more than 32 bits count."""
    n, u = 2**30, torch.randn(1, 32, 1, generator=torch.Generator().manual_seed(0))
    rows, y = torch.zeros(1, 1, 32, dtype=torch.complex64), torch.zeros(1, 32, 1)
    sizes = 32, 0, 1, n, transforms.Circle(n, True).numbers
    strides, tiling = (32, 1, 1), transforms.INTERPRETED
    runner(transforms.to_rows_kernel, u)[(1,)](u, None, rows, *sizes, *strides, True, **tiling)
    assert torch.equal(rows.real, u.mT)  # angles are too small to show
    runner(transforms.to_columns_kernel, u)[(1,)](rows, y, None, *sizes, 32, *strides, True, **tiling)
    assert torch.equal(y, u)
