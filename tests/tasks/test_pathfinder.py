"""Pathfinder: curves that keep apart, dots on their ends, and no other way to tell."""

import numpy as np
import pytest

from seqlab.tasks import pathfinder
from seqlab.tasks.pathfinder import BORDER, DASH, GAP, STEEPEST, picture

EASY = {"side": 32, "dashes": 6, "distractors": 2}


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    return [picture(random, **EASY) for _ in range(60)]


def ends(curve):
    return curve[[0, -1], [0, 1]]


def on_an_end(dot, curve):
    return np.isclose(ends(curve), dot).all(1).any()


def test_curves_are_dashes_that_turn_a_little(pictures):
    for each in pictures[:20]:
        assert [len(curve) for curve in each.curves] == [6, 6, 2, 2]
        for curve in each.curves:
            steps = curve[:, 1] - curve[:, 0]
            np.testing.assert_allclose(np.linalg.norm(steps, axis=1), DASH)
            gaps = curve[1:, 0] - curve[:-1, 1]
            np.testing.assert_allclose(np.linalg.norm(gaps, axis=1), GAP)
            cosine = (steps[1:] * steps[:-1]).sum(1) / DASH**2
            assert (cosine > np.cos(STEEPEST) - 1e-9).all()
            assert curve.min() > BORDER - 1e-9
            assert curve.max() < 32 - BORDER + 1e-9


def test_curves_keep_apart(pictures):
    along = np.linspace(0, 1, 9)[:, None, None]
    for each in pictures[:20]:
        traced = [(curve[:, 0] + along * (curve[:, 1] - curve[:, 0])).reshape(-1, 2) for curve in each.curves]
        for k, one in enumerate(traced):
            for other in traced[k + 1 :]:
                assert np.linalg.norm(one[:, None] - other, axis=-1).min() > 1


def test_dots_lie_on_ends_of_one_curve_or_of_both_long_ones(pictures):
    answers = {True: 0, False: 0}
    for each in pictures:
        on = [[on_an_end(dot, curve) for curve in each.curves[:2]] for dot in each.dots]
        assert (np.sum(on, axis=1) == 1).all()
        assert (np.argmax(on[0]) == np.argmax(on[1])) == each.joined
        answers[each.joined] += 1
    assert min(answers.values()) > 15


def test_dots_are_the_brightest_places(pictures):
    for each in pictures[:20]:
        assert each.pixels.shape == (32, 32)
        assert 0 == each.pixels.min() < each.pixels.max() == 1
        for row, column in each.dots.astype(int):
            assert each.pixels[row, column] == 1
        assert (each.pixels == 1).sum() < 20


def test_the_places_of_the_dots_tell_next_to_nothing():
    """The best line through their distance and their places, on other pictures."""
    random = np.random.default_rng(1)
    drawn = [picture(random, 24, 4, 0) for _ in range(600)]
    dots = np.array([each.dots for each in drawn]) / 24 - 0.5
    apart = np.linalg.norm(dots[:, 0] - dots[:, 1], axis=1)
    places = np.c_[np.ones(len(dots)), apart, apart**2, dots.reshape(-1, 4), dots.reshape(-1, 4) ** 2]
    joined = np.array([2.0 * each.joined - 1 for each in drawn])
    weights = np.linalg.lstsq(places[::2], joined[::2])[0]
    right = np.mean(np.sign(places[1::2] @ weights) == joined[1::2])
    assert right < 0.6


def test_the_task_reads_pixels_row_by_row():
    task = pathfinder(side=24, dashes=3, distractors=1)
    inputs, targets = next(task.batches(4, seed=0))
    assert inputs.shape == (4, 576, 1)
    assert set(targets.tolist()) <= {0, 1}
    again, _ = next(task.batches(4, seed=0))
    assert (inputs == again).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 15}, "side: expected at least 16, got 15"),
        ({"dashes": 1}, "dashes: expected at least 2, got 1"),
        ({"distractors": -1}, "distractors: expected at least 0, got -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        pathfinder(**arguments)
