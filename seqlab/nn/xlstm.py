"""xLSTM, the language model of both memories (chapter 9)."""

from torch import nn

from seqlab.nn.language_model import LanguageModel
from seqlab.nn.mlstm import MLSTMBlock
from seqlab.nn.slstm import SLSTMBlock
from seqlab.ops.arguments import integer, positive_integer


class XLSTM(LanguageModel):
    """xLSTM[a:b], a language model: embeddings, blocks of which b are `SLSTMBlock` for
    every a that are `MLSTMBlock`, a norm, and the logits of the next token (Beck et al.,
    2024, section 2.4).

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, a multiple of `heads`.
        depth: number of blocks, a multiple of a + b.
        ratio: (a, b), each at least 0 and not both of them. Of a + b blocks the first is
            an mLSTM if a is not 0, the next b are sLSTMs, the rest mLSTMs.
        heads: of every block, at least 1.
        size: taps of the convolutions, at least 1.
        tied: whether the logits are products with the embeddings.

    Attributes:
        embedding, blocks, norm, head: as in `LanguageModel`.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        ratio: tuple[int, int] = (1, 0),
        heads: int = 4,
        size: int = 4,
        tied: bool = False,
    ) -> None:
        width = positive_integer("width", width)
        depth = positive_integer("depth", depth)
        kinds = _kinds(ratio)
        if depth % len(kinds):
            raise ValueError(
                f"depth: expected a multiple of {len(kinds)}, as ratio has it, got {depth}"
            )
        blocks = [
            kind(width, heads, size=size) for kind in kinds * (depth // len(kinds))
        ]
        norm = nn.LayerNorm(width, bias=False)
        super().__init__(vocabulary, width, blocks, norm, tied)
        nn.init.normal_(self.embedding.weight, std=(2 / (5 * width)) ** 0.5)


def _kinds(
    ratio: tuple[int, int],
) -> list[type[MLSTMBlock] | type[SLSTMBlock]]:
    """The blocks of one turn of the pattern."""
    if not isinstance(ratio, tuple) or len(ratio) != 2:
        raise TypeError(f"ratio: expected a pair of integers, got {ratio!r}")
    a, b = (integer("ratio", number) for number in ratio)
    if a + b == 0:
        raise ValueError("ratio: expected a block of either kind, got (0, 0)")
    first = min(a, 1)
    return [MLSTMBlock] * first + [SLSTMBlock] * b + [MLSTMBlock] * (a - first)
