"""ListOps: the grammar, the values, the lengths, and how far shortcuts get."""

import numpy as np
import pytest

from seqlab.tasks import listops
from seqlab.tasks.listops import END, MAX, MED, MIN, SM, TOKENS, evaluate, expressions, root

SMALL = {"shortest": 20, "longest": 60, "depth": 4, "arguments": 5}


@pytest.mark.parametrize(
    ("tokens", "value"),
    [
        ([7], 7),
        ([MAX, 2, 9, MIN, 4, 7, END, 0, END], 9),
        ([SM, 9, 8, 7, END], 4),
        ([MED, 1, 2, END], 1),  # one and a half, rounded down
        ([MED, 9, 1, 5, END], 5),
        ([SM, MED, 1, 4, 6, 9, END, MIN, 8, 6, END, END], 1),
    ],
)
def test_values_by_hand(tokens, value):
    assert evaluate(tokens) == value


@pytest.mark.parametrize("tokens", [[], [1, 2], [MIN, 1], [END], [1, END], [MIN, END]])
def test_what_is_no_expression_has_no_value(tokens):
    with pytest.raises(ValueError, match="tokens: expected"):
        evaluate(tokens)


def test_values_are_those_of_a_second_reading_and_lengths_are_kept():
    for tokens, value in expressions(np.random.default_rng(0), 200, **SMALL):
        assert 20 <= len(tokens) <= 60
        assert evaluate(tokens) == value


def test_nesting_and_arguments_stay_within_their_bounds():
    deepest, most = 0, 0
    for tokens, _ in expressions(np.random.default_rng(1), 300, **SMALL):
        counts = []
        for token in tokens:
            if token == END:
                assert 2 <= counts[-1] <= 5
                most = max(most, counts.pop())
                continue
            if counts:
                counts[-1] += 1
            if token >= MIN:
                counts.append(0)
            deepest = max(deepest, len(counts))
    assert (deepest, most) == (3, 5)


def test_a_quarter_of_what_may_be_an_operation_is_one_and_all_are_as_frequent():
    tokens = [t for e, _ in expressions(np.random.default_rng(2), 4000, 1, 10**6, 3, 5) for t in e]
    share = np.bincount(tokens, minlength=len(TOKENS))
    assert np.ptp(share[MIN:END]) < 0.15 * share[MIN:END].mean()
    assert np.ptp(share[:MIN]) < 0.15 * share[:MIN].mean()
    drawn = expressions(np.random.default_rng(3), 4000, 1, 10**6, 3, 5)
    assert np.mean([len(tokens) > 1 for tokens, _ in drawn]) == pytest.approx(0.25, abs=0.03)


def test_the_root_and_its_own_digits():
    assert root([MAX, 2, MIN, 4, 7, END, 0, END]) == (MAX, [2, 0])
    assert root([SM, MED, 1, 4, END, MIN, 8, 6, END, END]) == (SM, [])


def test_sequences_are_one_hot_and_empty_after_their_end():
    task = listops(**SMALL)
    inputs, targets = next(task.batches(20, seed=0))
    assert inputs.shape == (20, 60, 15)
    for rows, target in zip(inputs.numpy(), targets.tolist(), strict=True):
        length = int(rows.sum())
        assert (rows[:length].sum(1) == 1).all()
        assert (rows[length:] == 0).all()
        assert evaluate(rows[:length].argmax(1).tolist()) == target


def test_chance_is_the_share_of_the_commonest_answer():
    task = listops(**SMALL)
    _, targets = task.test()
    assert task.chance == (targets.bincount().max() / len(targets)).item()
    assert task.chance > 0.12, "answers of ListOps are not balanced"


@pytest.mark.slow
def test_how_far_one_comes_in_the_benchmark_without_looking_inside():
    """Expressions of full length: a table of commonest answers, given nothing, the outermost operator, or that and
    those of its arguments that are digits. What the early rows of the Long Range Arena score. Bounds are three standard
    errors of a difference, as the figures too were found from 2,000 expressions."""
    drawn = expressions(np.random.default_rng(0), 4000)
    lengths = [len(tokens) for tokens, _ in drawn]
    assert 500 < min(lengths) < max(lengths) < 2000
    assert np.mean(lengths) == pytest.approx(1061, abs=3 * 400 * (1 / 2000 + 1 / 4000) ** 0.5)

    def seen(tokens):
        operator, own = root(tokens)
        bound = {MIN: min, MAX: max}.get(operator)
        return operator, bound(own) if bound and own else None

    for see, share in ((lambda _: None, 0.165), (lambda x: root(x)[0], 0.363), (seen, 0.430)):
        table = {}
        for tokens, value in drawn[::2]:
            table.setdefault(see(tokens), []).append(value)
        guess = {key: np.bincount(values).argmax() for key, values in table.items()}
        right = np.mean([guess.get(see(tokens), 0) == value for tokens, value in drawn[1::2]])
        assert right == pytest.approx(share, abs=3 * (2 * share * (1 - share) / 2000) ** 0.5)


def test_batches_follow_the_seed():
    task = listops(**SMALL)
    batch, again, other = (next(task.batches(5, seed=k))[0] for k in (0, 0, 1))
    assert (batch == again).all()
    assert (batch != other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1}, "depth: expected at least 2, got 1"),
        ({"arguments": 1}, "arguments: expected at least 2, got 1"),
        ({"shortest": 0}, "expected 1 <= shortest <= longest, got 0 and 1999"),
        ({"shortest": 9, "longest": 8}, "expected 1 <= shortest <= longest, got 9 and 8"),
        (
            {"shortest": 18, "depth": 3, "arguments": 3},
            "shortest: expected at most 17, the tokens of the longest expression of depth 3",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        listops(**arguments)
