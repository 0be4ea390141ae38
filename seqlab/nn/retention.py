"""RetNet: retention, attention that forgets at a fixed rate in each head (chapter 8)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from seqlab.nn.feed_forward_block import FeedForwardBlock
from seqlab.nn.matrix_memory import MatrixMemory
from seqlab.ops import gated_linear_attention, gated_linear_attention_step
from seqlab.ops.arguments import accumulation_dtype, positive_integer


class Retention(MatrixMemory):
    """Multi-scale retention (Sun et al., 2023, section 2): a `MatrixMemory` in which head
    h forgets by 1 - 2^(-5 - h) a step, and queries and keys turn with time.

    Entries of a key are pairs, and pair j turns by θ_j = 10000^(-2j / keys of a head) a
    step, as in rotary position embeddings. Since only the distance of two steps
    matters, it is the state that is turned from one call to the next, and no position
    has to be counted.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        keys: features of the keys in all heads, an even number in each; `width` if None.
        values: features of the values in all heads; twice `width` if None, as in the paper.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        keys: int | None = None,
        values: int | None = None,
    ) -> None:
        width = positive_integer("width", width)
        keys = width if keys is None else keys
        values = 2 * width if values is None else values
        super().__init__(width, heads, keys, values, bias=False)
        if self.keys % (2 * self.heads):
            raise ValueError(
                f"keys: expected a multiple of 2 heads = {2 * self.heads}, got {self.keys}"
            )

    def log_decay(self, u: Tensor) -> Tensor:
        """(heads,), of all inputs alike."""
        h = torch.arange(self.heads, device=u.device)
        wide = accumulation_dtype(self._dtype())
        return torch.log1p(-(2.0 ** (-5 - h.double()))).to(wide)

    def _attention(
        self, u: Tensor, q: Tensor, k: Tensor, v: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        steps = torch.arange(1, u.shape[1] + 1, device=u.device)
        angles = self._angles(steps)[:, None]
        q, k = _turned(q, angles), _turned(k, angles)
        o, last = gated_linear_attention(q, k, v, self.log_decay(u), state=state)
        return o, _turned(last.mT, -angles[-1]).mT

    def _attention_step(
        self, u_t: Tensor, q_t: Tensor, k_t: Tensor, v_t: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        one = torch.ones((), device=u_t.device)
        before = _turned(state.mT, -self._angles(one)).mT
        return gated_linear_attention_step(q_t, k_t, v_t, self.log_decay(u_t), before)

    def _angles(self, steps: Tensor) -> Tensor:
        """How far each pair has turned after so many steps: (..., pairs). In float64, as a
        step is little beside many."""
        pairs = self.keys // self.heads // 2
        j = torch.arange(pairs, device=steps.device, dtype=torch.float64)
        return steps[..., None].double() * 10_000.0 ** (-j / pairs)


def _turned(x: Tensor, angles: Tensor) -> Tensor:
    """Entries (..., 2 pairs), of which the first half are real parts and the others
    imaginary ones, turned by angles (..., pairs)."""
    wide = accumulation_dtype(x.dtype)
    cos, sin = torch.cos(angles).to(wide), torch.sin(angles).to(wide)
    real, imag = x.to(wide).chunk(2, dim=-1)
    return torch.cat((cos * real - sin * imag, sin * real + cos * imag), -1).to(x.dtype)


class RetNet(FeedForwardBlock):
    """A block of RetNet: x = u + Retention(norm(u)), then x + W_2 gelu(W_1 norm(x)) (Sun et
    al., 2023, section 2). The state is that of its `Retention`.

    Args:
        width, heads, keys, values: as in `Retention`.
        hidden: features of W_1, at least 1; twice `width` if None, as in the paper.

    Raises:
        TypeError, ValueError: a size is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        keys: int | None = None,
        values: int | None = None,
        hidden: int | None = None,
    ) -> None:
        super().__init__(Retention(width, heads, keys, values), width)
        hidden = 2 * self.width if hidden is None else hidden
        hidden = positive_integer("hidden", hidden)
        self.into = nn.Linear(self.width, hidden, bias=False)
        self.out = nn.Linear(hidden, self.width, bias=False)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.out(gelu(self.into(x)))
