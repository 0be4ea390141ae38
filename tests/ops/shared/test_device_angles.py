"""Cosines and sines in kernels, both by one reduction of the angle."""

import numpy as np
import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from seqlab.ops.device.angles import cos_and_sin
from seqlab.ops.interpreter import runner


@triton.jit
def both_kernel(angle_ptr, cos_ptr, sin_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    cos, sin = cos_and_sin(tl.load(angle_ptr + i))
    tl.store(cos_ptr + i, cos)
    tl.store(sin_ptr + i, sin)


def computed(angles):
    cos, sin = torch.empty_like(angles), torch.empty_like(angles)
    runner(both_kernel, angles)[(1,)](angles, cos, sin, BLOCK=len(angles))
    return cos, sin


@pytest.mark.parametrize("largest", [0.7, 7.0, 700.0, 7e4])
def test_all_digits_that_an_angle_has(largest):
    """An error of an ulp or so, and as much as the last of three parts of a quarter turn lacks."""
    angles = torch.linspace(-largest, largest, 4096)
    exact = angles.double()
    for found, true in zip(computed(angles), (exact.cos(), exact.sin()), strict=True):
        assert (found - true).abs().max() < 1.2e-7 + 2e-11 * largest


def test_quarters_of_a_turn():
    quarters = torch.arange(-8.0, 8.0)
    cos, sin = computed(quarters * np.float32(np.pi / 2))
    torch.testing.assert_close(cos, torch.tensor([1.0, 0, -1, 0]).repeat(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(sin, torch.tensor([0.0, 1, 0, -1]).repeat(4), rtol=0, atol=1e-6)


def test_what_has_no_angle_left_is_still_a_turn_and_what_is_none_is_nan():
    """So that no state grows by it."""
    cos, sin = computed(torch.tensor([1e6, -3e7, 1e9, 4e15, -1e30, 3e38, 1e8, 2.5e7]))
    torch.testing.assert_close(cos**2 + sin**2, torch.ones(8))
    with np.errstate(invalid="ignore"):
        nothing = computed(torch.tensor([torch.nan, torch.inf, -torch.inf, torch.nan]))
    assert all(found.isnan().all() for found in nothing)


def test_no_instruction_of_the_units_that_exponentials_wait_for():
    """Rounding to a whole number has one of its own, FRND, on the same units as e^x, and as slow."""
    signature = {"angle_ptr": "*fp32", "cos_ptr": "*fp32", "sin_ptr": "*fp32", "BLOCK": "constexpr"}
    source = ASTSource(both_kernel, signature=signature, constexprs={"BLOCK": 128})
    assembly = triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["sass"]
    assert "FFMA" in assembly
    assert not {"MUFU", "FRND", "F2I", "I2F"} & {word.split(".")[0] for word in assembly.split()}
