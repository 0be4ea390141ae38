"""The gates explorer's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import GatesExplorer


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def test_it_starts_with_climbing_gates():
    explorer = GatesExplorer()
    np.testing.assert_array_equal(explorer.input_gates, 6 * np.arange(16))
    assert (explorer.preset, explorer.precision, explorer.readout, explorer.time) == (
        "climb", "float32", "slstm", 12,
    )  # fmt: skip


def test_a_preset_brings_its_gates():
    explorer = GatesExplorer(input_gates=[1, 2, 3], time=2)
    explorer.preset = "deep"
    np.testing.assert_array_equal(explorer.input_gates, [-110] * 8 + [0] * 8)
    assert explorer.time == 2


def test_gates_can_be_set():
    explorer = GatesExplorer(preset="revise", time=14)
    explorer.input_gates = [1, -2, 3]
    assert (explorer.preset, explorer.time) == ("custom", 3)
    given = GatesExplorer(input_gates=[1, -2, 3])
    assert (given.preset, given.time) == ("custom", 3)
    np.testing.assert_array_equal(given.input_gates, explorer.input_gates)
    with pytest.raises(ValueError, match="read-only"):
        given.input_gates[0] = 5


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = GatesExplorer()
    explorer.set_state({"preset": "custom", "input_gates": [1.5, -3], "time": 2, "precision": "float16"})
    np.testing.assert_array_equal(explorer.input_gates, [1.5, -3])
    assert (explorer.preset, explorer.time, explorer.precision) == ("custom", 2, "float16")
    explorer.preset = "climb"  # and from here on Python draws again
    assert len(explorer.input_gates) == 16


def test_the_page_gets_a_preset_or_numbers():
    tag = element(GatesExplorer(preset="deep", precision="float16", readout="mlstm", f=1, question="Which?"))
    assert tag["name"] == "gates"
    assert json.loads(tag["params"]) == {
        "preset": "deep", "precision": "float16", "readout": "mlstm", "shift": 0, "forget": "sigmoid", "f": 1,
        "key_vectors": "orthogonal", "key_size": 8, "time": 12, "question": "Which?",
    }  # fmt: skip
    assert tag.get_text(strip=True)  # for readers without JavaScript
    params = json.loads(element(GatesExplorer(input_gates=[2, 1]))["params"])
    assert (params["preset"], params["input_gates"]) == ("custom", [2.0, 1.0])


@pytest.mark.parametrize(
    ("preset", "precision", "lost"),
    [("ordinary", "float16", 0), ("climb", "float16", 14), ("climb", "float32", 1), ("deep", "float32", 8)],
)
def test_the_still_picture_counts_the_outputs_that_are_no_numbers(preset, precision, lost):
    still = GatesExplorer(preset=preset, precision=precision, forget="exp", f=0).still()
    assert f"Without the stabilizer {lost} of 16 outputs are no numbers; with it none is." in still


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("preset", "clime", "preset: expected one of ordinary, .* got 'clime'"),
        ("input_gates", [1.0], r"input_gates: expected shape \(L,\) with L from 2 to 32, got \(1,\)"),
        ("input_gates", [0.0, 121], "input_gates: expected gates from -120 to 120, got"),
        ("input_gates", [0.0, float("nan")], "input_gates: expected finite numbers"),
        ("precision", "bfloat16", "precision: expected one of float16, float32, got 'bfloat16'"),
        ("readout", "lstm", "readout: expected one of slstm, mlstm, got 'lstm'"),
        ("forget", "tanh", "forget: expected one of sigmoid, exp, got 'tanh'"),
        ("key_vectors", "same", "key_vectors: expected one of orthogonal, scattered, got 'same'"),
        ("shift", 20.5, "shift: expected a shift from -20 to 20, got 20.5"),
        ("f", -5.0, "f: expected a pre-activation from -4 to 8, got -5.0"),
        ("key_size", 1, "key_size: expected a width of keys from 2 to 16, got 1"),
        ("time", 0, "time: expected a step, counted from 1, got 0"),
        ("time", 17, "time: expected a step, counted from 1, got 17"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = GatesExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        GatesExplorer(**{name: value})


def test_gates_and_a_preset_contradict_each_other():
    with pytest.raises(ValueError, match="input_gates: expected no preset beside them, got 'deep'"):
        GatesExplorer(input_gates=[0.5, 1], preset="deep")
    with pytest.raises(ValueError, match=r"preset: .custom. goes with input_gates; give them"):
        GatesExplorer(preset="custom")
