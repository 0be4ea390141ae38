"""Recall from the sequence itself: what was a key's value, what followed a mark, what
came with the nearest neighbor?"""

import numpy as np

from seqlab.ops.arguments import choice
from seqlab.tasks.synthetic import Drawn
from seqlab.tasks.task import UNJUDGED, check_at_least

JUDGED = ("last", "all")
POWER = 0.01  # of the cumulative distribution of the gaps of `zoology_recall`


def associative_recall(
    keys: int = 4,
    values: int = 4,
    length: int = 20,
    judged: str = "last",
    seed: int = 0,
) -> Drawn:
    """Pairs of a key and a value, then a mark and one of the keys: which value goes
    with it? (Fu et al., 2023, arXiv 2212.14052, section 3.1, whose vocabulary of 10 has
    four keys and four values.)

    In each sequence every key has one value, drawn anew, and the pairs' keys are drawn
    independently, so a pair may come several times. inputs (B, length, keys + values + 1)
    are one-hot: keys, values, the mark. targets (B, length) are the value at the last
    step and `UNJUDGED` (-100) before it, or the next token at every step.

    Args:
        keys: different keys, at least 2.
        values: different values, at least 2.
        length: tokens of a sequence, even and at least 4: (length - 2) / 2 pairs.
        judged: "last", the answer alone, or "all", every step's next token.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("keys", keys, 2)
    check_at_least("values", values, 2)
    if length < 4 or length % 2:
        raise ValueError(f"length: expected an even number from 4 on, got {length}")
    choice("judged", judged, JUDGED)
    pairs = length // 2 - 1

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        value_of = random.integers(0, values, (count, keys))
        shown = random.integers(0, keys, (count, pairs))
        rows = np.arange(count)[:, None]
        occurs = np.zeros((count, keys), dtype=bool)
        occurs[rows, shown] = True
        asked = np.where(occurs, random.random((count, keys)), -1).argmax(1)
        tokens = np.empty((count, length + 1), dtype=int)  # the answer is the last
        tokens[:, 0 : length - 2 : 2] = shown
        tokens[:, 1 : length - 1 : 2] = keys + value_of[rows, shown]
        tokens[:, -3], tokens[:, -2] = keys + values, asked
        tokens[:, -1] = keys + value_of[np.arange(count), asked]
        return _task(tokens, keys + values + 1, judged)

    by_step = [1 / values, 1 / keys] * pairs
    by_step = [*by_step[:-1], 1, 1 / keys, 1 / values]  # the mark, the key, the answer
    return Drawn(
        name=f"associative recall of {keys} keys",
        length=length,
        inputs=keys + values + 1,
        outputs=keys + values + 1,
        pool=False,
        classification=True,
        chance=1 / values if judged == "last" else float(np.mean(by_step)),
        draw=draw,
        seed=seed,
    )


def induction_heads(
    symbols: int = 18, length: int = 30, judged: str = "last", seed: int = 0
) -> Drawn:
    """Random symbols with a mark among them, and the mark again at the end: which symbol
    followed it? (Olsson et al., 2022, arXiv 2209.11895; Fu et al., 2023, arXiv
    2212.14052, section 3.1, whose vocabulary of 20 leaves 18 symbols.)

    inputs (B, length, symbols + 1) are one-hot: the symbols, then the mark, which stands at
    one random place and at the last. targets (B, length) are the symbol that followed, at
    the last step, and `UNJUDGED` (-100) before it, or the next token at every step.

    Args:
        symbols: different symbols, at least 2.
        length: tokens of a sequence, at least 3.
        judged: "last", the answer alone, or "all", every step's next token.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("symbols", symbols, 2)
    check_at_least("length", length, 3)
    choice("judged", judged, JUDGED)
    places = length - 2  # of the first mark, which a symbol follows

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = random.integers(0, symbols, (count, length + 1))
        rows, mark = np.arange(count), random.integers(0, places, count)
        tokens[rows, mark] = tokens[:, -2] = symbols
        tokens[:, -1] = tokens[rows, mark + 1]
        return _task(tokens, symbols + 1, judged)

    among = max(1 / places, (1 - 1 / places) / symbols)
    by_step = [*[among] * (places - 1), 1 / symbols, 1, 1 / symbols]
    return Drawn(
        name=f"induction heads over {length} steps",
        length=length,
        inputs=symbols + 1,
        outputs=symbols + 1,
        pool=False,
        classification=True,
        chance=1 / symbols if judged == "last" else float(np.mean(by_step)),
        draw=draw,
        seed=seed,
    )


