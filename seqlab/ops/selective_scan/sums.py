"""What programs of the selective scan's backward passes have summed up, added over programs:
in float32 and in a fixed order, so that the same inputs have the same gradients.

Each kernel adds up the columns of a matrix, COLUMNS a program, ROWS rows at a time. Each of
these has a sum of its own, so that many loads are on their way at once, and that a rounding
is of a ROWS-th of the whole.
"""

import triton
import triton.language as tl
from torch import Tensor

from seqlab.ops.interpreter import runner
from seqlab.ops.sizes import ceil_div

OVER_BLOCKS = {"ROWS": 16, "COLUMNS": 256, "num_warps": 4}
"""Few rows and many columns: there are no more blocks than channels / 32 or so."""
OVER_TILES = {"ROWS": 128, "COLUMNS": 32, "num_warps": 4}
"""The other way round: a GPU is kept busy by as many tiles as it takes, of few channels."""
INTERPRETED = {"ROWS": 4, "COLUMNS": 16}


@triton.jit
def sums_of_columns(pointers, rows, stride, exists, ROWS: tl.constexpr):
    """The sums, (COLUMNS,), from ``pointers`` in the first row; 0 where none ``exists``."""
    row = tl.arange(0, ROWS)[:, None]
    total = tl.zeros((ROWS, pointers.shape[0]), tl.float32)
    for first in range(0, rows, ROWS):
        place = pointers[None, :] + (first + row).to(tl.int64) * stride
        mask = exists[None, :] & (first + row < rows)
        total += tl.load(place, mask=mask, other=0.0).to(tl.float32)
    return tl.sum(total, 0)


@triton.jit(
    do_not_specialize=["blocks", "launched", "together", "length", "chunks", "span"]
)
def over_blocks_kernel(
    sums_ptr, grad_b_ptr, grad_c_ptr,
    blocks, launched, together, length, chunks, span,
    MODES: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Of a wave: ``sums_ptr`` (blocks, together, span, N, 2), of B in turns with C. Tile 0 is
    number ``launched`` of the chunks of batch entry 0, of 1 and so on; where the last chunk
    of an entry ends early, so does what is added."""
    columns = span.to(tl.int64) * (2 * MODES)
    programs = tl.cdiv(columns, COLUMNS)
    tile, part = tl.program_id(0) // programs, tl.program_id(0) % programs
    begin = (launched + tile) % chunks * span
    row = (launched + tile) // chunks * length + begin
    steps = tl.minimum(span, length - begin)
    column = part * COLUMNS + tl.arange(0, COLUMNS)
    sums = sums_of_columns(
        sums_ptr + tile * columns + column,
        blocks, together * columns, column < steps * (2 * MODES), ROWS,
    )  # fmt: skip
    b, c = tl.split(tl.reshape(sums, (COLUMNS // 2, 2)))
    place = part * (COLUMNS // 2) + tl.arange(0, COLUMNS // 2)
    mask = place < steps * MODES
    place += row * MODES
    tl.store(grad_b_ptr + place, b.to(grad_b_ptr.dtype.element_ty), mask=mask)
    tl.store(grad_c_ptr + place, c.to(grad_c_ptr.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["rows"])
def over_rows_kernel(
    rows_ptr, first_ptr, second_ptr, third_ptr, rows, stride, of_first, of_other,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Of rows that have ``of_first`` numbers of one sum, and ``of_other`` of two others,
    either of which may not be asked for."""
    column = tl.program_id(0).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    second, third = column - of_first, column - of_first - of_other
    is_first = second < 0
    is_second, is_third = (second >= 0) & (third < 0), (third >= 0) & (third < of_other)
    exists = is_first
    if second_ptr is not None:
        exists |= is_second
    if third_ptr is not None:
        exists |= is_third
    sums = sums_of_columns(rows_ptr + column, rows, stride, exists, ROWS)
    tl.store(first_ptr + column, sums, mask=is_first)
    if second_ptr is not None:
        tl.store(second_ptr + second, sums, mask=is_second)
    if third_ptr is not None:
        tl.store(third_ptr + third, sums, mask=is_third)


def add_over_blocks(
    sums: Tensor, grad_B: Tensor, grad_C: Tensor, launched: int, tiles: int, chunks: int
) -> None:
    """Of a wave of ``tiles`` tiles from number ``launched`` on, the sums over blocks of
    channels (blocks, together, span, N, 2) to their places in (B, L, N)."""
    blocks, together, span, modes, _ = sums.shape
    tiling = OVER_BLOCKS if sums.is_cuda else INTERPRETED
    programs = tiles * ceil_div(2 * span * modes, tiling["COLUMNS"])
    runner(over_blocks_kernel, sums)[(programs,)](
        sums, grad_B, grad_C,
        blocks, launched, together, grad_B.shape[1], chunks, span, modes, **tiling,
    )  # fmt: skip


def add_rows(
    rows: Tensor,
    first: Tensor,
    second: Tensor | None,
    third: Tensor | None,
    of_other: int,
    tiling: dict[str, int],
) -> None:
    """The sums of columns of ``rows``, real numbers, which begin with those of ``first``, and
    go on with ``of_other`` of ``second`` and as many of ``third``."""
    if not rows.is_cuda:
        tiling = INTERPRETED
    count, stride = rows.shape
    of_first = first.numel() * (2 if first.is_complex() else 1)
    runner(over_rows_kernel, rows)[(ceil_div(stride, tiling["COLUMNS"]),)](
        rows, first, second, third, count, stride, of_first, of_other, **tiling
    )
