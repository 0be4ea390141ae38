"""S4's generating function by Cauchy products in plain PyTorch: the form that runs
everywhere, some frequencies at a time.

At the root of unity e^{-2 i phi}, phi = pi k / L, with G = 2 sin(phi) / dt,

    k_m = sum over n of v_mn / (i G - cos(phi) lambda_n) + the same of the conjugates
    spectrum = e^{i phi} (k_0 - cos(phi) k_1 k_2 / (1 + cos(phi) k_3))

Where G comes close to the frequency of a mode their difference is small, and decides:
it is formed in float64.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.ops.kept import keep

NUMBERS = 1 << 20
"""Of (D, N, frequencies) that are made at once."""


class Block(NamedTuple):
    """Some frequencies, and what all modes are there."""

    where: slice
    G: Tensor
    """2 sin(phi) / dt, (D, F)."""
    cos: Tensor
    """(F,)."""
    rotation: Tensor
    """e^{i phi}, (F,)."""
    below: Tensor
    """1 / (i G - cos lambda), (D, N, F)."""
    above: Tensor
    """1 / (i G - cos lambda^*), (D, N, F)."""


def angles(length: int, device: torch.device) -> Tensor:
    """cos(phi) and sin(phi) for the frequencies of a real transform, float64 (2, L // 2 +
    1), kept."""
    size = 16 * (length // 2 + 1)
    kept = keep(("S4 angles", length), device, size, lambda: _angles(length, device))
    return _angles(length, device) if kept is None else kept


def _angles(length: int, device: torch.device) -> Tensor:
    phi = torch.arange(length // 2 + 1, dtype=torch.float64, device=device)
    phi *= torch.pi / length
    cos, sin = phi.cos(), phi.sin()
    if length % 2 == 0:
        cos[-1:].zero_()  # of pi / 2, to all digits
    return torch.stack([cos, sin])


def spectrum(Lambda: Tensor, weights: Tensor, dt: Tensor, length: int) -> Tensor:
    """The transform of K, complex (D, L // 2 + 1), from eigenvalues (D, N), weights (4, D,
    N) and dt (D,)."""
    result = Lambda.new_empty((Lambda.shape[0], length // 2 + 1))
    for block in _blocks(Lambda, dt, length):
        k0, k1, k2, k3 = _products(weights, block)
        low_rank = block.cos * k1 * k2 / (1 + block.cos * k3)
        result[:, block.where] = block.rotation * (k0 - low_rank)
    return result


def gradients(
    Lambda: Tensor, weights: Tensor, dt: Tensor, length: int, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients to the eigenvalues, the weights and dt."""
    grad_Lambda, grad_dt = torch.zeros_like(Lambda), torch.zeros_like(dt)
    grad_weights = torch.zeros_like(weights)
    for block in _blocks(Lambda, dt, length):
        _, k1, k2, k3 = _products(weights, block)
        g = torch.conj_physical(grad[:, block.where]) * block.rotation
        cos = block.cos
        damped = cos / (1 + cos * k3)
        of_k = torch.stack(
            [
                g,
                -g * damped * k2,
                -g * damped * k1,
                g * damped * damped * k1 * k2,
            ]
        )
        plus, minus = block.below + block.above, block.below - block.above
        of_real = (of_k.transpose(0, 1) @ plus.mT).real
        of_imag = (of_k.transpose(0, 1) @ minus.mT).imag
        grad_weights += torch.complex(of_real, -of_imag).transpose(0, 1)
        # Of 1 / w the slope is -1 / w^2; w = i G - cos lambda, and that of the conjugate.
        first = torch.einsum("mdf,mdn->dnf", of_k, weights) * block.below**2
        second = (
            torch.einsum("mdf,mdn->dnf", of_k, torch.conj_physical(weights))
            * block.above**2
        )
        along, across = (first + second), (first - second)
        grad_Lambda += torch.complex(
            (cos * along.real).sum(-1), -(cos * across.imag).sum(-1)
        )
        grad_dt -= (block.G * along.imag.sum(1)).sum(-1) / dt
    return grad_Lambda, grad_weights, grad_dt


def _blocks(Lambda: Tensor, dt: Tensor, length: int) -> Iterator[Block]:
    real = dt.dtype
    wide = torch.float64
    cos, sin = angles(length, dt.device)
    size = max(1, NUMBERS // Lambda.numel())
    imag = Lambda.imag.to(wide)[..., None]
    for start in range(0, len(cos), size):
        where = slice(start, start + size)
        G = 2 / dt.to(wide)[:, None] * sin[where]
        damping = -cos[where].to(real) * Lambda.real[..., None]
        below, above = (
            1 / torch.complex(damping, (G[:, None] - cos[where] * each).to(real))
            for each in (imag, -imag)
        )
        rotation = torch.complex(cos[where], sin[where]).to(Lambda.dtype)
        yield Block(where, G.to(real), cos[where].to(real), rotation, below, above)


def _products(weights: Tensor, block: Block) -> Tensor:
    """The four Cauchy products, (4, D, F)."""
    v = weights.transpose(0, 1)
    plus, minus = block.below + block.above, block.below - block.above
    real, imag = v.real.to(plus.dtype), 1j * v.imag
    return (real @ plus + imag @ minus).transpose(0, 1)