def multi_query_recall(
    keys: int = 64, values: int = 64, pairs: int = 8, length: int = 64, seed: int = 0
) -> Drawn:
    """Pairs of a key and a value, then all of the keys again, scattered and in any order:
    multi-query associative recall (Arora et al., 2023, arXiv 2312.04927, where keys come
    back rather early than late; here all places are alike, and blanks fill the others).

    The keys of a sequence are different ones, and each has a value drawn anew. inputs (B,
    length, keys + values + 1) are one-hot: keys, values, the blank. targets (B, length)
    are the value where a key comes back, counted from 0, and `UNJUDGED` (-100) elsewhere.
    `zoology_recall` has the authors' own sequences.

    Args:
        keys: different keys, at least `pairs`.
        values: different values, at least 2.
        pairs: of a sequence, at least 1.
        length: tokens of a sequence, at least 3 pairs.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("pairs", pairs, 1)
    check_at_least("keys", keys, pairs)
    check_at_least("values", values, 2)
    check_at_least("length", length, 3 * pairs)
    blank = keys + values

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(count)[:, None]
        key = random.random((count, keys)).argsort(1)[:, :pairs]
        value = random.integers(0, values, (count, pairs))
        places = random.random((count, length - 2 * pairs)).argsort(1)[:, :pairs]
        tokens = np.full((count, length), blank)
        tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = key, keys + value
        targets = np.full((count, length), UNJUDGED)
        tokens[rows, 2 * pairs + places] = key
        targets[rows, 2 * pairs + places] = value
        return np.eye(blank + 1)[tokens], targets

    return Drawn(
        name=f"recall of {pairs} pairs over {length} steps",
        length=length,
        inputs=blank + 1,
        outputs=values,
        pool=False,
        classification=True,
        chance=1 / values,
        draw=draw,
        seed=seed,
    )


def zoology_recall(
    pairs: int = 4, length: int = 64, vocabulary: int = 8192, seed: int = 0
) -> Drawn:
    """Multi-query associative recall as its authors draw it, with a vocabulary of
    thousands (Arora et al., 2023, arXiv 2312.04927, and their package zoology, whose
    sequences Beck et al., 2024, take for xLSTM).

    Pairs of a key and a value, then each key once more, 2 g tokens behind the pairs. The
    gaps g are drawn one after the other, none of them twice, with probabilities
    proportional to a x^(a - 1) at x = g + 1, a = 0.01: early places are the likely ones.
    All else is the blank, token 0, and never one of the keys (as it may be with the
    authors' ``random_non_queries``).

    inputs (B, length) are tokens: the blank, the keys, from `vocabulary` // 2 on the
    values. Keys and values of a sequence are different ones. targets (B, length) are the
    value where a key comes back, counted from 0, and `UNJUDGED` (-100) elsewhere. One of
    the sequence's values, whichever, is right with probability 1 / `pairs`.

    Args:
        pairs: of a sequence, at least 1.
        length: tokens of a sequence, even and at least 4 pairs.
        vocabulary: tokens, more than `length`.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    check_at_least("pairs", pairs, 1)
    check_at_least("length", length, 4 * pairs)
    check_at_least("vocabulary", vocabulary, length + 1)
    if length % 2:
        raise ValueError(f"length: expected an even number, got {length}")
    values = vocabulary - vocabulary // 2
    power_law = np.arange(1, length // 2 - pairs + 1) ** (POWER - 1)

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(count)[:, None]
        key = 1 + _different(random, count, pairs, vocabulary // 2 - 1)
        value = _different(random, count, pairs, values)
        # Of arrivals at these rates the first ones are draws without replacement, in order.
        arrivals = random.exponential(1 / power_law, (count, len(power_law)))
        places = 2 * pairs + 2 * arrivals.argsort(1)[:, :pairs]
        tokens = np.zeros((count, length), dtype=int)
        tokens[:, 0 : 2 * pairs : 2] = tokens[rows, places] = key
        tokens[:, 1 : 2 * pairs : 2] = vocabulary // 2 + value
        targets = np.full((count, length), UNJUDGED)
        targets[rows, places] = value
        return tokens, targets

    return Drawn(
        name=f"recall of {pairs} pairs over {length} of {vocabulary:,} tokens",
        length=length,
        inputs=vocabulary,
        outputs=values,
        pool=False,
        classification=True,
        chance=1 / values,
        tokens=True,
        draw=draw,
        seed=seed,
    )


def nearest_neighbor(length: int = 64, seed: int = 0) -> Drawn:
    """Directions, each with a value: which value came with the one nearest to the first
    direction? What is stored has to be given up whenever a nearer one shows up (Beck et
    al., 2024, section 1 and figure 2).

    inputs (B, length, 3) are a random direction in the plane, of length 1, and its value,
    uniform on [0, 1); the first one is the reference, with a 0 for its value. targets (B,
    length, 1) are the value of the nearest direction so far, and 0 at the reference.
    Always answering 1/2 there after has mean squared error 1/12 at each of these steps.

    Args:
        length: time steps, at least 2.
        seed: selects the test sequences.

    Raises:
        ValueError: length is out of its range.
    """
    check_at_least("length", length, 2)

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        angle = random.uniform(0, 2 * np.pi, (count, length))
        value = random.random((count, length))
        value[:, 0] = 0
        likeness = np.cos(angle - angle[:, :1])
        likeness[:, 0] = -2  # the reference is no neighbor of itself
        nearest = np.maximum.accumulate(likeness, axis=1) == likeness
        since = np.maximum.accumulate(np.where(nearest, np.arange(length), 0), axis=1)
        inputs = np.stack([np.cos(angle), np.sin(angle), value], axis=-1)
        return inputs, np.take_along_axis(value, since, axis=1)[..., None]

    return Drawn(
        name=f"nearest of {length - 1} neighbors",
        length=length,
        inputs=3,
        outputs=1,
        pool=False,
        classification=False,
        chance=(length - 1) / length / 12,
        draw=draw,
        seed=seed,
    )


def _different(
    random: np.random.Generator, count: int, size: int, choices: int
) -> np.ndarray:
    """Whole numbers (count, size) from 0 on, below `choices`, no two of a row alike. What
    a row has already is drawn anew, whatever it is, so that all rows are equally
    likely."""
    drawn = random.integers(0, choices, (count, size))
    while True:
        order = drawn.argsort(1)
        same = np.diff(np.take_along_axis(drawn, order, 1)) == 0
        again = np.zeros(drawn.shape, dtype=bool)
        np.put_along_axis(again, order[:, 1:], same, 1)
        if not again.any():
            return drawn
        drawn[again] = random.integers(0, choices, again.sum())


def _task(
    tokens: np.ndarray, vocabulary: int, judged: str
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of sequences whose last token is the answer."""
    targets = tokens[:, 1:].copy()
    if judged == "last":
        targets[:, :-1] = UNJUDGED
    return np.eye(vocabulary)[tokens[:, :-1]], targets
