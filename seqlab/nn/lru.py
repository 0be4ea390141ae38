"""The Linear Recurrent Unit (chapter 3)."""

import math
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from seqlab.nn.diagonal import DiagonalRecurrence


class LRU(DiagonalRecurrence):
    """The Linear Recurrent Unit (Orvieto et al., 2023, section 3; equations 3.4 to
    3.9).

    A diagonal linear recurrence whose eigenvalues λ = exp(-exp(nu_log) + i
    exp(theta_log)) lie inside the unit disk whatever the parameters are and start on a
    ring of it, and whose input is scaled so that white noise neither floods nor starves
    the state at the start of training.

    Args:
        width: features of the input and of the output at each time, at least 1.
        state_size: complex numbers in the state, at least 1.
        r_min, r_max: the ring, 0 <= r_min < r_max <= 1.
        max_phase: phases are drawn from (0, max_phase), 0 < max_phase <= 2π.

    Attributes:
        nu_log, theta_log: (state_size,), logarithms of -log|λ| and of the phase.
        gamma_log: (state_size,), logarithm of the input gain γ.
        B_re, B_im, C_re, C_im, D: as in `DiagonalRecurrence`.

    Raises:
        TypeError, ValueError: a size is not a positive integer, or the ring or
            `max_phase` is out of range.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__(width, state_size)
        if not 0 <= r_min < r_max <= 1:
            raise ValueError(
                f"r_min, r_max: expected 0 <= r_min < r_max <= 1, got {r_min} and {r_max}"
            )
        if not 0 < max_phase <= 2 * math.pi:
            raise ValueError(
                f"max_phase: expected 0 < max_phase <= 2π, got {max_phase}"
            )
        # float64 and the open interval, so that neither logarithm below meets 0 or 1.
        u1, u2 = torch.rand(2, state_size, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        squared_modulus = u1 * (r_max**2 - r_min**2) + r_min**2  # eq. 3.5
        self._place(-0.5 * torch.log(squared_modulus), max_phase * u2)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,): |λ| < 1, though float32 rounds it to 1 where nu_log
        is below -17."""
        return torch.exp(
            torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log))
        )  # eq. 3.4

    @property
    def input_gain(self) -> Tensor:
        """γ, real (state_size,)."""
        return torch.exp(self.gamma_log)  # eq. 3.7

    @classmethod
    def from_eigenvalues(cls, width: int, eigenvalues: ArrayLike) -> Self:
        """An LRU that starts from the eigenvalues given: complex (state_size,), all
        with 0 < |λ| < 1.

        An eigenvalue on the positive real axis stays on it in training, since the
        gradient with respect to theta_log is proportional to the phase.

        Raises:
            ValueError: another shape, or an eigenvalue that is 0, not inside the unit
                disk, or not finite.
        """
        lam = np.asarray(eigenvalues).astype(np.complex128)
        if lam.ndim != 1 or lam.size == 0:
            raise ValueError(
                f"eigenvalues: expected shape (state_size,), not empty, got {lam.shape}"
            )
        modulus = np.abs(lam)
        outside = ~((modulus > 0) & (modulus < 1))  # NaN is outside too
        if outside.any():
            n = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"eigenvalues: expected 0 < |λ| < 1 for all, got {outside.sum()} outside, "
                f"the first at index {n}: {lam[n]:.6g} with |λ| = {modulus[n]:.6g}"
            )
        phase = np.mod(np.angle(lam), 2 * math.pi).clip(min=np.finfo(np.float32).tiny)
        layer = cls(width, len(lam))
        layer._place(torch.from_numpy(-np.log(modulus)), torch.from_numpy(phase))
        return layer

    def _place(self, nu: Tensor, theta: Tensor) -> None:
        """Make λ = exp(-nu + i theta) the parameters, with γ = sqrt(1 - |λ|²)."""
        # expm1 keeps the digits that 1 - |λ|² loses near the circle.
        gamma = torch.sqrt(-torch.expm1(-2 * nu))  # eq. 3.8
        kind = self.D.dtype
        self.nu_log = nn.Parameter(nu.log().to(kind))
        self.theta_log = nn.Parameter(theta.log().to(kind))
        self.gamma_log = nn.Parameter(gamma.log().to(kind))
