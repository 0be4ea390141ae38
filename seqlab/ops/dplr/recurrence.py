"""S4's state-space model with its state: over a sequence in chunks, and step by step, in
PyTorch operations that autograd knows."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.autocast import outside_autocast
from seqlab.ops.dplr.op import check_system
from seqlab.ops.dplr.system import dense

CHUNK = 64
DTYPES = {
    torch.float16: torch.complex64,
    torch.bfloat16: torch.complex64,
    torch.float32: torch.complex64,
    torch.float64: torch.complex128,
}
"""The dtypes of u, each with that of the system and the state."""


def dplr_scan(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    u: Tensor,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """S4's model over a sequence, with its state: x_t = A_bar x_{t-1} + B_bar u_t, y_t =
    Re(C x_t), the system that :func:`dplr_kernel` is the kernel of.

    In chunks of time, by dense matrices that are powers of A_bar: what an input of the
    chunk gives each output, what it leaves in the state, and what the state before gives.
    As these are matrix products, what is not finite in u may spread to earlier times of
    its channel.

    Args:
        Lambda, P, B, C, dt: as for :func:`dplr_kernel`; complex64 for a u of float16,
            bfloat16 or float32, complex128 for float64.
        u: input, (B, L, D).
        state: x before the first step, (B, D, N), of Lambda's dtype; zeros if None.

    Returns:
        y, (B, L, D), of u's dtype, and the last state, (B, D, N).

    Raises:
        TypeError, ValueError: an argument is not as described, or an axis has length 0.

    Source: as for :func:`dplr_kernel`.
    """
    _check("u", u, "batch, length, channels", Lambda, P, B, C, dt, state)
    with outside_autocast(u.device):
        return _scan(Lambda, P, B, C, dt, u, state)


def dplr_step(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    u_t: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of :func:`dplr_scan`, for generation, in O(N): the inverse of I - dt A / 2 is
    again diagonal plus low rank.

    Args:
        Lambda, P, B, C, dt: as for :func:`dplr_scan`.
        u_t: input, (B, D).
        state: x of the step before, (B, D, N).

    Returns:
        y_t, (B, D), of u_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`dplr_scan`.
    """
    check_tensor("state", state)
    _check("u_t", u_t, "batch, channels", Lambda, P, B, C, dt, state)
    h = dt[:, None] / 2
    R = 1 / (1 - h * Lambda)
    gain = (P.conj() * R * P).sum(-1, keepdim=True).real
    # x = 2 R (x + h B u) - x, but for the product of vectors: R is diagonal. As a change of
    # x, since rounding of A_bar itself would add up where steps are short.
    push = h * B * u_t.to(accumulation_dtype(u_t.dtype))[..., None]
    along = (P.conj() * R * (state + push)).sum(-1, keepdim=True).real
    low_rank = 2 * h * P * along / (1 + 2 * h * gain)
    x = state + 2 * R * (h * Lambda * state + push - low_rank)
    return (C * x).real.sum(-1).to(u_t.dtype), x


def _scan(
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    u: Tensor,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    batch, length, width = u.shape
    real = dt.dtype
    A_bar = dense(Lambda, P, dt)
    # A_bar + I is twice the inverse that B_bar asks for.
    identity = torch.eye(A_bar.shape[1], dtype=A_bar.dtype, device=A_bar.device)
    h = dt.double()[:, None] / 2
    b = (A_bar + identity) @ (h * _numbers(B))[..., None]
    c = torch.stack([C.real, -C.imag], dim=-1).to(torch.float64).flatten(1)[:, None]
    chunk = min(CHUNK, length)
    into = _columns(A_bar, b, chunk)
    K = (c @ into)[:, 0]
    out = _columns(A_bar.mT, A_bar.mT @ c.mT, chunk).mT.to(real)
    lag = torch.arange(chunk, device=u.device)
    lag = lag[:, None] - lag
    toeplitz = torch.where(lag < 0, 0, K[:, lag.clamp(min=0)]).to(real)
    backwards = into.flip(-1).to(real)
    x = u.new_zeros((batch, width, A_bar.shape[1]), dtype=real)
    if state is not None:
        x = _numbers(state).to(real)
    y = []
    for v in u.to(real).split(chunk, dim=1):
        steps = v.shape[1]
        power = torch.linalg.matrix_power(A_bar, steps).to(real)
        y.append(
            torch.einsum("dij,bjd->bid", toeplitz[:, :steps, :steps], v)
            + torch.einsum("din,bdn->bid", out[:, :steps], x)
        )
        x = torch.einsum("dmn,bdn->bdm", power, x) + torch.einsum(
            "dnj,bjd->bdn", backwards[..., chunk - steps :], v
        )
    last = torch.complex(x[..., 0::2], x[..., 1::2])
    return torch.cat(y, dim=1).to(u.dtype), last


def _numbers(x: Tensor) -> Tensor:
    """Complex numbers (..., N) as real ones (..., 2N), float64."""
    return torch.view_as_real(x.resolve_conj()).to(torch.float64).flatten(-2)


def _columns(A: Tensor, b: Tensor, count: int) -> Tensor:
    """b, A b, ..., A^(count-1) b, (D, 2N, count), in the steps that squaring takes."""
    while b.shape[-1] < count:
        b = torch.cat([b, A @ b], dim=-1)
        A = A @ A
    return b[..., :count]


def _check(
    name: str,
    u: Tensor,
    axes: str,
    Lambda: Tensor,
    P: Tensor,
    B: Tensor,
    C: Tensor,
    dt: Tensor,
    state: Tensor | None,
) -> None:
    check_tensor(name, u)
    check_dtype(name, u, DTYPES)
    check_shape(name, u, axes)
    check_not_empty(name, u)
    check_system(Lambda, P, B, C, dt)
    shape = (u.shape[-1], None)
    check_like("Lambda", Lambda, name, u, "channels, modes", shape, DTYPES[u.dtype])
    if state is not None:
        whole = (u.shape[0], *Lambda.shape)
        check_like("state", state, "Lambda", Lambda, "batch, channels, modes", whole)
