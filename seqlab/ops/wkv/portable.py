"""WKV in plain PyTorch, parallel over chunks of time: the form that runs everywhere.

L steps are cut into about sqrt(L) chunks of about sqrt(L) steps: all chunks advance
together, each from nothing, then the sums between them walk over the chunks and are
joined in. Gradients flow by a linear recurrence, run backward by that op's portable form.
"""

import math

import torch
from torch import Tensor

from seqlab.ops.exponents import LOWEST
from seqlab.ops.linear_scan import portable as linear_scan

Sums = tuple[Tensor, Tensor, Tensor]
"""A numerator a, a denominator b and an exponent m: of the sums a e^m and b e^m."""


def scan(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """y (B, L, C), in the dtype of v, and the last state (B, 3, C), in that of w."""
    dtype, k, v = v.dtype, k.to(w.dtype), v.to(w.dtype)
    before, last = _all_sums(w, k, v, state)
    y, _, _ = average(before, u, k, v)
    return y.to(dtype), normalized(last)


def join(first: Sums, w: Tensor, second: Sums) -> Sums:
    """The sums of two stretches of time, of which the first decays by w."""
    (a1, b1, m1), (a2, b2, m2) = first, second
    m = torch.maximum(m1 - w, m2).clamp(min=LOWEST)
    p, q = what_is_left(m1, w, m), torch.exp(m2 - m)
    return p * a1 + q * a2, p * b1 + q * b2, m


def what_is_left(before: Tensor, w: Tensor, after: Tensor) -> Tensor:
    """Of sums with one exponent among those with the next, when they have decayed by w.
    What rounding makes of the latter, this makes up for; and nothing, whose exponent is
    too large to grow or to decay by any w, stays nothing. In the dtype of w."""
    exponent = (before.to(w.dtype) - after) - w
    return torch.exp(exponent.masked_fill(before <= LOWEST, -torch.inf))


def token(k: Tensor, v: Tensor) -> Sums:
    """A step alone."""
    return v, torch.ones_like(v), k


def average(past: Sums, u: Tensor, k: Tensor, v: Tensor) -> Sums:
    """The average y of the past and of a value v with weight e^(k + u), and of what it
    consists: y = s a + r v. It is 0 where there is nothing to average. A bonus u is not
    lost to rounding beside a large k."""
    a, b, m = past
    top = torch.maximum(m, k + u)
    s, r = torch.exp(m - top), torch.exp((k - top) + u)
    total = s * b + r
    total = torch.where(total == 0, 1, total)
    s, r = s / total, r / total
    return s * a + r * v, s, r


def first_sums(like: Tensor, state: Tensor | None) -> Sums:
    """The sums before the first step: those of the state, or of nothing."""
    if state is None:
        nothing = torch.zeros_like(like)
        return nothing, nothing, nothing + LOWEST
    a, b, m = state.unbind(1)
    return a, b, m.clamp(min=LOWEST)


def normalized(sums: Sums) -> Tensor:
    """The same sums as a state (B, 3, C) whose denominator is 1, but for what it makes up
    for."""
    a, b, m = sums
    top = m + torch.log(torch.where(b == 0, 1, b))
    scale = torch.exp(m - top)
    return torch.stack([scale * a, scale * b, top], dim=1)


def _all_sums(
    w: Tensor, k: Tensor, v: Tensor, state: Tensor | None
) -> tuple[Sums, Sums]:
    """The sums before every step, each (B, L, C), and those after the last, (B, C)."""
    batch, length, channels = v.shape
    last = first_sums(v[:, 0], state)
    sums = v.new_empty((3, batch, length + 1, channels))
    sums[:, :, 0] = torch.stack(last)
    after = sums[:, :, 1:]
    # A power of two: what a chunk decays by, times w, has no error that would come back.
    chunk = 1 << (math.isqrt(length).bit_length() - 1)
    count = length // chunk
    inside = slice(0, count * chunk)
    chunks = after[:, :, inside].unflatten(2, (count, chunk))
    tokens = [x[:, inside].unflatten(1, (count, chunk)) for x in token(k, v)]
    local = first_sums(tokens[0][:, :, 0], None)
    for t in range(chunk):
        a, b, m = (x[:, :, t] for x in tokens)
        local = join(local, w, (a, b, m))
        chunks[:, :, :, t] = torch.stack(local)
    age = torch.arange(1, chunk + 1, dtype=w.dtype, device=w.device)[:, None] * w
    for c in range(count):
        a, b, m = (x[:, None] for x in last)
        chunks[:, :, c] = torch.stack(join((a, b, m), age, tuple(chunks[:, :, c])))
        a, b, m = chunks[:, :, c, -1]
        last = a, b, m
    for t in range(inside.stop, length):
        last = join(last, w, token(k[:, t], v[:, t]))
        after[:, :, t] = torch.stack(last)
    a, b, m = sums[:, :, :-1]
    return (a, b, m), last


def gradients(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    state: Tensor | None,
    last: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to w, u, k, v and the first state, from all of these, the last state and
    the gradients of both results. Flows are gradients to the sums a e^m and b e^m, times
    e^m: to b while the average a / b stays. While a stays, that to b would nearly cancel
    the one to a where the average is an old one."""
    dtype, k, v, grad_y = v.dtype, k.to(w.dtype), v.to(w.dtype), grad_y.to(w.dtype)
    before, _ = _all_sums(w, k, v, state)
    a, b, m = before
    _, size, top = last.unbind(1)
    if grad_last is None:
        grad_last = torch.zeros_like(last)
    size = torch.where(size == 0, 1, size)
    flow_a, flow_b = grad_last[:, 0] / size, grad_last[:, 2] / size

    after = torch.cat([m[:, 1:], top[:, None]], dim=1)
    there = torch.where(b == 0, 1, b)
    held = torch.cat([there[:, 1:], size[:, None]], dim=1)
    # Rounded, its errors would add up from step to step.
    exact = what_is_left(m, w.to(torch.float64), after)
    p, q = exact.to(w.dtype), torch.exp(k - after)
    mean = a / there
    ahead = v - mean
    _, s, r = average(before, u, k, v)
    s = grad_y * s
    flow_a, first_a = _flows(exact, s, flow_a)
    own, pull = s * r * ahead, ahead * flow_a
    flow_b, first_b = _flows(exact, -p * q / held * pull - own, flow_b)
    bonus = b * own
    grad_w = -(b * p * (flow_b - q / held * pull)).sum((0, 1))
    grad_k = bonus + q * (flow_b + p * b / held * pull)
    grad_v = grad_y * r + q * flow_a
    first = [first_a, first_b - mean[:, 0] * first_a, b[:, 0] * first_b]
    grad_state = torch.stack(first, dim=1)
    return grad_w, bonus.sum((0, 1)), grad_k.to(dtype), grad_v.to(dtype), grad_state


def _flows(p: Tensor, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """What flows into every step from later ones, each of which takes p times what comes
    and adds x; and what flows out of the first one. In the dtype of x; p may be wider."""
    flow, first = linear_scan.scan(p, x.to(p.dtype), last.to(p.dtype), reverse=True)
    flow, first = flow.to(x.dtype), first.to(x.dtype)
    return torch.cat([flow[:, 1:], last[:, None]], dim=1), first
