"""Gated linear attention in plain PyTorch, parallel over groups of steps: the form that
runs everywhere, and the one of the kernels.

All groups of STEPS steps are taken at once, then the state between them walks over the
groups. Within a group time is halved, as in the kernel: of two steps, one lies before and
one behind the middle of just one block of two halves, and their decay is what is left at
the middle times what is left of it after. So reader and writer have a factor each, and all
pairs of them across a middle are a product of matrices.

Decays are exponentials of sums of logarithms, and their gradients are sums, each over the
steps that it needs and no others: nothing is divided, and no difference is taken.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

STEPS = 16
HALVES = 1, 2, 4, 8


class Groups(NamedTuple):
    """The inputs by groups of steps, (B, H, groups, STEPS, width); or what the groups are
    cut into, (B, H, groups, blocks, steps, width)."""

    q: Tensor
    """with its scale"""
    k: Tensor
    v: Tensor
    g: Tensor
    """logarithms of the decays, one for each key channel"""
    own: bool
    """whether a state has decayed at a step that reads it: without a bonus"""

    def reach(self) -> Tensor:
        """What is left, where each step reads, of what there was before all of them."""
        return _sums(self.g, own=self.own).exp()

    def left(self) -> Tensor:
        """What is left, after all of them, of what each step has written."""
        return _sums(self.g, later=True).exp()

    def halves(self, half: int) -> tuple["Groups", "Groups"]:
        """The steps before and behind the middles of blocks of two halves."""
        (q_0, q_1), (k_0, k_1), (v_0, v_1), (g_0, g_1) = (
            _halves(x, half) for x in self[:4]
        )
        return Groups(q_0, k_0, v_0, g_0, self.own), Groups(
            q_1, k_1, v_1, g_1, self.own
        )


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
    groups = _groups_of(q, k, v, log_decay, bonus, scale)
    states, last = _states(groups, state)
    own = (groups.q * _of_groups(bonus) * groups.k).sum(-1, keepdim=True)
    y = (groups.q * groups.reach()) @ states + own * groups.v
    for half in HALVES:
        before, behind = groups.halves(half)
        scores = (behind.q * behind.reach()) @ (before.k * before.left()).mT
        _halves(y, half)[1].add_(scores @ before.v)
    return _steps(y, v.shape[1]).to(v.dtype), last


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
    groups = _groups_of(q, k, v, log_decay, bonus, scale)
    dy, u = _groups(grad_y.to(log_decay.dtype)), _of_groups(bonus)
    states, _ = _states(groups, state)
    flows, grad_state = _flows(groups, dy, grad_last)
    reach, left = groups.reach(), groups.left()
    dq, dk = reach * (dy @ states.mT), left * (groups.v @ flows.mT)
    dv = (groups.k * left) @ flows
    # A decay is in all that is read from its step on of what was written before it. What
    # is in the exponent of a product gets the product's gradient times the product.
    dg = _sums(groups.q * dq, later=True, own=groups.own) + _sums(groups.k * dk)
    dg += (_total(groups) * (states * flows).sum(-1))[..., None, :]
    for half in HALVES:
        before, behind = groups.halves(half)
        reach, left = behind.reach(), before.left()
        reader, writer = behind.q * reach, before.k * left
        _, dy_behind = _halves(dy, half)
        pairs = dy_behind @ before.v.mT
        of_q, of_k = reach * (pairs @ writer), left * (pairs.mT @ reader)
        _halves(dq, half)[1].add_(of_q)
        _halves(dk, half)[0].add_(of_k)
        _halves(dv, half)[0].add_((writer @ reader.mT) @ dy_behind)
        dg_before, dg_behind = _halves(dg, half)
        dg_before.add_(_sums(before.k * of_k))
        dg_behind.add_(_sums(behind.q * of_q, later=True, own=groups.own))
    present = (dy * groups.v).sum(-1, keepdim=True)
    dq += present * u * groups.k
    dk += present * u * groups.q
    dv += (groups.q * u * groups.k).sum(-1, keepdim=True) * dy
    grad_bonus = None
    if bonus is not None:
        grad_bonus = (groups.q * present * groups.k).sum((0, 2, 3))
    dq, dk, dv, grad_log = (_steps(x, v.shape[1]) for x in (scale * dq, dk, dv, dg))
    if log_decay.ndim in (1, 3):
        grad_log = grad_log.sum(-1)
    if log_decay.ndim <= 2:
        grad_log = grad_log.sum((0, 1))
    dq, dk, dv = dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype)
    return dq, dk, dv, grad_log, grad_bonus, grad_state


def _groups_of(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    bonus: Tensor | None,
    scale: float,
) -> Groups:
    wide = log_decay.dtype
    if log_decay.ndim in (1, 3):
        log_decay = log_decay[..., None]
    inputs = scale * q.to(wide), k.to(wide), v.to(wide), log_decay.expand(k.shape)
    q, k, v, g = map(_groups, inputs)
    return Groups(q, k, v, g, bonus is None)


def _of_groups(bonus: Tensor | None) -> Tensor | float:
    """The weight of the present, that broadcasts against groups: 1 without a bonus."""
    return 1.0 if bonus is None else bonus[:, None, None]


def _states(groups: Groups, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """The states before groups (B, H, groups, K, V), and the last."""
    written = (groups.k * groups.left()).mT @ groups.v
    return _walk(_total(groups), written, state)


def _flows(
    groups: Groups, dy: Tensor, grad_last: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gradients of the states after groups (B, H, groups, K, V), and of the first."""
    read = (groups.q * groups.reach()).mT @ dy
    flows, first = _walk(_total(groups).flip(2), read.flip(2), grad_last)
    return flows.flip(2), first


def _total(groups: Groups) -> Tensor:
    """What is left of a state after a group (B, H, groups, K)."""
    return groups.g.sum(-2).exp()


def _walk(
    total: Tensor, summaries: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The states before groups and the one after the last, in the order given."""
    states = torch.empty_like(summaries)
    last = torch.zeros_like(summaries[:, :, 0]) if state is None else state
    for group in range(total.shape[2]):
        states[:, :, group] = last
        last = torch.addcmul(summaries[:, :, group], total[:, :, group, :, None], last)
    return states, last


def _sums(x: Tensor, later: bool = False, own: bool = False) -> Tensor:
    """For each step the sum over the steps before it, or over the later ones, and its own
    if ``own``."""
    x = x.flip(-2) if later else x
    sums = x.cumsum(-2) if own else pad(x[..., :-1, :].cumsum(-2), (0, 0, 1, 0))
    return sums.flip(-2) if later else sums


def _halves(x: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """(..., STEPS, width) as the steps before and behind the middles of its blocks, two
    views (..., blocks, half, width)."""
    before, behind = x.unflatten(-2, (-1, 2, half)).unbind(-3)
    return before, behind


def _groups(x: Tensor) -> Tensor:
    """(B, L, H, width) as (B, H, groups, STEPS, width), with zeros past the end of time:
    they change nothing."""
    x = pad(x, (0, 0, 0, 0, 0, -x.shape[1] % STEPS))
    return x.unflatten(1, (-1, STEPS)).permute(0, 3, 1, 2, 4)


def _steps(x: Tensor, length: int) -> Tensor:
    """What ``_groups`` did, undone."""
    return x.permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length].contiguous()
