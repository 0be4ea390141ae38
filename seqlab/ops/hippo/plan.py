"""How the LegS kernels cut time and rows: chunks, tiles, and which chunk transitions are
kept.

Chunks lie on a grid that does not depend on where a signal begins: with chunks of S steps,
a power of two, chunk j holds the steps j S + 1 to (j + 1) S. So a chunk's transition
depends on N, the method, S and j alone, and signals of any length and any start share it.
"""

from dataclasses import dataclass
from functools import lru_cache

from seqlab.ops.sizes import power_of_two

GROUP = 8
"""Chunks that the carry takes together."""
BLOCK = 32
"""Orders that a product of the carry takes at a time."""
SINGLE = 64
"""So many steps are one chunk, and so one launch."""
TARGET = 2**13
"""Pairs of a row and a chunk: enough to keep an H100 busy."""
MOST_STEPS = 2**25
"""Steps of unit vectors, times N, that are walked again in each call rather than kept."""
MOST_TRANSITIONS = 2**25
"""Numbers in the transitions of all chunks: 128 MiB."""
MOST_WEIGHTS = 2**24
"""Numbers in the weights of all samples for the last coefficients: 64 MiB."""
NUMBERS = 512
"""Coefficients in the registers of a warp: 16 a lane."""


@dataclass(frozen=True)
class Plan:
    """What the launches for one shape have in common."""

    size: int
    """Steps of a chunk."""
    keeps: bool
    """Whether transitions are kept, or else computed beside the chunk summaries."""
    lanes: int
    """N, filled up to a power of two."""
    most: int
    """Rows of a tile at most."""

    def tile(self, rows: int) -> tuple[int, int]:
        """Rows of a tile and its warps, for so many rows."""
        tile = min(self.most, power_of_two(rows))
        return tile, max(1, tile * self.lanes // NUMBERS)


@lru_cache(maxsize=1024)
def plan(rows: int, length: int, order: int, compiled: bool) -> Plan:
    """For ``rows`` signals, compiled for a GPU or interpreted."""
    lanes = max(16, power_of_two(order))
    if compiled:
        size = SINGLE
        if length > SINGLE:
            busy = rows * length // TARGET
            small = length * order * order // MOST_TRANSITIONS
            size = power_of_two(max(16, busy, small))
        most = max(1, NUMBERS // lanes)
    else:  # the interpreter visits numbers one by one
        size, most = (4, 4) if order < 64 else (8, 4)
    # Unit vectors are N more rows; they cost little where there are many others.
    keeps = order > rows and length * order * order > MOST_STEPS
    return Plan(size, keeps, lanes, most)


def page(first: int, last: int) -> tuple[int, int]:
    """First and length of the stretch of chunks that is kept for those from ``first`` up
    to ``last``: one of few, so that signals share it, and at most twice as long."""
    step = max(1, power_of_two(last - first) // 4)
    begin = first // step * step
    return begin, -(-last // step) * step - begin
