"""The short causal convolution in front of a recurrence (chapter 10)."""

import math

import torch
from torch import Tensor, nn

from seqlab.ops import shift_ssm, shift_ssm_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)


class ShortConvolution(nn.Module):
    """y_t = sum over j < size of taps_j ⊙ u_{t-j}, plus a bias: each channel's own causal
    convolution, with zeros before the first token.

    The state is the last size - 1 tokens, (batch, size - 1, width), the oldest first, in
    float32 at least.

    Args:
        width: channels, at least 1.
        size: taps of each channel, at least 1.
        bias: whether a bias is added.

    Attributes:
        taps: (width, size), the newest token's first; as torch.nn.Conv1d starts them.
        bias: (width,), or None.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, width: int, size: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.size = positive_integer("size", size)
        bound = 1 / math.sqrt(self.size)
        shape = self.width, self.size
        self.taps = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = None
        if boolean("bias", bias):
            self.bias = nn.Parameter(torch.empty(self.width).uniform_(-bound, bound))

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last tokens.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.taps)
        y, last = shift_ssm(u, self._taps(u), self._before(state, u))
        return self._biased(y), self._kept(last)

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.taps)
        before = self._before(state, u_t)
        if before is None:
            before = u_t.new_zeros((u_t.shape[0], self.size - 1, self.width))
        y_t, last = shift_ssm_step(u_t, self._taps(u_t), before)
        return self._biased(y_t), self._kept(last)

    def _before(self, state: Tensor | None, u: Tensor) -> Tensor | None:
        if state is None:
            return None
        wide = accumulation_dtype(self.taps.dtype)
        widths = self.size - 1, self.width
        check_state("state", state, u, widths, wide, "batch, size - 1, width")
        return state.to(u.dtype)

    def _kept(self, last: Tensor) -> Tensor:
        return last.to(accumulation_dtype(self.taps.dtype))

    def _taps(self, u: Tensor) -> Tensor:
        return self.taps.to(accumulation_dtype(u.dtype))

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias.to(y.dtype)
