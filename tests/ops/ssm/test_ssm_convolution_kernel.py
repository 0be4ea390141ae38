"""The chunked convolution's kernels: walks over segments of time, and the tables that they multiply by."""

import itertools

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton
from seqlab.ops.ssm import reference

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")


def drawn(shape, is_complex, seed=0):
    """A_bar of moduli between 0.5 and 1, B_bar, C, u and a state, of shape (B, L, D, N)."""
    batch, length, channels, N = shape
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex64 if is_complex else torch.float32

    def normal(*shape, dtype=dtype):
        return torch.randn(shape, generator=generator, dtype=dtype)

    direction = torch.sgn(normal(channels, N))
    A_bar = (0.5 + 0.5 * torch.rand(channels, N, generator=generator)) * direction
    u = normal(batch, length, channels, dtype=torch.float32)
    return A_bar, normal(channels, N), normal(channels, N), u, normal(batch, channels, N)


def close(result, expected, tolerance=1e-5):
    expected = torch.as_tensor(expected)
    error = torch.linalg.vector_norm(result.to(expected.dtype) - expected)
    assert error <= tolerance * torch.linalg.vector_norm(expected)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("length", [1, 4, 5, 8, 9, 14, 25])
def test_segments_join_at_every_length(length, is_complex):
    inputs = [x.requires_grad_() for x in drawn((3, length, 1, 3), is_complex)]
    exact = [x.detach().to(torch.promote_types(x.dtype, torch.float64)).numpy() for x in inputs]
    y, last = ops.ssm_convolution(*inputs, backend="triton")
    for found, expected in zip((y, last), reference.ssm_scan(*exact), strict=True):
        close(found, expected)
    grads = [torch.randn_like(x) for x in (y, last)]
    found = torch.autograd.grad((y, last), inputs, grads)
    expected = reference.ssm_scan_gradients(
        *exact, *[x.double().numpy() if not x.is_complex() else x.to(torch.complex128).numpy() for x in grads]
    )
    for x, e in zip(found, expected, strict=True):
        close(x, e)


def test_gradients_of_parameters_are_right_wherever_these_lie():
    """Transposed, and such that PyTorch conjugates and negates them when they are read."""
    inputs = drawn((1, 9, 2, 3), is_complex=True)
    arranged = [
        torch._neg_view(-x.mT.conj_physical().contiguous()).mT.conj() if x.is_complex() else x for x in inputs
    ]
    assert all(x.is_neg() and x.is_conj() for x in arranged if x.is_complex())
    found, expected = (
        torch.autograd.grad(ops.ssm_convolution(*leaves, backend="triton")[0].square().sum(), leaves)
        for leaves in ([x.detach().requires_grad_() for x in each] for each in (arranged, inputs))
    )
    torch.testing.assert_close(found, expected)


def test_segments_hold_every_chunk_once():
    from seqlab.ops.ssm.convolution.plan import plan_launches

    sizes = itertools.product((1, 3, 8, 500), (1, 31, 32, 1000, 6200, 100_003), (1, 5, 1024), (True, False))
    for batch, length, channels, compiled in sizes:
        plan = plan_launches(torch.Size((batch, length, channels)), 16, True, compiled)
        span, segments = plan.sizes[3:]
        assert plan.chunks * plan.tiling["T"] + plan.left == length
        assert (segments - 1) * span < max(plan.chunks, 1) <= segments * span


def test_powers_keep_what_rounding_drops():
    """An error of the decay over a chunk would come back with every chunk."""
    from seqlab.ops.device.powers import make_tables

    A_bar, B_bar, C, *_ = drawn((1, 1, 3, 4), is_complex=True)
    T, span = 16, 5
    tables = make_tables(A_bar, B_bar, C, None, span, T, PAIRS=4)
    powers = torch.view_as_complex(tables.powers.double().view(3, T + 2, 4, 2))
    exact = A_bar.to(torch.complex128)
    close(powers[:, T] + powers[:, T + 1], exact**T, 1e-13)
    close(tables.over, exact ** (T * span), 1e-7)
    for j in range(T):
        close(powers[:, j], exact**j, 1e-7)
        close(tables.k[:, T - 1 + j], (C * exact**j * B_bar).real.sum(-1), 1e-6)


def test_mirrored_tables_fall_to_exponent_zero_and_rise_again():
    from seqlab.ops.device.powers import make_tables

    A_bar, B_bar, C, *_ = drawn((1, 1, 3, 4), is_complex=True)
    T = 16
    tables = make_tables(A_bar, B_bar, C, None, span=5, T=T, PAIRS=4)
    powers = tables.powers[:, : T + 1].mT
    assert torch.equal(tables.mirrored[:, :, T - 1 :], powers)
    assert torch.equal(tables.mirrored[:, :, :T], powers[:, :, :T].flip(2))
    assert torch.equal(tables.k, tables.k.flip(1))
