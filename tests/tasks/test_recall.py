"""Tasks of recall hold exactly what their descriptions say, and shortcuts score what theory says."""

import itertools
import math

import numpy as np
import pytest
import torch

from seqlab.tasks import (
    associative_recall,
    induction_heads,
    multi_query_recall,
    nearest_neighbor,
    zoology_recall,
)
from seqlab.tasks.recall import POWER
from seqlab.tasks.task import UNJUDGED
from seqlab.training import evaluate, train

TASKS = [
    associative_recall(keys=3, values=5, length=12),
    associative_recall(judged="all"),
    induction_heads(symbols=6, length=9),
    induction_heads(judged="all"),
]
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name} {task.chance:.2f}")


def tokens_of(inputs):
    assert (inputs.sum(-1) == 1).all()
    return inputs.argmax(-1).numpy()


@every_task
def test_shapes_types_and_seeds(task):
    inputs, targets = next(task.batches(7, seed=0))
    assert inputs.shape == (7, task.length, task.inputs)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert targets.shape == (7, task.length)
    again, other = next(task.batches(7, seed=0)), next(task.batches(7, seed=1))
    assert torch.equal(inputs, again[0])
    assert not torch.equal(inputs, other[0])
    assert torch.equal(task.test()[0], task.test()[0])
    assert not torch.equal(task.test()[0][:7], inputs)


def test_the_answer_of_recall_is_the_value_of_the_key_that_is_asked():
    keys, values, length = 3, 5, 12
    inputs, targets = next(associative_recall(keys, values, length).batches(200, seed=1))
    tokens, answers = tokens_of(inputs), targets[:, -1].numpy()
    assert (targets[:, :-1] == UNJUDGED).all()
    assert (tokens[:, -2] == keys + values).all()
    shown, given = tokens[:, : length - 2 : 2], tokens[:, 1 : length - 2 : 2]
    assert (shown < keys).all()
    assert ((given >= keys) & (given < keys + values)).all()
    for row in range(200):
        pairs = dict(zip(shown[row], given[row], strict=True))
        assert [pairs[key] for key in shown[row]] == given[row].tolist()  # one value each
        assert pairs[tokens[row, -1]] == answers[row]
    assert set(answers) == set(range(keys, keys + values))
    assert set(tokens[:, -1]) == set(range(keys))


def test_the_answer_of_induction_is_what_followed_the_mark():
    symbols, length = 6, 9
    inputs, targets = next(induction_heads(symbols, length).batches(300, seed=1))
    tokens = tokens_of(inputs)
    assert (targets[:, :-1] == UNJUDGED).all()
    assert ((tokens == symbols).sum(1) == 2).all()
    assert (tokens[:, -1] == symbols).all()
    first = (tokens == symbols).argmax(1)
    assert set(first) == set(range(length - 2))
    np.testing.assert_array_equal(targets[:, -1], tokens[np.arange(300), first + 1])
    assert (targets[:, -1] < symbols).all()


def test_every_key_comes_back_once_with_its_value():
    keys, values, pairs, length = 7, 5, 3, 12
    task = multi_query_recall(keys, values, pairs, length)
    inputs, targets = next(task.batches(300, seed=1))
    assert (inputs.shape, targets.shape) == ((300, length, keys + values + 1), (300, length))
    assert torch.equal(inputs, next(task.batches(300, seed=1))[0])
    assert not torch.equal(inputs, next(task.batches(300, seed=2))[0])
    tokens, targets = tokens_of(inputs), targets.numpy()
    given, later = tokens[:, : 2 * pairs], tokens[:, 2 * pairs :]
    assert (targets[:, : 2 * pairs] == UNJUDGED).all()
    for row in range(300):
        value_of = dict(zip(given[row, ::2], given[row, 1::2] - keys, strict=True))
        assert len(value_of) == pairs
        assert all(0 <= key < keys and 0 <= value < values for key, value in value_of.items())
        asked = later[row] != keys + values
        assert set(later[row, asked]) == set(value_of)
        assert asked.sum() == pairs
        assert [value_of[key] for key in later[row, asked]] == targets[row, 2 * pairs :][asked].tolist()
        assert (targets[row, 2 * pairs :][~asked] == UNJUDGED).all()
    assert (later != keys + values).any(0).all()  # at every place
    assert (np.bincount(targets[targets >= 0]) > 0).all()
    often = np.bincount(targets[targets >= 0], minlength=values) / (300 * pairs)
    assert np.abs(often - task.chance).max() < 0.06


