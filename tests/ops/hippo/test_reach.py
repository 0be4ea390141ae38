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
    of_groups = 0 if reach.groups is None else reach.groups.ends.numel() + reach.groups.weights.numel()
    assert reach.weights.numel() + of_groups == reach_numbers(items, size, order)
    assert (reach.groups is None) == (items <= SMALL)


@pytest.mark.parametrize("items", COUNTS)
def test_weights_reach_every_item_as_a_loop_does(items):
    size, order, rows = 3, 5, 4
    inputs, maps = normal(items, size, order), 0.3 * normal(items, order, order)
    heard, state = normal(rows, items, size), normal(rows, order)
    reach = reach_of(inputs, maps)
    span = reach.group * size
    ends, before_groups, earliest, of_group = [], [], state, []
    if reach.groups is not None:
        of_heard = reach.groups.ends.unflatten(0, (-1, span))
        ends = [heard.flatten(1)[:, i * span : (i + 1) * span] @ each for i, each in enumerate(of_heard)]
        before_groups = list(reach.groups.weights)
    for j in range(items):
        group, place = divmod(j, reach.group)
        if place == 0:
            first, of_group = state, list(reach.weights[group])
            if before_groups:
                weights, before_groups = cut(before_groups, order + group * order)
                known = torch.cat([earliest, *ends[:group]], 1)
                torch.testing.assert_close(known @ weights, state, rtol=1e-4, atol=1e-4)
        weights, of_group = cut(of_group, order + place * size)
        known = torch.cat([first, heard[:, j - place : j].flatten(1)], 1)
        torch.testing.assert_close(known @ weights, state, rtol=1e-4, atol=1e-4)
        state = state @ maps[j] + heard[:, j] @ inputs[j]
    assert not before_groups


def cut(rows, count):
    """The first rows as a matrix, and those that are left."""
    return torch.stack(rows[:count]), rows[count:]
