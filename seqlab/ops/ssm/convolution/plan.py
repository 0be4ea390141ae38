"""How the chunked convolution is launched, by the shapes of u and A_bar: sequences are cut into
chunks, and chunks into segments, which programs walk side by side."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.ops.device.tf32_products import takes_tf32
from seqlab.ops.sizes import ceil_div, power_of_two
from seqlab.ops.ssm import kernel as recurrence

MOST_MODES = 64
"""Numbers of a state whose matrices fit on the chip."""
MOST_SEGMENTS = 64
"""Of a sequence: at each the decay over a segment is rounded again."""
ENOUGH = 1024
"""Programs that keep any GPU busy."""
T = 32
WALK = {"ROWS": 16, "num_warps": 2}
CORRELATION = {"ROWS": 16, "num_warps": 4}
INTERPRETED = {"T": 2, "ROWS": 2}  # it visits numbers one by one


class Plan(NamedTuple):
    """What a launch needs beside its tensors: looked up by shape."""

    chunks: int
    """Whole chunks of a sequence, none if all is a recurrence."""
    left: int
    """Steps beyond the last one."""
    segments: int
    modes: int
    """Numbers of a state."""
    all_but_one: tuple[int]
    """Programs for all segments of a sequence but one."""
    grid: tuple[int]
    """Programs for all of them."""
    correlations: tuple[int]
    """Programs that form correlations of all of them."""
    sizes: tuple[int, int, int, int, int]
    """batch, channels, chunks, chunks of a segment, segments"""
    complex: bool
    kept: tuple[tuple[int, ...], tuple[int, ...]]
    """What ``kept_shapes`` returns."""
    joined: torch.Size
    """Of the states between segments as a scan takes them, (B, segments - 1, D N)."""
    tiling: dict[str, int]
    correlation_tiling: dict[str, int]


@lru_cache(maxsize=1024)
def plan_launches(shape: torch.Size, N: int, is_complex: bool, compiled: bool) -> Plan:
    """The launches for u of such a shape and N modes."""
    batch, length, channels = shape
    modes = 2 * N if is_complex else N
    PAIRS = power_of_two(ceil_div(modes, 2))
    if compiled:
        sizes = {"T": T, "PAIRS": max(16, PAIRS)}  # a product takes no fewer
        tiling, correlation_tiling = {**WALK, **sizes}, {**CORRELATION, **sizes}
    else:
        tiling = correlation_tiling = {**INTERPRETED, "PAIRS": PAIRS}
    rows = tiling["ROWS"]
    chunks, left = divmod(length, tiling["T"])
    if is_recurrence(length, modes, compiled):
        chunks, left = 0, length
    span, segments = cut(batch, chunks, channels, compiled)
    return Plan(
        chunks,
        left,
        segments,
        modes,
        (channels * ceil_div(batch * (segments - 1), rows),),
        (channels * ceil_div(batch * segments, rows),),
        (channels * ceil_div(batch * segments, correlation_tiling["ROWS"]),),
        (batch, channels, chunks, span, segments),
        is_complex,
        kept_shapes(shape, N, is_complex, compiled),
        torch.Size((batch, segments - 1, channels * N)),
        tiling,
        correlation_tiling,
    )


def cut(batch: int, chunks: int, channels: int, compiled: bool) -> tuple[int, int]:
    """How many chunks a segment has, and how many segments there are: enough to fill the
    rows of enough programs. The sizes may be symbols."""
    rows = WALK["ROWS"] if compiled else INTERPRETED["ROWS"]
    programs = ceil_div(ENOUGH, channels) if compiled else 2
    segments = torch.sym_min(ceil_div(programs * rows, batch), MOST_SEGMENTS)
    segments = torch.sym_max(torch.sym_min(segments, chunks), 1)
    span = torch.sym_max(ceil_div(chunks, segments), 1)
    return span, torch.sym_max(ceil_div(chunks, span), 1)


def kept_shapes(
    shape: torch.Size, N: int, is_complex: bool, compiled: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the states between segments, with room for one where there is none, and of that
    before the last few steps. They do not ask whether a length takes chunks: PyTorch would
    not trace tensors that are empty for some lengths. The sizes may be symbols."""
    batch, length, channels = shape
    modes = 2 * N if is_complex else N
    if modes > MOST_MODES:
        return recurrence.kept_shape(shape, N, is_complex, compiled), (0,)
    steps = T if compiled else INTERPRETED["T"]
    _, segments = cut(batch, length // steps, channels, compiled)
    borders = torch.sym_max(segments - 1, 1)
    return (batch * borders * channels * modes,), (batch, channels, N)


def steps_of_walk(shape: torch.Size, N: int, is_complex: bool, compiled: bool) -> int:
    """How many steps are in whole chunks, but one chunk's where there are none, and 0 for a
    state too large for the chip. The length may be a symbol."""
    if (2 * N if is_complex else N) > MOST_MODES:
        return 0
    steps = T if compiled else INTERPRETED["T"]
    return torch.sym_max(shape[1] // steps, 1) * steps


def kept(
    A_bar: Tensor, between: Tensor | None, middle: Tensor | None, plan: Plan
) -> tuple[Tensor, Tensor]:
    """Both, and tensors of these shapes for what there is none of: nobody reads them."""
    if between is None:
        between = A_bar.new_empty(plan.kept[0], dtype=torch.float32)
    return between, A_bar.new_empty(plan.kept[1]) if middle is None else middle


def is_recurrence(length: int, modes: int, compiled: bool) -> bool:
    """Whether there are no chunks: a state is too large for the chip, or one launch of
    the recurrence is all that it takes."""
    return modes > MOST_MODES or length <= recurrence.steps_of_chunk(compiled)


def in_parts(u: Tensor) -> bool:
    """Whether products take numbers in parts. For u of 16 bits one product of tf32 will do:
    u is exact in it, and the rest is rounded to 11 bits, where y has no more."""
    return u.dtype == torch.float32 and takes_tf32(u.device)
