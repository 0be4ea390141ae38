"""RWKV-4's channel mixing: what each token makes of itself and the one before (chapter
8)."""

import torch
from torch import Tensor, nn

from seqlab.nn.time_mix import place, share_of_the_present
from seqlab.nn.token_shift import TokenShift
from seqlab.ops.arguments import check_sequence, check_step, positive_integer


class ChannelMix(nn.Module):
    """RWKV-4's feed-forward layer (Peng et al., 2023, section 3):

        k, r = W_k shift_k(u), W_r shift_r(u),  y = sigmoid(r) ⊙ (W_v max(k, 0)²).

    The state is the last token, (batch, width), in float32 at least.

    Args:
        width: features of the input and of the output, at least 1.
        inner: features of k, at least 1; four times `width` if None.
        layer, depth: which of how many layers it is, 0 <= layer < depth.

    Attributes:
        shift_k, shift_r: the `TokenShift` of each.
        key, receptance, value: the Linear layers W_k, W_r and W_v, without bias.

    Raises:
        TypeError, ValueError: a size or a place is not as described.
    """

    def __init__(
        self, width: int, inner: int | None = None, layer: int = 0, depth: int = 1
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        inner = 4 * self.width if inner is None else positive_integer("inner", inner)
        present = share_of_the_present(self.width, *place(layer, depth))
        self.shift_k, self.shift_r = TokenShift(self.width), TokenShift(self.width)
        self.shift_k.mu = nn.Parameter(present)
        self.shift_r.mu = nn.Parameter(present.clone())
        self.key = nn.Linear(self.width, inner, bias=False)
        self.receptance = nn.Linear(self.width, self.width, bias=False)
        self.value = nn.Linear(inner, self.width, bias=False)

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape, and the last token.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.shift_k.mu)
        if state is not None:
            self.shift_k.check("state", state, u)
        shifted_k, last = self.shift_k.mix(u, state)
        shifted_r, _ = self.shift_r.mix(u, state)
        return self._out(shifted_k, shifted_r), last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape, and u_t as the
        state."""
        check_step("u_t", u_t, self.width, self.shift_k.mu)
        if state is not None:
            self.shift_k.check("state", state, u_t)
        shifted_k, last = self.shift_k.mix_step(u_t, state)
        shifted_r, _ = self.shift_r.mix_step(u_t, state)
        return self._out(shifted_k, shifted_r), last

    def _out(self, shifted_k: Tensor, shifted_r: Tensor) -> Tensor:
        k = torch.square(torch.relu(self.key(shifted_k)))
        gate = torch.sigmoid(self.receptance(shifted_r))
        return gate * self.value(k)  # eq. 8.16
