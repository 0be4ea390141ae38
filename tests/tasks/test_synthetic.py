"""Each synthetic task holds exactly what its description says."""

import numpy as np
import pytest
import torch

from seqlab.tasks import adding, copying, delay, selective_copying
from seqlab.tasks.task import UNJUDGED

TASKS = [
    delay(length=20, lag=3),
    adding(length=15),
    copying(symbols=4, memorize=3, blanks=6),
    selective_copying(symbols=4, memorize=3, length=12),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_shapes_and_types(task):
    for inputs, targets in (next(task.batches(7, seed=0)), task.test()):
        count = len(inputs)
        assert inputs.shape == (count, task.length, task.inputs)
        assert inputs.dtype == torch.float32
        if task.classification:
            assert targets.shape == ((count,) if task.pool else (count, task.length))
            assert targets.dtype == torch.int64
        else:
            assert targets.shape == ((count,) if task.pool else (count, task.length)) + (task.outputs,)
            assert targets.dtype == torch.float32


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_seed_decides_the_batches(task):
    first, again, other = (task.batches(5, seed) for seed in (3, 3, 4))
    for _ in range(3):
        batch = next(first)
        for x, same, different in zip(batch, next(again), next(other), strict=True):
            assert torch.equal(x, same)
            assert not torch.equal(x, different)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_test_set_is_fixed_and_is_not_a_training_batch(task):
    test_inputs, _ = task.test()
    assert torch.equal(test_inputs, task.test()[0])
    train_inputs, _ = next(task.batches(len(test_inputs), seed=0))
    assert not torch.equal(test_inputs, train_inputs)


@pytest.mark.parametrize("lag", [0, 1, 19])
def test_delay_targets_are_the_shifted_input(lag):
    inputs, targets = next(delay(length=20, lag=lag).batches(6, seed=1))
    assert torch.equal(targets[:, lag:], inputs[:, : 20 - lag])
    assert (targets[:, :lag] == 0).all()
    assert abs(inputs.std().item() - 1) < 0.3


def test_adding_targets_are_the_marked_sum():
    inputs, targets = next(adding(length=15).batches(200, seed=1))
    values, marks = inputs.unbind(-1)
    assert torch.allclose((values * marks).sum(1, keepdim=True), targets)
    assert ((marks == 0) | (marks == 1)).all()
    assert (marks[:, :7].sum(1) == 1).all()
    assert (marks[:, 7:].sum(1) == 1).all()
    assert ((values >= 0) & (values < 1)).all()
    assert (marks.sum(0) > 0).all(), "every place is marked now and then"


def test_selective_copying_layout():
    """The symbols among the noise are those to answer, in their order, and stand anywhere."""
    symbols, memorize, length = 5, 3, 14
    task = selective_copying(symbols, memorize, length)
    inputs, targets = next(task.batches(400, seed=1))
    assert (inputs.sum(-1) == 1).all()
    tokens = inputs.argmax(-1)
    assert (tokens[:, -memorize:] == symbols + 1).all()
    before = tokens[:, :-memorize]
    assert (before <= symbols).all()
    assert (targets[:, :-memorize] == UNJUDGED).all()
    assert torch.equal(before[before < symbols].view(400, memorize), targets[:, -memorize:])
    share = (before < symbols).float().mean(0)
    assert (share - memorize / (length - memorize)).abs().max() < 0.1
    assert set(targets[:, -1].tolist()) == set(range(symbols))


def test_copying_layout():
    symbols, memorize, blanks = 4, 3, 6
    inputs, targets = next(copying(symbols, memorize, blanks).batches(50, seed=1))
    assert (inputs.sum(-1) == 1).all()
    tokens = inputs.argmax(-1)
    assert tokens.shape[1] == 2 * memorize + blanks
    assert (tokens[:, :memorize] < symbols).all()
    assert (tokens[:, memorize : memorize + blanks - 1] == symbols).all()
    assert (tokens[:, memorize + blanks - 1] == symbols + 1).all()
    assert (tokens[:, memorize + blanks :] == symbols).all()
    assert (targets[:, :-memorize] == UNJUDGED).all()
    assert torch.equal(targets[:, -memorize:], tokens[:, :memorize])


def test_chance_is_the_score_of_an_answer_that_ignores_the_input():
    task = delay(length=40, lag=10)
    _, targets = task.test()
    assert task.score(torch.zeros_like(targets), targets) == pytest.approx(task.chance, rel=0.03)
    task = adding(length=40)
    _, targets = task.test()
    assert task.score(torch.ones_like(targets), targets) == pytest.approx(task.chance, rel=0.1)
    task = copying(symbols=5)
    _, targets = task.test()
    always_first = torch.eye(5)[torch.zeros_like(targets)]
    assert task.score(always_first, targets) == pytest.approx(task.chance, abs=0.03)


def test_perfect_answers_score_perfectly_and_only_judged_steps_count():
    task = copying(symbols=5, memorize=2, blanks=3)
    _, targets = task.test()
    answers = torch.nn.functional.one_hot(targets.clamp(min=0), 5).float()
    assert task.score(answers, targets) == 1.0
    answers[:, :-2] = torch.rand_like(answers[:, :-2])
    assert task.score(answers, targets) == 1.0
    assert task.loss(1e3 * answers, targets).item() == pytest.approx(0, abs=1e-6)
    answers[:, -1] = answers[:, -1].roll(1, dims=-1)
    assert task.score(answers, targets) == 0.5


def test_loss_of_even_logits_is_the_logarithm_of_the_classes():
    task = copying(symbols=5)
    _, targets = task.test()
    assert task.loss(torch.zeros(*targets.shape, 5), targets).item() == pytest.approx(np.log(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: delay(length=0), "length: expected at least 1, got 0"),
        (lambda: delay(length=8, lag=8), "lag: expected 0 <= lag < length = 8, got 8"),
        (lambda: delay(length=8, lag=-1), "lag: expected 0 <= lag < length = 8, got -1"),
        (lambda: adding(length=1), "length: expected at least 2, got 1"),
        (lambda: copying(symbols=1), "symbols: expected at least 2, got 1"),
        (
            lambda: selective_copying(memorize=5, length=9),
            "length: expected at least 10, got 9",
        ),
        (lambda: copying(memorize=0), "memorize: expected at least 1, got 0"),
        (lambda: copying(blanks=0), "blanks: expected at least 1, got 0"),
        (lambda: delay().batches(0, seed=0), "batch_size: expected at least 1, got 0"),
        (lambda: delay().batches(1, seed=-1), "seed: expected a non-negative integer, got -1"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_answers_of_the_wrong_shape_are_refused():
    task = delay(length=8, lag=2)
    _, targets = next(task.batches(3, seed=0))
    with pytest.raises(ValueError, match=r"\(batch, length, outputs\) = \(3, 8, 1\), got \(3, 1\)"):
        task.loss(torch.zeros(3, 1), targets)
    task = adding(length=8)
    _, targets = next(task.batches(3, seed=0))
    with pytest.raises(ValueError, match=r"\(batch, outputs\) = \(3, 1\), got \(3, 8, 1\)"):
        task.score(torch.zeros(3, 8, 1), targets)
