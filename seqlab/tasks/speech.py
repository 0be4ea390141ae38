"""Real speech: nine speakers, told apart by how they say two vowels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from torch import Tensor

from seqlab.tasks.package_data import package_files
from seqlab.tasks.task import (
    UNJUDGED,
    Task,
    check_batch_size,
    epochs,
    random_generator,
    to_tensor,
)

SPEAKERS = 9
CHANNELS = 12
AEON = "1.6.0"
FOLDER = "aeon/datasets/data/JapaneseVowels/"
SHA256 = {
    f"{FOLDER}JapaneseVowels_TRAIN.ts": (
        "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd"
    ),
    f"{FOLDER}JapaneseVowels_TEST.ts": (
        "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462"
    ),
}


@dataclass(frozen=True, eq=False)
class Recordings(Task):
    """Labelled recordings of different lengths, zeros after the end of each.

    A target holds the label at the recording's last real step and `UNJUDGED` at all
    others, so a model that looks at no later step never notices the zeros.

    Attributes:
        train_series, test_series: (recordings, length, inputs).
        train_lengths, test_lengths: (recordings,) real steps of each.
        train_labels, test_labels: (recordings,) class indices.
    """

    train_series: np.ndarray
    train_lengths: np.ndarray
    train_labels: np.ndarray
    test_series: np.ndarray
    test_lengths: np.ndarray
    test_labels: np.ndarray

    def batches(self, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.train_labels)
        check_batch_size(batch_size, count)
        targets = _targets(self.train_labels, self.train_lengths, self.length)
        return (
            (to_tensor(self.train_series[chosen]), to_tensor(targets[chosen]))
            for chosen in epochs(random_generator(0, seed), count, batch_size)
        )

    def test(self) -> tuple[Tensor, Tensor]:
        targets = _targets(self.test_labels, self.test_lengths, self.length)
        return to_tensor(self.test_series), to_tensor(targets)


def japanese_vowels(rate: float = 1.0) -> Recordings:
    """Who says /ae/? 640 real utterances of nine men (Kudo, Toyama and Shimbo, 1999;
    doi 10.24432/C5NS47), as they ship with aeon (BSD 3-Clause).

    inputs (B, length, 12) are cepstrum coefficients, one frame every 6.4 ms, of 7 to 29
    frames before resampling; each coefficient is scaled to mean 0 and variance 1 over
    the frames of the training set. targets (B, length) hold the speaker, 0 to 8, at
    each recording's last frame and `UNJUDGED` (-100) elsewhere: the answer is read off
    there, from a model that looks at no later step. 270 recordings train, 30 of each
    speaker; 370 test, said on other occasions by the same nine.

    Args:
        rate: frames per original frame, above 0. A recording of n frames becomes one of
            n * rate, rounded, at least 1; each stands for an equal part of the time
            and is interpolated linearly at the middle of its part.

    Raises:
        ValueError: `rate` is not a finite number above 0.
        ConnectionError: aeon is not installed, its recordings have not been fetched
            yet, and pip could not do so.
        OSError: the file fetched is another one, or cannot be kept.
    """
    if not 0 < rate < math.inf:
        raise ValueError(f"rate: expected a finite number above 0, got {rate}")
    (train_series, train_labels), (test_series, test_labels) = _recordings()
    train_series = [resample(series, rate) for series in train_series]
    test_series = [resample(series, rate) for series in test_series]
    longest = max(len(series) for series in train_series + test_series)
    return Recordings(
        name=f"Japanese vowels at rate {rate:g}",
        length=longest,
        inputs=CHANNELS,
        outputs=SPEAKERS,
        pool=False,
        classification=True,
        chance=np.bincount(test_labels).max() / len(test_labels),
        train_series=_padded(train_series, longest),
        train_lengths=np.array([len(series) for series in train_series]),
        train_labels=train_labels,
        test_series=_padded(test_series, longest),
        test_lengths=np.array([len(series) for series in test_series]),
        test_labels=test_labels,
    )


def resample(series: np.ndarray, rate: float) -> np.ndarray:
    """(n, channels) -> (about n * rate, channels) that last as long, by linear
    interpolation at the middles of equal parts; the ends are held."""
    count = max(1, math.floor(len(series) * rate + 0.5))
    middles = (np.arange(count) + 0.5) / rate - 0.5
    frames = np.arange(len(series))
    return np.stack([np.interp(middles, frames, c) for c in series.T], axis=1)


@cache
def _recordings() -> tuple[tuple[list[np.ndarray], np.ndarray], ...]:
    """Training and test set: scaled series, each (frames, 12), and labels."""
    train, test = map(_parse, package_files("aeon", AEON, SHA256).values())
    frames = np.concatenate(train[0])
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    return tuple(
        ([(one - mean) / deviation for one in series], labels)
        for series, labels in (train, test)
    )


def _parse(content: bytes) -> tuple[list[np.ndarray], np.ndarray]:
    """Each line after @data is a recording: its channels, then the speaker, 1 to 9."""
    _, _, data = content.decode().partition("@data\n")
    rows = [line.split(":") for line in data.splitlines()]
    series = [
        np.array([channel.split(",") for channel in row[:-1]], float) for row in rows
    ]
    return [one.T for one in series], np.array([int(row[-1]) - 1 for row in rows])


def _padded(series: list[np.ndarray], length: int) -> np.ndarray:
    return np.stack([np.pad(one, ((0, length - len(one)), (0, 0))) for one in series])


def _targets(labels: np.ndarray, lengths: np.ndarray, length: int) -> np.ndarray:
    targets = np.full((len(labels), length), UNJUDGED)
    targets[np.arange(len(labels)), lengths - 1] = labels
    return targets
