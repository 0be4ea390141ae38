"""The Japanese vowels: every recording at its length, any sampling rate, an answer read at the last frame."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.nn import LSTM, Readout
from seqlab.tasks import japanese_vowels
from seqlab.tasks.speech import resample
from seqlab.tasks.task import UNJUDGED
from seqlab.training import train


@pytest.fixture(scope="module")
def vowels():
    return japanese_vowels()


def recordings(task, part):
    """The recordings themselves, without what follows their end."""
    series, lengths = getattr(task, f"{part}_series"), getattr(task, f"{part}_lengths")
    return [one[:length] for one, length in zip(series, lengths, strict=True)]


def test_the_set_is_the_one_that_was_published(vowels):
    assert (vowels.length, vowels.inputs, vowels.outputs, vowels.pool) == (29, 12, 9, False)
    assert np.bincount(vowels.train_labels).tolist() == [30] * 9
    assert np.bincount(vowels.test_labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert vowels.chance == 88 / 370
    lengths = np.concatenate((vowels.train_lengths, vowels.test_lengths))
    assert (lengths.min(), lengths.max()) == (7, 29)


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0, 1 / 3])
def test_shapes_targets_and_ends(rate):
    task = japanese_vowels(rate)
    for (inputs, targets), lengths in [
        (next(task.batches(270, seed=0)), None),
        (task.test(), task.test_lengths),
    ]:
        assert inputs.shape == (len(targets), task.length, 12)
        assert targets.shape == (len(targets), task.length)
        assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
        judged = targets != UNJUDGED
        assert torch.all(judged.sum(dim=1) == 1)
        ends = judged.int().argmax(dim=1)
        assert all(torch.all(one[end + 1 :] == 0) for one, end in zip(inputs, ends, strict=True))
        if lengths is not None:
            assert torch.equal(ends + 1, torch.from_numpy(lengths))
            assert torch.equal(targets[judged], torch.from_numpy(task.test_labels))


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_a_rate_changes_the_lengths_and_nothing_else(vowels, rate):
    task = japanese_vowels(rate)
    for part in ("train", "test"):
        before, after = recordings(vowels, part), recordings(task, part)
        assert [len(a) for a in after] == [int(len(b) * rate + 0.5) for b in before]
        assert np.array_equal(getattr(task, f"{part}_labels"), getattr(vowels, f"{part}_labels"))
        means = np.stack([[b.mean(axis=0), a.mean(axis=0)] for b, a in zip(before, after, strict=True)])
        assert np.abs(means[:, 0] - means[:, 1]).max() < 0.35 < means.std()


def test_channels_are_scaled_by_the_training_frames(vowels):
    frames = np.concatenate(recordings(vowels, "train"))
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-12)
    held_out = np.concatenate(recordings(vowels, "test"))
    assert np.abs(held_out.mean(axis=0)).max() > 0.01


def test_no_test_recording_is_trained_on(vowels):
    train, test = ({one.tobytes() for one in recordings(vowels, part)} for part in ("train", "test"))
    assert (len(train), len(test)) == (270, 370)
    assert not train & test


def test_labels_belong_to_their_recordings(vowels):
    means = {
        part: np.stack([one.mean(axis=0) for one in recordings(vowels, part)]) for part in ("train", "test")
    }
    speakers = np.stack([means["train"][vowels.train_labels == s].mean(axis=0) for s in range(9)])
    nearest = ((means["test"][:, None] - speakers) ** 2).sum(-1).argmin(1)
    assert (nearest == vowels.test_labels).mean() > 0.8


@pytest.mark.parametrize("count", [7, 20, 29])
def test_at_rate_one_a_series_stays_as_it_is(count):
    series = np.random.default_rng(0).normal(size=(count, 3))
    assert np.array_equal(resample(series, 1.0), series)


@pytest.mark.parametrize("rate", [0.5, 2.0, 3.7])
def test_a_slow_sinusoid_is_the_same_at_every_rate(rate):
    """Linear interpolation errs by at most max|f''| / 8; the half parts at the ends are held, not extended."""
    count, omega = 200, 0.1
    after = resample(np.sin(omega * np.arange(count))[:, None], rate)[:, 0]
    times = (np.arange(len(after)) + 0.5) / rate - 0.5
    inside = (times >= 0) & (times <= count - 1)
    assert inside.mean() > 0.98
    error = np.abs(after - np.sin(omega * times))
    assert error[inside].max() < omega**2 / 8
    assert error.max() < omega / 2


def test_resampling_down_takes_the_middle_of_two_frames():
    series = np.arange(7.0)[:, None]
    assert resample(series, 0.5)[:, 0].tolist() == [0.5, 2.5, 4.5, 6.0]
    assert resample(series[:1], 0.1).tolist() == [[0.0]]


def test_the_seed_decides_the_batches(vowels):
    (a, x), (b, y), (c, _) = (next(vowels.batches(32, seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert torch.equal(x, y)
    assert not torch.equal(a, c)


class Blind(nn.Module):
    """Answers 2, the most frequent speaker, at every step."""

    def forward(self, u):
        return nn.functional.one_hot(torch.full(u.shape[:2], 2), 9).float()


def test_an_answer_that_never_looks_scores_chance(vowels):
    inputs, targets = vowels.test()
    assert vowels.score(Blind()(inputs), targets) == pytest.approx(vowels.chance)


def test_what_follows_the_end_does_not_matter(vowels):
    inputs, targets = vowels.test()
    torch.manual_seed(0)
    model = Readout(LSTM(12, 8), 8, 9, last=False)
    other = torch.where((inputs == 0).all(dim=-1, keepdim=True), torch.full_like(inputs, 50.0), inputs)
    assert not torch.equal(model(inputs), model(other))
    assert torch.equal(vowels.loss(model(inputs), targets), vowels.loss(model(other), targets))


def test_a_small_lstm_learns_who_speaks(vowels):
    torch.manual_seed(0)
    model = Readout(nn.LSTM(12, 16, batch_first=True), 16, 9, last=False)
    history = train(model, vowels, steps=100, batch_size=30, lr=1e-2, device="cpu")
    assert history.score > 0.7


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_rates_are_named(rate):
    with pytest.raises(ValueError, match=f"rate: expected a finite number above 0, got {rate}"):
        japanese_vowels(rate)


def test_bad_batches_are_named(vowels):
    with pytest.raises(ValueError, match="batch_size: expected at most 270, the whole training set, got 300"):
        vowels.batches(300, seed=0)
