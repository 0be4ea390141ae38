"""The selective scan in plain PyTorch: the form that runs everywhere.

A block of STEPS steps is taken at once, so that at no time there are more states than its
own, (B, STEPS, D, N): its decays by one exponential, its states by the portable form of
the linear recurrence, its outputs by one product. What is kept for the backward pass is
the state before each block, from where the states inside are computed again; and the last
one, as PyTorch would not trace well what has one block in some calls and more in others.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlab.ops.arguments import accumulation_dtype
from seqlab.ops.linear_scan import portable as linear_scan

STEPS = 64

NEAR = 0.1
"""Below it phi_1(z) and its slope are sums of their series, of as many terms as float64
has digits for; above it little is lost by the differences that they are quotients of."""
SERIES = 8


class Inputs(NamedTuple):
    """The arguments of the op that are tensors, in its order, but with a mark on each time
    at which a sequence begins."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    state: Tensor | None
    begins: Tensor | None


def scan(
    inputs: Inputs, delta_softplus: bool, zoh: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y (B, L, D), in the dtype of u, the last state (B, D, N), and the states before and
    after blocks (blocks + 1, B, D, N)."""
    u, _, A, *_ = inputs
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    h = A.new_zeros((len(u), *A.shape)) if inputs.state is None else inputs.state
    starts = A.new_empty((blocks_in(u) + 1, len(u), *A.shape))
    for i, inside in enumerate(_blocks(u)):
        starts[i] = h
        block = _block(inputs, inside, delta_softplus, zoh)
        states, h = _states(block, h)
        _, y[:, inside] = _outputs(block, states, inputs.D)
    starts[-1] = h
    return y, h.clone(), starts


def gradients(
    inputs: Inputs,
    starts: Tensor,
    grad_y: Tensor,
    grad_last: Tensor | None,
    delta_softplus: bool,
    zoh: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients to all inputs but the marks, that to the state whether there is one or
    not."""
    u, delta, A, B, C, D, z, delta_bias, *_ = inputs
    wide = accumulation_dtype(u.dtype)
    grad_u, grad_delta, grad_B, grad_C = (
        torch.empty_like(x, memory_format=torch.contiguous_format)
        for x in (u, delta, B, C)
    )
    grad_A = torch.zeros_like(A)
    grad_z = None if z is None else torch.empty_like(z)
    grad_D = None if D is None else torch.zeros_like(D)
    grad_bias = None if delta_bias is None else torch.zeros_like(delta_bias)
    flow = torch.zeros_like(starts[0]) if grad_last is None else grad_last
    for i, inside in reversed(list(enumerate(_blocks(u)))):
        block = _block(inputs, inside, delta_softplus, zoh)
        states, _ = _states(block, starts[i])
        dy = grad_y[:, inside].to(wide)
        if block.z is not None:
            y, _ = _outputs(block, states, D)
            s = torch.sigmoid(block.z)
            assert grad_z is not None
            grad_z[:, inside] = dy * y * (s * (1 + block.z * (1 - s)))
            dy = dy * (block.z * s)
        dh = torch.conj_physical(block.C)[:, :, None] * dy[..., None]
        of_decay, of_into, first = linear_scan.gradients(
            block.decay.flatten(2),
            states.flatten(2),
            starts[i].flatten(1),
            dh.flatten(2),
            flow.flatten(1),
            False,
        )
        assert first is not None
        da, db, flow = (x.unflatten(-1, A.shape) for x in (of_decay, of_into, first))
        grad_C[:, inside] = (
            dy[:, :, None].to(states.dtype) @ torch.conj_physical(states)
        )[:, :, 0]
        of_exponent = da * torch.conj_physical(block.decay)
        dt, v = block.dt, block.u
        if block.gain is None:
            grad_B[:, inside] = ((dt * v)[:, :, None].to(db.dtype) @ db)[:, :, 0]
            of_product = real(db @ torch.conj_physical(block.B)[..., None])[..., 0]
            du, ddt = of_product * dt, of_product * v
            grad_A += torch.einsum("btd,btdn->dn", dt.to(A.dtype), of_exponent)
        else:
            weighted = v[..., None] * torch.conj_physical(block.gain) * db
            grad_B[:, inside] = weighted.sum(2)
            of_gain = torch.conj_physical(block.B)[:, :, None] * db
            du = real(of_gain * torch.conj_physical(block.gain)).sum(-1)
            of_gain = of_gain * v[..., None]
            exponent = dt[..., None] * A
            ddt = real(of_gain * torch.conj_physical(torch.exp(exponent))).sum(-1)
            _, slope = _phi(exponent)
            of_exponent = of_exponent * dt[..., None]
            of_exponent += of_gain * torch.conj_physical(dt[..., None] ** 2 * slope)
            grad_A += of_exponent.sum((0, 1))
            of_exponent = da * torch.conj_physical(block.decay)
        ddt = ddt + real(of_exponent * torch.conj_physical(A)).sum(-1)
        if D is not None:
            assert grad_D is not None
            du = du + D * dy
            grad_D += (dy * v).sum((0, 1))
        if delta_softplus:
            ddt = ddt * torch.sigmoid(block.raw)
        if grad_bias is not None:
            grad_bias += ddt.sum((0, 1))
        grad_u[:, inside], grad_delta[:, inside] = du, ddt
    return (
        grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias,
        flow.clone(),
    )  # fmt: skip


def step_size(
    delta: Tensor, delta_bias: Tensor | None, delta_softplus: bool
) -> tuple[Tensor, Tensor]:
    """What the model computes, with its bias, and the step dt made of it."""
    raw = delta if delta_bias is None else delta + delta_bias
    if not delta_softplus:
        return raw, raw
    # PyTorch's own softplus drops e^-x above 20.
    return raw, -logsigmoid(-raw)


def gain_of(dt: Tensor, A: Tensor) -> Tensor:
    """dt phi_1(dt A), (..., D, N), by which zero-order hold weighs B."""
    return dt[..., None] * _phi(dt[..., None] * A)[0]


def output(
    y: Tensor, u: Tensor, D: Tensor | None, z: Tensor | None
) -> tuple[Tensor, Tensor]:
    """From Re(C h), (..., D): with D u, and with the gate as well."""
    y = y if D is None else y + D * u
    return y, y if z is None else y * (z * torch.sigmoid(z))


def blocks_in(u: Tensor) -> int:
    """Blocks of steps in a tensor (B, L, D)."""
    return (u.shape[1] + STEPS - 1) // STEPS


class _Block(NamedTuple):
    """A block of steps, in full precision."""

    u: Tensor
    B: Tensor
    C: Tensor
    z: Tensor | None
    raw: Tensor
    """Steps before they are made positive."""
    dt: Tensor
    gain: Tensor | None
    """Of B by zero-order hold, (B, T, D, N); None for Euler's, which is dt."""
    decay: Tensor
    """e^{dt A}, (B, T, D, N), and 0 where a sequence begins."""
    into: Tensor
    """What every step adds to the state, (B, T, D, N)."""


def _blocks(u: Tensor) -> Iterator[slice]:
    return (slice(first, first + STEPS) for first in range(0, u.shape[1], STEPS))


def _block(inputs: Inputs, inside: slice, delta_softplus: bool, zoh: bool) -> _Block:
    wide = accumulation_dtype(inputs.u.dtype)
    u, delta = (x[:, inside].to(wide) for x in (inputs.u, inputs.delta))
    B, C = (x[:, inside].to(inputs.A.dtype) for x in (inputs.B, inputs.C))
    z = None if inputs.z is None else inputs.z[:, inside].to(wide)
    raw, dt = step_size(delta, inputs.delta_bias, delta_softplus)
    decay = torch.exp(dt[..., None] * inputs.A)
    if inputs.begins is not None:
        decay = decay.masked_fill(inputs.begins[inside, None, None], 0)
    if zoh:
        gain = gain_of(dt, inputs.A)
        into = gain * u[..., None] * B[:, :, None]
    else:
        gain = None
        into = (dt * u)[..., None] * B[:, :, None]
    return _Block(u, B, C, z, raw, dt, gain, decay, into)


def _states(block: _Block, before: Tensor) -> tuple[Tensor, Tensor]:
    """All states of a block, (B, T, D, N), and the last one, (B, D, N)."""
    states, last = linear_scan.scan(
        block.decay.flatten(2), block.into.flatten(2), before.flatten(1), False
    )
    shape = before.shape[1:]
    return states.unflatten(-1, shape), last.unflatten(-1, shape)


def _outputs(block: _Block, states: Tensor, D: Tensor | None) -> tuple[Tensor, Tensor]:
    read = real(states @ block.C[..., None])[..., 0]
    return output(read, block.u, D, block.z)


def _phi(z: Tensor) -> tuple[Tensor, Tensor]:
    """phi_1(z) = (e^z - 1) / z and its slope."""
    near = z.abs() < NEAR
    away, within = torch.where(near, 1, z), torch.where(near, z, 0)
    value = torch.expm1(away) / away
    slope = (torch.exp(away) - value) / away
    series, of_series = torch.zeros_like(z), torch.zeros_like(z)
    term = 1.0
    for k in range(1, SERIES + 1):
        term /= k
    for k in range(SERIES, 0, -1):  # 1 / k! from the smallest one on
        of_series = of_series * within + series
        series = series * within + term
        term *= k
    return torch.where(near, series, value), torch.where(near, of_series, slope)


def real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
