"""The Linear Recurrent Unit (chapter 3)."""

import math
from typing import Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from seqlab.nn.diagonal import DiagonalRecurrence, as_complex
from seqlab.nn.polar import check_eigenvalues, parameter, polar
from seqlab.ops.arguments import number


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
        r_min, r_max = number("r_min", r_min), number("r_max", r_max)
        if not 0 <= r_min < r_max <= 1:
            raise ValueError(
                f"r_min, r_max: expected 0 <= r_min < r_max <= 1, got {r_min} and {r_max}"
            )
        max_phase = number("max_phase", max_phase)
        if not 0 < max_phase <= 2 * math.pi:
            raise ValueError(
                f"max_phase: expected 0 < max_phase <= 2π, got {max_phase}"
            )
        # float64 and the open interval, so that neither logarithm below meets 0 or 1;
        # on the CPU, as not every device has float64.
        shape = 2, self.state_size
        u1, u2 = torch.rand(shape, dtype=torch.float64, device="cpu").clamp(
            1e-12, 1 - 1e-12
        )
        squared_modulus = u1 * (r_max**2 - r_min**2) + r_min**2  # eq. 3.5
        self._initialize(-0.5 * torch.log(squared_modulus), max_phase * u2)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,): |λ| < 1, though float32 rounds it to 1 where nu_log
        is below -17."""
        nu, theta = torch.exp(self.nu_log), torch.exp(self.theta_log)
        return torch.exp(as_complex(-nu, theta))  # eq. 3.4

    @property
    def input_gain(self) -> Tensor:
        """γ, real (state_size,)."""
        return torch.exp(self.gamma_log)  # eq. 3.7

    @classmethod
    def from_eigenvalues(cls, width: int, eigenvalues: ArrayLike | Tensor) -> Self:
        """An LRU that starts from the eigenvalues given: complex (state_size,), all
        with 0 < |λ| < 1.

        An eigenvalue on the positive real axis stays on it in training, since the
        gradient with respect to theta_log is proportional to the phase.

        Raises:
            TypeError: `eigenvalues` are not numbers, or `width` is not an integer.
            ValueError: another shape, or an eigenvalue that is 0, not inside the unit
                disk, or not finite.
        """
        lam = check_eigenvalues(eigenvalues, most=1)
        layer = cls(width, len(lam))
        layer._initialize(*polar(lam))
        return layer

    def _initialize(self, nu: Tensor, theta: Tensor) -> None:
        """Make λ = exp(-nu + i theta) the parameters, with γ = sqrt(1 - |λ|²)."""
        # expm1 keeps the digits that 1 - |λ|² loses near the circle.
        gamma = torch.sqrt(-torch.expm1(-2 * nu))  # eq. 3.8
        self.nu_log = parameter(nu.log(), like=self.D)
        self.theta_log = parameter(theta.log(), like=self.D)
        self.gamma_log = parameter(gamma.log(), like=self.D)
