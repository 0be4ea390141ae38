"""The language model of H3, with attention in a few of its blocks (chapter 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from seqlab.nn.attention import Attention
from seqlab.nn.h3 import H3
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.residual_block import ResidualBlock
from seqlab.ops.arguments import integer, positive_integer


class HybridH3(LanguageModel):
    """A stack of H3 layers, some of which may be replaced by attention, each followed
    by a network of two layers, all of them residual (Fu et al., 2023, section 3.3). The
    paper's hybrid has two of attention, the second layer and the one half of the depth
    later: `attention=(1, 1 + depth // 2)`.

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, at least 1.
        depth: layers of H3 or attention, at least 1.
        state_size, taps, head_dim: as in `H3`.
        attention: which of the layers are attention, each from 0 to depth - 1.
        heads: of attention, a divisor of width. It learns of positions from the H3
            layers alone.

    Attributes:
        embedding, blocks, norm, head: as in `LanguageModel`; blocks are `ResidualBlock`,
            in turn around an `H3` or an `Attention` and around a network.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        state_size: int = 32,
        taps: int = 4,
        head_dim: int = 1,
        attention: Sequence[int] = (),
        heads: int = 1,
    ) -> None:
        width = positive_integer("width", width)
        depth = positive_integer("depth", depth)
        chosen = {integer("attention", i) for i in attention}
        if chosen and max(chosen) >= depth:
            raise ValueError(
                f"attention: expected layers from 0 to {depth - 1}, got {max(chosen)}"
            )
        blocks: list[nn.Module] = []
        for i in range(depth):
            mixer = (
                Attention(width, heads, rotary=False)
                if i in chosen
                else H3(width, state_size, taps, head_dim)
            )
            blocks.append(ResidualBlock(mixer, width))
            blocks.append(ResidualBlock(_FeedForward(width), width))
        super().__init__(vocabulary, width, blocks, nn.RMSNorm(width), tied=True)
        # Of norm 1, so that logits start of size 1, and blocks do not drown a token.
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        with torch.no_grad():  # what all blocks add up to starts as large as one's
            for block in self.blocks:
                block.layer.out.weight.div_(len(self.blocks) ** 0.5)


class _FeedForward(nn.Module):
    """out(gelu(into(u))) of each token alone, as a layer without a state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)

    def forward(self, u: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.out(gelu(self.into(u))), None

    step = forward
