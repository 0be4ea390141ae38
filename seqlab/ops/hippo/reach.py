"""What reaches the start of each chunk of time: the weights of all that came before, kept
where there are few."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

SMALL = 16  # so many items need no groups


@dataclass(frozen=True)
class Groups:
    """What reaches groups of items. ``ends`` (rows, N): of what the items of each group
    but the last hear, where the group ends; all groups one after the other. ``weights``
    (rows, N): what reaches the state before each group, of the first state (N rows), then
    of where the groups before it end, each from zero (N rows each)."""

    ends: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Reach:
    """Items in time, each of which hears ``size`` numbers, in groups of ``group``.

    ``weights`` (groups, rows, N): what reaches the state before each item of a group, of
    the group's first state (N rows), then of what the group's items before it hear (size
    rows each); all items one after the other. ``groups`` is None if there is one alone.
    """

    size: int
    group: int
    weights: Tensor
    groups: Groups | None


def reach_of(inputs: Tensor, maps: Tensor) -> Reach:
    """From what the items make of what they hear (J, size, N), and how they map states,
    which are row vectors (J, N, N); products are formed in float64."""
    items, size, _ = inputs.shape
    group = _group(items)
    missing = (0, 0, 0, 0, 0, -items % group)
    weights, after = _before_each(
        *(pad(x.double(), missing).unflatten(0, (-1, group)) for x in (inputs, maps))
    )
    groups = None
    if len(weights) > 1:
        order = maps.shape[-1]
        of_first, of_heard = after[:, :order], after[:, order:]
        units = torch.eye(order).to(of_first).expand_as(of_first)
        before, _ = _before_each(units, of_first)
        groups = Groups(
            of_heard[:-1].flatten(0, 1).float().contiguous(), before.float()
        )
    return Reach(size, group, weights.float(), groups)


def reach_numbers(items: int, size: int, order: int) -> int:
    """How many numbers ``reach_of`` keeps."""
    group = _group(items)
    groups = -(-items // group)
    rows = groups * _rows(group, size, order)
    if groups > 1:
        rows += (groups - 1) * group * size + _rows(groups, order, order)
    return rows * order


def _group(items: int) -> int:
    """As many items as there are groups, or half as many: both are long sums."""
    return items if items <= SMALL else 2 ** ((items - 1).bit_length() // 2)


def _rows(items: int, size: int, order: int) -> int:
    return items * order + items * (items - 1) // 2 * size


def _before_each(inputs: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """The weights (..., rows, N) of the states before each item, one after the other, and
    those of the state after the last."""
    column = torch.eye(maps.shape[-1]).to(maps).expand_as(maps[..., 0, :, :])
    columns = []
    for i in range(inputs.shape[-3]):
        columns.append(column)
        moved = column @ maps[..., i, :, :]  # eq. 4.14
        column = torch.cat([moved, inputs[..., i, :, :]], dim=-2)
    return torch.cat(columns, dim=-2), column
