"""Nested operations on digits, to be worked out from left to right: ListOps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np

from seqlab.tasks.synthetic import Drawn
from seqlab.tasks.task import check_at_least

TOKENS = (*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
"""What an expression is made of; in code, a token is its index here."""

MIN, MAX, MED, SM, END = range(10, 15)
NESTING = 0.25  # how often an argument is an operation itself


def _median(values: Sequence[int]) -> int:
    """Rounded down where it falls between two."""
    ordered = sorted(values)
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) // 2


OPERATIONS: dict[int, Callable[[Sequence[int]], int]] = {
    MIN: min,
    MAX: max,
    MED: _median,
    SM: lambda values: sum(values) % 10,
}


def listops(
    shortest: int = 501,
    longest: int = 1999,
    depth: int = 10,
    arguments: int = 10,
    seed: int = 0,
) -> Drawn:
    """Work out an expression such as ``[MAX 2 9 [MIN 4 7 ] 0 ]``: the answer is a digit.

    The grammar and, unless they are changed, the sizes of the Long Range Arena (Tay et
    al., 2021, arXiv 2011.04006; Nangia and Bowman, 2018): an operation is the least of
    its arguments, the largest, the median or the sum modulo 10, and has two arguments or
    more; an argument is an operation with probability 1/4 while there is depth left, else
    a digit. An expression is kept if its length is in range.

    inputs (B, longest, 15) are one-hot in the order of `TOKENS`, and zero after the end;
    targets (B,) are digits. Every batch is drawn anew (the benchmark has 96,000
    sequences to train on). `chance` is the share of the commonest answer in the test set:
    the ten digits are not equally frequent.

    Args:
        shortest, longest: tokens, brackets included, 1 <= shortest <= longest.
        depth: operations are nested less deeply than this, at least 2.
        arguments: the most that an operation has, at least 2.
        seed: selects the test sequences.

    Raises:
        ValueError: an argument is out of its range, or no expression of that depth is as
            long as `shortest`.
    """
    check_at_least("depth", depth, 2)
    check_at_least("arguments", arguments, 2)
    if not 1 <= shortest <= longest:
        raise ValueError(
            "shortest, longest: expected 1 <= shortest <= longest, got "
            f"{shortest} and {longest}"
        )
    most = 1
    for _ in range(depth - 1):
        most = 2 + arguments * most
    if shortest > most:
        raise ValueError(
            f"shortest: expected at most {most}, the tokens of the longest expression of "
            f"depth {depth} with {arguments} arguments, got {shortest}"
        )

    def draw(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = np.zeros((count, longest, len(TOKENS)), np.float32)
        targets = np.zeros(count, np.int64)
        drawn = expressions(random, count, shortest, longest, depth, arguments)
        for k, (tokens, targets[k]) in enumerate(drawn):
            inputs[k, np.arange(len(tokens)), tokens] = 1
        return inputs, targets

    task = Drawn(
        name=f"ListOps, {shortest} to {longest} tokens",
        length=longest,
        inputs=len(TOKENS),
        outputs=10,
        pool=True,
        classification=True,
        chance=0.1,
        draw=draw,
        seed=seed,
    )
    answers = task.test()[1].bincount()
    return replace(task, chance=(answers.max() / answers.sum()).item())


def expressions(
    random: np.random.Generator,
    count: int,
    shortest: int = 501,
    longest: int = 1999,
    depth: int = 10,
    arguments: int = 10,
) -> list[tuple[list[int], int]]:
    """So many expressions, as their tokens and their value; arguments as in `listops`."""
    draws = Random(int(random.integers(2**63)))  # for single numbers the faster one
    found: list[tuple[list[int], int]] = []
    while len(found) < count:
        tokens: list[int] = []
        value = _write(tokens, draws, 1, depth, arguments)
        if shortest <= len(tokens) <= longest:
            found.append((tokens, value))
    return found


def evaluate(tokens: Sequence[int]) -> int:
    """The value of an expression, read once from left to right with a stack.

    Raises:
        ValueError: the tokens are not one whole expression.
    """
    stack: list[list[int]] = [[]]
    for token in tokens:
        if token < MIN:
            stack[-1].append(token)
        elif token < END:
            stack.append([token])
        else:
            if len(stack) == 1 or len(stack[-1]) == 1:
                raise ValueError("tokens: expected an operation before ], got none")
            operator, *values = stack.pop()
            stack[-1].append(OPERATIONS[operator](values))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError("tokens: expected one whole expression")
    return stack[0][0]


def root(tokens: Sequence[int]) -> tuple[int, list[int]]:
    """The outermost operator, and those of its arguments that are plain digits."""
    digits, depth = [], 0
    for token in tokens:
        if token < MIN and depth == 1:
            digits.append(token)
        depth += (MIN <= token < END) - (token == END)
    return tokens[0], digits


def _write(
    tokens: list[int], draws: Random, level: int, depth: int, arguments: int
) -> int:
    """Append an argument to the tokens; its value."""
    if level == depth or draws.random() >= NESTING:
        tokens.append(int(10 * draws.random()))
        return tokens[-1]
    place = len(tokens)
    tokens.append(MIN)
    values = [
        _write(tokens, draws, level + 1, depth, arguments)
        for _ in range(draws.randint(2, arguments))
    ]
    tokens[place] = operator = MIN + int(4 * draws.random())
    tokens.append(END)
    return OPERATIONS[operator](values)
