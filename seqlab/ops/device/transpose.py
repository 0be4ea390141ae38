"""Time as the last axis, and back: what a kernel that multiplies by matrices over time
reads and writes, one channel at a time."""

import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div


@triton.jit
def transpose_kernel(
    in_ptr, out_ptr, rows, columns, in_row, out_row, in_batch, out_batch, TILE: tl.constexpr
):  # fmt: skip
    """out[b, j, i] = in[b, i, j], for ``rows`` of i and ``columns`` of j. Numbers of a row
    are neighbors; rows lie ``in_row`` and ``out_row`` apart. Sizes are specialized:
    unless the compiler knows that 16 divides them, a mask may end anywhere, and numbers are
    moved one at a time."""
    across = tl.cdiv(columns, TILE)
    tiles = tl.cdiv(rows, TILE) * across
    entry = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    i = (tile // across * TILE + tl.arange(0, TILE)).to(tl.int64)
    j = (tile % across * TILE + tl.arange(0, TILE)).to(tl.int64)
    mask = (i < rows)[:, None] & (j < columns)[None, :]
    x = tl.load(in_ptr + entry * in_batch + i[:, None] * in_row + j[None, :], mask=mask)
    mask = (j < columns)[:, None] & (i < rows)[None, :]
    place = out_ptr + entry * out_batch + j[:, None] * out_row + i[None, :]
    tl.store(place, tl.trans(x), mask=mask)


def transpose(x: Tensor, out: Tensor, rows: int, columns: int) -> None:
    """The first ``rows`` by ``columns`` of each entry of x (B, I, J), transposed, to the
    beginning of each entry of ``out`` (B, K, M). Both are contiguous."""
    TILE = 64 if x.is_cuda else 4
    tiles = ceil_div(rows, TILE) * ceil_div(columns, TILE)
    (batch, I, J), (_, K, M) = x.shape, out.shape
    # One axis for both: CUDA ends a second one at 65535 programs.
    runner(transpose_kernel, x)[(batch * tiles,)](
        x, out, rows, columns, J, M, I * J, K * M, TILE,
    )  # fmt: skip
