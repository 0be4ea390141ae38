"""The kernels of the diagonal scan, where chunks are as long as they are on a GPU."""

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_triton(), reason="no Triton")]


def test_a_fixed_decay_makes_no_error_that_comes_back_with_every_chunk(monkeypatch):
    """What a state that nothing enters is after ten chunks of 64 steps, by a power in float64."""
    from seqlab.ops.ssm import kernel

    monkeypatch.setattr(kernel, "INTERPRETED", {"CHUNK": 64, "STEPS": 8, "BLOCK": 1})
    kernel.plan_launches.cache_clear()
    generator = torch.Generator().manual_seed(0)
    modulus = 1 - 1e-6 * torch.rand(1, 4, generator=generator)
    A_bar = torch.polar(modulus, 6.283 * torch.rand(1, 4, generator=generator))
    ones = torch.ones_like(A_bar)
    u = torch.zeros(1, 640, 1)
    state = torch.randn(1, 1, 4, generator=generator, dtype=torch.complex64)
    _, last = ops.ssm_scan(A_bar, ones, ones, u, state, backend="triton")
    kernel.plan_launches.cache_clear()
    expected = state.to(torch.complex128) * A_bar.to(torch.complex128) ** 640
    assert ((last - expected).abs() / expected.abs()).max() < 8e-7
