"""GSS: a gated state-space layer (chapter 6)."""

from torch import Tensor, nn
from torch.nn.functional import gelu

from seqlab.nn.dss import DSS
from seqlab.ops.arguments import check_sequence, check_step, positive_integer


class GSS(nn.Module):
    """The gated state-space layer (Mehta et al., 2022, arXiv 2206.13947, section 3.3):

        v = gelu(W_v u),  s = DSS(gelu(W_s u)),  y = W_y (v ⊙ W_r s).

    The state-space model, a DSS with the normalization "exp", runs on few channels, of
    which the gate makes many.

    Args:
        width: features of the input and of the output, at least 1.
        state_size: modes of each channel of the state-space model, at least 1.
        inner: channels of the state-space model, at least 1; the paper takes a
            quarter of width.
        gated: features of the gate, at least 1; the paper takes four times width.
        mode: as in `DiagonalSSM`.

    Attributes:
        gate, into, read, out: the Linear layers W_v, W_s, W_r and W_y, without bias.
        ssm: the `DSS`. The state is its own, complex (batch, inner, state_size).

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        inner: int,
        gated: int,
        mode: str = "chunks",
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        inner = positive_integer("inner", inner)
        gated = positive_integer("gated", gated)
        self.gate = nn.Linear(self.width, gated, bias=False)
        self.into = nn.Linear(self.width, inner, bias=False)
        self.ssm = DSS(inner, state_size, "exp", mode=mode)
        self.read = nn.Linear(inner, gated, bias=False)
        self.out = nn.Linear(gated, self.width, bias=False)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state, complex
        (batch, inner, state_size).

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        s, state = self.ssm(gelu(self.into(u)), state)
        return self._gated(u, s), state

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out.weight)
        s, state = self.ssm.step(gelu(self.into(u_t)), state)
        return self._gated(u_t, s), state

    def _gated(self, u: Tensor, s: Tensor) -> Tensor:
        return self.out(gelu(self.gate(u)) * self.read(s))
