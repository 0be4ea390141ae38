"""mLSTM in plain PyTorch, parallel over chunks of time: the form that runs everywhere, and
the one of the kernels.

The running maximum makes of it gated linear attention with one decay a head, beside
whose values stands a 1, which sums up to the normalizer. All chunks of CHUNK steps advance
together by products of matrices, then the state walks over them. As raw units do not
know of the maximum, it is a constant to gradients.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from seqlab.ops.exponents import LOWEST, larger

CHUNK = 32

State = tuple[Tensor, Tensor, Tensor]
"""C (B, H, K, V), n (B, H, K) and m (B, H)"""


class Gates(NamedTuple):
    """What becomes of the pre-activations i and f, each (B, L, H)."""

    past: Tensor
    """log f_t + m_(t-1)"""
    m: Tensor
    """the running maximum of ``past`` and i"""
    log_decay: Tensor
    """past - m, at most 0"""
    weight: Tensor
    """e^(i - m)"""


def gates_of(i: Tensor, f: Tensor, before: Tensor) -> Gates:
    """From the m before the first step, (B, H)."""
    log_f = logsigmoid(f)
    m = running_maximum(log_f, i, before)
    last = torch.cat([before[:, None], m[:, :-1]], dim=1)
    # What rounding makes of a maximum, the decay makes up for.
    return Gates(last + log_f, m, (last - m) + log_f, torch.exp(i - m))


def running_maximum(log_f: Tensor, i: Tensor, before: Tensor) -> Tensor:
    """m_t = max(log_f_t + m_(t-1), i_t), over 1, 2, 4, ... steps at once."""
    m = i.clone()
    m[:, 0] = torch.maximum(log_f[:, 0] + before, i[:, 0])
    steps = 1
    while steps < m.shape[1]:
        later = torch.maximum(m[:, :-steps] + log_f[:, steps:], m[:, steps:])
        m = torch.cat([m[:, :steps], later], dim=1)
        sums = log_f[:, :-steps] + log_f[:, steps:]
        log_f = torch.cat([log_f[:, :steps], sums], dim=1)
        steps *= 2
    return m.clamp(min=LOWEST)


def read(y: Tensor, nq: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """h = y / max(|n . q|, e^-m), and what it was divided by: 1 where nothing is read and
    the normalizer is less than the least number that has all its digits."""
    numbers = torch.finfo(m.dtype)
    # An e^-m that overflows has no gradient, not infinity times 0.
    far = -m > math.log(numbers.max)
    size = larger(torch.exp(-m.masked_fill(far, 0)), nq.abs())
    size = size.masked_fill(far, torch.inf).masked_fill(size < numbers.tiny, 0)
    size = size.masked_fill((size == 0) & (y == 0).all(-1), 1)
    return y / size[..., None], size


def first_state(k: Tensor, v: Tensor, like: Tensor, state: State | None) -> State:
    """The state before the first step: the one given, or nothing; k and v without time."""
    if state is None:
        n = torch.zeros_like(k, dtype=like.dtype)
        return n.new_zeros((*k.shape, v.shape[-1])), n, n[..., 0] + LOWEST
    C, n, m = state
    return C, n, m.clamp(min=LOWEST)


def scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """h (B, L, H, V), in the dtype of v, and the last state, in that of i."""
    C, n, m = first_state(k[:, 0], v[:, 0], i, _state(C, n, m))
    chunks = _Chunks(q, k, v, gates_of(i, f, m), torch.cat([C, n[..., None]], -1))
    y = chunks.y
    h, _ = read(y[..., :-1], y[..., -1], chunks.gates.m)
    C, n = chunks.last[..., :-1], chunks.last[..., -1]
    # Clones, as outputs share no memory.
    return h.to(v.dtype), C.contiguous(), n.clone(), chunks.gates.m[:, -1].clone()


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    C: Tensor | None,
    n: Tensor | None,
    m: Tensor | None,
    grad_h: Tensor,
    grad_C: Tensor | None,
    grad_n: Tensor | None,
    grad_m: Tensor | None,
) -> tuple[Tensor, ...]:
    """Gradients to q, k, v, i, f and the parts of the first state."""
    C, n, m = first_state(k[:, 0], v[:, 0], i, _state(C, n, m))
    first = torch.cat([C, n[..., None]], dim=-1)
    chunks = _Chunks(q, k, v, gates_of(i, f, m), first)
    y, gates = chunks.y, chunks.gates
    h, size = read(y[..., :-1], y[..., -1], gates.m)
    dy = grad_h.to(i.dtype) / size[..., None]
    dnq = normalizer_gradient((dy * h).sum(-1), y[..., -1], gates.m)
    flow = grad_of_last(chunks.last, grad_C, grad_n)
    found = chunks.gradients(torch.cat([dy, dnq[..., None]], dim=-1), flow)
    dq, dk, dv, dg, written, flow_first = found
    dm = None
    if grad_C is not None or grad_n is not None or grad_m is not None:
        dm = -(flow * chunks.last).sum((-1, -2))
        dm = dm if grad_m is None else dm + grad_m
    dm_first = (flow_first * first).sum((-1, -2))
    if dm is not None:
        of_i, of_g, of_first = gradients_of_maximum(i, gates.past, dm)
        written, dg, dm_first = written + of_i, dg + of_g, dm_first + of_first
    df = dg * torch.sigmoid(-f)
    grads = dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype), written, df
    dC, dn = flow_first[..., :-1].contiguous(), flow_first[..., -1].clone()
    return *grads, dC, dn, dm_first


def normalizer_gradient(dot: Tensor, nq: Tensor, m: Tensor) -> Tensor:
    """Of n . q, from the products of h and its gradient, divided by the normalizer."""
    return -dot * torch.where(nq.abs() > torch.exp(-m), nq.sign(), 0)


def grad_of_last(last: Tensor, grad_C: Tensor | None, grad_n: Tensor | None) -> Tensor:
    """What flows into the last state, C and n side by side."""
    flow = torch.zeros_like(last)
    if grad_C is not None:
        flow[..., :-1] = grad_C
    if grad_n is not None:
        flow[..., -1] = grad_n
    return flow


def gradients_of_maximum(
    i: Tensor, past: Tensor, dm: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the gradient of the last m gives to every i, to the logarithm of every decay and
    to the m before the first step: it is for the one exponent that was the maximum."""
    is_past = past >= i
    stays = is_past.flip(1).cumprod(1).flip(1).bool()
    later = pad(stays[:, 1:], (0, 0, 0, 1), value=True)
    of_i = torch.where(later & ~is_past, dm[:, None], 0)
    return of_i, torch.where(stays, dm[:, None], 0), torch.where(stays[:, 0], dm, 0)


