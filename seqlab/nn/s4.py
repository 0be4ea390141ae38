"""S4: a diagonal plus low-rank state-space model for each channel (chapter 6)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlab.nn.diagonal import as_complex
from seqlab.nn.diagonal_ssm import ChannelSSM
from seqlab.nn.eigenvalues import hippo_legs_dplr
from seqlab.nn.polar import parameter
from seqlab.ops import causal_convolution, dplr_kernel, dplr_scan, dplr_step
from seqlab.ops.arguments import check_sequence, check_step, choice

System = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class S4(ChannelSSM):
    """S4 (Gu, Goel and Ré, 2022, arXiv 2111.00396): x' = A x + B u, y = 2 Re(C x) + D u
    with A = Λ - P P*, which starts as HiPPO-LegS, discretized by the bilinear transform
    with a step of each channel's own.

    Two modes give the same y and the same state: "convolution", the kernel by Cauchy
    products (`seqlab.ops.dplr_kernel`) and Fourier transforms, and "recurrence", chunks of
    time by dense matrices (`seqlab.ops.dplr_scan`). A convolution has no state: that which
    comes in adds its own response, and that which goes out is computed beside it, by
    chunks. C does not depend on the length, so that a layer runs, and generates, at any
    length.

    The state is complex, (batch, width, state_size); complex64 in half precision.

    Args:
        width: channels, at least 1.
        state_size: modes of each channel, one of each conjugate pair, at least 1: half of
            what the paper calls N.
        dt_min, dt_max: each channel's step is drawn between them, all orders of magnitude
            alike; 0 < dt_min <= dt_max.
        mode: "convolution" or "recurrence"; may be changed at any time.

    Attributes:
        A_log: (width, state_size), logarithm of -Re Λ; A_im: (width, state_size).
        P_re, P_im, B_re, B_im: (width, state_size), HiPPO-LegS' own.
        C_re, C_im: (width, state_size), drawn with E|C|² = 1.
        log_dt, D: (width,).

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    modes = ("convolution", "recurrence")

    def __init__(
        self,
        width: int,
        state_size: int,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "convolution",
    ) -> None:
        super().__init__(width, state_size, dt_min, dt_max, mode)
        Lambda, P, B, _ = hippo_legs_dplr(self.state_size)
        self.A_log, self.A_im = self._alike(np.log(-Lambda.real), Lambda.imag)
        self.P_re, self.P_im = self._alike(P.real, P.imag)
        self.B_re, self.B_im = self._alike(B.real, B.imag)

    def system(self) -> System:
        """Λ, P, B and 2 C, complex (width, state_size), and dt (width,), differentiable in
        the layer's parameters."""
        Lambda = as_complex(-torch.exp(self.A_log), self.A_im)
        P, B = as_complex(self.P_re, self.P_im), as_complex(self.B_re, self.B_im)
        dt = torch.exp(self.log_dt.to(Lambda.real.dtype))
        return Lambda, P, B, 2 * as_complex(self.C_re, self.C_im), dt

    def kernel(self, length: int) -> Tensor:
        """The convolution kernel, (width, length), without D."""
        return dplr_kernel(*self.system(), length)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state, complex
        (batch, width, state_size). Started from the state of an earlier call it continues
        that sequence.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        system = self.system()
        self._check_state(state, u, system[0])
        y, last = dplr_scan(*system, u, state)
        if choice("mode", self.mode, self.modes) == "convolution":
            y = causal_convolution(u, dplr_kernel(*system, u.shape[1]))
            if state is not None:
                y = y + dplr_scan(*system, torch.zeros_like(u), state)[0]
        return y + self.D * u, last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        system = self.system()
        if state is None:
            state = system[0].new_zeros(u_t.shape[0], *system[0].shape)
        self._check_state(state, u_t, system[0])
        y, state = dplr_step(*system, u_t, state)
        return y + self.D * u_t, state

    def _alike(self, *parts: NDArray[np.float64]) -> list[nn.Parameter]:
        """The parts as parameters, the same for all channels."""
        return [
            parameter(np.tile(part, (self.width, 1)), like=self.D) for part in parts
        ]
