"""What every layer with a diagonal linear recurrence shares: the way in, the scan, the
way out."""

import torch
from torch import Tensor, nn

from seqlab.ops import linear_scan, linear_scan_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)


class DiagonalRecurrence(nn.Module):
    """h_t = λ ⊙ h_{t-1} + γ ⊙ (B u_t),  y_t = Re(C h_t) + D ⊙ u_t   (equations 3.3 and
    3.9).

    A subclass says what the eigenvalues λ are (`eigenvalues`) and, if it scales the
    input, what γ is (`input_gain`). The state is complex, (batch, state_size).

    Under autocast the products with B and C are computed as those of any Linear are; in
    half precision, autocast's or the parameters' own, the recurrence and its state are
    complex64 all the same.

    Args:
        width: features of the input and of the output at each time, at least 1.
        state_size: complex numbers in the state, at least 1.

    Attributes:
        B_re, B_im: (state_size, width).
        C_re, C_im: (width, state_size).
        D: (width,). All are drawn as in the code of Orvieto et al. (2023), appendix A.

    Raises:
        TypeError, ValueError: `width` or `state_size` is not a positive integer.
    """

    def __init__(self, width: int, state_size: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        D, N = self.width, self.state_size
        self.B_re = nn.Parameter(torch.randn(N, D) / (2 * D) ** 0.5)
        self.B_im = nn.Parameter(torch.randn(N, D) / (2 * D) ** 0.5)
        self.C_re = nn.Parameter(torch.randn(D, N) / N**0.5)
        self.C_im = nn.Parameter(torch.randn(D, N) / N**0.5)
        self.D = nn.Parameter(torch.randn(D))

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,), differentiable in the layer's parameters."""
        raise NotImplementedError

    @property
    def input_gain(self) -> Tensor:
        """γ, real and positive, (state_size,)."""
        return torch.ones_like(self.B_re[:, 0])

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state, complex
        (batch, state_size).

        Parallel in time; the eigenvalues are never repeated over it. Started from the
        state of an earlier call it continues that sequence.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        b = self._into_state(u)
        if state is not None:
            check_state("state", state, u, self.state_size, b.dtype)
        h, state = linear_scan(self.eigenvalues, b, state)  # eq. 3.3
        return self._out_of_state(h) + self.D * u, state  # eq. 3.9

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        b_t = self._into_state(u_t)
        if state is None:
            state = torch.zeros_like(b_t)
        check_state("state", state, u_t, self.state_size, b_t.dtype)
        h, state = linear_scan_step(self.eigenvalues, b_t, state)
        return self._out_of_state(h) + self.D * u_t, state

    def _into_state(self, u: Tensor) -> Tensor:
        """γ ⊙ (B u), as one real product whose columns are real and imaginary parts in
        turn."""
        B = self.input_gain[:, None, None] * torch.stack((self.B_re, self.B_im), dim=1)
        b = (u @ B.flatten(0, 1).T).to(accumulation_dtype(self.D.dtype))
        return torch.view_as_complex(b.unflatten(-1, (-1, 2)))

    def _out_of_state(self, h: Tensor) -> Tensor:
        """Re(C h) = C_re Re(h) - C_im Im(h), as one real product."""
        C = torch.stack((self.C_re, -self.C_im), dim=-1).flatten(1)
        return torch.view_as_real(h).flatten(-2).to(C.dtype) @ C.T


def as_complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag; complex64 for half precision, for which torch has no complex
    numbers to compute with."""
    dtype = accumulation_dtype(real.dtype)
    return torch.complex(real.to(dtype), imag.to(dtype))
