"""DSS: diagonal state spaces, with two ways to keep the kernel in bounds (chapter 6)."""

import torch
from torch import Tensor

from seqlab.nn.diagonal import as_complex
from seqlab.nn.diagonal_ssm import DiagonalSSM, System
from seqlab.nn.eigenvalues import hippo_legs_normal
from seqlab.nn.polar import parameter
from seqlab.ops import discretize
from seqlab.ops.arguments import choice, positive_integer

NORMALIZATIONS = ("softmax", "exp")


class DSS(DiagonalSSM):
    """DSS (Gupta, Gu and Berant, 2022, arXiv 2203.14343), proposition 1: S4D by zero-order
    hold, with weights W in place of 2 C.

    - "exp": K_j = Re(W (e^{dt Λ} - 1) / Λ e^{dt Λ j}), with Re Λ < 0.
    - "softmax": K_j = Re(W / Λ softmax_j(dt Λ j)), a softmax over the `length` times of the
      kernel, which bounds it where Re Λ > 0 as well, up to dt Re Λ length = 88 in float32:
      states grow as e^{dt Λ t}, beyond that all is NaN. It is "exp" with
      W / (e^{dt Λ length} - 1) for W. The length belongs to the layer: sequences and
      steps of any length use it.

    Args:
        width: channels, at least 1.
        state_size: modes of each channel, at least 1.
        normalization: "softmax" or "exp".
        length: of the kernel that the softmax normalizes, at least 1; None for "exp".
        dt_min, dt_max, mode: as in `DiagonalSSM`.

    Attributes:
        Lambda_re: (width, state_size), Re Λ for "softmax", log(-Re Λ) for "exp".
        Lambda_im: (width, state_size). Λ starts as the normal part of HiPPO-LegS.
        log_dt, D: as in `DiagonalSSM`; C_re, C_im: the parts of W.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        normalization: str = "exp",
        length: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "chunks",
    ) -> None:
        super().__init__(width, state_size, dt_min, dt_max, mode)
        self.normalization = choice("normalization", normalization, NORMALIZATIONS)
        if normalization == "exp" and length is not None:
            raise ValueError(f"length: expected None with 'exp', got {length!r}")
        self.length = (
            None if normalization == "exp" else positive_integer("length", length)
        )
        a = torch.from_numpy(hippo_legs_normal(self.state_size))
        a = a.expand(self.width, -1)
        real = a.real if normalization == "softmax" else torch.log(-a.real)
        self.Lambda_re = parameter(real.clone(), like=self.D)
        self.Lambda_im = parameter(a.imag.clone(), like=self.D)

    @property
    def eigenvalues(self) -> Tensor:
        """Λ, continuous, complex (width, state_size)."""
        free = self.normalization == "softmax"
        real = self.Lambda_re if free else -torch.exp(self.Lambda_re)
        return as_complex(real, self.Lambda_im)

    def system(self) -> System:
        """A_bar, B_bar and the weights in C's place, complex (width, state_size)."""
        Lambda = self.eigenvalues
        one = torch.ones_like(Lambda)
        dt = torch.exp(self.log_dt.to(Lambda.real.dtype))
        A_bar, B_bar = discretize(Lambda, one, dt, "zoh", diagonal=True)
        W = as_complex(self.C_re, self.C_im)
        if self.length is not None:
            # The hold over the whole length is (e^{dt Λ length} - 1) / Λ, to all digits.
            _, whole = discretize(Lambda, one, dt * self.length, "zoh", diagonal=True)
            W = W / (Lambda * whole)
        return A_bar, B_bar, W
