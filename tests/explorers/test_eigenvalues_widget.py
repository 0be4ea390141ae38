"""The explorer's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json
import re
import sys
from types import ModuleType

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import EigenvalueExplorer
from seqlab.nn import LRU
from seqlab.nn import eigenvalues as law


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def test_it_starts_on_the_lru_ring():
    explorer = EigenvalueExplorer()
    assert explorer.eigenvalues.shape == (32,)
    assert explorer.eigenvalues.dtype == complex
    assert (np.abs(explorer.eigenvalues) >= 0.9).all()
    assert (np.abs(explorer.eigenvalues) <= 0.999).all()
    np.testing.assert_array_equal(explorer.eigenvalues, EigenvalueExplorer(seed=0).eigenvalues)
    assert (explorer.eigenvalues != EigenvalueExplorer(seed=1).eigenvalues).all()


def test_a_parameter_draws_the_points_anew():
    explorer = EigenvalueExplorer(state_size=5)
    explorer.initialization = "s4d_lin"
    explorer.dt = 0.1
    np.testing.assert_array_equal(explorer.eigenvalues, law.discretize_eigenvalues(law.s4d_lin(5), 0.1))
    explorer.method = "bilinear"
    np.testing.assert_array_equal(
        explorer.eigenvalues, law.discretize_eigenvalues(law.s4d_lin(5), 0.1, "bilinear")
    )
    explorer.initialization, explorer.state_size = "hippo_legs", 3
    expected = law.discretize_eigenvalues(law.hippo_legs_normal(3), 0.1, "bilinear")
    np.testing.assert_array_equal(explorer.eigenvalues, expected)


def test_eigenvalues_can_be_set():
    explorer = EigenvalueExplorer(selected=20)
    explorer.eigenvalues = [0.5, 0.9j]
    assert explorer.initialization == "custom"
    assert explorer.state_size == 2
    assert explorer.selected == 1
    np.testing.assert_array_equal(explorer.eigenvalues, [0.5, 0.9j])
    np.testing.assert_array_equal(EigenvalueExplorer(eigenvalues=[0.5, 0.9j]).eigenvalues, [0.5, 0.9j])
    explorer.initialization = "real"
    assert explorer.eigenvalues.shape == (2,)


def test_one_entry_cannot_be_changed_unseen():
    with pytest.raises(ValueError, match="read-only"):
        EigenvalueExplorer().eigenvalues[0] = 0.5


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = EigenvalueExplorer()
    explorer.set_state({"initialization": "custom", "state_size": 2, "eigenvalues": [[0.5, 0.25], [0, -0.5]]})
    np.testing.assert_array_equal(explorer.eigenvalues, [0.5 + 0.25j, -0.5j])
    explorer.set_state({"initialization": "ring", "state_size": 1, "r_min": 0.1, "eigenvalues": [[0.7, 0]]})
    np.testing.assert_array_equal(explorer.eigenvalues, [0.7])
    explorer.r_min = 0.2  # and from here on Python draws again
    assert explorer.eigenvalues[0] != 0.7


def test_they_travel_as_pairs():
    state = EigenvalueExplorer(eigenvalues=[0.5 + 0.25j, -0.5j]).get_state()
    assert state["eigenvalues"] == [[0.5, 0.25], [0.0, -0.5]]
    assert "render" in state["_esm"]


def test_the_page_gets_the_parameters():
    tag = element(EigenvalueExplorer(initialization="s4d_inv", dt=0.02, state_size=8))
    assert tag["name"] == "eigenvalues"
    params = json.loads(tag["params"])
    assert (params["initialization"], params["dt"], params["state_size"]) == ("s4d_inv", 0.02, 8)
    assert "eigenvalues" not in params  # the page draws the same ones
    assert tag.get_text(strip=True)  # for readers without JavaScript


def test_the_page_gets_eigenvalues_placed_by_hand():
    params = json.loads(element(EigenvalueExplorer(eigenvalues=[0.5, 0.9j]))["params"])
    assert params["eigenvalues"] == [[0.5, 0.0], [0.0, 0.9]]


def test_colab_gets_the_widget_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    data, _ = EigenvalueExplorer()._repr_mimebundle_()
    assert "text/html" not in data
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_layer_starts_from_them():
    explorer = EigenvalueExplorer(state_size=12)
    layer = LRU.from_eigenvalues(4, explorer.eigenvalues)
    np.testing.assert_allclose(layer.eigenvalues.detach().numpy(), explorer.eigenvalues, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("initialization", "glorott", "initialization: expected one of ring, .* got 'glorott'"),
        ("state_size", 0, "state_size: expected 1 to 256 modes, .* got 0"),
        ("state_size", 257, "state_size: expected 1 to 256 modes, .* got 257"),
        ("r_min", 0.9995, "r_min: expected 0 <= r_min <= r_max <= 1, got 0.9995"),
        ("r_max", 1.5, "r_max: expected 0 <= r_min <= r_max <= 1, got 1.5"),
        ("r_max", float("nan"), "r_max: expected .* got nan"),
        ("max_phase", 7.0, "max_phase: expected radians from 0 to 2π, got 7.0"),
        ("dt", 0.0, "dt: expected a positive step, got 0.0"),
        ("method", "euler", "method: expected zoh or bilinear, got 'euler'"),
        ("seed", -1, "seed: expected 0 to .* got -1"),
        ("horizon", 0, "horizon: expected 1 to 10000 steps, got 0"),
        ("selected", 32, "selected: expected the index of a mode, counted from 0, got 32"),
        ("eigenvalues", [], r"eigenvalues: expected shape \(N,\) with N from 1 to 256, got \(0,\)"),
        ("eigenvalues", [[0.5, 0.1]], r"eigenvalues: expected shape \(N,\) .* got \(1, 2\)"),
        ("eigenvalues", [0.5, float("nan")], "eigenvalues: expected finite numbers"),
        ("eigenvalues", ["half"], "eigenvalues: expected complex numbers, got .*half"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = EigenvalueExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        EigenvalueExplorer(**{name: value})


def test_values_of_another_kind_are_refused_by_name():
    with pytest.raises(Exception, match=re.compile("state_size.*expected an int", re.DOTALL)):
        EigenvalueExplorer(state_size="many")


def test_eigenvalues_and_an_initialization_contradict_each_other():
    with pytest.raises(ValueError, match=r"expected no initialization beside them, got initialization"):
        EigenvalueExplorer(eigenvalues=[0.5], initialization="ring")
    with pytest.raises(ValueError, match=r"custom.* is for eigenvalues that are given"):
        EigenvalueExplorer(initialization="custom")


def test_points_placed_by_hand_are_counted():
    explorer = EigenvalueExplorer(eigenvalues=[0.5, 0.9j])
    with pytest.raises(ValueError, match=r"state_size: .* as many as there are eigenvalues"):
        explorer.state_size = 3
