"""The recall explorer's JavaScript mathematics, run by Node, against NumPy on the same tokens."""

from itertools import product

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import RecallExplorer
from seqlab.explorers.recall import BROKEN, TAPS, TOKENS
from seqlab.ops.h3.reference import h3

evaluate = evaluator("recall/mathematics.mjs")
SEQUENCES = ["ab", "aa", "a3c1b4d2b", "1234abcd", "abababababababababababab", "d4d4d3a1a1c2"]
TAPS_TRIED = [[0, 1, 0, 0], [1, 0, 0, 0], [0.5, -0.25, 1, -1], [0, 0, 0, 0]]
every_sequence = pytest.mark.parametrize("sequence", SEQUENCES)


def truth(sequence, taps, decay, broken):
    """Keys (L, 8), what is written and the memories (L, 8, 8), answers (L, 8), by einsum over a kernel of powers."""
    v = RecallExplorer(sequence=sequence).one_hot()[0]
    L = len(v)
    taps, decay = np.eye(4)[0] if broken == "shift" else np.array(taps), 0 if broken == "memory" else decay
    keys = np.array([sum(taps[j] * v[t - j] for j in range(min(TAPS, t + 1))) for t in range(L)])
    written = keys[:, :, None] + v[:, None, :] if broken == "product" else np.einsum("ti,tj->tij", keys, v)
    lag = np.arange(L)[:, None] - np.arange(L)
    powers = np.where(lag >= 0, float(decay) ** np.maximum(lag, 0), 0)
    S = np.einsum("ts,sij->tij", powers, written)
    return keys, written, S, S.sum(axis=1) if broken == "query" else np.einsum("ti,tij->tj", v, S)


@every_sequence
def test_every_stage_of_it(sequence):
    calls, truths = [], []
    for taps, broken in product(TAPS_TRIED, BROKEN):
        keys, written, S, o = truth(sequence, taps, 0.75, broken)
        in_use = TAPS_TRIED[1] if broken == "shift" else taps
        factor = 0 if broken == "memory" else 0.75
        calls += [("tapsInUse", taps, broken), ("decayInUse", 0.75, broken), ("shifted", sequence, in_use)]
        calls += [("written", sequence, keys.ravel().tolist(), broken)]
        calls += [("memories", written.ravel().tolist(), factor)]
        calls += [("answers", sequence, S.ravel().tolist(), broken)]
        truths += [in_use, factor, keys, written, S, o]
    for call, found, expected in zip(calls, evaluate(*calls), truths, strict=True):
        np.testing.assert_allclose(found, np.ravel(expected), atol=1e-12, err_msg=call[0])


@every_sequence
def test_unbroken_it_is_h3_with_one_head_as_wide_as_the_alphabet(sequence):
    """And with the taps 1, 0, 0, 0 so is a broken shift memory."""
    x, one = RecallExplorer(sequence=sequence).one_hot(), np.ones((1, 1))
    for taps, broken in ((TAPS_TRIED[2], "nothing"), (TAPS_TRIED[1], "shift")):
        _, _, S, o = truth(sequence, taps, 0.75, broken)
        shift = np.tile(TAPS_TRIED[1] if broken == "shift" else taps, (8, 1))
        y, (_, memory) = h3(x, x, x, shift, 0.75 * one, one, one, head_dim=8)
        np.testing.assert_allclose(o, y[0], atol=1e-12)
        np.testing.assert_allclose(S[-1].ravel(), memory[0, :, 0], atol=1e-12)


@pytest.mark.parametrize("broken", BROKEN)
def test_python_keeps_the_same_memory(broken):
    given = {"sequence": "a3c1b4d2b", "taps": [0.5, 1, 0, -0.5], "decay": 0.5, "broken": broken}
    _, _, S, _ = truth(**given)
    for t in (0, 4, 8):
        np.testing.assert_allclose(RecallExplorer(**given, time=t).memory(), S[t], atol=1e-12)


def test_an_answer_names_its_largest_unless_it_is_faint():
    cases = {
        "a": [1, 0, 0, 0, 0, 0, 0, 0.5],
        "b4": [0, 2, 0, -3, 0, 0, 0, 2],
        "": [0.09] * 8,
        TOKENS: [0.1] * 8,
    }
    found = evaluate(*[("named", answer) for answer in cases.values()])
    assert found == list(cases)


def test_what_is_wanted_is_what_followed_the_last_time():
    (found,) = evaluate(("wanted", "a3c1a4a3a"))
    assert found == ["", "", "", "", "3", "", "4", "c", "3"]


def test_a_text_is_cleaned_to_tokens():
    found = evaluate(*[("onlyTokens", text) for text in ("A3, c1; x9 b?", "", "abcd" * 9)])
    assert found == ["a3c1b", "", "abcd" * 6]
    assert evaluate(("indices", "a4d"))[0].tolist() == [0, 7, 3]


@pytest.mark.parametrize("preset", ["recall", "induction", "frequent", "rewritten", "far"])
def test_sequences_are_the_same_in_both_languages(preset):
    (found,) = evaluate(("presetTokens", preset))
    assert found == RecallExplorer(preset=preset).sequence
