"""The caller's autocast, and how to leave it: what ops and layers compute over time is
kept in their own dtypes, since rounding would add up."""

from contextlib import AbstractContextManager, nullcontext

import torch

AUTOCAST_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
"""What autocast may hand on: it turns one of these into another, and leaves float64."""


def under_autocast(device: torch.device) -> bool:
    """Whether the caller has autocast on for tensors of such a device."""
    # "meta" has no autocast to ask about.
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def outside_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which tensors of such a device keep their dtypes."""
    if under_autocast(device):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
