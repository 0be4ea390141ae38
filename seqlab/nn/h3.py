"""H3: attention's two abilities from two state-space models (chapter 7)."""

import torch
from torch import Tensor, nn

from seqlab.nn.s4d import S4D
from seqlab.ops import H3State, h3, h3_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    parts_of,
    positive_integer,
)


class H3(nn.Module):
    """H3 (Fu et al., 2023, arXiv 2212.14052, section 3): from queries, keys and values q, k,
    v = W_q u, W_k u, W_v u,

        y = W_o (q ⊙ SSM_diagonal(SSM_shift(k) ⊙ v)),

    where the shift SSM remembers the last keys, so that a value can be stored with what came
    before it, and the diagonal one, an S4D, remembers what was stored. In heads of several
    channels k ⊙ v is an outer product, and each head has one system.

    The state is an `H3State` of the last keys, (batch, taps - 1, width), in float32 at
    least, and the memory, complex (batch, width head_dim, state_size).

    Args:
        width: features of the input and of the output, at least 1.
        state_size: modes of each head's system, at least 1: half of what the paper calls
            N, as in `S4D`.
        taps: keys that the shift SSM sees, at least 1.
        head_dim: channels of a head, a divisor of width.
        init: where the eigenvalues of the long memory start, as in `S4D`.
        dt_min, dt_max: as in `DiagonalSSM`.

    Attributes:
        query, key, value, out: the Linear layers W_q, W_k, W_v and W_o.
        taps: (width, taps), the newest key's first; drawn with variance 1 / taps.
        memory: the `S4D` of width / head_dim channels.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        state_size: int,
        taps: int = 4,
        head_dim: int = 1,
        init: str = "legs",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        taps = positive_integer("taps", taps)
        self.head_dim = positive_integer("head_dim", head_dim)
        heads, rest = divmod(self.width, self.head_dim)
        if rest:
            raise ValueError(
                f"head_dim: expected a divisor of width {self.width}, got {self.head_dim}"
            )
        self.query = nn.Linear(self.width, self.width)
        self.key = nn.Linear(self.width, self.width)
        self.value = nn.Linear(self.width, self.width)
        self.out = nn.Linear(self.width, self.width)
        self.taps = nn.Parameter(torch.randn(self.width, taps) / taps**0.5)
        self.memory = S4D(heads, state_size, init, dt_min=dt_min, dt_max=dt_max)

    def forward(
        self, u: Tensor, state: H3State | None = None
    ) -> tuple[Tensor, H3State]:
        """u (batch, length, width) -> y of the same shape and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        q, k, v = self.query(u), self.key(u), self.value(u)
        taps, A_bar, B_bar, C, D = self._system(q)
        before = self._before(state, q)
        y, last = h3(q, k, v, taps, A_bar, B_bar, C, D, before, self.head_dim)
        return self.out(y), self._kept(last)

    def step(self, u_t: Tensor, state: H3State | None = None) -> tuple[Tensor, H3State]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.out.weight)
        q, k, v = self.query(u_t), self.key(u_t), self.value(u_t)
        taps, A_bar, B_bar, C, D = self._system(q)
        before = self._before(state, q)
        if before is None:
            batch, products = q.shape[0], self.width * self.head_dim
            window = q.new_zeros((batch, taps.shape[1] - 1, self.width))
            memory = A_bar.new_zeros((batch, products, A_bar.shape[1]))
            before = H3State(window, memory)
        y, last = h3_step(q, k, v, taps, A_bar, B_bar, C, before, D, self.head_dim)
        return self.out(y), self._kept(last)

    def _system(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        wide = accumulation_dtype(q.dtype)
        return self.taps.to(wide), *self.memory.system(), self.memory.D.to(wide)

    def _before(self, state: H3State | None, q: Tensor) -> H3State | None:
        if state is None:
            return None
        window, memory = parts_of("state", state, H3State)
        wide = accumulation_dtype(self.taps.dtype)
        widths = self.taps.shape[1] - 1, self.width
        check_state("state", window, q, widths, wide, "batch, taps - 1, width")
        return H3State(window.to(q.dtype), memory)

    def _kept(self, state: H3State) -> H3State:
        wide = accumulation_dtype(self.taps.dtype)
        return H3State(state.window.to(wide), state.memory)
