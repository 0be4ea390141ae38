"""Tasks whose sequences are drawn from a seed: copying, selective copying, delay,
adding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from seqlab.tasks.task import (
    UNJUDGED,
    Task,
    check_at_least,
    check_batch_size,
    random_generator,
    to_tensor,
)

TEST_SEQUENCES = 512


@dataclass(frozen=True)
class Drawn(Task):
    """A task that draws every sequence anew.

    Attributes:
        draw: makes `count` sequences with a random generator: (inputs, targets).
        seed: selects the test sequences.
    """

    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    seed: int

    def batches(self, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        check_batch_size(batch_size)
        return self._draws(random_generator(0, seed), batch_size)

    def _draws(
        self, random: np.random.Generator, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            inputs, targets = self.draw(random, batch_size)
            yield to_tensor(inputs), to_tensor(targets)

    def test(self) -> tuple[Tensor, Tensor]:
        inputs, targets = self.draw(random_generator(1, self.seed), TEST_SEQUENCES)
        return to_tensor(inputs), to_tensor(targets)


def delay(length: int = 64, lag: int = 16, seed: int = 0) -> Drawn:
    """Repeat white noise `lag` steps later: the plainest test of a linear memory.

    inputs (B, length, 1) are standard normal; targets (B, length, 1) are the input
    `lag` steps ago, and 0 in the first `lag` steps. Always answering 0 has mean squared
    error (length - lag) / length.

    Args:
        length: time steps, at least 1.
        lag: steps to remember, 0 <= lag < length.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("length", length, 1)
    if not 0 <= lag < length:
        raise ValueError(f"lag: expected 0 <= lag < length = {length}, got {lag}")

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = random.standard_normal((count, length, 1))
        targets = np.zeros_like(inputs)
        targets[:, lag:] = inputs[:, : length - lag]
        return inputs, targets

    return Drawn(
        name=f"delay of {lag} steps",
        length=length,
        inputs=1,
        outputs=1,
        pool=False,
        classification=False,
        chance=(length - lag) / length,
        draw=draw,
        seed=seed,
    )


def adding(length: int = 100, seed: int = 0) -> Drawn:
    """Add the two marked numbers of a sequence (Hochreiter and Schmidhuber, 1997,
    section 5.4).

    inputs (B, length, 2): feature 0 is uniform on [0, 1); feature 1 is 1 at two places,
    one in the first half of the sequence and one in the second, and 0 elsewhere.
    targets (B, 1) are the sum of the two marked numbers. Always answering 1 has mean
    squared error 1/6.

    Args:
        length: time steps, at least 2.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("length", length, 2)
    half = length // 2

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        values = random.random((count, length))
        rows = np.arange(count)
        first, second = (
            random.integers(0, half, count),
            random.integers(half, length, count),
        )
        marks = np.zeros_like(values)
        marks[rows, first] = 1.0
        marks[rows, second] = 1.0
        return np.stack([values, marks], axis=-1), (
            values[rows, first] + values[rows, second]
        )[:, None]

    return Drawn(
        name=f"adding over {length} steps",
        length=length,
        inputs=2,
        outputs=1,
        pool=True,
        classification=False,
        chance=1 / 6,
        draw=draw,
        seed=seed,
    )


def copying(
    symbols: int = 8, memorize: int = 5, blanks: int = 20, seed: int = 0
) -> Drawn:
    """Repeat a string after a pause (Hochreiter and Schmidhuber, 1997; Arjovsky et al.,
    2016, section 5.1).

    A sequence is `memorize` random symbols, `blanks - 1` blanks, one go sign, and
    `memorize` more blanks, so its length is 2 memorize + blanks. inputs (B, length,
    symbols + 2) are one-hot: the symbols, then the blank, then the go sign. targets (B,
    length) hold the symbols again in the last `memorize` steps, in order, and
    `UNJUDGED` (-100) before them, so that blanks, which are easy, do not flatter the
    score.

    Args:
        symbols: different symbols, at least 2.
        memorize: symbols to repeat, at least 1.
        blanks: steps between the last symbol and the first answer, at least 1.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("symbols", symbols, 2)
    check_at_least("memorize", memorize, 1)
    check_at_least("blanks", blanks, 1)
    length = 2 * memorize + blanks
    blank, go = symbols, symbols + 1

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        string = random.integers(0, symbols, (count, memorize))
        tokens = np.full((count, length), blank)
        tokens[:, :memorize] = string
        tokens[:, memorize + blanks - 1] = go
        targets = np.full((count, length), UNJUDGED)
        targets[:, -memorize:] = string
        return np.eye(symbols + 2)[tokens], targets

    return Drawn(
        name=f"copying {memorize} symbols over {blanks} steps",
        length=length,
        inputs=symbols + 2,
        outputs=symbols,
        pool=False,
        classification=True,
        chance=1 / symbols,
        draw=draw,
        seed=seed,
    )


def selective_copying(
    symbols: int = 14, memorize: int = 16, length: int = 256, seed: int = 0
) -> Drawn:
    """Repeat the symbols that stand at random places among noise (Jing et al., 2019; Gu and
    Dao, 2023, section 4.1, whose vocabulary of 16 leaves 14 symbols): what is to be
    remembered has to be told apart from what is not, as no fixed lag says where it was.

    A sequence is length - memorize tokens, of which `memorize` are random symbols and all
    others blanks, and then `memorize` go signs. inputs (B, length, symbols + 2) are
    one-hot: the symbols, then the blank, then the go sign. targets (B, length) hold the
    symbols in their order in the last `memorize` steps, and `UNJUDGED` (-100) before them.

    Args:
        symbols: different symbols, at least 2.
        memorize: symbols to repeat, at least 1.
        length: tokens of a sequence, at least 2 memorize.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("symbols", symbols, 2)
    check_at_least("memorize", memorize, 1)
    check_at_least("length", length, 2 * memorize)
    places = length - memorize
    blank, go = symbols, symbols + 1

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        string = random.integers(0, symbols, (count, memorize))
        shuffled = random.random((count, places)).argsort(axis=1)
        tokens = np.full((count, length), blank)
        where = np.sort(shuffled[:, :memorize], axis=1)
        tokens[np.arange(count)[:, None], where] = string
        tokens[:, places:] = go
        targets = np.full((count, length), UNJUDGED)
        targets[:, places:] = string
        return np.eye(symbols + 2)[tokens], targets

    return Drawn(
        name=f"selective copying of {memorize} symbols from {places} steps",
        length=length,
        inputs=symbols + 2,
        outputs=symbols,
        pool=False,
        classification=True,
        chance=1 / symbols,
        draw=draw,
        seed=seed,
    )
