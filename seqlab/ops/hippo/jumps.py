"""How chunks of time map the states before them: what the carry over many chunks needs,
made once."""

from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 16  # chunks that are carried together


@dataclass(frozen=True)
class Jumps:
    """How chunks map states, which are row vectors: ``maps`` (J or 1, N, N). Of more
    than GROUP chunks also what each makes of its group's first state, side by side in
    ``within`` (groups or 1, N, GROUP N), and how whole groups map states."""

    maps: Tensor
    within: Tensor | None = None
    groups: "Jumps | None" = None


def jumps_of(maps: Tensor, chunks: int) -> Jumps:
    """From the maps of the chunks, (J, N, N), or (1, N, N) if all are the same; products
    of them are formed in float64."""
    return _jumps_of(maps.double(), chunks)


def _jumps_of(maps: Tensor, chunks: int) -> Jumps:
    if chunks <= GROUP:
        return Jumps(maps.float().contiguous())
    groups = -(-chunks // GROUP)
    unit = torch.eye(maps.shape[-1]).to(maps)
    if len(maps) == 1:
        grouped = maps.expand(1, GROUP, -1, -1)
    else:
        missing = groups * GROUP - chunks
        filled = torch.cat([maps, unit.expand(missing, -1, -1)])
        grouped = filled.unflatten(0, (groups, GROUP))
    within = [unit.expand(len(grouped), -1, -1)]
    for i in range(GROUP):
        within.append(within[-1] @ grouped[:, i])
    whole = _jumps_of(within.pop(), groups)
    return Jumps(maps.float().contiguous(), torch.cat(within, dim=2).float(), whole)
