"""Text, character by character: what is read, what is held out, and what the score counts."""

import builtins
import hashlib
import math

import numpy as np
import pytest
import torch

from seqlab.tasks import characters, python_documentation, shakespeare

SENTENCE = "the cat sat on the mat, and the dog sat by the cat. "


@pytest.fixture(scope="module")
def task():
    return characters("cats", 40 * SENTENCE, length=12)


@pytest.fixture(scope="module")
def documentation():
    return python_documentation()


@pytest.fixture(scope="module")
def plays():
    return shakespeare()


def written(codes, task):
    return task.decode(torch.from_numpy(codes))


def test_targets_are_the_characters_that_follow(task):
    for inputs, targets in (next(task.batches(5, seed=0)), task.test()):
        assert inputs.shape == (*targets.shape, task.inputs)
        assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
        assert torch.all(inputs.sum(-1) == 1)
        read = inputs.argmax(-1)
        assert torch.equal(read[:, 1:], targets[:, :-1])
        for one, following in zip(read, targets, strict=True):
            assert task.decode(one) + task.decode(following[-1:]) in 40 * SENTENCE


def test_the_last_tenth_is_held_out_and_never_trained_on():
    front, back = "ab" * 450, "cd" * 50
    task = characters("halves", front + back, length=10)
    assert written(task.train_codes, task) == front
    assert written(task.test_codes, task) == back
    inputs, targets = next(task.batches(500, seed=0))
    assert set(task.decode(inputs.argmax(-1).flatten()) + task.decode(targets.flatten())) == set("ab")
    inputs, targets = task.test()
    assert len(targets) == 9  # windows of 10 and the character after each, side by side
    assert task.decode(targets.flatten()) == back[1:91]


def test_every_place_of_the_text_is_drawn():
    task = characters("numbers", "".join(map(chr, range(1000, 1100))), length=3)
    _, targets = next(task.batches(3000, seed=0))
    assert set(targets[:, 0].tolist()) == set(range(1, 88))


def test_batches_are_the_same_for_the_same_seed(task):
    one, same, other = (next(task.batches(8, seed))[1] for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_long_text_is_tested_in_windows_from_all_its_parts(plays):
    inputs, targets = plays.test()
    assert inputs.shape == (512, 256, 84)
    held_out = written(plays.test_codes, plays)
    places = [held_out.index(plays.decode(window)) for window in targets]
    assert np.all(np.diff(places) >= 256)
    assert places[0] < 1000 < len(held_out) - 1000 < places[-1]


def test_the_score_is_in_bits(task):
    _, targets = task.test()
    assert task.measure == "bits per character"
    certain = 50 * torch.nn.functional.one_hot(targets, task.outputs).float()
    assert task.score(certain, targets) == pytest.approx(0, abs=1e-6)
    assert task.score(0 * certain, targets) == pytest.approx(math.log2(task.outputs))
    assert task.score(certain, targets.roll(1)) > 10


def test_bits_of_an_order_are_those_of_counted_frequencies(task):
    train, test = written(task.train_codes, task), written(task.test_codes, task)
    size = len(task.alphabet)
    for order in (1, 2, 3):
        total = 0.0
        stretches = [test[i : i + order] for i in range(len(test) - order + 1)]
        grams = [train[i : i + order] for i in range(len(train) - order + 1)]
        for stretch in stretches:
            before = sum(gram[:-1] == stretch[:-1] for gram in grams)
            total -= math.log2((1 + grams.count(stretch)) / (size + before))
        assert task.bits(order) == pytest.approx(total / len(stretches))
    assert task.chance == task.bits(1)
    for wrong in (0, 4):
        with pytest.raises(ValueError, match=f"order: expected 1, 2 or 3, got {wrong}"):
            task.bits(wrong)


def test_text_is_coded_and_decoded(task):
    assert task.decode(task.encode("the mat")) == "the mat"
    with pytest.raises(ValueError, match="text: expected characters of the alphabet, got 'Z'"):
        task.encode("the Zoo")


def test_python_comes_with_prose(documentation):
    """Each version with another one, so that nothing is known of it but what English is like."""
    prose = written(documentation.train_codes, documentation)
    assert len(prose) > 100_000
    assert sum(one.isalpha() or one in " ,.'\n" for one in prose) > 0.95 * len(prose)
    assert prose.count(" the ") > 0.005 * len(prose)
    assert "::=" not in prose
    unigram, bigram, trigram = map(documentation.bits, (1, 2, 3))
    assert trigram < bigram - 0.3 < unigram - 0.6
    assert documentation.chance == unigram


def test_a_python_without_its_documentation_is_told_so(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("pydoc_data"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match="this Python comes without"):
        python_documentation()


def test_shakespeare_is_the_same_everywhere(plays):
    everything = written(np.concatenate((plays.train_codes, plays.test_codes)), plays)
    assert len(everything) == 5_057_239
    assert (
        hashlib.sha256(everything.encode()).hexdigest()
        == "93d1b7634835a511cfcbf25f9e9ee80d53c07420e39b7e937c623ece2e93ecdf"
    )
    assert "To be, or not to be,--that is the question" in everything
    found = [round(plays.bits(order), 3) for order in (1, 2, 3)]
    assert found == [4.803, 3.667, 2.936]


@pytest.mark.parametrize("length", [0, 208, 10**6])
def test_a_length_is_from_one_to_what_is_held_out(length):
    with pytest.raises(ValueError, match=r"length: expected at least 1 and less than 208, .*got"):
        characters("cats", 40 * SENTENCE, length)


def test_a_text_of_one_character_is_refused():
    with pytest.raises(ValueError, match="text: expected characters that differ, got 'aaaa'"):
        characters("a", "aaaa", 1)