def test_tokens_of_zoology_hold_pairs_and_then_each_key_once_more():
    pairs, length, vocabulary = 3, 20, 31  # 14 keys, from 1 on, and 16 values, from 15 on
    task = zoology_recall(pairs, length, vocabulary)
    tokens, targets = next(task.batches(500, seed=1))
    assert (task.tokens, task.inputs, task.outputs, task.chance) == (True, 31, 16, 1 / 16)
    assert (tokens.shape, tokens.dtype) == ((500, length), torch.int64)
    assert (targets.shape, targets.dtype) == ((500, length), torch.int64)
    assert torch.equal(tokens, next(task.batches(500, seed=1))[0])
    assert not torch.equal(tokens, next(task.batches(500, seed=2))[0])
    assert torch.equal(task.test()[0], task.test()[0])
    tokens, targets = tokens.numpy(), targets.numpy()
    keys, values, later = tokens[:, 0:6:2], tokens[:, 1:6:2], tokens[:, 6:]
    assert set(keys.ravel()) == set(range(1, 15))
    assert set(values.ravel()) == set(range(15, 31))
    assert not later[:, 1::2].any()  # gaps are even
    assert (targets[:, :6] == UNJUDGED).all()
    for row in range(500):
        value_of = dict(zip(keys[row], values[row] - 15, strict=True))
        assert len(value_of) == len(set(value_of.values())) == pairs
        asked = later[row] != 0
        assert sorted(later[row, asked]) == sorted(value_of)
        assert [value_of[key] for key in later[row, asked]] == targets[row, 6:][asked].tolist()
        assert (targets[row, 6:][~asked] == UNJUDGED).all()


def test_all_rows_of_different_keys_are_equally_likely():
    """Two of 4 keys, in the order of the pairs: 12 rows."""
    tokens, _ = next(zoology_recall(2, 8, 10).batches(24000, seed=3))
    rows, counts = np.unique(tokens[:, 0:4:2].numpy(), axis=0, return_counts=True)
    assert len(rows) == 12
    np.testing.assert_allclose(counts / 24000, 1 / 12, atol=4 * (1 / 12 / 24000) ** 0.5)


def test_gaps_of_zoology_follow_the_power_law_and_are_drawn_without_replacement():
    """Of two pairs, whose first gap is drawn from the law, and the second from what the first one left of it."""
    tokens, _ = next(zoology_recall(2, 12, 40).batches(40000, seed=3))
    tokens = tokens.numpy()
    gaps = np.stack([(tokens[:, 4::2] == tokens[:, [2 * j]]).argmax(1) for j in range(2)], axis=1)
    law = 0.01 * np.arange(1, 5) ** (POWER - 1)
    law /= law.sum()
    of_pairs = np.zeros((4, 4))
    np.add.at(of_pairs, tuple(gaps.T), 1 / 40000)
    expected = law[:, None] * law / (1 - law[:, None])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(of_pairs, expected, atol=4 * 0.5 / 40000**0.5)
    np.testing.assert_allclose(of_pairs.sum(1), law, atol=4 * 0.5 / 40000**0.5)


def test_a_model_of_tokens_is_trained_and_evaluated():
    """It looks at one token alone, so that it knows nothing of the values."""
    task = zoology_recall(1, 4, 8)
    model = torch.nn.Embedding(task.inputs, task.outputs)
    history = train(model, task, steps=3, batch_size=4, tests=1)
    assert math.isfinite(history.losses[-1])
    assert evaluate(model, task) == history.score < 0.4


def test_the_nearest_neighbor_so_far_is_found_by_looking_at_all():
    task = nearest_neighbor(length=9)
    inputs, targets = next(task.batches(200, seed=1))
    assert (inputs.dtype, targets.shape) == (torch.float32, (200, 9, 1))
    assert torch.equal(inputs, next(task.batches(200, seed=1))[0])
    direction, value = inputs[..., :2].double(), inputs[..., 2]
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(200, 9).double())
    assert not value[:, 0].any()
    assert not targets[:, 0].any()
    for row in range(200):
        distance = (direction[row] - direction[row, 0]).norm(dim=-1)
        for t in range(1, 9):
            nearest = 1 + int(distance[1 : t + 1].argmin())
            assert targets[row, t, 0] == value[row, nearest]
    inputs, targets = task.test()
    half = torch.full_like(targets, 0.5)
    half[:, 0] = 0
    assert task.score(half, targets) == pytest.approx(task.chance, abs=0.006)


