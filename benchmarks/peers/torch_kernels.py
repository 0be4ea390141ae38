"""Kernels of state-space models as one would write them in PyTorch: a number for each channel, mode and time, or
frequency, which are then summed over the modes."""

from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark import Call, Implementation


def _all_powers(A_bar: Tensor, B_bar: Tensor, C: Tensor, length: int) -> Tensor:
    """Of (D, N, L) powers."""
    lags = torch.arange(length, device=A_bar.device)
    K = ((C * B_bar)[..., None] * A_bar[..., None] ** lags).sum(1)
    return K.real if K.is_complex() else K


def _all_quotients(Lambda: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor, length: int) -> Tensor:
    """S4's generating function, of (D, N, L // 2 + 1) quotients for both modes of each conjugate pair."""
    theta = torch.pi / length * torch.arange(length // 2 + 1, device=dt.device, dtype=dt.dtype)
    cos, g = theta.cos(), 2j / dt[:, None] * theta.sin()
    below, above = (1 / (g[:, None] - cos * x[..., None]) for x in (Lambda, Lambda.conj()))

    def cauchy(v: Tensor) -> Tensor:
        return (v[..., None] * below + v.conj()[..., None] * above).sum(1)

    truncated = _truncated(Lambda, P, C, dt, length)
    k00, k01 = cauchy(truncated * B / 2), cauchy(truncated * P / 2)
    k10, k11 = cauchy(P.conj() * B), cauchy(P.conj() * P)
    spectrum = torch.exp(1j * theta) * (k00 - cos * k01 * k10 / (1 + cos * k11))
    return torch.fft.irfft(spectrum, length)


def _truncated(Lambda: Tensor, P: Tensor, C: Tensor, dt: Tensor, length: int) -> Tensor:
    """C (I - A_bar^L), from the real matrices (D, 2N, 2N) of both parts of the state."""
    p, c = torch.cat([P.real, P.imag], 1), torch.cat([C.real, -C.imag], 1)
    diagonal, cross = torch.diag_embed(Lambda.real), torch.diag_embed(Lambda.imag)
    A = torch.cat([torch.cat([diagonal, -cross], 2), torch.cat([cross, diagonal], 2)], 1)
    A = dt[:, None, None] / 2 * (A - 2 * p[:, :, None] * p[:, None])
    one = torch.eye(A.shape[1], device=A.device, dtype=A.dtype)
    A_bar = torch.linalg.solve(one - A, one + A)
    left = c - (c[:, None] @ torch.linalg.matrix_power(A_bar, length))[:, 0]
    real, imag = left.chunk(2, dim=1)
    return torch.complex(real, -imag)


def _prepare(expression: Any, names: tuple[str, ...], arguments: dict[str, Any]) -> Call:
    return Call(
        leaves=tuple(arguments[name] for name in names),
        forward=lambda *leaves: (expression(*leaves, arguments["L"]),),
        output=lambda outputs: outputs[0],
        cotangents=lambda K: (K,),
        gradients=lambda found: dict(zip(names, found, strict=True)),
    )


PEERS = [
    Implementation(
        "PyTorch, all powers",
        "ssm_kernel",
        lambda arguments: _prepare(_all_powers, ("A_bar", "B_bar", "C"), arguments),
    ),
    Implementation(
        "PyTorch, all quotients",
        "dplr_kernel",
        lambda arguments: _prepare(_all_quotients, ("Lambda", "P", "B", "C", "dt"), arguments),
    ),
]
