"""Formal languages: strings read by a finite automaton, whose state is asked for."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from seqlab.ops.arguments import choice
from seqlab.tasks.synthetic import Drawn
from seqlab.tasks.task import UNJUDGED, check_at_least

JUDGED = ("last", "all")
PLACES = 5


@dataclass(frozen=True)
class Automaton:
    """What reads a string, beginning in state 0.

    Attributes:
        moves: (states, symbols), the state after a symbol.
        answers: (states,), what is asked for, counted from 0.
    """

    moves: np.ndarray
    answers: np.ndarray

    def read(self, symbols: np.ndarray) -> np.ndarray:
        """The answers after each symbol of strings (count, length)."""
        state = np.zeros(len(symbols), dtype=int)
        answers = np.empty_like(symbols)
        for t, symbol in enumerate(symbols.T):
            state = self.moves[state, symbol]
            answers[:, t] = self.answers[state]
        return answers

    def likeliest(self, length: int) -> np.ndarray:
        """How likely the likeliest answer is after each of so many random symbols."""
        states, symbols = self.moves.shape
        step = np.zeros((states, states))
        for symbol in range(symbols):
            step[np.arange(states), self.moves[:, symbol]] += 1 / symbols
        answer = np.eye(self.answers.max() + 1)[self.answers]
        state, best = np.eye(states)[0], np.empty(length)
        for t in range(length):
            state = state @ step
            best[t] = (state @ answer).max()
        return best


def _parity() -> Automaton:
    return Automaton(np.array([[0, 1], [1, 0]]), np.arange(2))


def _even_pairs() -> Automaton:
    """Nothing read, then 1 + 2 first + last."""
    moves = np.array([[1, 4], [1, 2], [1, 2], [3, 4], [3, 4]])
    return Automaton(moves, np.array([1, 1, 0, 0, 1]))


def _cycle_navigation() -> Automaton:
    moves = (np.arange(PLACES)[:, None] + np.array([0, 1, -1])) % PLACES
    return Automaton(moves, np.arange(PLACES))


def _permutations() -> Automaton:
    every = list(permutations(range(3)))
    product = [[every.index(tuple(a[i] for i in b)) for b in every] for a in every]
    return Automaton(np.array(product), np.arange(len(every)))


LANGUAGES = {
    "parity": _parity(),
    "even pairs": _even_pairs(),
    "cycle navigation": _cycle_navigation(),
    "permutations": _permutations(),
}


def formal_language(
    language: str = "parity",
    shortest: int = 3,
    length: int = 40,
    judged: str = "last",
    seed: int = 0,
) -> Drawn:
    """Read a string and answer with the state of an automaton that has read it (Deletang et
    al., 2023, arXiv 2207.02098; Beck et al., 2024, section 4.1): what asks to track a state, at
    any length.

    "parity": whether the number of ones is odd. "even pairs": whether there is an even
    number of neighbors that differ, in strings of two letters; that is, whether the first
    is the last. "cycle navigation": where on a circle of five places one stands who stays,
    or goes one forward or back. "permutations": the product of permutations of three
    things, which depends on their order.

    A string has from `shortest` to `length` random symbols, all lengths alike, and blanks
    behind them. inputs (B, length, symbols + 1) are one-hot: the symbols, then the blank.
    targets (B, length) are the answer after the last symbol, and `UNJUDGED` (-100)
    elsewhere, or the answers after every symbol.

    Args:
        language: "parity", "even pairs", "cycle navigation" or "permutations".
        shortest: symbols of the shortest string, at least 1.
        length: those of the longest one, at least `shortest`.
        judged: "last", the answer to the whole string alone, or "all".
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range.
    """
    automaton = LANGUAGES[choice("language", language, LANGUAGES)]
    check_at_least("shortest", shortest, 1)
    if length < shortest:
        raise ValueError(
            f"length: expected at least shortest = {shortest}, got {length}"
        )
    choice("judged", judged, JUDGED)
    symbols = automaton.moves.shape[1]

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        string = random.integers(0, symbols, (count, length))
        sizes = random.integers(shortest, length + 1, (count, 1))
        place = np.arange(length)
        asked = place == sizes - 1 if judged == "last" else place < sizes
        targets = np.where(asked, automaton.read(string), UNJUDGED)
        return np.eye(symbols + 1)[np.where(place < sizes, string, symbols)], targets

    sizes = np.arange(shortest, length + 1)
    place = np.arange(length)[:, None]
    asked = place == sizes - 1 if judged == "last" else place < sizes
    often = asked.sum(1)  # at each place, in strings of all lengths
    return Drawn(
        name=f"{language} of {shortest} to {length} symbols",
        length=length,
        inputs=symbols + 1,
        outputs=int(automaton.answers.max()) + 1,
        pool=False,
        classification=True,
        chance=float((often * automaton.likeliest(length)).sum() / often.sum()),
        draw=draw,
        seed=seed,
    )
