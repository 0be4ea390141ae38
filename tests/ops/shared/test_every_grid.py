"""Grids of programs, recorded without a GPU: only the first axis may be long, as CUDA ends the others at 65535."""

import pytest

from seqlab.catalogue import PAIRINGS
from seqlab.ops.backends import has_triton

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_triton(), reason="no Triton")]

MOST_OF_THE_FIRST, MOST_OF_OTHERS = 2**31 - 1, 65535
LONG = {"batch": 70_001, "heads": 70_001, "channels": 2_100_007, "length": 8_400_001}


@pytest.mark.parametrize("name", [name for name, pairing in PAIRINGS.items() if "cuda" in pairing.sizes])
def test_no_axis_of_a_grid_is_longer_than_cuda_takes(name):
    """With each size in turn so large that there are more blocks of it than 65535, and the others as they are where
    states pass between programs."""
    from launches import arguments_at, launches_of

    pairing, grids = PAIRINGS[name], []
    large = [{**pairing.carry, axis: size} for axis, size in LONG.items() if axis in pairing.carry]
    launches_of(pairing, arguments_at(pairing, large), grids)
    assert grids
    assert max(max(grid) for _, grid in grids) > MOST_OF_OTHERS  # so that a long axis would have been seen
    for kernel, (first, *others) in grids:
        assert first <= MOST_OF_THE_FIRST, kernel
        assert max(others, default=1) <= MOST_OF_OTHERS, kernel
