"""The weights of all that came before each chunk, and their products with it, against a loop over the chunks."""

import numpy as np
import pytest
import torch

from seqlab.ops.hippo.reach import SMALL, reach_numbers, reach_of

COUNTS = [2, SMALL, SMALL + 1, 49, 64]


def normal(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape)).float()


@pytest.mark.parametrize("items", COUNTS)
@pytest.mark.parametrize(("size", "order"), [(1, 5), (8, 3), (4, 4)])
def test_what_is_kept_is_counted_exactly(items, size, order):
    reach = reach_of(normal(items, size, order), normal(items, order, order))
    before_groups = 0 if reach.before_groups is None else reach.before_groups.numel()
    assert reach.weights.numel() + before_groups == reach_numbers(items, size, order)
    assert (reach.before_groups is None) == (items <= SMALL)


@pytest.mark.parametrize("items", COUNTS)
def test_weights_reach_every_item_as_a_loop_does(items):
    size, order, rows = 3, 5, 4
    inputs, maps = normal(items, size, order), 0.3 * normal(items, order, order)
    heard, state = normal(rows, items, size), normal(rows, order)
    reach = reach_of(inputs, maps)
    before_groups = [] if reach.before_groups is None else list(reach.before_groups)
    earliest, of_group = state, []
    for j in range(items):
        place = j % reach.group
        if place == 0:
            first, of_group = state, list(reach.weights[j // reach.group])
            if before_groups:
                weights, before_groups = cut(before_groups, order + j * size)
                known = torch.cat([earliest, heard[:, :j].flatten(1)], 1)
                torch.testing.assert_close(known @ weights, state, rtol=1e-4, atol=1e-4)
        weights, of_group = cut(of_group, order + place * size)
        known = torch.cat([first, heard[:, j - place : j].flatten(1)], 1)
        torch.testing.assert_close(known @ weights, state, rtol=1e-4, atol=1e-4)
        state = state @ maps[j] + heard[:, j] @ inputs[j]
    assert not before_groups


def cut(rows, count):
    """The first rows as a matrix, and those that are left."""
    return torch.stack(rows[:count]), rows[count:]
