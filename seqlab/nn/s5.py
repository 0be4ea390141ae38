"""S5: one state-space model with many inputs and outputs (chapter 6)."""

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.nn.diagonal import as_complex
from seqlab.nn.diagonal_ssm import draw_log_dt
from seqlab.nn.eigenvalues import hippo_legs_normal
from seqlab.nn.polar import parameter
from seqlab.ops import (
    causal_convolution,
    discretize,
    ssm_kernel,
    ssm_mimo,
    ssm_mimo_step,
)
from seqlab.ops.arguments import (
    check_sequence,
    check_state,
    check_step,
    choice,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast

MODES = ("recurrence", "convolution")


class S5(nn.Module):
    """S5 (Smith, Warrington and Linderman, 2023, arXiv 2208.04933): x' = A x + B u, y = 2
    Re(C x) + D ⊙ u with one state that all channels feed and read, diagonal and complex,
    discretized by zero-order hold with a step of each mode's own.

    With B and C blocked, so that a channel reads only what it feeds, it is a bank of S4D.
    Two modes give the same y and the same state: "recurrence", a scan over the state
    (`seqlab.ops.ssm_mimo`), and "convolution" of B u with the powers of A_bar by Fourier
    transforms, whose state is computed beside it, by the scan.

    The state is complex, (batch, state_size); complex64 in half precision.

    Args:
        width: channels, at least 1.
        state_size: modes, one of each conjugate pair, at least 1: half of what the paper
            calls P.
        blocks: A starts as so many copies of the normal part of HiPPO-LegS; a divisor of
            state_size.
        dt_min, dt_max: steps are drawn between them, all orders of magnitude alike.
        mode: "recurrence" or "convolution"; may be changed at any time.

    Attributes:
        A_log: (state_size,), logarithm of -Re A; A_im: (state_size,).
        log_dt: (state_size,), logarithm of the step.
        B_re, B_im: (state_size, width), E|B|² = 1 / width.
        C_re, C_im: (width, state_size), E|C|² = 1 / state_size.
        D: (width,).

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        blocks: int = 1,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "recurrence",
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        self.mode = choice("mode", mode, MODES)
        blocks = positive_integer("blocks", blocks)
        D, N = self.width, self.state_size
        if N % blocks:
            raise ValueError(
                f"blocks: expected a divisor of state_size = {N}, got {blocks}"
            )
        self.log_dt = draw_log_dt(N, dt_min, dt_max)
        self.B_re = nn.Parameter(torch.randn(N, D) / (2 * D) ** 0.5)
        self.B_im = nn.Parameter(torch.randn(N, D) / (2 * D) ** 0.5)
        self.C_re = nn.Parameter(torch.randn(D, N) / (2 * N) ** 0.5)
        self.C_im = nn.Parameter(torch.randn(D, N) / (2 * N) ** 0.5)
        self.D = nn.Parameter(torch.randn(D))
        a = np.tile(hippo_legs_normal(N // blocks), blocks)
        self.A_log = parameter(np.log(-a.real), like=self.D)
        self.A_im = parameter(a.imag.copy(), like=self.D)

    @property
    def eigenvalues(self) -> Tensor:
        """A, continuous, complex (state_size,)."""
        return as_complex(-torch.exp(self.A_log), self.A_im)

    def system(self) -> tuple[Tensor, Tensor, Tensor]:
        """A_bar (state_size,), B_bar (state_size, width) and 2 C (width, state_size),
        complex, differentiable in the layer's parameters."""
        A = self.eigenvalues[:, None]
        dt = torch.exp(self.log_dt.to(A.real.dtype))
        A_bar, hold = discretize(A, torch.ones_like(A), dt, "zoh", diagonal=True)
        B_bar = hold * as_complex(self.B_re, self.B_im)
        return A_bar[:, 0], B_bar, 2 * as_complex(self.C_re, self.C_im)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state, complex
        (batch, state_size). Started from the state of an earlier call it continues that
        sequence.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        A_bar, B_bar, C = self.system()
        if state is not None:
            check_state("state", state, u, self.state_size, A_bar.dtype)
        y, last = ssm_mimo(A_bar, B_bar, C, u, state)
        if choice("mode", self.mode, MODES) == "convolution":
            y = _convolve(A_bar, B_bar, C, u, state).to(u.dtype)
        return y + self.D * u, last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        A_bar, B_bar, C = self.system()
        if state is None:
            state = A_bar.new_zeros(u_t.shape[0], self.state_size)
        check_state("state", state, u_t, self.state_size, A_bar.dtype)
        y, state = ssm_mimo_step(A_bar, B_bar, C, u_t, state)
        return y + self.D * u_t, state


def _convolve(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u: Tensor, state: Tensor | None
) -> Tensor:
    """y (B, L, D): B_bar u convolved with the powers of A_bar, in real numbers, and read
    out."""
    with outside_autocast(u.device):
        b = u.to(B_bar.real.dtype).to(B_bar.dtype) @ B_bar.mT
        if state is not None:
            first = torch.zeros_like(b[:, 1:])
            b = b + torch.cat([(A_bar * state)[:, None], first], dim=1)
        length, modes = u.shape[1], A_bar[:, None]
        one = torch.ones_like(modes)
        cos, sin = (
            ssm_kernel(modes, one, weight, length) for weight in (one, -1j * one)
        )
        of_real = causal_convolution(
            torch.cat([b.real, b.real], dim=-1), torch.cat([cos, sin])
        )
        of_imag = causal_convolution(
            torch.cat([b.imag, b.imag], dim=-1), torch.cat([-sin, cos])
        )
        x = torch.complex(*(of_real + of_imag).chunk(2, dim=-1))
        return (x @ C.mT).real
