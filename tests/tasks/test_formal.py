"""Formal languages are what their names say, at every length, and guesses score what theory says."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from seqlab.tasks import formal_language
from seqlab.tasks.formal import LANGUAGES
from seqlab.tasks.task import UNJUDGED

THREE = list(permutations(range(3)))


def product(string):
    """Of permutations, as matrices."""
    matrices = [np.eye(3)[list(THREE[symbol])] for symbol in string]
    whole = np.linalg.multi_dot([*reversed(matrices), np.eye(3)])
    return THREE.index(tuple(whole.argmax(1)))


ANSWERS = {
    "parity": lambda string: sum(string) % 2,
    "even pairs": lambda string: 1 - sum(a != b for a, b in pairwise(string)) % 2,
    "cycle navigation": lambda string: (list(string).count(1) - list(string).count(2)) % 5,
    "permutations": product,
}
every_language = pytest.mark.parametrize("language", LANGUAGES)


def strings(inputs):
    """The symbols of each string, without the blanks behind them."""
    assert (inputs.sum(-1) == 1).all()
    tokens, blank = inputs.argmax(-1).numpy(), inputs.shape[-1] - 1
    sizes = (tokens != blank).sum(1)
    assert all((row[size:] == blank).all() for row, size in zip(tokens, sizes, strict=True))
    return [row[:size].tolist() for row, size in zip(tokens, sizes, strict=True)]


@every_language
def test_answers_are_those_of_the_strings(language):
    task = formal_language(language, 2, 9)
    inputs, targets = next(task.batches(300, seed=1))
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert (inputs.shape, targets.shape) == ((300, 9, task.inputs), (300, 9))
    every = strings(inputs)
    assert {len(string) for string in every} == set(range(2, 10))
    assert {symbol for string in every for symbol in string} == set(range(task.inputs - 1))
    for string, row in zip(every, targets.tolist(), strict=True):
        expected = [UNJUDGED] * 9
        expected[len(string) - 1] = ANSWERS[language](string)
        assert row == expected
    assert set(targets.unique().tolist()) == {UNJUDGED, *range(task.outputs)}


@every_language
def test_all_answers_are_judged_or_the_last(language):
    (inputs, every), (same, last) = (
        next(formal_language(language, 3, 12, judged).batches(40, seed=2)) for judged in ("all", "last")
    )
    assert torch.equal(inputs, same)
    for string, row, end in zip(strings(inputs), every.tolist(), last.tolist(), strict=True):
        n = len(string)
        assert row == [ANSWERS[language](string[: t + 1]) if t < n else UNJUDGED for t in range(12)]
        assert row[n - 1] == end[n - 1]


@every_language
@pytest.mark.parametrize("judged", ["last", "all"])
def test_chance_is_the_score_of_the_best_answer_that_never_looks(language, judged):
    """The commonest target of each step, learned from many sequences."""
    task = formal_language(language, 2, 6, judged)
    _, seen = next(task.batches(20000, seed=5))
    _, targets = next(task.batches(20000, seed=6))
    best = torch.stack([(seen == answer).sum(0) for answer in range(task.outputs)]).argmax(0)
    right = (targets == best)[targets != UNJUDGED].float().mean().item()
    assert right == pytest.approx(task.chance, abs=0.01)


def test_seeds_and_the_test_set():
    task = formal_language()
    assert (task.length, task.chance, task.name) == (40, 0.5, "parity of 3 to 40 symbols")
    inputs, again, other = (next(task.batches(7, seed))[0] for seed in (0, 0, 1))
    assert torch.equal(inputs, again)
    assert not torch.equal(inputs, other)
    assert torch.equal(task.test()[0], task.test()[0])
    assert not torch.equal(task.test()[0][:7], inputs)
    assert {len(string) for string in strings(formal_language("parity", 40, 40).test()[0])} == {40}


def test_bad_arguments_are_named():
    for arguments, words in (
        ({"language": "Dyck"}, "language: expected one of"),
        ({"shortest": 0}, "shortest: expected at least 1, got 0"),
        ({"length": 2}, "length: expected at least shortest = 3, got 2"),
        ({"judged": "first"}, "judged: expected one of"),
    ):
        with pytest.raises(ValueError, match=words):
            formal_language(**arguments)
