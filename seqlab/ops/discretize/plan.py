"""How discretize's kernels are launched, by the shapes of A, B and dt: looked up, so that a
call pays for it once.

The leading axes are cut in two and folded into T and D, such that each tensor varies
along all of T or not at all, and likewise along D.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.sizes import power_of_two

Shape = tuple[int, ...]

T, D, N = 4, 2, 1
"""The axes along which a tensor varies are a sum of these."""


class Tiling(NamedTuple):
    numbers: int
    """Real numbers in a tile."""
    programs: int
    longest_span: int
    num_warps: int


# Those that won on an H100. The backward pass sums over rows at every time: within a warp
# that is a few shuffles, between warps a wait of all for all.
FORWARD = Tiling(512, 2**14, 16, 2)
BACKWARD = Tiling(256, 2**12, 64, 1)
INTERPRETED = (2, 4, 2, 4)  # small, as the interpreter visits the numbers one by one


class Operand(NamedTuple):
    """A, B or dt in a launch, and its gradient."""

    axes: int
    expanded: Shape | None
    """What the tensor has to be expanded to; None where it may stay as it is."""
    parts: Shape
    """Of its gradient: (T or spans, D or blocks of rows, N or blocks of columns)."""
    summed: Shape
    """The axes of the parts that are summed."""

    def expand(self, x: Tensor) -> Tensor:
        return x if self.expanded is None else x.expand(self.expanded)

    def parts_like(self, x: Tensor) -> Tensor:
        """Room for the gradient, or for the parts that it is the sum of."""
        if self.expanded is None and not self.summed:
            return x.new_empty(x.shape)
        return x.new_empty(self.parts, dtype=accumulation_dtype(x.dtype))

    def sum(self, parts: Tensor, x: Tensor) -> Tensor:
        """The gradient of the shape and dtype of x."""
        if self.summed:
            parts = parts.sum(self.summed)
        if self.expanded is not None:
            parts = parts.view(self.expanded).sum_to_size(x.shape)
        if parts.shape != x.shape:
            parts = parts.view(x.shape)
        return parts if parts.dtype == x.dtype else parts.to(x.dtype)


class Plan(NamedTuple):
    A_bar: Shape
    B_bar: Shape
    A: Operand
    B: Operand
    dt: Operand
    grid: tuple[int]
    sizes: tuple[int, int, int]
    """T, D and N."""
    constants: tuple[str | int | bool, ...]
    """METHOD, A_AXES, B_AXES, DT_AXES, COMPLEX, SPAN, ROWS, COLUMNS."""
    num_warps: int


@lru_cache(maxsize=1024)
def plan_launch(
    A: Shape,
    B: Shape,
    dt: Shape,
    dtype: torch.dtype,
    method: str,
    backward: bool,
    compiled: bool,
) -> Plan:
    """The launch for shapes A (..., N), B (..., N or 1) and dt (...), broadcast with one
    another, and for A's dtype."""
    whole = tuple(torch.broadcast_shapes(A, B, (*dt, 1)))
    shapes = [(1,) * (len(whole) - len(x)) + tuple(x) for x in (A, B, (*dt, 1))]
    cut = _cut(shapes, whole)
    sizes = (prod(whole[:cut]), prod(whole[cut:-1]), whole[-1])
    if compiled:
        tiling = BACKWARD if backward else FORWARD
        *tile, num_warps = _tile(sizes, dtype.is_complex, tiling)
    else:
        *tile, num_warps = INTERPRETED
    blocks = tuple(-(-size // per) for size, per in zip(sizes, tile, strict=True))
    A_operand, B_operand, dt_operand = (
        _operand(x, whole, cut, sizes, blocks) for x in shapes
    )
    if dt_operand.expanded is not None:
        dt_operand = dt_operand._replace(expanded=dt_operand.expanded[:-1])
    axes = (A_operand.axes, B_operand.axes, dt_operand.axes)
    return Plan(
        A_bar=whole,
        B_bar=(2, *whole) if method == "foh" else whole,
        A=A_operand,
        B=B_operand,
        dt=dt_operand,
        grid=(prod(blocks),),
        sizes=sizes,
        constants=(method, *axes, dtype.is_complex, *tile),
        num_warps=num_warps,
    )


def _cut(shapes: list[Shape], whole: Shape) -> int:
    """Where to cut the leading axes, so that fewest tensors have to be expanded."""

    def expansions(cut: int) -> int:
        halves = (slice(0, cut), slice(cut, -1))
        return sum(_varies_in_part(x[h], whole[h]) for x in shapes for h in halves)

    return min(range(len(whole)), key=expansions)


def _varies_in_part(shape: Shape, whole: Shape) -> bool:
    return prod(shape) != 1 and shape != whole


def _operand(
    shape: Shape, whole: Shape, cut: int, sizes: Shape, blocks: Shape
) -> Operand:
    halves = (slice(0, cut), slice(cut, -1))
    varies = [prod(shape[h]) > 1 for h in halves] + [shape[-1] > 1]
    expanded = None
    if any(_varies_in_part(shape[h], whole[h]) for h in halves):
        leading = [whole[h] if prod(shape[h]) > 1 else shape[h] for h in halves]
        expanded = (*leading[0], *leading[1], shape[-1])
    parts = tuple(
        size if along else count
        for size, count, along in zip(sizes, blocks, varies, strict=True)
    )
    summed = tuple(axis for axis in range(3) if not varies[axis] and blocks[axis] > 1)
    return Operand(
        T * varies[0] + D * varies[1] + N * varies[2], expanded, parts, summed
    )


def _tile(sizes: Shape, imaginary: bool, tiling: Tiling) -> Shape:
    """SPAN, ROWS, COLUMNS and warps: so many numbers, over as long a span of times as leaves
    so many programs."""
    length, channels, states = sizes
    columns = min(power_of_two(states), 64)
    rows = tiling.numbers // columns // (2 if imaginary else 1)
    rows = min(rows, power_of_two(channels))
    tiles = -(-channels // rows) * -(-states // columns)
    span = power_of_two(length * tiles // tiling.programs + 1)
    return min(span, tiling.longest_span), rows, columns, tiling.num_warps
