"""The measures as PyTorch tensors: their transitions, their bases, and the steps that a
memory takes."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from seqlab.ops.arguments import check_tensor, positive_integer
from seqlab.ops.hippo import reference
from seqlab.ops.hippo.kept import kept
from seqlab.ops.hippo.reference import ALPHA, MEASURES, METHODS

__all__ = [
    "MEASURES",
    "METHODS",
    "Memory",
    "hippo_reconstruct",
    "hippo_transition",
    "memory_of",
]


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
    check_measure(measure)
    positive_integer("N", N)
    A, B = reference.hippo_transition(measure, N)
    return torch.from_numpy(A), torch.from_numpy(B)


def hippo_reconstruct(c: Tensor, points: Tensor, measure: str = "legs") -> Tensor:
    """What is remembered: the sum of c_n g_n(s) at ``points`` s, differentiable in both.

    Args:
        c: coefficients, (..., N), of a floating dtype.
        points: times ago in windows, (P,), of c's dtype: in [0, 1], where 0 is now and,
            for ``legs``, 1 is the start; any s >= 0 for ``lagt``. Not checked, as that
            would wait for a GPU.
        measure: as for :func:`hippo_transition`.

    Returns:
        The remembered function, (..., P).

    Raises:
        TypeError, ValueError: a shape, dtype, device or measure is not as described.

    Source: Gu et al. (2020), section 2.2. In the book: equation 4.2.
    """
    check_measure(measure)
    for name, value in (("c", c), ("points", points)):
        check_tensor(name, value)
    if not c.is_floating_point():
        raise TypeError(f"c: expected a floating dtype, got {c.dtype}")
    if c.ndim < 1 or c.shape[-1] < 1:
        raise ValueError(f"c: expected shape (..., order), got {tuple(c.shape)}")
    if points.dtype != c.dtype:
        raise TypeError(f"points: expected dtype {c.dtype} like c, got {points.dtype}")
    if points.ndim != 1:
        raise ValueError(f"points: expected shape (points,), got {tuple(points.shape)}")
    if points.device != c.device:
        raise ValueError(
            f"points: expected device {c.device} like c, got {points.device}"
        )
    return c @ _basis(measure, c.shape[-1], points)  # eq. 4.2


def _basis(measure: str, order: int, s: Tensor) -> Tensor:
    """g_n(s), (N, P), by the three-term recurrences of the polynomials."""
    if measure == "fourier":
        n = torch.arange(order, device=s.device)[:, None]
        turn = 2 * torch.pi * s * ((n + 1) // 2)
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
    stacked = torch.stack(g)
    if measure == "lagt":
        return stacked
    return stacked * torch.arange(order).to(s).mul(2).add(1).sqrt()[:, None]


@dataclass(frozen=True)
class Memory:
    """A measure with all that its steps depend on, as tensors of one dtype and
    device."""

    measure: str
    order: int
    method: str
    step: float
    """dt / theta; ``legs`` has no use for it."""
    dtype: torch.dtype
    device: torch.device

    def steps(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """A_bar (K, N, N) and B_bar (K, N) of the steps with these numbers, counted
        from 1; K is 1 where all steps are the same."""
        if self.measure != "legs":
            return self._constant
        A, B, one = self._continuous
        k = torch.tensor(numbers, dtype=A.dtype, device=A.device)[:, None, None]
        # The step before the first would divide by zero; the first is set apart below.
        earlier = (k - 1).clamp(min=1)
        if self.method == "zoh":
            A_bar = torch.linalg.matrix_exp(A * torch.log(k / earlier))  # eq. 4.11
            B_bar = torch.linalg.solve_triangular(
                A.expand_as(A_bar), (A_bar - one) @ B[:, None], upper=False
            )
        else:
            alpha = ALPHA[self.method]
            now, before = alpha / k, (1 - alpha) / earlier
            right = torch.cat([one + before * A, (now + before) * B[:, None]], dim=2)
            both = torch.linalg.solve_triangular(
                one - now * A, right, upper=False
            )  # eq. 4.9
            A_bar, B_bar = both[..., :-1], both[..., -1:]
        first = k == 1
        A_bar = torch.where(first, 0.0, A_bar)  # eq. 4.10
        B_bar = torch.where(first, one[:, :1], B_bar)
        return A_bar.to(self.dtype), B_bar[..., 0].to(self.dtype)

    @cached_property
    @kept
    def _continuous(self) -> tuple[Tensor, Tensor, Tensor]:
        # In float32 rounding of the steps, of which there are many, would add up.
        A, B = (x.to(self.device) for x in hippo_transition(self.measure, self.order))
        return A, B, torch.eye(self.order, dtype=A.dtype, device=A.device)

    @cached_property
    @kept
    def _constant(self) -> tuple[Tensor, Tensor]:
        A, B = reference.hippo_transition(self.measure, self.order)
        A_bar, B_bar = reference.discretize(A, B, self.step, self.method)
        return (
            torch.from_numpy(A_bar).to(self.device, self.dtype)[None],
            torch.from_numpy(B_bar).to(self.device, self.dtype)[None],
        )


@lru_cache(maxsize=16)
def memory_of(
    measure: str,
    order: int,
    method: str,
    step: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Memory:
    """The memory, kept for the next call: its matrices are the same every time."""
    return Memory(measure, order, method, step, dtype, device)


def check_measure(measure: str) -> None:
    if measure not in MEASURES:
        raise ValueError(f"measure: expected one of {MEASURES}, got {measure!r}")
