"""Interpreted launches, and what they leave behind."""

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
def twice(x):
    return 2 * x


@triton.jit
def sums_kernel(x_ptr, y_ptr, length, first, BLOCK: tl.constexpr):
    """y is twice the sum of x, where ``first`` is 0."""
    place = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + place, mask=(place < length) & (first == 0), other=0.0)
    tl.store(y_ptr, twice(tl.sum(x)))


def launch(x, first=0):
    y = torch.full((1,), torch.nan)
    runner(sums_kernel, x)[(1,)](x, y, len(x), first, BLOCK=8)
    return y.item()


def language():
    """What triton.language holds, its classes' methods included."""
    places = {"tl": tl, "core": tl.core, "math": tl.math}
    places |= {name: each for name, each in vars(tl.core).items() if isinstance(each, type)}
    return {(place, name): value for place, each in places.items() for name, value in vars(each).items()}


def test_device_functions_and_those_of_triton_work():
    assert launch(torch.arange(5.0)) == 20


def test_a_comparison_of_scalars_masks_a_block():
    assert launch(torch.arange(5.0), first=1) == 0


def test_the_language_is_as_it_was_after_a_launch():
    before = language()
    launch(torch.arange(5.0))
    assert language() == before


def test_the_language_is_as_it_was_after_a_launch_that_failed():
    before = language()
    with pytest.raises(Exception, match="BLOCK"):
        runner(sums_kernel, torch.ones(1))[(1,)](torch.ones(1), torch.ones(1), 1, 0)
    assert language() == before


def test_a_kernel_that_was_interpreted_compiles():
    launch(torch.arange(5.0))
    signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "length": "i32", "first": "i32", "BLOCK": "constexpr"}
    source = ASTSource(sums_kernel, signature=signature, constexprs={"BLOCK": 8})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]


def test_jitted_functions_are_called_in_launches_alone():
    launch(torch.arange(5.0))
    with pytest.raises(RuntimeError, match="outside of the scope of a kernel"):
        twice(1.0)
