"""What reaches the start of each chunk of time: the weights of all that came before, kept
where there are few."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

GROUP = 8  # items of a group; of at most SMALL items there is one group
SMALL = 16


@dataclass(frozen=True)
class Reach:
    """Items in time, each of which hears ``size`` numbers, in groups of ``group``.

    ``weights`` (groups, group + 1, N + group size, N): what reaches the state before each
    item of a group, and that after the last, of the group's first state (N rows), then of
    what each item hears (size rows; zeros for the later items). Of more than one group
    also ``upper``, the groups as items that hear where each of them ends.
    """

    items: int
    size: int
    group: int
    weights: Tensor
    upper: "Reach | None"


def reach_of(inputs: Tensor, maps: Tensor) -> Reach:
    """From what the items make of what they hear (J, size, N), and how they map states,
    which are row vectors (J, N, N); products are formed in float64."""
    return _reach_of(inputs.double(), maps.double())


def reach_numbers(items: int, size: int, order: int) -> int:
    """How many numbers ``reach_of`` keeps."""
    group = _group(items)
    groups = -(-items // group)
    upper = reach_numbers(groups, order, order) if groups > 1 else 0
    return groups * (group + 1) * (order + group * size) * order + upper


def _group(items: int) -> int:
    return items if items <= SMALL else GROUP


def _reach_of(inputs: Tensor, maps: Tensor) -> Reach:
    items, size, order = inputs.shape
    group = _group(items)
    groups = -(-items // group)
    missing = (0, 0, 0, 0, 0, groups * group - items)
    inputs, maps = (
        pad(x, missing).unflatten(0, (groups, group)) for x in (inputs, maps)
    )
    column = maps.new_zeros((groups, order + group * size, order))
    column[:, :order] = torch.eye(order)
    columns = [column]
    for i in range(group):
        column = column @ maps[:, i]  # eq. 4.14
        column[:, order + i * size : order + (i + 1) * size] = inputs[:, i]
        columns.append(column)
    upper = None
    if groups > 1:
        unit = torch.eye(order).to(maps)
        upper = _reach_of(unit.expand(groups, -1, -1), column[:, :order])
    weights = torch.stack(columns, dim=1).float()
    return Reach(items, size, group, weights, upper)
