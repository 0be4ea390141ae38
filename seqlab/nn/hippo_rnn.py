"""A recurrent network with a HiPPO memory (chapter 4), one line per equation."""

import torch
from torch import Tensor, nn

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    choice,
    integer,
    number,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast
from seqlab.ops.hippo.op import checked_step
from seqlab.ops.hippo.reference import MEASURES

HippoState = tuple[Tensor, Tensor, int]


class HippoRNN(nn.Module):
    """A gated network that reads, beside the input, its own past as HiPPO coefficients
    (Gu et al., 2020, section 2.4; equations 4.20 to 4.23).

    At each time the network h_t moves some way towards a proposal made from the input,
    from itself and from the memory c_{t-1}, and puts out one number f_t; the memory c_t
    holds all of these so far, projected on the basis of the measure. With ``legs`` it
    steps by 1/t and asks for no time scale: the number of the sample is its clock. Each
    f_t is held for one step, which the memory takes exactly ("zoh").

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
        choice("measure", measure, MEASURES)
        if measure == "legs" and theta is not None:
            raise ValueError(f"theta: expected None with legs, got {theta}")
        if measure != "legs" and theta is None:
            raise ValueError(
                f"theta: expected time steps above 0 with {measure}, got None"
            )
        if theta is not None:
            theta = number("theta", theta, above=0)
        self.measure, self.theta = measure, theta
        width, order = self.width, self.order
        bound = width**-0.5  # torch.nn.LSTM's initialization
        self.W = nn.Parameter(
            torch.empty(2 * width, self.inputs).uniform_(-bound, bound)
        )
        # The coefficients together have the energy of f alone, however many they are.
        of_c = torch.empty(2 * width, order).uniform_(-1, 1)
        of_h = torch.empty(2 * width, width).uniform_(-bound, bound)
        self.U = nn.Parameter(torch.cat((of_c, of_h), dim=1))
        self.b = nn.Parameter(torch.empty(2 * width).uniform_(-bound, bound))
        loud = (3 / width) ** 0.5  # the energy of f is the mean energy of h's features
        self.w = nn.Parameter(torch.empty(width).uniform_(-loud, loud))

    def step(
        self, u_t: Tensor, state: HippoState | None = None
    ) -> tuple[Tensor, HippoState]:
        """One time step: u_t (batch, inputs) -> h_t (batch, width) and the state
        (h_t, c_t, t): c_t is (batch, order), in float32 at least, t the number of steps
        taken."""
        check_step("u_t", u_t, self.inputs, self.W)
        h, c, t = self._start(u_t, state)
        with outside_autocast(u_t.device):
            seen_t = u_t.to(self.W.dtype) @ self.W.T + self.b
            h, c = self._advance(seen_t, h, c, t)
        return h.clone(), (h, c, t + 1)  # two tensors: either may be changed

    def forward(
        self, u: Tensor, state: HippoState | None = None
    ) -> tuple[Tensor, HippoState]:
        """u (batch, length, inputs) -> all h (batch, length, width) and the last state
        (h, c, t)."""
        check_sequence("u", u, self.inputs, self.W)
        h, c, t = self._start(u, state)
        outputs = []
        with outside_autocast(u.device):
            for seen_t in (u.to(self.W.dtype) @ self.W.T + self.b).unbind(dim=1):
                h, c = self._advance(seen_t, h, c, t)
                outputs.append(h)
                t += 1
            return torch.stack(outputs, dim=1), (h, c, t)

    def _advance(
        self, seen_t: Tensor, h: Tensor, c: Tensor, t: int
    ) -> tuple[Tensor, Tensor]:
        """The equations, with seen_t = W u_t + b, after t steps."""
        past = torch.cat((c.to(h.dtype), h), dim=-1)
        g, proposal = torch.addmm(seen_t, past, self.U.T).chunk(2, dim=-1)
        g, proposal = torch.sigmoid(g), torch.tanh(proposal)  # eq. 4.20
        h = torch.lerp(h, proposal, g)  # eq. 4.21: (1 - g) h + g proposal
        f = h @ self.w  # eq. 4.22
        before = None if self.measure == "legs" and t == 0 else c[:, None]
        window = 1.0 if self.theta is None else self.theta
        how = (self.order, self.measure, "zoh", 1 / window, t, "portable")
        _, c = checked_step(f[:, None], before, *how)  # eq. 4.23
        return h, c[:, 0].clone()  # no view: its base would differ when compiled

    def _start(self, u: Tensor, state: HippoState | None) -> HippoState:
        """The state given, once it is checked, or zeros; c in float32 at least."""
        dtype = self.U.dtype
        wide = accumulation_dtype(dtype)
        if state is None:
            h = u.new_zeros(u.shape[0], self.width, dtype=dtype)
            return h, u.new_zeros(u.shape[0], self.order, dtype=wide), 0
        if not isinstance(state, list | tuple) or len(state) != 3:
            raise TypeError(
                f"state: expected a tuple (h, c, t), got {type(state).__name__}"
            )
        h, c, t = state
        check_state("state h", h, u, self.width, dtype)
        check_state("state c", c, u, self.order, wide)
        return h.to(dtype), c.to(wide), integer("state t", t)
