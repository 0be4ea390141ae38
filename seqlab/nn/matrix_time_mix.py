"""Time mixing of RWKV-5, Eagle, and RWKV-6, Finch: a matrix in each head (chapter 8)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from seqlab.nn.heads import normed_heads, of_heads
from seqlab.nn.time_mix import (
    TimeMixState,
    decay_curve,
    depth_of,
    orthogonal,
    place,
    share_of_the_present,
    zigzag,
)
from seqlab.ops import gated_linear_attention, gated_linear_attention_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    check_state,
    check_step,
    parts_of,
    positive_integer,
)

SMALL = 0.01
"""The largest entry of what Finch's low ranks lead out of, to begin with."""


class MatrixTimeMix(nn.Module):
    """What RWKV-5 and RWKV-6 have in place of attention (Peng et al., 2024, section 4):

        r, k, v = W_r x_r, W_k x_k, W_v x_v, in heads,
        o_t = r_t (S_{t-1} + diag(bonus) k_t v_t^T),  S_t = diag(w_t) S_{t-1} + k_t v_t^T,
        y = W_o (silu(W_g x_g) ⊙ norm(o)),

    where the norm is of each head, and nothing is divided by a sum of weights, as in
    RWKV-4. A subclass says how each x mixes u with the token before, and which decays
    w = exp(-exp(d)) there are.

    In front of the norm o has a factor, (inner / heads)^-1/2, which matters to the norm's
    eps alone; of 64 features, as the papers' heads have, it is the 1/8 of their code.

    The state is a `TimeMixState`. Where the layer stands in its model decides how it
    starts, as in `TimeMix`.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        inner: features of keys, values and receptance, a multiple of ``heads``, at least
            two in each; `width` if None.
        layer, depth: which of how many layers it is, 0 <= layer < depth.

    Attributes:
        receptance, key, value, gate, output: the Linear layers W_r, W_k, W_v, W_g and
            W_o, without bias.
        norm: GroupNorm, whose scales start at ((layer + 1) / depth)^0.7.
        decay: (inner,), d, or what it is before the data are seen.
        bonus: (inner,), what the present's key counts, u in the paper.

    Raises:
        TypeError, ValueError: a size or a place is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int | None = None,
        layer: int = 0,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.heads = positive_integer("heads", heads)
        inner = self.width if inner is None else inner
        self.inner = of_heads("inner", inner, self.heads, least=2)
        layer, depth = place(layer, depth)
        deep = depth_of(layer, depth)
        self.receptance = nn.Linear(self.width, self.inner, bias=False)
        self.key = nn.Linear(self.width, self.inner, bias=False)
        self.value = nn.Linear(self.width, self.inner, bias=False)
        self.gate = nn.Linear(self.width, self.inner, bias=False)
        self.output = nn.Linear(self.inner, self.width, bias=False)
        self.norm = nn.GroupNorm(self.heads, self.inner)
        nn.init.constant_(self.norm.weight, ((layer + 1) / depth) ** 0.7)
        self.decay = nn.Parameter(5 * decay_curve(self.inner, deep) - 6)
        falling = 1 - torch.arange(self.inner) / (self.inner - 1)
        self.bonus = nn.Parameter(deep * falling + 0.1 * zigzag(self.inner))

    def forward(
        self, u: Tensor, state: TimeMixState | None = None
    ) -> tuple[Tensor, TimeMixState]:
        """u (batch, length, width) -> y of the same shape and the last state; parallel in
        time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.output.weight)
        before, sums = self._parts(state, u)
        past = torch.cat((before[:, None], u), dim=1)[:, :-1]
        (r, k, v), x_g, d = self._mixed(u, past)
        log_decay, bonus = self._rates(d)
        o, sums = gated_linear_attention(r, k, v, log_decay, bonus, sums)
        return self._out(x_g, o), TimeMixState(self._kept(u[:, -1]), sums)

    def step(
        self, u_t: Tensor, state: TimeMixState | None = None
    ) -> tuple[Tensor, TimeMixState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.output.weight)
        before, sums = self._parts(state, u_t)
        if sums is None:
            shape = u_t.shape[0], *self._sizes()
            sums = u_t.new_zeros(shape, dtype=accumulation_dtype(self._dtype()))
        (r, k, v), x_g, d = self._mixed(u_t, before)
        log_decay, bonus = self._rates(d)
        log_decay = log_decay.expand(r.shape)
        o, sums = gated_linear_attention_step(r, k, v, log_decay, sums, bonus)
        return self._out(x_g, o), TimeMixState(self._kept(u_t), sums)

    def close(self) -> None:
        """Start as a layer that does nothing yet."""
        for small in (self.key, self.gate):
            orthogonal(small, 0.1)
        for wide in (self.receptance, self.value):
            orthogonal(wide)
        nn.init.zeros_(self.output.weight)

    def _inputs(
        self, u: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x_r, x_k, x_v and x_g, of the shape of tokens and those before them, and d,
        (inner,) or (..., inner)."""
        raise NotImplementedError

    def _mixed(
        self, u: Tensor, past: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
        """r, k and v, (..., heads, features), x_g and d."""
        x_r, x_k, x_v, x_g, d = self._inputs(u, past)
        every = self.receptance(x_r), self.key(x_k), self.value(x_v)
        r, k, v = (x.unflatten(-1, (self.heads, -1)) for x in every)
        return (r, k, v), x_g, d

    def _rates(self, d: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of the decays and the bonus, by heads, in float32 at least: a decay
        may be very close to 1."""
        wide = accumulation_dtype(self._dtype())
        every = -torch.exp(d.to(wide)), self.bonus.to(wide)
        log_decay, bonus = (x.unflatten(-1, (self.heads, -1)) for x in every)
        return log_decay, bonus

    def _out(self, x_g: Tensor, o: Tensor) -> Tensor:
        normed = normed_heads(o, self.norm.weight, self.norm.bias)
        return self.output(silu(self.gate(x_g)) * normed)

    def _kept(self, last: Tensor) -> Tensor:
        return last.to(accumulation_dtype(self._dtype()), copy=True)

    def _dtype(self) -> torch.dtype:
        return self.output.weight.dtype

    def _sizes(self) -> tuple[int, int, int]:
        size = self.inner // self.heads
        return self.heads, size, size

    def _parts(
        self, state: TimeMixState | None, u: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The parts of a state, once they are checked: a token of zeros came first."""
        if state is None:
            return u.new_zeros(u.shape[0], self.width), None
        before, sums = parts_of("state", state, TimeMixState)
        wide = accumulation_dtype(self._dtype())
        check_state("state before", before, u, self.width, wide)
        letters = "batch, heads, keys, values"
        check_state("state sums", sums, u, self._sizes(), wide, letters)
        return before.to(u.dtype), sums.to(wide)


class EagleTimeMix(MatrixTimeMix):
    """RWKV-5's time mixing (Peng et al., 2024, section 4.1): a `MatrixTimeMix` with a fixed
    share of the present in each channel, as in `TokenShift`, and a fixed decay in each.

    Args:
        width, heads, inner, layer, depth: as in `MatrixTimeMix`.

    Attributes:
        mu: (4, width), shares of the present in x_r, x_k, x_v and x_g; the paper's are
            those of the past, 1 - mu.

    Raises:
        TypeError, ValueError: a size or a place is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int | None = None,
        layer: int = 0,
        depth: int = 1,
    ) -> None:
        super().__init__(width, heads, inner, layer, depth)
        self.mu = nn.Parameter(torch.stack(_shares(self.width, layer, depth)))

    def _inputs(
        self, u: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        x_r, x_k, x_v, x_g = (past + (u - past) * mu for mu in self.mu)
        return x_r, x_k, x_v, x_g, self.decay


class FinchTimeMix(MatrixTimeMix):
    """RWKV-6's time mixing (Peng et al., 2024, section 4.2): a `MatrixTimeMix` in which
    the data decide, by matrices of low rank, on shares and decays:

        x = mix(mu_x),  x_□ = mix(mu_□ + tanh(x A_□) B_□),  d = decay + tanh(x_w A) B,
        mix(share) = past + share ⊙ (u - past).

    At first the A are zero: then it is an `EagleTimeMix`.

    Args:
        width, heads, inner, layer, depth: as in `MatrixTimeMix`.
        rank: of each A_□ B_□, at least 1.
        decay_rank: of A B, at least 1.

    Attributes:
        mu_x: (width,), share of the present in x.
        mu: (5, width), those in x_r, x_k, x_v, x_g and x_w before the data are seen; the
            paper's are those of the past, 1 - mu, and the signs of its B the others.
        mix_in: the Linear layer of the five A_□, without bias.
        mix_out: (5, rank, width), the B_□.
        decay_in, decay_out: the Linear layers of A and B, without bias.

    Raises:
        TypeError, ValueError: a size or a place is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int | None = None,
        layer: int = 0,
        depth: int = 1,
        rank: int = 32,
        decay_rank: int = 64,
    ) -> None:
        super().__init__(width, heads, inner, layer, depth)
        rank = positive_integer("rank", rank)
        decay_rank = positive_integer("decay_rank", decay_rank)
        shares = _shares(self.width, layer, depth)
        present = shares[1]
        self.mu_x = nn.Parameter(present.clone())
        self.mu = nn.Parameter(torch.stack((*shares, present)))
        self.mix_in = nn.Linear(self.width, 5 * rank, bias=False)
        self.mix_out = nn.Parameter(torch.empty(5, rank, self.width))
        self.decay_in = nn.Linear(self.width, decay_rank, bias=False)
        self.decay_out = nn.Linear(decay_rank, self.inner, bias=False)
        for A in (self.mix_in.weight, self.decay_in.weight):
            nn.init.zeros_(A)
        for B in (self.mix_out, self.decay_out.weight):
            nn.init.uniform_(B, -SMALL, SMALL)

    def _inputs(
        self, u: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        change = u - past
        low = torch.tanh(self.mix_in(past + change * self.mu_x)).unflatten(-1, (5, -1))
        moved = torch.einsum("...ir,irw->...iw", low, self.mix_out.to(low.dtype))
        shares = (self.mu + moved).unbind(-2)
        x_r, x_k, x_v, x_g, x_w = (past + change * share for share in shares)
        d = self.decay + self.decay_out(torch.tanh(self.decay_in(x_w)))
        return x_r, x_k, x_v, x_g, d


def _shares(
    width: int, layer: int, depth: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How the shares of the present start in x_r, x_k, x_v and x_g."""
    present = share_of_the_present(width, layer, depth)
    more = present + 0.3 * depth_of(layer, depth)
    return present**0.5, present, more, present**0.5
