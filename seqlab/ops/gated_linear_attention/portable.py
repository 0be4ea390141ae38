"""Gated linear attention in plain PyTorch, parallel over groups of steps: the form that
runs everywhere, and the one of the kernels.

All groups of STEPS steps advance together, each by products of matrices, then the state
between them walks over the groups. Gradients are the same two functions in both
directions of time, of which ``values`` gives y and dv, ``keys`` dq and dk.
"""

from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 16


class Decays(NamedTuple):
    """Of groups of steps (B, H, groups, STEPS, K), in the direction that is walked."""

    a: Tensor
    """of each step"""
    total: Tensor
    """of each group (B, H, groups, K)"""
    first: bool
    """whether the state has decayed once more when a step reads it"""
    last: bool
    """whether what a step writes decays at once"""


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """y (B, L, H, V), in the dtype of v, and the last state, in that of log_decay."""
    wide, length = log_decay.dtype, v.shape[1]
    decays = _decays(log_decay, k, bonus, False)
    q, k, v_g = (_groups(x.to(wide), False) for x in (scale * q.to(wide), k, v))
    y, last, _ = _values(q, k, v_g, decays, _of_groups(bonus), state)
    return _steps(y, length, False).to(v.dtype), last


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    state: Tensor | None,
    grad_y: Tensor,
    grad_last: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor]:
    """Gradients to q, k, v, log_decay, the bonus and the first state."""
    wide, length, u = log_decay.dtype, v.shape[1], _of_groups(bonus)
    scaled = scale * q.to(wide)

    def groups(reverse: bool) -> list[Tensor]:
        return [_groups(x.to(wide), reverse) for x in (scaled, k, v, grad_y)]

    q_g, k_g, v_g, dy = groups(False)
    decays = _decays(log_decay, k, bonus, False)
    _, last, states = _values(q_g, k_g, v_g, decays, u, state)
    dq, of_q = _keys(dy, v_g, k_g, decays, u, states)
    of_q = (q_g * of_q).flip((2, 3))
    present = (dy * v_g).sum(-1, keepdim=True)
    grad_bonus = None if bonus is None else (q_g * present * k_g).sum((0, 2, 3))

    q_g, k_g, v_g, dy = groups(True)
    decays = _decays(log_decay, k, bonus, True)
    dv, grad_state, flows = _values(k_g, q_g, dy, decays, u, grad_last)
    dk, of_k = _keys(v_g, dy, q_g, decays, u, flows)

    # A decay is in all that is read after it of what was written before it: of later
    # groups by the state at the end of its own, of its own by sums over later steps.
    ends = torch.cat([states[:, :, 1:], last[:, :, None]], dim=2).flip(2)
    past = (ends * flows).sum(-1)[..., None, :]
    of_q = of_q.cumsum(-2)
    if bonus is not None:
        of_q = torch.nn.functional.pad(of_q[..., :-1, :], (0, 0, 1, 0))
    grad_log = _steps(past + of_q - (k_g * of_k).cumsum(-2), length, True)
    if log_decay.ndim in (1, 3):
        grad_log = grad_log.sum(-1)
    if log_decay.ndim <= 2:
        grad_log = grad_log.sum((0, 1))
    return (
        (scale * _steps(dq, length, False)).to(q.dtype),
        _steps(dk, length, True).to(k.dtype),
        _steps(dv, length, True).to(v.dtype),
        grad_log,
        grad_bonus,
        grad_state,
    )


def _values(
    reader: Tensor,
    writer: Tensor,
    v: Tensor,
    decays: Decays,
    u: Tensor | float,
    state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What is read from the state at every step, the last state, and the states before
    groups (B, H, groups, K, V)."""
    scores = reader.new_zeros((*reader.shape[:-1], STEPS))
    weights, since, reach = _before_group(decays)
    for t in range(STEPS):
        found, reach[..., t, :], weights, since = _step(decays, t, weights, since)
        scores[..., t, :] = (found * writer @ reader[..., t, :, None])[..., 0]
    states, last = _carry(decays.total, (weights * writer).mT @ v, state)
    own = (reader * u * writer).sum(-1, keepdim=True)
    return (reader * reach) @ states + scores @ v + own * v, last, states


def _keys(
    reader: Tensor,
    writer: Tensor,
    found: Tensor,
    decays: Decays,
    u: Tensor | float,
    states: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradient of what reads the state, and as much of it as comes from other steps."""
    scores = reader @ writer.mT
    inside = torch.zeros_like(found)
    weights, since, reach = _before_group(decays)
    for t in range(STEPS):
        left, reach[..., t, :], weights, since = _step(decays, t, weights, since)
        inside[..., t, :] = (scores[..., t, None, :] @ (left * found))[..., 0, :]
    inside = inside + reach * (reader @ states.mT)
    present = (reader * writer).sum(-1, keepdim=True)
    return inside + present * u * found, inside


def _before_group(decays: Decays) -> tuple[Tensor, Tensor, Tensor]:
    """What is left of each step and of the state before the group, and a place for what is
    left of the latter at each step."""
    a = decays.a
    return torch.zeros_like(a), torch.ones_like(a[..., 0, :]), torch.empty_like(a)


def _step(
    decays: Decays, t: int, weights: Tensor, since: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What step t finds of the ones before it and of the state before the group, and what
    is left of them after it."""
    a = decays.a[..., t, :]
    after, since_after = weights * a[..., None, :], since * a
    found = (after, since_after) if decays.first else (weights, since)
    weights = after.clone()
    weights[..., t, :] = a if decays.last else 1
    return *found, weights, since_after


def _carry(
    total: Tensor, summaries: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The states before groups and the one after the last."""
    states = torch.empty_like(summaries)
    last = torch.zeros_like(summaries[:, :, 0]) if state is None else state
    for group in range(total.shape[2]):
        states[:, :, group] = last
        last = torch.addcmul(summaries[:, :, group], total[:, :, group, :, None], last)
    return states, last


def _decays(
    log_decay: Tensor, k: Tensor, bonus: Tensor | None, reverse: bool
) -> Decays:
    if log_decay.ndim in (1, 3):
        log_decay = log_decay[..., None]
    groups = _groups(log_decay.expand(k.shape), reverse)
    a, total = torch.exp(groups), torch.exp(groups.sum(-2))
    return Decays(a, total, bonus is None and not reverse, bonus is None and reverse)


def _of_groups(bonus: Tensor | None) -> Tensor | float:
    """The weight of the present, that broadcasts against groups: 1 without a bonus."""
    return 1.0 if bonus is None else bonus[:, None, None]


def _groups(x: Tensor, reverse: bool) -> Tensor:
    """(B, L, H, width) as (B, H, groups, STEPS, width), in the direction that is walked,
    with zeros past the end of time: they change nothing."""
    x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % STEPS))
    x = x.flip(1) if reverse else x
    return x.unflatten(1, (-1, STEPS)).permute(0, 3, 1, 2, 4)


def _steps(x: Tensor, length: int, reverse: bool) -> Tensor:
    """What ``_groups`` did, undone."""
    x = x.permute(0, 2, 3, 1, 4).flatten(1, 2)
    x = x.flip(1) if reverse else x
    return x[:, :length].contiguous()
