"""What the selective scan's small kernels write: B and C for the large ones, and sums over programs."""

import pytest
import torch

from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

from seqlab.ops.selective_scan import kernel, plan
from seqlab.ops.selective_scan.sums import OVER_TILES, add_over_blocks, add_rows
from seqlab.ops.selective_scan.weights import keep_weights

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "length", "modes"), [(1, 1, 1), (2, 5, 3), (3, 4, 4), (1, 9, 7)])
def test_weights_are_kept_with_rows_of_zeros_behind_each_batch_entry(batch, length, modes, dtype):
    """B is cut out of a wider tensor, and C is transposed."""
    u, A = torch.empty(batch, length, 3, dtype=dtype), torch.empty(3, modes)
    B = noise(batch, length, modes + 1, dtype=dtype)[..., 1:]
    C = noise(batch, modes, length, dtype=dtype, seed=1).mT
    kept = torch.full(plan.kept_shape(u, A), torch.nan)
    keep_weights(B, C, kept, kernel.plan_launches(u.shape, modes, False, False))
    zeros = torch.zeros(batch, plan.MARGIN, modes)
    expected = torch.stack([torch.cat((x.float(), zeros), 1) for x in (B, C)])
    states = kept.numel() - expected.numel()
    assert torch.equal(kept[states:].view(expected.shape), expected)
    assert kept[:states].isnan().all()  # there the kernel writes states


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(
    ("blocks", "batch", "length", "span", "modes", "together"),
    [
        (1, 1, 1, 1, 1, 1),
        (3, 2, 7, 4, 3, 3),  # waves begin inside of entries, and chunks end early
        (2, 3, 8, 4, 5, 4),
        (5, 5, 3, 3, 2, 2),  # an entry is one chunk
        (21, 1, 9, 4, 2, 2),
    ],
)
def test_sums_over_blocks_of_channels_come_to_their_steps(
    blocks, batch, length, span, modes, together, rounded, dtype
):
    """Wave by wave. What lies past the end of an entry, or is of the wave before, is not read."""
    chunks = -(-length // span)
    tiles = batch * chunks
    of_tiles = noise(blocks, tiles, span, modes, 2).to(torch.bfloat16 if rounded else torch.float32)
    ends = (torch.arange(tiles) % chunks + 1) * span - length
    for tile, beyond in enumerate(ends.clamp(min=0).tolist()):
        of_tiles[:, tile, span - beyond :] = torch.nan
    found = [torch.full((batch, length, modes), torch.nan, dtype=dtype) for _ in "BC"]
    for first in range(0, tiles, together):
        some = min(together, tiles - first)
        sums = torch.full((blocks, together, span, modes, 2), torch.nan, dtype=of_tiles.dtype)
        sums[:, :some] = of_tiles[:, first : first + some]
        add_over_blocks(sums, *found, first, some, chunks)
    expected = of_tiles.double().sum(0).view(batch, chunks * span, modes, 2)[:, :length]
    for x, true in zip(found, expected.unbind(-1), strict=True):
        assert x.dtype is dtype
        torch.testing.assert_close(x.double(), true, rtol=torch.finfo(dtype).eps, atol=2e-6 * blocks**0.5)


@pytest.mark.parametrize("asked", ["both", "second", "third"])
@pytest.mark.parametrize(("rows", "of_first", "of_other"), [(1, (1, 1), 1), (13, (4, 7), 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_sums_of_rows_are_dealt_out(rows, of_first, of_other, asked, dtype):
    """Rows are longer than what is in them, and what is not asked for is not read."""
    first = torch.empty(of_first, dtype=dtype)
    count = torch.view_as_real(first).numel() if dtype.is_complex else first.numel()
    numbers = noise(rows, count + 2 * of_other + 3)
    numbers[:, count + 2 * of_other :] = torch.nan
    second = torch.empty(of_other) if asked in ("both", "second") else None
    third = torch.empty(of_other) if asked in ("both", "third") else None
    add_rows(numbers, first, second, third, of_other, OVER_TILES)
    expected = numbers.double().sum(0)
    of_rest = expected[count:].split(of_other)
    found = torch.view_as_real(first).flatten() if dtype.is_complex else first.flatten()
    for x, true in ((found, expected[:count]), (second, of_rest[0]), (third, of_rest[1])):
        if x is not None:
            torch.testing.assert_close(x.double(), true, rtol=1e-6, atol=1e-6 * rows**0.5)
