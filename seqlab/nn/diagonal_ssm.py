"""What every layer with a diagonal state-space model for each channel shares: three ways
to run it over a sequence, and a step."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqlab.ops import (
    causal_convolution,
    ssm_convolution,
    ssm_kernel,
    ssm_scan,
    ssm_scan_step,
)
from seqlab.ops.arguments import (
    check_like,
    check_sequence,
    check_step,
    choice,
    number,
    positive_integer,
)

System = tuple[Tensor, Tensor, Tensor]


class ChannelSSM(nn.Module):
    """A state-space model for each channel, run in one of several modes: the parameters and
    the state that `DiagonalSSM` and `S4` have in common."""

    modes: ClassVar[tuple[str, ...]]

    def __init__(
        self, width: int, state_size: int, dt_min: float, dt_max: float, mode: str
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        self.mode = choice("mode", mode, self.modes)
        self.log_dt = draw_log_dt(self.width, dt_min, dt_max)
        shape = self.width, self.state_size
        self.C_re = nn.Parameter(torch.randn(shape) / 2**0.5)
        self.C_im = nn.Parameter(torch.randn(shape) / 2**0.5)
        self.D = nn.Parameter(torch.randn(self.width))

    def _check_state(self, state: Tensor | None, u: Tensor, like: Tensor) -> None:
        """Raise TypeError or ValueError unless the state goes with u and with the modes
        (width, state_size)."""
        if state is not None:
            letters = "batch, width, state_size"
            check_like("state", state, "layer", like, letters, (len(u), *like.shape))


class DiagonalSSM(ChannelSSM):
    """x_t = A_bar x_{t-1} + B_bar u_t,  y_t = Re(C x_t) + D ⊙ u_t, with N modes for each
    channel.

    A subclass says what A_bar, B_bar and C are (`system`). A sequence runs in one of three
    modes, which give the same y and the same state:

    - "chunks": a convolution cut into chunks, the state passing between them
      (`seqlab.ops.ssm_convolution`), O(L);
    - "convolution": the kernel as long as the sequence, and Fourier transforms
      (`seqlab.ops.ssm_kernel`, `seqlab.ops.causal_convolution`), O(L log L). A convolution
      has no state: that which comes in adds its own response, and that which goes out is
      computed beside it, by chunks;
    - "recurrence": step after step, in parallel by a scan (`seqlab.ops.ssm_scan`).

    The state is complex, (batch, width, state_size). In half precision, autocast's or the
    parameters' own, system and state are complex64 all the same.

    Args:
        width: channels, at least 1.
        state_size: modes of each channel, complex numbers, at least 1.
        dt_min, dt_max: each channel's step is drawn between them, all orders of magnitude
            alike; 0 < dt_min <= dt_max.
        mode: "chunks", "convolution" or "recurrence"; may be changed at any time.

    Attributes:
        log_dt: (width,), logarithm of the step.
        C_re, C_im: (width, state_size), drawn with E|C|² = 1.
        D: (width,).

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    modes = ("chunks", "convolution", "recurrence")

    def __init__(
        self,
        width: int,
        state_size: int,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        mode: str = "chunks",
    ) -> None:
        super().__init__(width, state_size, dt_min, dt_max, mode)

    def system(self) -> System:
        """A_bar, B_bar and C, complex (width, state_size), differentiable in the layer's
        parameters."""
        raise NotImplementedError

    def kernel(self, length: int) -> Tensor:
        """The convolution kernel K_j = Re(C A_bar^j B_bar), (width, length), without D."""
        return ssm_kernel(*self.system(), length)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state, complex
        (batch, width, state_size). Started from the state of an earlier call it continues
        that sequence.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        A_bar, B_bar, C = self.system()
        self._check_state(state, u, A_bar)
        mode = choice("mode", self.mode, self.modes)
        if mode == "recurrence":
            y, last = ssm_scan(A_bar, B_bar, C, u, state)
        else:
            y, last = ssm_convolution(A_bar, B_bar, C, u, state)
        if mode == "convolution":
            y = convolve(A_bar, B_bar, C, u, state)
        return y + self.D * u, last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        A_bar, B_bar, C = self.system()
        if state is None:
            state = A_bar.new_zeros(u_t.shape[0], *A_bar.shape)
        self._check_state(state, u_t, A_bar)
        y, state = ssm_scan_step(A_bar, B_bar, C, u_t, state)
        return y + self.D * u_t, state


def convolve(
    A_bar: Tensor, B_bar: Tensor, C: Tensor, u: Tensor, state: Tensor | None
) -> Tensor:
    """y (B, L, D) by the kernel as long as u, for a system (D, N), and what is left of a
    first state (B, D, N)."""
    batch, length, width = u.shape
    y = causal_convolution(u, ssm_kernel(A_bar, B_bar, C, length))
    if state is None:
        return y
    # Of each batch entry, the kernel of a system that starts one step after the state.
    into = (A_bar * state).flatten(0, 1)
    decay, out = (x.expand_as(state).flatten(0, 1) for x in (A_bar, C))
    left = ssm_kernel(decay, into, out, length).unflatten(0, (batch, width)).mT
    return (y + left).to(u.dtype)


def draw_log_dt(count: int, dt_min: float, dt_max: float) -> nn.Parameter:
    """Logarithms of steps between two positive numbers, all orders of magnitude alike;
    TypeError or ValueError unless 0 < dt_min <= dt_max."""
    low = number("dt_min", dt_min, above=0)
    high = number("dt_max", dt_max, above=0)
    if low > high:
        raise ValueError(
            f"dt_min, dt_max: expected dt_min <= dt_max, got {low} and {high}"
        )
    return nn.Parameter(torch.empty(count).uniform_(math.log(low), math.log(high)))
