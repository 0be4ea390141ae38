"""GLA: linear attention that forgets as the data say, in each key channel (chapter 8)."""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from seqlab.nn.feed_forward_block import FeedForwardBlock
from seqlab.nn.matrix_memory import MatrixMemory
from seqlab.ops.arguments import accumulation_dtype, positive_integer

TEMPERATURE = 16.0
"""The larger, the longer memories are to begin with."""


class GatedLinearAttention(MatrixMemory):
    """The GLA layer (Yang et al., 2024, section 4): a `MatrixMemory` whose decays are
    α = sigmoid(W_2 W_1 u + b)^(1/τ), one for each key channel,
    with τ = 16.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        keys: features of the keys in all heads; half of `width`, rounded up to a multiple
            of `heads`, if None.
        values: features of the values in all heads; `width` if None.
        rank: rows of W_1, at least 1.

    Attributes:
        decay_in, decay_out: the Linear layers W_1, without bias, and W_2, with it.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        keys: int | None = None,
        values: int | None = None,
        rank: int = 16,
    ) -> None:
        width, heads = (
            positive_integer("width", width),
            positive_integer("heads", heads),
        )
        keys = -(-width // (2 * heads)) * heads if keys is None else keys
        super().__init__(
            width, heads, keys, width if values is None else values, bias=True
        )
        self.decay_in = nn.Linear(width, positive_integer("rank", rank), bias=False)
        self.decay_out = nn.Linear(self.decay_in.out_features, self.keys)

    def log_decay(self, u: Tensor) -> Tensor:
        """(..., heads, keys of a head), at every step, for an input (..., width)."""
        x = self.decay_out(self.decay_in(u)).to(accumulation_dtype(self._dtype()))
        return (logsigmoid(x) / TEMPERATURE).unflatten(-1, (self.heads, -1))


class GLA(FeedForwardBlock):
    """A block of the GLA transformer: x = u + GatedLinearAttention(norm(u)), then x + W_3
    (swish(W_1 z) ⊙ W_2 z) with z = norm(x) (Yang et al., 2024, section 4). The state is
    that of its `GatedLinearAttention`.

    Args:
        width, heads, keys, values: as in `GatedLinearAttention`.
        hidden: features of W_1 and W_2, at least 1; 8/3 of `width`, rounded up, if None.

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
        super().__init__(GatedLinearAttention(width, heads, keys, values), width)
        hidden = -(-8 * self.width // 3) if hidden is None else hidden
        hidden = positive_integer("hidden", hidden)
        self.gate = nn.Linear(self.width, hidden, bias=False)
        self.into = nn.Linear(self.width, hidden, bias=False)
        self.out = nn.Linear(hidden, self.width, bias=False)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.out(silu(self.gate(x)) * self.into(x))
