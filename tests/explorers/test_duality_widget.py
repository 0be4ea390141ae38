"""The duality explorer's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import DualityExplorer
from seqlab.nn import S4D


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def test_it_starts_with_an_oscillation_and_two_pulses():
    explorer = DualityExplorer()
    np.testing.assert_array_equal(explorer.eigenvalues, [0.9 * np.exp(1j * np.pi / 6)])
    assert explorer.signal.shape == (32,)
    assert (explorer.signal.max(), explorer.signal.min()) == (1, -0.8)
    assert (explorer.modes, explorer.input, explorer.time) == ("oscillation", "two_pulses", 12)


def test_a_name_brings_its_numbers():
    explorer = DualityExplorer(modes="three", selected=2, time=31)
    explorer.modes, explorer.input = "fast", "impulse"
    np.testing.assert_array_equal(explorer.eigenvalues, [0.5])
    np.testing.assert_array_equal(explorer.signal, np.eye(32)[0])
    assert (explorer.selected, explorer.time) == (0, 31)


def test_eigenvalues_and_a_signal_can_be_set():
    explorer = DualityExplorer(modes="three", selected=2, time=30)
    explorer.eigenvalues, explorer.signal = [0.5, 0.9j], [1, 2, 3]
    assert (explorer.modes, explorer.input) == ("custom", "custom")
    assert (explorer.selected, explorer.time) == (1, 2)
    given = DualityExplorer(eigenvalues=[0.5, 0.9j], signal=[1, 2, 3])
    assert (given.modes, given.input, given.time) == ("custom", "custom", 2)
    np.testing.assert_array_equal(given.eigenvalues, explorer.eigenvalues)
    np.testing.assert_array_equal(given.signal, explorer.signal)


def test_one_entry_cannot_be_changed_unseen():
    for array in (DualityExplorer().eigenvalues, DualityExplorer().signal):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = DualityExplorer()
    explorer.set_state(
        {"modes": "custom", "eigenvalues": [[0.5, 0.25]], "input": "custom", "signal": [1, 0, 0], "time": 2}
    )
    np.testing.assert_array_equal(explorer.eigenvalues, [0.5 + 0.25j])
    np.testing.assert_array_equal(explorer.signal, [1, 0, 0])
    explorer.set_state({"input": "step", "signal": [0.0] * 4 + [1.0] * 28, "time": 20})
    assert (explorer.input, explorer.time) == ("step", 20)
    explorer.input = "impulse"  # and from here on Python draws again
    assert explorer.signal[0] == 1


def test_they_travel_as_pairs_and_as_a_list():
    state = DualityExplorer(eigenvalues=[0.5 + 0.25j, -0.5j], signal=[1, 0.5]).get_state()
    assert state["eigenvalues"] == [[0.5, 0.25], [0.0, -0.5]]
    assert state["signal"] == [1.0, 0.5]
    assert "render" in state["_esm"]


def test_the_page_gets_names_or_numbers():
    tag = element(DualityExplorer(modes="slow", input="step", time=31, question="Which?"))
    assert tag["name"] == "duality"
    assert json.loads(tag["params"]) == {
        "modes": "slow", "input": "step", "time": 31, "selected": 0, "question": "Which?",
    }  # fmt: skip
    assert tag.get_text(strip=True)  # for readers without JavaScript
    params = json.loads(element(DualityExplorer(eigenvalues=[0.9j], signal=[1, 2]))["params"])
    assert (params["eigenvalues"], params["signal"]) == ([[0.0, 0.9]], [1.0, 2.0])


def test_the_still_picture_says_what_both_land_on():
    still = DualityExplorer(eigenvalues=[0.5], signal=[1, 1, 1], time=2).still()
    assert (
        "1 mode of modulus 0.500 to 0.500; at time 2 the state and the sum of 3 products both give 1.750."
        in still
    )


def test_a_layer_starts_from_them_and_they_from_a_layer():
    explorer = DualityExplorer(modes="three")
    layer = S4D.from_eigenvalues(2, np.log(explorer.eigenvalues), dt_min=1, dt_max=1)
    A_bar, _, _ = layer.system()
    np.testing.assert_allclose(A_bar.detach().numpy(), [explorer.eigenvalues] * 2, atol=1e-6)
    explorer.eigenvalues = S4D(1, 4, "lin").system()[0][0].detach().numpy()
    assert explorer.eigenvalues.shape == (4,)
    assert explorer.modes == "custom"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("modes", "sloww", "modes: expected one of slow, .* got 'sloww'"),
        ("input", "noise", "input: expected one of impulse, .* got 'noise'"),
        ("eigenvalues", [], r"eigenvalues: expected shape \(N,\) with N from 1 to 4, got \(0,\)"),
        ("eigenvalues", [0.5] * 5, r"eigenvalues: expected shape \(N,\) .* got \(5,\)"),
        ("eigenvalues", [0.5, 1.1j], "eigenvalues: expected moduli of at most 1, got"),
        ("eigenvalues", [float("nan")], "eigenvalues: expected finite numbers"),
        ("signal", [1.0], r"signal: expected shape \(L,\) with L from 2 to 64, got \(1,\)"),
        ("signal", [1.0] * 65, r"signal: expected shape \(L,\) .* got \(65,\)"),
        ("signal", [1.0, float("inf")], "signal: expected finite numbers"),
        ("signal", ["one", "two"], "signal: expected real numbers, got .*one"),
        ("time", 32, "time: expected the index of a sample, counted from 0, got 32"),
        ("time", -1, "time: expected the index of a sample, counted from 0, got -1"),
        ("selected", 1, "selected: expected the index of a mode, counted from 0, got 1"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = DualityExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        DualityExplorer(**{name: value})


def test_values_of_another_kind_are_refused_by_name():
    with pytest.raises(Exception, match=re.compile("time.*expected an int", re.DOTALL)):
        DualityExplorer(time="late")


def test_numbers_and_a_name_for_them_contradict_each_other():
    with pytest.raises(ValueError, match="eigenvalues: expected no modes beside them, got 'slow'"):
        DualityExplorer(eigenvalues=[0.5], modes="slow")
    with pytest.raises(ValueError, match="signal: expected no input beside it, got 'step'"):
        DualityExplorer(signal=[0.5, 1], input="step")
    with pytest.raises(ValueError, match=r"modes: .custom. goes with eigenvalues; give them"):
        DualityExplorer(modes="custom")
    with pytest.raises(ValueError, match=r"input: .custom. goes with signal; give it"):
        DualityExplorer(input="custom")
