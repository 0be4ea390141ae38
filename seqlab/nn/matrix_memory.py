"""What layers with a matrix for a state share: heads, a norm of each, a gate (chapter 8)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from seqlab.nn.heads import normed_heads, of_heads
from seqlab.ops import gated_linear_attention, gated_linear_attention_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    positive_integer,
)


class MatrixMemory(nn.Module):
    """q, k, v = W_q u, W_k u, W_v u in heads, o = gated_linear_attention(q, k, v) with
    the decays that a subclass chooses, and y = W_o (swish(W_g u) ⊙ norm(o)), where the
    norm is of each head.

    The state is a matrix of each head, (batch, heads, keys / heads, values / heads), in
    float32 at least.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        keys, values: features of the keys and of the values in all heads together,
            multiples of ``heads``; of the values at least two in each.
        bias: whether the gate has one.

    Attributes:
        query, key, value, gate, output: the Linear layers W_q, W_k, W_v, W_g and W_o.
        norm: GroupNorm.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(
        self, width: int, heads: int, keys: int, values: int, bias: bool
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.heads = positive_integer("heads", heads)
        self.keys = of_heads("keys", keys, self.heads)
        self.values = of_heads("values", values, self.heads, least=2)
        self.query = nn.Linear(self.width, self.keys, bias=False)
        self.key = nn.Linear(self.width, self.keys, bias=False)
        self.value = nn.Linear(self.width, self.values, bias=False)
        self.gate = nn.Linear(self.width, self.values, bias=bias)
        self.norm = nn.GroupNorm(self.heads, self.values)
        self.output = nn.Linear(self.values, self.width, bias=False)

    def log_decay(self, u: Tensor) -> Tensor:
        """Logarithms of the decays for the input, in a form that the op takes."""
        raise NotImplementedError

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state; parallel in
        time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.output.weight)
        state = self._checked(state, u)
        o, last = self._attention(u, *self._heads(u), state)
        return self._out(u, o), last

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.output.weight)
        state = self._checked(state, u_t)
        if state is None:
            shape = u_t.shape[0], *self._sizes()
            state = u_t.new_zeros(shape, dtype=accumulation_dtype(self._dtype()))
        o, last = self._attention_step(u_t, *self._heads(u_t), state)
        return self._out(u_t, o), last

    def _attention(
        self, u: Tensor, q: Tensor, k: Tensor, v: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        return gated_linear_attention(q, k, v, self.log_decay(u), state=state)

    def _attention_step(
        self, u_t: Tensor, q_t: Tensor, k_t: Tensor, v_t: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        return gated_linear_attention_step(q_t, k_t, v_t, self.log_decay(u_t), state)

    def _heads(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (..., heads, features)."""
        every = self.query(u), self.key(u), self.value(u)
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in every)
        return q, k, v

    def _out(self, u: Tensor, o: Tensor) -> Tensor:
        normed = normed_heads(o, self.norm.weight, self.norm.bias)
        return self.output(silu(self.gate(u)) * normed)

    def _dtype(self) -> torch.dtype:
        return self.output.weight.dtype

    def _sizes(self) -> tuple[int, int, int]:
        return self.heads, self.keys // self.heads, self.values // self.heads

    def _checked(self, state: Tensor | None, u: Tensor) -> Tensor | None:
        if state is None:
            return None
        wide = accumulation_dtype(self._dtype())
        letters = "batch, heads, keys, values"
        check_state("state", state, u, self._sizes(), wide, letters)
        return state.to(wide)