def _state(C: Tensor | None, n: Tensor | None, m: Tensor | None) -> State | None:
    return None if C is None or n is None or m is None else (C, n, m)


class _Chunks:
    """Gated linear attention in chunks (B, H, chunks, CHUNK, ...), of keys with weights and
    of values with a 1 beside them."""

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, gates: Gates, first: Tensor):
        wide = gates.m.dtype
        self.gates, self.first, self.length = gates, first, v.shape[1]
        self.scale = k.shape[-1] ** -0.5
        v = pad(v.to(wide), (0, 1), value=1)
        self.q, self.k, self.v = (_chunks(x.to(wide)) for x in (q, k, v))
        self.weight = _chunks(self.scale * gates.weight[..., None])
        g = _chunks(gates.log_decay[..., None])[..., 0]
        step = torch.arange(CHUNK, device=g.device)
        self.not_before = step[:, None] >= step
        self.after = step[:, None] > step
        # Sums of numbers of one sign, not differences of sums.
        sums = torch.where(self.after, g[..., :, None], 0).cumsum(-2)
        self.D = torch.where(self.not_before, sums, -torch.inf).exp()
        self.reach = g.cumsum(-1).exp()[..., None]
        self.left = self.D[..., -1, :, None]
        self.total = self.reach[..., -1, :]
        self.written = self.weight * self.k
        self.pairs = self.q @ self.written.mT
        self.states, self.last = self._walk((self.left * self.written).mT @ self.v)

    def _walk(self, summaries: Tensor) -> tuple[Tensor, Tensor]:
        """The states before chunks and the one after the last."""
        states, state = [], self.first
        for chunk in range(summaries.shape[2]):
            states.append(state)
            decay = self.total[:, :, chunk, :, None]
            state = torch.addcmul(summaries[:, :, chunk], decay, state)
        return torch.stack(states, dim=2), state

    @property
    def y(self) -> Tensor:
        """What is read at each step, (B, L, H, V + 1)."""
        inside = (self.pairs * self.D) @ self.v
        return _steps(inside + self.reach * (self.q @ self.states), self.length)

    def gradients(self, dy: Tensor, flow: Tensor) -> tuple[Tensor, ...]:
        """Gradients to q, k, v, the logarithms of the decays, those of the weights, and the
        first state, from those of y and of the last state."""
        dy = _chunks(dy)
        read = (self.reach * self.q).mT @ dy
        flows = []
        for chunk in reversed(range(read.shape[2])):
            flows.append(flow)
            decay = self.total[:, :, chunk, :, None]
            flow = torch.addcmul(read[:, :, chunk], decay, flow)
        after = torch.stack(flows[::-1], dim=2)
        P = (dy @ self.v.mT) * self.D
        of_state = self.reach * (dy @ self.states.mT)
        of_flow = self.left * (self.v @ after.mT)
        dq = P @ self.written + of_state
        dk = self.weight * (P.mT @ self.q + of_flow)
        dv = (self.pairs * self.D).mT @ dy + self.left * (self.written @ after)
        # A decay is in all that is read after it of what was written before it.
        read_later = torch.cat(
            [P * self.pairs, (self.q * of_state).sum(-1, keepdim=True)], dim=-1
        )
        read_later = read_later.flip(-2).cumsum(-2).flip(-2)
        dg = torch.where(self.after, read_later[..., :-1], 0).sum(-1)
        dg = (
            dg
            + read_later[..., -1]
            + (self.total * (after * self.states).sum((-1, -2))[..., None])
        )
        before = (self.written * of_flow).sum(-1).cumsum(-1)
        dg = dg + pad(before[..., :-1], (1, 0))
        written = (dk * self.k).sum(-1, keepdim=True)
        found = dq, dk, dv[..., :-1], dg[..., None], written
        dq, dk, dv, dg, written = (_steps(x, self.length) for x in found)
        return dq, dk, dv, dg[..., 0], written[..., 0], flow


def _chunks(x: Tensor) -> Tensor:
    """(B, L, H, width) as (B, H, chunks, CHUNK, width), with zeros past the end of time:
    they change nothing."""
    x = pad(x, (0, 0, 0, 0, 0, -x.shape[1] % CHUNK))
    return x.unflatten(1, (-1, CHUNK)).permute(0, 3, 1, 2, 4)


def _steps(x: Tensor, length: int) -> Tensor:
    """What ``_chunks`` did, undone."""
    return x.permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length].contiguous()
