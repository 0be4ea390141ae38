"""What every task offers, and how an answer is judged."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# A target with this class index is not judged (the convention of torch's cross entropy).
UNJUDGED = -100


@dataclass(frozen=True)
class Task(ABC):
    """A source of sequences and of the answers wanted for them.

    A model for the task maps inputs (B, length, inputs), or tokens (B, length), to
    answers: (B, outputs) where `pool` is true, one answer for a whole sequence, and (B,
    length, outputs) where it is false, one answer at each time step.

    Attributes:
        name: a short name for titles and legends.
        length: time steps per sequence.
        inputs: features per time step, or different tokens.
        outputs: classes, or values to predict.
        pool: whether one answer is wanted per sequence (true) or one per time step
            (false).
        classification: whether answers are class logits (true) or real values (false).
        chance: the score of the best answer that never looks at the input.
        tokens: whether a time step is the index of a token, for an embedding to look up,
            rather than features: where there are so many that one-hot inputs would be
            too large. Classes are then the last `outputs` of the tokens.
    """

    name: str
    length: int
    inputs: int
    outputs: int
    pool: bool
    classification: bool
    chance: float
    tokens: bool = field(default=False, kw_only=True)

    @abstractmethod
    def batches(self, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches without end, the same ones for the same seed.

        Args:
            batch_size: sequences per batch, at least 1.
            seed: a non-negative integer.

        Yields: inputs (batch_size, length, inputs) in float32, or tokens (batch_size,
        length) in int64, and targets: class indices in int64 of shape (batch_size,) or
        (batch_size, length), or float32 values with the shape of the model's answer.

        Raises:
            ValueError: batch_size is below 1, or larger than a finite training set.
        """

    @abstractmethod
    def test(self) -> tuple[Tensor, Tensor]:
        """The held-out sequences, shaped like one large batch; always the same."""

    @property
    def measure(self) -> str:
        """What `score` measures."""
        return "accuracy" if self.classification else "mean squared error"

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The quantity to descend, a scalar: cross entropy in nats, or the mean squared
        error.

        Raises:
            ValueError: the shape of `answers` does not fit the targets of this task.
        """
        self._check(answers, targets)
        if not self.classification:
            return F.mse_loss(answers, targets)
        return F.cross_entropy(
            answers.flatten(0, -2), targets.flatten(), ignore_index=UNJUDGED
        )

    def score(self, answers: Tensor, targets: Tensor) -> float:
        """The share of judged answers that are right (0 to 1), or the mean squared
        error (0 is perfect).

        Raises:
            ValueError: the shape of `answers` does not fit the targets of this task.
        """
        self._check(answers, targets)
        if not self.classification:
            return F.mse_loss(answers, targets).item()
        judged = targets != UNJUDGED
        return (answers.argmax(-1) == targets)[judged].float().mean().item()

    def _check(self, answers: Tensor, targets: Tensor) -> None:
        steps = () if self.pool else (self.length,)
        wanted = (targets.shape[0], *steps, self.outputs)
        if tuple(answers.shape) != wanted:
            form = "(batch, outputs)" if self.pool else "(batch, length, outputs)"
            raise ValueError(
                f"answers: expected shape {form} = {wanted}, got {tuple(answers.shape)}"
            )


def check_at_least(name: str, value: int, least: int) -> None:
    """Raise ValueError where the argument of that name is below `least`."""
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")


def check_batch_size(batch_size: int, available: int | None = None) -> None:
    """Raise ValueError where `batch_size` is below 1 or above the number of training
    sequences available."""
    check_at_least("batch_size", batch_size, 1)
    if available is not None and batch_size > available:
        raise ValueError(
            f"batch_size: expected at most {available}, the whole training set, got {batch_size}"
        )


def epochs(
    random: np.random.Generator, count: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Indices (batch_size,) into `count` sequences, without end: an epoch takes each
    sequence at most once, the next one in another order."""
    while True:
        order = random.permutation(count)
        # The last, smaller batch of an epoch is left out; the next order gives its sequences another chance.
        for start in range(0, count - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def random_generator(stream: int, seed: int) -> np.random.Generator:
    """A generator for one of several independent streams of the same seed (training 0,
    test 1, ...)."""
    if seed < 0:
        raise ValueError(f"seed: expected a non-negative integer, got {seed}")
    return np.random.default_rng((stream, seed))


def to_tensor(array: np.ndarray) -> Tensor:
    """The array as a CPU tensor: integers become int64, everything else float32."""
    kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
    return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))
