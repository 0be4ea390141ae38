"""The function explorer's Python side without a browser: values stay in step, bad ones are refused by name."""

import json

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from seqlab import ops
from seqlab.explorers import FunctionExplorer
from seqlab.ops.hippo import reference


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def remembered(explorer):
    """What the op remembers of the explorer's signal."""
    f = torch.tensor(explorer.signal[: explorer.time])[None, :, None]
    dt = 1 / len(explorer.signal)
    return {
        measure: ops.hippo_project(f, explorer.order, measure, theta=explorer.theta, dt=dt, return_all=False)[
            0
        ][0, 0].numpy()
        for measure in explorer.measures
    }


def in_step(explorer):
    expected = remembered(explorer)
    assert list(explorer.coefficients) == list(expected) == explorer.measures
    for measure, c in expected.items():
        np.testing.assert_allclose(explorer.coefficients[measure], c, rtol=0, atol=1e-12)
    return True


def test_it_starts_with_two_tones_and_all_measures():
    explorer = FunctionExplorer()
    assert explorer.signal.shape == (512,)
    assert explorer.measures == list(reference.MEASURES)
    assert (explorer.order, explorer.theta, explorer.time) == (16, 0.25, 410)
    assert in_step(explorer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", 5),
        ("theta", 0.05),
        ("time", 1),
        ("measures", ["lagt"]),
        ("measures", []),
        ("preset", "step"),
    ],
)
def test_every_value_renews_the_coefficients(name, value):
    explorer = FunctionExplorer()
    before = explorer.coefficients
    setattr(explorer, name, value)
    assert in_step(explorer)
    assert str(explorer.coefficients) != str(before)
    assert in_step(FunctionExplorer(**{name: value}))


def test_a_signal_can_be_set():
    explorer = FunctionExplorer(time=300)
    explorer.signal = np.sin(np.arange(100))
    assert (explorer.preset, explorer.time) == ("custom", 100)
    assert in_step(explorer)
    explorer.preset = "heartbeat"
    assert len(explorer.signal) == 512
    assert in_step(explorer)
    given = FunctionExplorer(signal=[0.0] * 20, measures=["legs"])
    assert (given.preset, given.time) == ("custom", 16)
    np.testing.assert_array_equal(given.coefficients["legs"], np.zeros(16))


def test_a_change_can_be_watched():
    explorer = FunctionExplorer(measures=["legs"])
    seen = []
    explorer.observe(lambda change: seen.append(change.new["legs"].shape), "coefficients")
    explorer.order = 7
    assert seen == [(7,)]


def test_one_sample_cannot_be_changed_unseen():
    with pytest.raises(ValueError, match="read-only"):
        FunctionExplorer().signal[0] = 0.5


def test_coefficients_can_be_read_only():
    with pytest.raises(Exception, match="coefficients"):
        FunctionExplorer().coefficients = {}


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = FunctionExplorer()
    sent = {"preset": "custom", "signal": [0.5] * 9, "time": 3, "measures": ["legs"], "order": 2}
    explorer.set_state({**sent, "coefficients": {"legs": [0.5, 0.25]}})
    np.testing.assert_array_equal(explorer.coefficients["legs"], [0.5, 0.25])
    assert (explorer.preset, explorer.time, len(explorer.signal)) == ("custom", 3, 9)
    explorer.theta = 0.5  # and from here on Python computes again
    assert in_step(explorer)


def test_they_travel_as_lists():
    state = FunctionExplorer(signal=[0.25] * 10, order=2, measures=["legs"]).get_state()
    assert state["signal"] == [0.25] * 10
    np.testing.assert_allclose(state["coefficients"]["legs"], [0.25, 0], atol=1e-15)
    assert json.dumps(state["coefficients"])
    assert "class Panel" in state["_esm"]


def test_the_page_gets_the_parameters():
    tag = element(FunctionExplorer(preset="chirp", order=8, measures=["legs", "lagt"]))
    assert tag["name"] == "function"
    params = json.loads(tag["params"])
    assert params == {
        "preset": "chirp", "order": 8, "theta": 0.25, "time": 410, "measures": ["legs", "lagt"],
    }  # fmt: skip
    assert tag.get_text(strip=True)  # for readers without JavaScript


def test_the_page_gets_a_signal_that_was_given():
    params = json.loads(element(FunctionExplorer(signal=[0.5] * 8))["params"])
    assert params["signal"] == [0.5] * 8


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("preset", "sine", "preset: expected one of two_tones, .* got 'sine'"),
        ("measures", ["legs", "chebt"], r"measures: expected some of legs, .* got \['legs', 'chebt'\]"),
        ("measures", ["legs", "legs"], r"measures: expected some of .* each once, got"),
        ("order", 0, "order: expected 1 to 64 coefficients, got 0"),
        ("order", 65, "order: expected 1 to 64 coefficients, got 65"),
        ("theta", 0.001, "theta: expected a window from 0.01 to 10, got 0.001"),
        ("theta", float("nan"), "theta: expected .* got nan"),
        ("time", 0, "time: expected how many samples were seen, .* got 0"),
        ("time", 513, "time: expected how many samples were seen, .* got 513"),
        ("signal", [1.0] * 7, r"signal: expected shape \(L,\) with L from 8 to 4096, got \(7,\)"),
        ("signal", [[1.0] * 9], r"signal: expected shape \(L,\) .* got \(1, 9\)"),
        ("signal", [float("inf")] * 9, "signal: expected finite numbers"),
        ("signal", ["up"] * 9, "signal: expected real numbers, got .*up"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = FunctionExplorer()
    before = str(explorer.get_state())
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert str(explorer.get_state()) == before
    with pytest.raises(ValueError, match=words):
        FunctionExplorer(**{name: value})


def test_a_signal_and_a_preset_contradict_each_other():
    with pytest.raises(ValueError, match="signal: expected no preset beside it"):
        FunctionExplorer(signal=[0.0] * 9, preset="step")
    with pytest.raises(ValueError, match=r"custom.* is for a signal that is given"):
        FunctionExplorer(preset="custom")


def test_a_preset_can_be_made_ones_own():
    explorer = FunctionExplorer()
    explorer.preset = "custom"  # the signal stays, now as one's own
    assert json.loads(element(explorer)["params"])["signal"] == explorer.signal.tolist()
