"""A model of tokens made of blocks that run in parallel or step by step (chapter 10)."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from seqlab.ops.arguments import (
    boolean,
    check_dtype,
    check_not_empty,
    check_shape,
    check_tensor,
    number,
    positive_integer,
)


class LanguageModel(nn.Module):
    """Embeddings, blocks, a norm and the logits of the next token.

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, at least 1.
        blocks: modules from (batch, length, width) and a state, or None, to (y, state), with
            `step`.
        norm: module of each token alone.
        tied: whether the logits are products with the embeddings.

    Attributes:
        embedding: nn.Embedding.
        blocks: list of the blocks.
        norm: before the logits.
        head: Linear, without bias; None if tied.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        blocks: Iterable[nn.Module],
        norm: nn.Module,
        tied: bool,
    ) -> None:
        super().__init__()
        self.vocabulary = positive_integer("vocabulary", vocabulary)
        self.width = positive_integer("width", width)
        self.embedding = nn.Embedding(self.vocabulary, self.width)
        self.blocks: Any = nn.ModuleList(blocks)
        self.norm = norm
        self.head = None
        if not boolean("tied", tied):
            self.head = nn.Linear(self.width, self.vocabulary, bias=False)

    def forward(
        self, tokens: Tensor, state: Sequence[Any] | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """tokens (batch, length), in int64, -> logits (batch, length, vocabulary) and the
        state of each block after the last token; parallel in time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
            IndexError: on a CPU, a token outside the vocabulary.
        """
        self._check_tokens("tokens", tokens, "batch, length")
        x = self._embedded(tokens)
        states = []
        for block, before in zip(self.blocks, self._states(state), strict=True):
            x, last = block(x, before)
            states.append(last)
        return self._logits(x), tuple(states)

    def step(
        self, token_t: Tensor, state: Sequence[Any] | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """One token of each sequence, (batch,), -> logits (batch, vocabulary) and the next
        state, whose size is always the same."""
        self._check_tokens("token_t", token_t, "batch")
        x = self._embedded(token_t)
        states = []
        for block, before in zip(self.blocks, self._states(state), strict=True):
            x, last = block.step(x, before)
            states.append(last)
        return self._logits(x), tuple(states)

    @torch.no_grad()
    def generate(
        self,
        tokens: Tensor,
        count: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Continue a text: the prompt is read in parallel, then step follows step.

        Args:
            tokens: the prompt, (batch, length).
            count: how many tokens to add, at least 1.
            temperature: what logits are divided by before a token is drawn, at least 0;
                at 0 the likeliest one is taken.
            generator: of the random numbers; torch's own if None.

        Returns:
            The new tokens, (batch, count).

        Raises:
            TypeError, ValueError: an argument is not as described.
        """
        count = positive_integer("count", count)
        temperature = number("temperature", temperature, least=0)
        logits, state = self(tokens)
        logits, chosen = logits[:, -1], []
        while True:
            chosen.append(_next_token(logits, temperature, generator))
            if len(chosen) == count:
                return torch.stack(chosen, dim=1)
            logits, state = self.step(chosen[-1], state)

    def _embedded(self, tokens: Tensor) -> Tensor:
        """What the first block is given."""
        return self.embedding(tokens)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return linear(x, self.embedding.weight) if self.head is None else self.head(x)

    def _check_tokens(self, name: str, tokens: Tensor, letters: str) -> None:
        check_tensor(name, tokens)
        check_dtype(name, tokens, (torch.int64,))
        check_shape(name, tokens, letters)
        check_not_empty(name, tokens)
        device = self.embedding.weight.device
        if tokens.device != device:
            raise ValueError(
                f"{name}: expected device {device} like the model, got {tokens.device}"
            )

    def _states(self, state: Sequence[Any] | None) -> Sequence[Any]:
        depth = len(self.blocks)
        if state is None:
            return [None] * depth
        if not isinstance(state, tuple | list) or len(state) != depth:
            got = type(state).__name__
            if isinstance(state, tuple | list):
                got = f"{len(state)} of them"
            raise TypeError(
                f"state: expected a tuple of the states of {depth} blocks, got {got}"
            )
        return state


def _next_token(
    logits: Tensor, temperature: float, generator: torch.Generator | None
) -> Tensor:
    """A token of each sequence, (batch,), from logits (batch, vocabulary)."""
    if temperature == 0:
        return logits.argmax(-1)
    # In float64 and from the likeliest one down, as temperatures may be tiny.
    logits = logits.double() - logits.amax(-1, keepdim=True)
    odds = torch.softmax(logits / temperature, dim=-1)
    return torch.multinomial(odds, 1, generator=generator)[:, 0]
