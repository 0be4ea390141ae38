"""A recurrent network with a HiPPO memory (chapter 4), one line per equation."""

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.ops.arguments import (
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)
from seqlab.ops.hippo.reference import MEASURES, step_matrices

HippoState = tuple[Tensor, Tensor, int]


class HippoRNN(nn.Module):
    """A gated network that reads, beside the input, its own past as HiPPO coefficients
    (Gu et al., 2020, section 2.4; equations 4.20 to 4.23).

    At each time the network h_t moves some way towards a proposal made from the input,
    from itself and from the memory c_{t-1}, and says one number f_t; the memory c_t
    holds all numbers said so far, projected on the basis of the measure. With ``legs``
    it steps by 1/t and asks for no time scale: the number of the sample is its clock.
    Each f_t is held for one step, which the memory takes exactly ("zoh").

    Args:
        inputs: features of the input at each time, at least 1.
        width: features of the network h, at least 1.
        order: coefficients of the memory c, at least 1.
        measure: "legs", "legt", "lagt" or "fourier".
        theta: window of the memory in time steps, above 0; None for ``legs``, whose
            window is the whole past.

    Attributes:
        W: (2 width, inputs), U: (2 width, order + width), b: (2 width,): gate, then
            proposal, from u_t and from (c_{t-1}, h_{t-1}).
        w: (width,), what f_t reads of h_t.

    Raises:
        TypeError, ValueError: a size is not a positive integer, measure is none of
            the four, or theta does not go with the measure.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        order: int,
        measure: str = "legs",
        theta: float | None = None,
    ) -> None:
        super().__init__()
        self.inputs = positive_integer("inputs", inputs)
        self.width = positive_integer("width", width)
        self.order = positive_integer("order", order)
        if measure not in MEASURES:
            raise ValueError(f"measure: expected one of {MEASURES}, got {measure!r}")
        if measure == "legs" and theta is not None:
            raise ValueError(f"theta: expected None with legs, got {theta}")
        if measure != "legs" and (theta is None or not theta > 0):
            raise ValueError(
                f"theta: expected time steps above 0 with {measure}, got {theta}"
            )
        self.measure, self.theta = measure, theta
        bound = width**-0.5  # torch.nn.LSTM's initialization
        self.W = nn.Parameter(torch.empty(2 * width, inputs).uniform_(-bound, bound))
        # The coefficients together have the energy of f alone, however many they are.
        of_c = torch.empty(2 * width, order).uniform_(-1, 1)
        of_h = torch.empty(2 * width, width).uniform_(-bound, bound)
        self.U = nn.Parameter(torch.cat((of_c, of_h), dim=1))
        self.b = nn.Parameter(torch.empty(2 * width).uniform_(-bound, bound))
        loud = (3 / width) ** 0.5  # the energy of f is the mean energy of h's features
        self.w = nn.Parameter(torch.empty(width).uniform_(-loud, loud))
        # No buffers: a layer turned to float64 needs digits that float32 has lost.
        self._A_bar, self._B_bar = torch.empty(0), torch.empty(0)

    def step(
        self, u_t: Tensor, state: HippoState | None = None
    ) -> tuple[Tensor, HippoState]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width) and the state
        (h_t, c_t, t): c_t is (batch, order), t the number of steps taken."""
        check_step("u_t", u_t, self.inputs, self.W)
        h, c, t = self._start(u_t, state)
        (step,) = self._memory_steps(t, t + 1)
        h, c = self._advance(u_t @ self.W.T + self.b, h, c, *step)
        return h, (h, c, t + 1)

    def forward(
        self, u: Tensor, state: HippoState | None = None
    ) -> tuple[Tensor, HippoState]:
        """u (batch, length, inputs) -> all h (batch, length, width) and the last state
        (h, c, t)."""
        check_sequence("u", u, self.inputs, self.W)
        h, c, t = self._start(u, state)
        end = t + u.shape[1]
        outputs = []
        seen = (u @ self.W.T + self.b).unbind(dim=1)
        for seen_t, step in zip(seen, self._memory_steps(t, end), strict=True):
            h, c = self._advance(seen_t, h, c, *step)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, c, end)

    def _advance(
        self, seen_t: Tensor, h: Tensor, c: Tensor, A_bar: Tensor, B_bar: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The equations, with seen_t = W u_t + b."""
        past = torch.cat((c, h), dim=-1)
        g, proposal = torch.addmm(seen_t, past, self.U.T).chunk(2, dim=-1)
        g, proposal = torch.sigmoid(g), torch.tanh(proposal)  # eq. 4.20
        h = torch.lerp(h, proposal, g)  # eq. 4.21: (1 - g) h + g proposal
        f = h @ self.w  # eq. 4.22
        c = torch.addmm(f[:, None] * B_bar, c, A_bar.T)  # eq. 4.23
        return h, c

    def _start(self, u: Tensor, state: HippoState | None) -> HippoState:
        if state is None:
            batch = len(u)
            return u.new_zeros(batch, self.width), u.new_zeros(batch, self.order), 0
        h, c, t = state
        check_state("state h", h, u, self.width, self.U.dtype)
        check_state("state c", c, u, self.order, self.U.dtype)
        if isinstance(t, bool) or not isinstance(t, int) or t < 0:
            raise ValueError(f"state t: expected a number of steps from 0, got {t!r}")
        return h, c, t

    def _memory_steps(self, start: int, end: int) -> list[tuple[Tensor, Tensor]]:
        """A_bar and B_bar of the steps from start to end."""
        if self.measure != "legs":  # all steps are alike
            self._know(1)
            return [(self._A_bar[0], self._B_bar[0])] * (end - start)
        self._know(end)
        A_bar, B_bar = self._A_bar[start:end], self._B_bar[start:end]
        return list(zip(A_bar.unbind(), B_bar.unbind(), strict=True))

    def _know(self, steps: int) -> None:
        """Have the matrices of that many first steps, as the parameters are kept."""
        alike = (self._A_bar.dtype, self._A_bar.device) == (self.U.dtype, self.U.device)
        known = len(self._A_bar)
        if alike and known >= steps:
            return
        # At least twice as many as before, so that step after step costs little.
        k = np.arange(1, max(steps, 2 * known if alike else known) + 1)
        theta = 1.0 if self.theta is None else self.theta
        matrices = step_matrices(self.measure, self.order, k, "zoh", theta)
        self._A_bar, self._B_bar = (torch.from_numpy(m).to(self.U) for m in matrices)
