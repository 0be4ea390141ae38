"""The recall explorer as a widget, with Python behind it."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import RecallExplorer


def element(explorer):
    return BeautifulSoup(explorer.element(), "html.parser").find("seqlab-explorer")


def test_it_opens_with_a_question_and_its_answer():
    explorer = RecallExplorer()
    assert (explorer.preset, explorer.sequence, explorer.time) == ("recall", "a3c1b4d2b", 8)
    np.testing.assert_array_equal(explorer.taps, [0, 1, 0, 0])
    row = explorer.memory()["abcd1234".index("b")]
    np.testing.assert_array_equal(row, np.eye(8)[7])  # b was followed by 4


@pytest.mark.parametrize(
    ("broken", "largest"), [("nothing", "2"), ("product", "3"), ("shift", "a"), ("memory", "")]
)
def test_each_broken_part_leaves_another_answer(broken, largest):
    """The sequence is a2b3c3d3a: 2 is right, 3 is frequent."""
    explorer = RecallExplorer(preset="frequent", broken=broken)
    row = explorer.memory()[0]
    named = "".join(token for token, value in zip("abcd1234", row, strict=True) if value == row.max() > 0)
    assert named == largest


def test_a_preset_brings_its_sequence_and_a_sequence_makes_it_custom():
    explorer = RecallExplorer(preset="far", time=20)
    explorer.preset = "recall"
    assert (explorer.sequence, explorer.time) == ("a3c1b4d2b", 8)
    explorer.sequence = "a1a"
    assert (explorer.preset, explorer.time) == ("custom", 2)
    assert RecallExplorer(sequence="a1a").preset == "custom"


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = RecallExplorer()
    explorer.set_state({"preset": "custom", "sequence": "ab", "taps": [0, 0.5, 0, -1], "time": 1})
    assert (explorer.preset, explorer.sequence, explorer.time) == ("custom", "ab", 1)
    np.testing.assert_array_equal(explorer.taps, [0, 0.5, 0, -1])
    explorer.preset = "induction"  # and from here on Python draws again
    assert explorer.sequence == "cad1badcdb1"


def test_the_page_gets_a_name_or_a_sequence():
    tag = element(RecallExplorer(preset="frequent", broken="product", question="Which?"))
    assert tag["name"] == "recall"
    assert json.loads(tag["params"]) == {
        "preset": "frequent", "broken": "product", "decay": 1.0, "time": 8, "taps": [0, 1, 0, 0],
        "question": "Which?",
    }  # fmt: skip
    params = json.loads(element(RecallExplorer(sequence="a1b2a"))["params"])
    assert (params["preset"], params["sequence"]) == ("custom", "a1b2a")


def test_the_still_picture_says_what_is_read():
    assert "Reading the long memory by it gives 4 1.00." in RecallExplorer().still()
    assert "gives nothing." in RecallExplorer(broken="memory").still()


def test_one_hot_is_what_the_op_takes():
    v = RecallExplorer(sequence="a4").one_hot()
    np.testing.assert_array_equal(v, np.eye(8)[None, [0, 7]])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("preset", "recal", "preset: expected one of recall, .* got 'recal'"),
        ("sequence", "a", "sequence: expected 2 to 24 of the tokens abcd1234, got 'a'"),
        ("sequence", "a5", "sequence: expected 2 to 24 .* got 'a5'"),
        ("sequence", "ab" * 13, "sequence: expected 2 to 24 "),
        ("broken", "key", "broken: expected one of nothing, .* got 'key'"),
        ("taps", [1, 0, 0], r"taps: expected shape \(L,\) with L from 4 to 4, got \(3,\)"),
        ("taps", [1, 0, 0, 1.5], "taps: expected taps from -1 to 1, got"),
        ("decay", 1.1, "decay: expected a factor from 0 to 1, got 1.1"),
        ("time", 9, "time: expected the index of a token, counted from 0, got 9"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = RecallExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        RecallExplorer(**{name: value})


def test_a_sequence_and_a_name_for_it_contradict_each_other():
    with pytest.raises(ValueError, match="sequence: expected no preset beside it, got 'far'"):
        RecallExplorer(sequence="ab", preset="far")
    with pytest.raises(ValueError, match=r"preset: .custom. goes with a sequence; give it"):
        RecallExplorer(preset="custom")
