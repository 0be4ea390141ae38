"""The measures as PyTorch tensors: their transitions and their bases."""

import math

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_tensor,
    choice,
    positive_integer,
)
from seqlab.ops.hippo import reference
from seqlab.ops.hippo.reference import MEASURES

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def hippo_transition(measure: str, N: int) -> tuple[Tensor, Tensor]:
    """A (N, N) and B (N,) of c' = (A c + B f) / window, in float64.

    The window is theta, or for ``legs`` the time since the start.

    Args:
        measure: "legs" (uniform over the whole history), "legt" (uniform over a sliding
            window, Legendre polynomials), "lagt" (exponentially fading, Laguerre
            functions) or "fourier" (uniform over a sliding window, sines and cosines).
        N: the order, the number of coefficients, at least 1. For ``fourier`` an odd
            order keeps every sine beside its cosine.

    Raises:
        ValueError: an unknown measure, or N below 1.
        TypeError: N is not an int.

    Source: Gu et al., "HiPPO: Recurrent Memory with Optimal Polynomial Projections"
    (2020), theorems 1 and 2 (LagT with beta = 0); Gu et al., "How to Train Your HiPPO"
    (2022), for ``fourier``. In the book: chapter 4, equations 4.5 to 4.8.
    """
    choice("measure", measure, MEASURES)
    A, B = reference.hippo_transition(measure, positive_integer("N", N))
    return torch.from_numpy(A), torch.from_numpy(B)


def hippo_reconstruct(c: Tensor, points: Tensor, measure: str = "legs") -> Tensor:
    """What is remembered: the sum of c_n g_n(s) at ``points`` s, differentiable in both.

    Args:
        c: coefficients, (..., N): float16, bfloat16, float32 or float64.
        points: times ago in windows, (P,), of c's dtype: in [0, 1], where 0 is now and,
            for ``legs``, 1 is the start; any s >= 0 for ``lagt``. Not checked, as that
            would wait for a GPU.
        measure: as for :func:`hippo_transition`.

    Returns:
        The remembered function, (..., P).

    Raises:
        TypeError, ValueError: a shape, dtype, device or measure is not as described, or an
            axis has length 0.

    Source: Gu et al. (2020), section 2.2. In the book: equation 4.2.
    """
    choice("measure", measure, MEASURES)
    check_tensor("c", c)
    check_dtype("c", c, DTYPES)
    if c.ndim < 1:
        raise ValueError("c: expected shape (..., order), got ()")
    check_not_empty("c", c)
    check_like("points", points, "c", c, "points", (None,))
    check_not_empty("points", points)
    wide = accumulation_dtype(c.dtype)
    with torch.autocast(c.device.type, enabled=False):
        g = basis(measure, c.shape[-1], points.to(wide))
        return (c.to(wide) @ g).to(c.dtype)  # eq. 4.2


def basis(measure: str, order: int, s: Tensor) -> Tensor:
    """g_n(s), (..., N, P), at times ago (..., P), by the three-term recurrences of the polynomials."""
    if measure == "fourier":
        n = torch.arange(order, device=s.device)[:, None]
        turn = 2 * torch.pi * s[..., None, :] * ((n + 1) // 2)
        wave = math.sqrt(2) * torch.where(n % 2 == 1, turn.cos(), turn.sin())
        return torch.where(n == 0, 1.0, wave)
    x = s if measure == "lagt" else 1 - 2 * s
    g: list[Tensor] = [torch.exp(-s / 2) if measure == "lagt" else torch.ones_like(s)]
    before = torch.zeros_like(s)
    for i in range(order - 1):
        if measure == "lagt":
            following = ((2 * i + 1 - x) * g[i] - i * before) / (i + 1)
        else:
            following = ((2 * i + 1) * x * g[i] - i * before) / (i + 1)
        before = g[i]
        g.append(following)
    stacked = torch.stack(g, dim=-2)
    if measure == "lagt":
        return stacked
    n = torch.arange(order, dtype=s.dtype, device=s.device)
    return stacked * torch.sqrt(2 * n + 1)[:, None]
