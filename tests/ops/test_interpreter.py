"""Kernels that are interpreted leave nothing behind for those that are compiled."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from seqlab.ops.interpreter import runner


@triton.jit
def largest_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
    """A function of Triton's own, which is one of device functions in its turn."""
    tl.store(y_ptr, tl.max(tl.load(x_ptr + tl.arange(0, BLOCK)), 0))


def test_a_kernel_is_compiled_after_it_was_interpreted():
    x, y = torch.tensor([1.0, 3.0, 2.0, -4.0]), torch.zeros(1)
    runner(largest_kernel, x)[(1,)](x, y, BLOCK=4)
    assert y.item() == 3
    source = ASTSource(
        largest_kernel, {"x_ptr": "*fp32", "y_ptr": "*fp32", "BLOCK": "constexpr"}, {"BLOCK": 64}
    )
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]
