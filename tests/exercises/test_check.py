"""What a reader is told of an answer, in one sentence."""

import numpy as np
import pytest
import torch

import seqlab
from seqlab import exercises
from seqlab.exercises import kernels
from seqlab.exercises.comparison import compare
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.backends import has_triton

by_kernel = pytest.mark.skipif(not has_triton(), reason="Triton exists for Linux only")


def double(x, shift):
    """The truth of the exercise that is planted here."""
    return 2 * x + shift


@pytest.fixture
def told(monkeypatch):
    """told(answer, results=..., truth=...) -> the verdict's sentence."""

    def told(answer, results=("y",), truth=double):
        inputs = [(np.array([1.0, 2.0, 4.0]), 0.5), (np.arange(6.0), 1.0)]
        planted = {"97.1": lambda answer: compare(answer, truth, inputs, results)}
        monkeypatch.setattr(exercises, "checks", lambda: planted)
        verdict = seqlab.check("97.1", answer)
        assert bool(verdict) == (verdict.sentence == "right.")
        return verdict.sentence

    return told


def unsolved(x, shift):
    raise NotImplementedError


def in_place(x, shift):
    x *= 2
    x += shift
    return x


def on_a_tape(x, shift):
    return 2 * torch.tensor(x, requires_grad=True) + shift


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (double, "right."),
        (in_place, "right."),
        (on_a_tape, "right."),
        (unsolved, "not solved yet."),
        (..., "not solved yet."),
        (lambda x, shift: ..., "not solved yet."),
        (lambda x, shift: 2 * x, "y[0] is 2, expected 2.5, for x = [1, 2, 4], shift = 0.5."),
        (lambda x, shift: 2 * x + 0.5, "y[0] is 0.5, expected 1, for x of shape (6,), shift = 1."),
        (lambda x, shift: 2 * x[:2], "y has shape (2,), expected (3,), for x = [1, 2, 4], shift = 0.5."),
        (
            lambda x, shift: np.float32(2 * x + shift),
            "y has dtype float32, expected float64, for x = [1, 2, 4], shift = 0.5.",
        ),
        (
            lambda x, shift: np.where(x == 2, np.nan, 2 * x + shift),
            "y[1] is nan, expected 4.5, for x = [1, 2, 4], shift = 0.5.",
        ),
        (lambda x, shift: None, "y has shape (), expected (3,), for x = [1, 2, 4], shift = 0.5."),
        (
            lambda x, shift: x[5],
            "it raises IndexError for x = [1, 2, 4], shift = 0.5: index 5 is out of bounds for axis 0 with size 3.",
        ),
    ],
)
def test_a_sentence_says_which_input_shows_what(answer, sentence, told):
    assert told(answer) == sentence


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda x, shift: (x, shift), "right."),
        (lambda x, shift: (x, ...), "not solved yet."),
        (lambda x, shift: (x, None), "b has dtype object, expected float64, for x = [1, 2, 4], shift = 0.5."),
        (lambda x, shift: (x,), "expected 2 results, a, b, got 1."),
        (lambda x, shift: shift, "expected 2 results, a, b, got 1."),
        (lambda x, shift: (x, 0), "b is 0, expected 0.5, for x = [1, 2, 4], shift = 0.5."),
    ],
)
def test_several_results_are_told_apart(answer, sentence, told):
    assert told(answer, results=("a", "b"), truth=lambda x, shift: (x, shift)) == sentence


def test_an_unknown_number_is_told_what_there_is():
    with pytest.raises(ValueError, match=r"^number: expected one of .*5\.8.*, got '5\.99'$"):
        seqlab.check("5.99", double)


def test_checks_are_in_the_order_of_the_book():
    numbers = [tuple(map(int, number.split("."))) for number in exercises.checks()]
    assert numbers == sorted(numbers)


if has_triton():
    import triton
    import triton.language as tl

    def add_one(x_ptr, y_ptr, count, BLOCK: tl.constexpr):
        """y = x + 1, of ``count`` numbers."""
        i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + i, mask=i < count)
        tl.store(y_ptr + i, x + 1, mask=i < count)

    KERNELS = {
        "plain": add_one,
        "decorated": triton.jit(add_one),
        "tuned": triton.autotune([triton.Config({"BLOCK": 4}), triton.Config({"BLOCK": 8})], key=["count"])(
            triton.jit(add_one)
        ),
    }

    @triton.jit
    def unmasked(x_ptr, y_ptr, count, BLOCK: tl.constexpr):
        i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        tl.store(y_ptr + i, tl.load(x_ptr + i, mask=i < count) + 1)

    @triton.jit
    def misspelled(x_ptr, y_ptr, count, BLOCK: tl.constexpr):
        tl.store(y_ptr, undefined)  # noqa: F821


def added(kernel):
    x, y = np.arange(5, dtype=np.float32), unwritten(5)
    launch(kernel, (2,), x, y, 5, BLOCK=4)
    return y


@by_kernel
@pytest.mark.parametrize("kind", ["plain", "decorated", "tuned"])
def test_a_kernel_is_interpreted_however_it_was_decorated(kind):
    assert added(KERNELS[kind]).tolist() == [1, 2, 3, 4, 5]


@by_kernel
def test_a_kernel_is_interpreted_where_kernels_are_decorated_for_the_interpreter(monkeypatch):
    monkeypatch.setattr(triton.knobs.runtime, "interpret", True)
    assert added(triton.jit(add_one)).tolist() == [1, 2, 3, 4, 5]


@by_kernel
def test_a_kernel_that_writes_beside_its_tensors_is_stopped_with_a_sentence():
    with pytest.raises(exercises.Rejected, match=r"a store of 3 numbers .* 0 bytes past the end of y_ptr"):
        added(unmasked)


@by_kernel
def test_what_a_kernel_raises_is_what_the_reader_hears():
    with pytest.raises(NameError, match="undefined"):
        added(misspelled)


@by_kernel
def test_something_else_than_a_kernel_is_named():
    with pytest.raises(exercises.Rejected, match="expected a Triton kernel, got 3"):
        added(3)


def test_without_triton_a_sentence_says_so(monkeypatch):
    monkeypatch.setattr(kernels, "has_triton", lambda: False)
    verdict = seqlab.check("5.8", None)
    assert not verdict
    assert "Triton is not installed here (it exists for Linux)" in verdict.sentence
