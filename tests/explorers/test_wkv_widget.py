"""The WKV explorer's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import WKVExplorer
from seqlab.ops.wkv.reference import wkv_sum


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def test_it_starts_with_ordinary_keys_and_three_channels():
    explorer = WKVExplorer()
    assert (explorer.k.shape, explorer.v.shape, explorer.w.shape, explorer.u.shape) == (
        (24,),
        (24,),
        (3,),
        (3,),
    )
    assert (explorer.preset, explorer.precision, explorer.time, explorer.selected) == (
        "ordinary",
        "float32",
        16,
        0,
    )


def test_a_preset_brings_keys_and_leaves_channels_alone():
    explorer = WKVExplorer(w=[0, 1, 2])
    explorer.preset = "climbing"
    np.testing.assert_array_equal(explorer.k, 5 * np.arange(24))
    np.testing.assert_array_equal(explorer.w, [0, 1, 2])
    assert explorer.preset == "climbing"


def test_keys_can_be_set_and_are_nobodys_preset_then():
    explorer = WKVExplorer(preset="huge")
    explorer.k = np.arange(24)
    assert explorer.preset == "custom"
    given = WKVExplorer(k=np.arange(24))
    assert (given.preset, given.k[-1]) == ("custom", 23)


def test_one_entry_cannot_be_changed_unseen():
    for array in (WKVExplorer().k, WKVExplorer().w):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = WKVExplorer()
    explorer.set_state({"preset": "custom", "k": [1] * 24, "u": [0.5, 0, 0], "time": 3})
    assert (explorer.preset, explorer.k.sum(), explorer.u[0], explorer.time) == ("custom", 24, 0.5, 3)
    explorer.preset = "even"  # and from here on Python draws again
    assert explorer.k.sum() == 0


def test_the_page_gets_a_name_or_keys():
    params = json.loads(element(WKVExplorer(preset="loud", precision="float16", question="Which?"))["params"])
    assert (params["preset"], params["precision"], params["question"]) == ("loud", "float16", "Which?")
    assert "k" not in params
    assert json.loads(element(WKVExplorer(k=[0.5] * 24))["params"])["k"] == [0.5] * 24


@pytest.mark.parametrize("preset", ["ordinary", "huge", "faint"])
def test_the_still_picture_says_the_average(preset):
    explorer = WKVExplorer(preset=preset, selected=1, time=20)
    shifted = (explorer.k - explorer.k.max())[None, :, None]
    y = wkv_sum(explorer.w[1:2], explorer.u[1:2], shifted, explorer.v[None, :, None])[0, 20, 0]
    assert f"the average is {y:.3f}." in explorer.still()
    assert "nan" not in explorer.still()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("preset", "loudd", "preset: expected one of ordinary, .* got 'loudd'"),
        ("precision", "float8", "precision: expected one of float16, .* got 'float8'"),
        ("k", [0.0] * 23, r"k: expected shape \(L,\) with L from 24 to 24, got \(23,\)"),
        ("k", [201.0] * 24, "k: expected keys from -200 to 200, got"),
        ("v", [float("nan")] * 24, "v: expected finite numbers"),
        ("w", [-1, 0, 0], "w: expected decays from 0 to 20, got"),
        ("w", [1, 2], r"w: expected shape \(L,\) .* got \(2,\)"),
        ("u", [11, 0, 0], "u: expected bonuses from -10 to 10, got"),
        ("time", 24, "time: expected the index of a token, 0 to 23, got 24"),
        ("selected", 3, "selected: expected the index of a channel, 0 to 2, got 3"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = WKVExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        WKVExplorer(**{name: value})


def test_keys_and_a_name_for_them_contradict_each_other():
    with pytest.raises(ValueError, match="k: expected no preset beside it, got 'even'"):
        WKVExplorer(k=[0.0] * 24, preset="even")
    with pytest.raises(ValueError, match=r"preset: .custom. goes with k; give it"):
        WKVExplorer(preset="custom")
