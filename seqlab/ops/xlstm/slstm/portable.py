"""sLSTM in plain PyTorch: a loop over time, as each step needs what the one before it said.

What is parallel in time is done for all steps at once: in the backward pass the gates'
pre-activations and the gradient of R are products of matrices outside of the loop.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.exponents import LOWEST, larger

State = tuple[Tensor, Tensor, Tensor, Tensor]
"""c, n, m and h, each (B, H, D)"""


class Step(NamedTuple):
    """What becomes of a step's pre-activations, and of the state before it."""

    past: Tensor
    """log f + m of the step before"""
    F: Tensor
    I: Tensor
    z: Tensor
    o: Tensor
    c: Tensor
    n: Tensor
    m: Tensor


def take(
    i: Tensor, f: Tensor, z: Tensor, o: Tensor, state: tuple[Tensor, ...], forget: str
) -> Step:
    """From the pre-activations of the gates, and c, n and m."""
    c, n, before = state
    log_f = logsigmoid(f) if forget == "sigmoid" else f
    past = log_f + before
    m = larger(past, i).clamp(min=LOWEST)
    # What rounding makes of a maximum, the decay makes up for.
    F, I, z = torch.exp((before - m) + log_f), torch.exp(i - m), torch.tanh(z)
    return Step(past, F, I, z, torch.sigmoid(o), F * c + I * z, F * n + I, m)


def output(step: Step) -> Tensor:
    """h, which is 0 where there is nothing to average."""
    return step.o * step.c / torch.where(step.n == 0, 1, step.n)


def first_state(like: Tensor, state: State | None) -> State:
    """The state before the first step: the one given, or nothing."""
    if state is None:
        nothing = torch.zeros_like(like)
        return nothing, nothing, nothing + LOWEST, nothing
    c, n, m, h = state
    return c, n, m.clamp(min=LOWEST), h


def scan(
    gates: Tensor, R: Tensor, b: Tensor | None, state: State | None, forget: str
) -> tuple[Tensor, State, Tensor]:
    """h (B, L, H, D), in the dtype of gates, the last state, in float32 at least, and c, n
    and m before every step, (3, B, L, H, D)."""
    wide = accumulation_dtype(gates.dtype)
    like = gates[:, 0, 0].to(wide)
    c, n, m, h = first_state(like, state)
    W = R.to(wide)
    x = gates.to(wide) if b is None else gates.to(wide) + b.to(wide)
    outputs, before = [], []
    for x_t in x.unbind(1):
        before.append(torch.stack((c, n, m)))
        i, f, z, o = (x_t + mix(W, h)).unbind(1)
        step = take(i, f, z, o, (c, n, m), forget)
        c, n, m = step.c, step.n, step.m
        # What goes back in is what came out.
        outputs.append(output(step).to(gates.dtype))
        h = outputs[-1].to(wide)
    return torch.stack(outputs, 1), (c, n, m, h.clone()), torch.stack(before, 2)


def mix(R: Tensor, h: Tensor) -> Tensor:
    """What every gate gets of the features of its own head: (B, 4, H, D)."""
    gates, heads, width, _ = R.shape
    turned = in_memory(R.permute(1, 3, 0, 2), h.dtype).flatten(2)
    mixed = torch.bmm(h.transpose(0, 1), turned)
    return mixed.view(heads, -1, gates, width).permute(1, 2, 0, 3)


def outputs_before(h: Tensor, first: Tensor | None) -> Tensor:
    """h before every step, (B, L, H, D), in float32 at least."""
    wide = accumulation_dtype(h.dtype)
    if first is None:
        before = h.new_zeros((h.shape[0], 1, *h.shape[2:]), dtype=wide)
    else:  # as a product took it
        before = first[:, None].to(h.dtype).to(wide)
    return torch.cat([before, h[:, :-1]], dim=1)


def in_memory(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A contiguous copy of that dtype, by one operation."""
    return x.to(dtype, copy=True, memory_format=torch.contiguous_format)


def pre_activations(
    gates: Tensor, R: Tensor, b: Tensor | None, h_before: Tensor
) -> Tensor:
    """Of all steps, (B, L, 4, H, D), in float32 at least."""
    x = gates + mix(R, h_before.flatten(0, 1)).view(gates.shape)
    return (x if b is None else x + b).contiguous()


def parameter_gradients(
    grad_x: Tensor, h_before: Tensor, R: Tensor, b: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Of R and b, from those of the pre-activations: that of R[g, h] is the sum over all
    steps of grad_x h^T."""
    gates, heads, width, _ = R.shape
    steps = grad_x.flatten(0, 1)  # (B L, 4, H, D)
    h = h_before.flatten(0, 1)  # (B L, H, D)
    turned = steps.permute(2, 1, 3, 0).reshape(heads, gates * width, -1)
    grad_R = torch.bmm(turned, h.transpose(0, 1)).view(heads, gates, width, width)
    grad_b = None if b is None else steps.sum(0).to(b.dtype)
    return in_memory(grad_R.transpose(0, 1), R.dtype), grad_b


def grad_of_m(
    last: tuple[Tensor, Tensor], grads: tuple[Tensor | None, ...]
) -> Tensor | None:
    """What the last m gets in the end. Raw units do not know of it: what c and n lose by
    it, it gets."""
    c, n = last
    grad_c, grad_n, grad_m, _ = grads
    if grad_c is None and grad_n is None and grad_m is None:
        return None
    dm = torch.zeros_like(c) if grad_m is None else grad_m
    dm = dm if grad_c is None else dm - grad_c * c
    return dm if grad_n is None else dm - grad_n * n


def walk_back(
    x: Tensor,
    R: Tensor,
    before: Tensor,
    last: tuple[Tensor, Tensor],
    forget: str,
    grad_h: Tensor,
    grads: tuple[Tensor | None, ...],
    of_state: bool,
) -> tuple[Tensor, State | None]:
    """Gradients of the pre-activations and, if it is wanted, of the first state."""
    nothing = torch.zeros_like(before[0, :, 0])
    dm = grad_of_m(last, grads)
    dm = nothing if dm is None else dm
    dc, dn, _, dh = (nothing if grad is None else grad for grad in grads)
    W = R.to(x.dtype)
    grad_x = torch.empty_like(x)
    for t in reversed(range(x.shape[1])):
        c, n, _ = state = tuple(before[:, :, t])
        i, f, z, o = x[:, t].unbind(1)
        step = take(i, f, z, o, state, forget)
        inverse = 1 / torch.where(step.n == 0, 1, step.n)
        dh = dh + grad_h[:, t]
        average = step.c * inverse
        dc = dc + dh * step.o * inverse
        dn = dn - dh * step.o * average * inverse
        is_past = step.past >= i
        dm_i, dm = torch.where(is_past, 0, dm), torch.where(is_past, dm, 0)
        df = step.F * (dc * c + dn * n) + dm
        found = (
            step.I * (dc * step.z + dn) + dm_i,
            df * torch.sigmoid(-f) if forget == "sigmoid" else df,
            step.I * dc * (1 - step.z * step.z),
            dh * average * step.o * torch.sigmoid(-o),
        )
        grad_x[:, t] = torch.stack(found, dim=1)
        dh = torch.einsum("bghd,ghde->bhe", grad_x[:, t], W)
        dc, dn = step.F * dc, step.F * dn
    if not of_state:
        return grad_x, None
    c, n, _ = before[:, :, 0]
    return grad_x, (dc, dn, dm + dc * c + dn * n, dh.contiguous())
