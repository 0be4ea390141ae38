"""Decays between the steps of a chunk, where all rows of a state share one: sums of logarithms, in either direction of
time, read before or after the state decays."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

import triton
import triton.language as tl

from seqlab.ops.device.head_decay import decays_between, left_after, load_decays
from seqlab.ops.interpreter import runner

STEPS = 16


@triton.jit
def decays_kernel(
    g_ptr, between_ptr, left_ptr, steps, REVERSED: tl.constexpr, STRICT: tl.constexpr, STEPS: tl.constexpr
):  # fmt: skip
    """Of one chunk of one head. In reversed time steps are taken, and stored, from the last on."""
    row = tl.arange(0, STEPS)
    step = -1 if REVERSED else 1
    tokens = (steps - 1 if REVERSED else 0) + row * step
    g = load_decays(g_ptr, tokens, step, row, steps, REVERSED or STRICT)
    between = decays_between(g, row, tl.float32, STRICT)
    tl.store(between_ptr + row[:, None] * STEPS + row[None, :], between)
    own = load_decays(g_ptr, row, 1, row, steps, False)
    tl.store(left_ptr + row, left_after(own, row))


@pytest.mark.parametrize("steps", [STEPS, 11])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_decays_between_steps_are_products_of_those_after_what_is_written(reverse, strict, steps):
    g = -2 * torch.rand(steps, generator=torch.Generator().manual_seed(0))
    g[3] = -float("inf")  # and its neighbours are numbers like any other
    between, left = torch.empty(STEPS, STEPS), torch.empty(STEPS)
    runner(decays_kernel, g)[(1,)](g, between, left, steps, reverse, strict, STEPS)
    a = g.double().exp()
    expected = torch.zeros(steps, steps, dtype=torch.float64)
    for t in range(steps):  # reads
        for j in range(t + 1):  # writes
            expected[t, j] = a[j + 1 : t if strict else t + 1].prod()
    if reverse:  # what was written last reads now
        expected = expected.T.flip(0, 1)
    # An exponent has the rounding of what it is: e^x is off by a few units of x and of itself.
    bound = 2**-23 * expected * (2 - expected.clamp(min=1e-38).log())
    assert ((between[:steps, :steps] - expected).abs() <= bound).all()
    after = torch.stack([a[j + 1 :].prod() for j in range(steps)])
    torch.testing.assert_close(left[:steps].double(), after, rtol=1e-6, atol=0)
