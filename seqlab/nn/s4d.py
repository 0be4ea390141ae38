"""S4D: a diagonal state-space model for each channel, discretized (chapter 6)."""

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from seqlab.nn.diagonal import as_complex
from seqlab.nn.diagonal_ssm import DiagonalSSM, System
from seqlab.nn.eigenvalues import hippo_legs_normal, s4d_inv, s4d_lin, s4d_real
from seqlab.nn.polar import check_eigenvalues, parameter
from seqlab.ops import discretize
from seqlab.ops.arguments import choice

INITIALIZATIONS = {
    "lin": s4d_lin,
    "inv": s4d_inv,
    "legs": hippo_legs_normal,
    "real": s4d_real,
}
DISCRETIZATIONS = ("zoh", "bilinear")


class S4D(DiagonalSSM):
    """S4D (Gu et al., 2022, arXiv 2206.11893): x' = A x + u, y = 2 Re(C x) + D u, with A
    diagonal, in the left half plane, discretized with a step of each channel's own.

    One mode stands for itself and its conjugate, hence the 2; B is 1, as it would only
    scale C.

    Args:
        width: channels, at least 1.
        state_size: modes of each channel, at least 1: half of what the paper calls N.
        init: where the eigenvalues start, alike in all channels: "lin", "inv", "legs" or
            "real", the lists of `seqlab.nn.eigenvalues`.
        discretization: "zoh" or "bilinear".
        dt_min, dt_max, mode: as in `DiagonalSSM`.

    Attributes:
        A_log: (width, state_size), logarithm of -Re A.
        A_im: (width, state_size).
        log_dt, C_re, C_im, D: as in `DiagonalSSM`.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        init: str = "legs",
        discretization: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "chunks",
    ) -> None:
        super().__init__(width, state_size, dt_min, dt_max, mode)
        start = INITIALIZATIONS[choice("init", init, INITIALIZATIONS)]
        self.discretization = choice("discretization", discretization, DISCRETIZATIONS)
        self._initialize(start(self.state_size))

    @classmethod
    def from_eigenvalues(
        cls,
        width: int,
        eigenvalues: ArrayLike | Tensor,
        discretization: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "chunks",
    ) -> Self:
        """An S4D whose channels all start from the continuous eigenvalues given: complex
        (state_size,), with Re < 0.

        Raises:
            TypeError: `eigenvalues` are not numbers.
            ValueError: another shape, or an eigenvalue that is not finite or not in the
                left half plane.
        """
        a = check_eigenvalues(eigenvalues, zero=True)
        if not (a.real < 0).all():
            n = int(np.flatnonzero(~(a.real < 0))[0])
            raise ValueError(
                f"eigenvalues: expected Re < 0 for all, got {a[n]:.6g} at index {n}"
            )
        layer = cls(width, len(a), "lin", discretization, dt_min, dt_max, mode)
        layer._initialize(a)
        return layer

    @property
    def eigenvalues(self) -> Tensor:
        """A, continuous, complex (width, state_size)."""
        return as_complex(-torch.exp(self.A_log), self.A_im)

    def system(self) -> System:
        """A_bar, B_bar and 2 C, complex (width, state_size)."""
        A = self.eigenvalues
        dt = torch.exp(self.log_dt.to(A.real.dtype))
        A_bar, B_bar = discretize(
            A, torch.ones_like(A), dt, self.discretization, diagonal=True
        )
        return A_bar, B_bar, 2 * as_complex(self.C_re, self.C_im)

    def _initialize(self, a: NDArray[np.complex128]) -> None:
        every = np.broadcast_to(a, (self.width, len(a))).copy()
        self.A_log = parameter(np.log(-every.real), like=self.D)
        self.A_im = parameter(every.imag.copy(), like=self.D)
