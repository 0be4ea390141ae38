"""How the selective scan's kernels cut time: sequences into chunks, which programs walk side by
side, and chunks into windows, before which states are kept for the backward pass."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlab.ops.sizes import ceil_div, power_of_two


class Plan(NamedTuple):
    """What the launches of a direction in time need beside their tensors."""

    all_but_one: tuple[int]
    """Programs of launch 1."""
    grid: tuple[int]
    """Programs of launch 3."""
    sizes: tuple[int, int, int, int, int, int]
    """batch, length, width, chunks, span, modes"""
    together: int
    """Tiles, each a chunk of a batch entry, that a launch 3 in waves takes at once."""
    window: int
    """Steps from one state that is kept to the next; they divide the span."""
    summing: dict[str, Any]
    """The tiling of launch 1."""
    writing: dict[str, Any]
    """The tiling of launch 3."""

    @property
    def chunks(self) -> int:
        return self.sizes[3]


def plan_tiles(
    shape: torch.Size,
    modes: int,
    compiled: bool,
    summing: dict[str, Any],
    writing: dict[str, Any],
    busy: int,
    fewest: int = 2,
    wave: int | None = None,
) -> Plan:
    """The launches of these two tilings for u of such a shape and so many states a channel:
    as many chunks as it takes for ``busy`` warps, none of less than two windows, and one
    alone where fewer than ``fewest`` would do. Tiles of ``wave`` warps are launched
    together, or all of them."""
    batch, length, width = shape
    of_first, blocks = (ceil_div(width, x["BLOCK"]) for x in (summing, writing))
    window = steps_of_window(compiled)
    windows = ceil_div(length, window)
    warps = writing.get("num_warps", 1)
    chunks = busy // (batch * blocks * warps)
    span = ceil_div(
        windows, min(chunks, ceil_div(windows, 2)) if chunks >= fewest else 1
    )
    chunks = ceil_div(windows, span)
    span = span * window if chunks > 1 else length
    sizes = batch, length, width, chunks, span, modes
    together = tiles = chunks * batch
    if wave is not None:
        together = min(tiles, ceil_div(wave // warps, blocks))
    return Plan(
        ((chunks - 1) * batch * of_first,),
        (tiles * blocks,),
        sizes,
        together,
        window,
        summing,
        writing,
    )


MARGIN = 8
"""Rows of zeros after the last B_t and C_t of a batch entry, so that a group of steps that
the end cuts off takes them without a mask."""


def steps_of_window(compiled: bool) -> int:
    """Steps from one state that is kept to the next."""
    return 32 if compiled else 4


def kept_shape(u: Tensor, A: Tensor) -> tuple[int]:
    """Of the states before windows, in a row: PyTorch would not trace an axis that is 1 for
    some lengths and more for others. Real ones are kept as a tile has them, whose states
    are a power of two, and behind them B and C, (B, L + MARGIN, N) each."""
    batch, length, width = u.shape
    windows, modes = ceil_div(length, steps_of_window(u.is_cuda)), A.shape[1]
    if A.is_complex():
        return (windows * batch * modes * width,)
    states = windows * batch * power_of_two(modes) * width
    return (states + 2 * batch * (length + MARGIN) * modes,)
