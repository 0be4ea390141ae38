"""S6: the state-space model whose input chooses what it remembers (chapter 10)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from seqlab.nn.diagonal_ssm import draw_log_dt
from seqlab.ops import selective_scan, selective_scan_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)

LEAST_STEP = 1e-4
"""Below it no step starts."""


class Selection(NamedTuple):
    """What an input makes of the system at each time."""

    dt: Tensor
    """step sizes, (batch, length, width)"""
    B: Tensor
    """weight of the input in each mode, (batch, length, state_size)"""
    C: Tensor
    """weight of each mode in the output, (batch, length, state_size)"""


class S6(nn.Module):
    """The selective state-space model of Mamba (Gu and Dao, 2023, section 3.2):

        dt = softplus(W_dt W_r u + b),  B = W_B u,  C = W_C u,
        h_t = e^{dt_t A} h_{t-1} + dt_t B_t u_t,  y_t = C_t h_t + D u_t,

    each channel with modes of its own, which share B and C. The state is (batch, width,
    state_size), in float32 at least.

    Args:
        width: channels, at least 1.
        state_size: modes of each channel, at least 1.
        rank: numbers that all step sizes are made from, at least 1; a sixteenth of width,
            rounded up, if None.
        dt_min, dt_max: between which steps start, 0 < dt_min <= dt_max, all orders of
            magnitude alike; at least 1e-4.

    Attributes:
        A_log: (width, state_size), logarithm of -A; A starts at -1, -2, ..., as S4D's
            "real" does.
        D: (width,), 1 at first.
        x_proj: Linear layer of W_r, W_B and W_C, one below the other, without bias.
        dt_proj: Linear layer of W_dt; its bias is softplus' inverse of the first steps.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int = 16,
        rank: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        self.rank = (
            math.ceil(self.width / 16)
            if rank is None
            else positive_integer("rank", rank)
        )
        self.x_proj = nn.Linear(self.width, self.rank + 2 * self.state_size, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.width)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            dt = draw_log_dt(self.width, dt_min, dt_max).exp().clamp(min=LEAST_STEP)
            # Where softplus is dt: log(e^dt - 1), which loses digits, as dt + log(1 - e^-dt).
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))
        modes = torch.arange(1, self.state_size + 1, dtype=self.dt_proj.weight.dtype)
        self.A_log = nn.Parameter(torch.log(modes).repeat(self.width, 1))
        self.D = nn.Parameter(torch.ones(self.width))

    def forward(
        self, u: Tensor, state: Tensor | None = None, z: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Where there is a ``z``, like ``u``, y is multiplied by z sigmoid(z): a gate that
        costs no pass over memory of its own.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        if z is not None:
            check_sequence("z", z, self.width, self.D)
        raw, B, C = self._project(u)
        A, D, bias, state = self._full_precision(u, state)
        z = None if z is None else z.to(raw.dtype)
        return selective_scan(
            u.to(raw.dtype), raw, A, B, C, D, z, bias, delta_softplus=True, state=state
        )

    def step(
        self, u_t: Tensor, state: Tensor | None = None, z_t: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        if z_t is not None:
            check_step("z_t", z_t, self.width, self.D)
        raw, B, C = self._project(u_t)
        A, D, bias, state = self._full_precision(u_t, state)
        if state is None:
            state = A.new_zeros((u_t.shape[0], *A.shape))
        z_t = None if z_t is None else z_t.to(raw.dtype)
        u_t = u_t.to(raw.dtype)
        return selective_scan_step(
            u_t, raw, A, B, C, state, D, z_t, bias, delta_softplus=True
        )

    def selection(self, u: Tensor) -> Selection:
        """The step sizes and the weights that the input chooses: u (batch, length, width)
        -> dt, B and C."""
        check_sequence("u", u, self.width, self.D)
        raw, B, C = self._project(u)
        return Selection(softplus(raw + self.dt_proj.bias), B, C)

    def _project(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Steps before their bias, B and C; under autocast in the dtype that it chooses."""
        sizes = [self.rank, self.state_size, self.state_size]
        low, B, C = self.x_proj(u).split(sizes, dim=-1)
        return linear(low, self.dt_proj.weight), B, C

    def _full_precision(
        self, u: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        wide = accumulation_dtype(self.D.dtype)
        if state is not None:
            widths = self.width, self.state_size
            check_state("state", state, u, widths, wide, "batch, width, state_size")
            state = state.to(wide)
        A = -torch.exp(self.A_log.to(wide))
        return A, self.D.to(wide), self.dt_proj.bias.to(wide), state
