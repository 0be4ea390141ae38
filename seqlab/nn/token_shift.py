"""Token shift: each token mixed with the one before it (chapter 8)."""

import torch
from torch import Tensor, nn

from seqlab.ops import shift_ssm, shift_ssm_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)


class TokenShift(nn.Module):
    """y_t = μ ⊙ x_t + (1 - μ) ⊙ x_{t-1}, with x_0 = 0 before the first token: a causal
    convolution of two taps in each channel (Peng et al., 2023, section 3).

    The state is the last token, (batch, width), in float32 at least.

    Args:
        width: features of each token, at least 1.

    Attributes:
        mu: (width,), the share of the present, a half at first.

    Raises:
        TypeError, ValueError: `width` is not a positive integer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.mu = nn.Parameter(torch.full((self.width,), 0.5))

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape, and the last token.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.mu)
        if state is not None:
            self.check("state", state, u)
        return self.mix(u, state)

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape, and u_t as the
        state."""
        check_step("u_t", u_t, self.width, self.mu)
        if state is not None:
            self.check("state", state, u_t)
        return self.mix_step(u_t, state)

    def check(self, name: str, state: Tensor, u: Tensor) -> None:
        """Raise TypeError or ValueError unless the state goes with the input."""
        check_state(name, state, u, self.width, accumulation_dtype(self.mu.dtype))

    def mix(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """`forward` for what has been checked."""
        before = None if state is None else state.to(u.dtype)[:, None]
        y, last = shift_ssm(u, self._taps(u), before)
        return y, last.to(accumulation_dtype(self.mu.dtype))[:, 0]

    def mix_step(self, u_t: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """`step` for what has been checked."""
        before = torch.zeros_like(u_t) if state is None else state.to(u_t.dtype)
        y_t, last = shift_ssm_step(u_t, self._taps(u_t), before[:, None])
        return y_t, last.to(accumulation_dtype(self.mu.dtype))[:, 0]

    def _taps(self, u: Tensor) -> Tensor:
        taps = torch.stack((self.mu, 1 - self.mu), dim=1)  # eq. 8.14
        return taps.to(accumulation_dtype(u.dtype))
