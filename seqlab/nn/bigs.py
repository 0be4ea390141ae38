"""BiGS: a gated state-space layer that looks both ways (chapter 6)."""

from torch import Tensor, nn
from torch.nn.functional import gelu

from seqlab.nn.s4d import S4D
from seqlab.ops.arguments import check_sequence, positive_integer


class BiGS(nn.Module):
    """The bidirectional gated state-space layer (Wang et al., 2022, arXiv 2212.10544,
    section 3.1), which takes the place of attention in a masked language model:

        v = gelu(W_v u),  f = W_1 SSM_f(gelu(W_f u)),  b = W_2 SSM_b(gelu(W_b u)),
        y = W_y (v ⊙ gelu(W_u (f ⊙ b))),

    where SSM_f runs from the first time to the last and SSM_b from the last to the first,
    both of them S4D. An output depends on later inputs, so there is no step.

    Args:
        width: features of the input and of the output, at least 1.
        state_size: modes of each channel of the state-space models, at least 1.
        inner: channels of each of these, at least 1; the paper takes width.
        gated: features of the gate, at least 1; the paper takes three times width.

    Attributes:
        gate, into_forward, into_backward, of_forward, of_backward, mixed, out: the Linear
            layers W_v, W_f, W_b, W_1, W_2, W_u and W_y, without bias.
        forward_ssm, backward_ssm: the `S4D`.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(self, width: int, state_size: int, inner: int, gated: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        inner = positive_integer("inner", inner)
        gated = positive_integer("gated", gated)
        self.gate = nn.Linear(self.width, gated, bias=False)
        self.into_forward = nn.Linear(self.width, inner, bias=False)
        self.into_backward = nn.Linear(self.width, inner, bias=False)
        self.forward_ssm = S4D(inner, state_size)
        self.backward_ssm = S4D(inner, state_size)
        self.of_forward = nn.Linear(inner, inner, bias=False)
        self.of_backward = nn.Linear(inner, inner, bias=False)
        self.mixed = nn.Linear(inner, gated, bias=False)
        self.out = nn.Linear(gated, self.width, bias=False)

    def forward(self, u: Tensor) -> tuple[Tensor, None]:
        """u (batch, length, width) -> y of the same shape, and None for a state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        f, _ = self.forward_ssm(gelu(self.into_forward(u)))
        b, _ = self.backward_ssm(gelu(self.into_backward(u)).flip(1))
        both = self.of_forward(f) * self.of_backward(b.flip(1))
        return self.out(gelu(self.gate(u)) * gelu(self.mixed(both))), None