@pytest.mark.parametrize("make", [associative_recall, induction_heads])
def test_all_tokens_are_judged_or_the_last(make):
    (inputs, every), (same, last) = (
        next(make(judged=judged).batches(9, seed=2)) for judged in ("all", "last")
    )
    assert torch.equal(inputs, same)
    np.testing.assert_array_equal(every[:, :-1], tokens_of(inputs)[:, 1:])
    assert torch.equal(every[:, -1], last[:, -1])


def shares_without_the_key(pairs=9):
    """How often, of four keys and four values, the most frequent value (the first of several) and the last one are
    right: a sum over all counts of keys and all values that keys may have."""
    frequent, last = 0.0, 0.0
    for counts in itertools.product(range(pairs + 1), repeat=4):
        if sum(counts) != pairs:
            continue
        chance = math.factorial(pairs) / math.prod(map(math.factorial, counts)) / 4**pairs
        occur = [key for key in range(4) if counts[key]]
        for value_of in itertools.product(range(4), repeat=4):
            often = np.bincount(value_of, counts, minlength=4)
            frequent += chance * np.mean([value_of[key] == often.argmax() for key in occur]) / 4**4
            same = [[value_of[key] == value_of[other] for key in occur] for other in range(4)]
            last += chance * np.dot(counts, np.mean(same, axis=1)) / pairs / 4**4
    return frequent, last


def test_half_of_recall_can_be_had_without_looking_the_key_up():
    """The most frequent value is right about half of the time, the last one nearly as often."""
    inputs, targets = next(associative_recall().batches(20000, seed=3))
    tokens, answers = tokens_of(inputs), targets[:, -1].numpy()
    given = tokens[:, 1:-2:2]
    frequent = np.array([np.bincount(row).argmax() for row in given])
    for guess, share in zip((frequent, given[:, -1]), shares_without_the_key(), strict=True):
        assert 0.44 < share < 0.52
        assert np.mean(guess == answers) == pytest.approx(share, abs=4 * 0.5 / 20000**0.5)


@every_task
def test_chance_is_the_score_of_the_best_answer_that_never_looks(task):
    """The commonest target of each step, learned from many sequences."""
    _, seen = next(task.batches(20000, seed=5))
    judged = np.flatnonzero((seen != UNJUDGED).all(0).numpy())
    counts = torch.nn.functional.one_hot(seen[:, judged], task.outputs).sum(0)
    _, targets = next(task.batches(20000, seed=6))
    right = (targets[:, judged] == counts.argmax(-1)).float().mean().item()
    assert right == pytest.approx(task.chance, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: associative_recall(keys=1), "keys: expected at least 2, got 1"),
        (lambda: associative_recall(values=1), "values: expected at least 2, got 1"),
        (lambda: associative_recall(length=7), "length: expected an even number from 4 on, got 7"),
        (lambda: associative_recall(length=2), "length: expected an even number from 4 on, got 2"),
        (lambda: associative_recall(judged="first"), "judged: expected one of"),
        (lambda: induction_heads(symbols=1), "symbols: expected at least 2, got 1"),
        (lambda: induction_heads(length=2), "length: expected at least 3, got 2"),
        (lambda: multi_query_recall(pairs=0), "pairs: expected at least 1, got 0"),
        (lambda: multi_query_recall(keys=7), "keys: expected at least 8, got 7"),
        (lambda: multi_query_recall(values=1), "values: expected at least 2, got 1"),
        (lambda: multi_query_recall(length=23), "length: expected at least 24, got 23"),
        (lambda: zoology_recall(pairs=0), "pairs: expected at least 1, got 0"),
        (lambda: zoology_recall(length=15), "length: expected at least 16, got 15"),
        (lambda: zoology_recall(length=17), "length: expected an even number, got 17"),
        (lambda: zoology_recall(vocabulary=64), "vocabulary: expected at least 65, got 64"),
        (lambda: nearest_neighbor(1), "length: expected at least 2, got 1"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
