"""The pole playground's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json
import re
import sys
from types import ModuleType

import numpy as np
import pytest
from bs4 import BeautifulSoup
from traitlets import TraitError

from seqlab.explorers import PoleExplorer
from seqlab.nn import eigenvalues as law
from seqlab.ops.discretize.reference import discretize


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def images(explorer):
    return discretize(explorer.poles, np.ones(1), explorer.dt, explorer.method, diagonal=True)[0]


def test_it_starts_on_s4d_lin():
    explorer = PoleExplorer()
    np.testing.assert_array_equal(explorer.poles, law.s4d_lin(8))
    np.testing.assert_array_equal(explorer.images, np.exp(0.05 * law.s4d_lin(8)))


@pytest.mark.parametrize("method", ["euler", "backward_euler", "bilinear", "zoh"])
def test_images_follow_poles_step_and_method(method):
    explorer = PoleExplorer()
    heard = []
    explorer.observe(lambda change: heard.append(change.new), "images")
    explorer.poles = [-1, -0.5 + 3j]
    np.testing.assert_array_equal(explorer.images, images(explorer))
    explorer.dt = 0.125
    np.testing.assert_array_equal(explorer.images, images(explorer))
    explorer.method = method
    np.testing.assert_array_equal(explorer.images, images(explorer))
    np.testing.assert_array_equal(heard[-1], explorer.images)
    with pytest.raises(TraitError, match=r"images.*read-only"):
        explorer.images = [0.5]


def test_where_the_method_has_a_pole_the_image_is_no_number():
    explorer = PoleExplorer(poles=[2.0], dt=1.0, method="bilinear")
    assert not np.isfinite(explorer.images[0])
    assert "Infinity" not in json.dumps(explorer.get_state()["poles"])
    assert "images" not in explorer.get_state()


def test_a_preset_brings_its_poles_its_step_and_its_time():
    explorer = PoleExplorer(selected=7)
    explorer.preset = "stiff"
    np.testing.assert_array_equal(explorer.poles, [-1, -100])
    assert (explorer.dt, explorer.duration, explorer.state_size) == (0.1, 3.0, 2)
    assert explorer.selected == 1
    np.testing.assert_array_equal(explorer.images, images(explorer))
    explorer.dt = 0.5
    assert explorer.preset == "stiff"
    explorer.preset, explorer.state_size = "s4d_real", 5
    np.testing.assert_array_equal(explorer.poles, law.s4d_real(5))
    assert explorer.dt == 0.1


def test_a_step_that_is_given_is_kept():
    explorer = PoleExplorer(preset="oscillator", dt=0.01)
    assert (explorer.dt, explorer.duration, explorer.state_size) == (0.01, 20.0, 1)
    explorer = PoleExplorer(preset="s4d_real", state_size=20, duration=1.0)
    assert (explorer.dt, explorer.duration, len(explorer.poles)) == (0.1, 1.0, 20)


def test_poles_can_be_set():
    explorer = PoleExplorer(selected=5)
    explorer.poles = [-1, -2 + 3j]
    assert (explorer.preset, explorer.state_size, explorer.selected) == ("custom", 2, 1)
    assert explorer.dt == 0.05
    explorer = PoleExplorer(poles=[-1, -2 + 3j], dt=0.3)
    np.testing.assert_array_equal(explorer.poles, [-1, -2 + 3j])
    assert (explorer.preset, explorer.state_size, explorer.dt) == ("custom", 2, 0.3)
    explorer.preset = "s4d_lin"
    np.testing.assert_array_equal(explorer.poles, law.s4d_lin(2))


def test_one_entry_cannot_be_changed_unseen():
    with pytest.raises(ValueError, match="read-only"):
        PoleExplorer().poles[0] = 0.5


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = PoleExplorer()
    explorer.set_state({"preset": "custom", "state_size": 2, "poles": [[-0.5, 0.25], [0, -0.5]], "dt": 0.5})
    np.testing.assert_array_equal(explorer.poles, [-0.5 + 0.25j, -0.5j])
    np.testing.assert_array_equal(explorer.images, images(explorer))
    explorer.set_state({"preset": "s4d_real", "state_size": 1, "poles": [[-0.7, 0]], "duration": 9.0})
    np.testing.assert_array_equal(explorer.poles, [-0.7])
    assert (explorer.dt, explorer.duration) == (0.5, 9.0)
    explorer.state_size = 2  # and from here on Python draws again
    np.testing.assert_array_equal(explorer.poles, [-1, -2])


def test_they_travel_as_pairs():
    state = PoleExplorer(poles=[0.5 + 0.25j, -0.5j]).get_state()
    assert state["poles"] == [[0.5, 0.25], [0.0, -0.5]]
    assert "render" in state["_esm"]
    assert not re.search(r"^\s*import\b", state["_esm"], re.MULTILINE)


def test_the_page_gets_the_parameters():
    tag = element(PoleExplorer(preset="stiff", dt=0.02, method="euler", pairs=False))
    assert tag["name"] == "poles"
    params = json.loads(tag["params"])
    assert (params["preset"], params["dt"], params["method"], params["pairs"]) == (
        "stiff",
        0.02,
        "euler",
        False,
    )
    assert "poles" not in params  # the page has the same ones
    assert tag.get_text(strip=True)  # for readers without JavaScript


def test_the_page_gets_poles_placed_by_hand():
    params = json.loads(element(PoleExplorer(poles=[-0.5, 0.9j]))["params"])
    assert params["poles"] == [[-0.5, 0.0], [0.0, 0.9]]


def test_colab_gets_the_widget_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    data, _ = PoleExplorer()._repr_mimebundle_()
    assert "text/html" not in data
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("preset", "s4d", "preset: expected one of s4d_lin, .* got 's4d'"),
        ("state_size", 0, "state_size: expected 1 to 64 poles, .* got 0"),
        ("state_size", 65, "state_size: expected 1 to 64 poles, .* got 65"),
        ("dt", 0.0, "dt: expected a positive step, got 0.0"),
        ("dt", float("nan"), "dt: expected a positive step, got nan"),
        ("method", "foh", "method: expected one of euler, backward_euler, bilinear, zoh, got 'foh'"),
        ("duration", float("inf"), "duration: expected a positive time, got inf"),
        ("selected", 8, "selected: expected the index of a pole, counted from 0, got 8"),
        ("poles", [], r"poles: expected shape \(N,\) with N from 1 to 64, got \(0,\)"),
        ("poles", [0.5] * 65, r"poles: expected shape \(N,\) .* got \(65,\)"),
        ("poles", [[0.5, 0.1]], r"poles: expected shape \(N,\) .* got \(1, 2\)"),
        ("poles", [0.5, float("nan")], "poles: expected finite numbers"),
        ("poles", ["half"], "poles: expected complex numbers, got .*half"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = PoleExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        PoleExplorer(**{name: value})


def test_poles_and_a_preset_contradict_each_other():
    with pytest.raises(ValueError, match=r"expected no preset beside them, got preset"):
        PoleExplorer(poles=[0.5], preset="stiff")
    with pytest.raises(ValueError, match=r"custom.* is for poles that are given"):
        PoleExplorer(preset="custom")


@pytest.mark.parametrize("arguments", [{"preset": "stiff"}, {"poles": [-1.0, -2.0]}])
def test_poles_that_are_what_they_are_are_counted(arguments):
    explorer = PoleExplorer(**arguments)
    with pytest.raises(ValueError, match=r"state_size: .* as many as there are"):
        explorer.state_size = 3
    if "preset" in arguments:
        with pytest.raises(ValueError, match=r"state_size: .* as many as there are"):
            PoleExplorer(**arguments, state_size=3)
