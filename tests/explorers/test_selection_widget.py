"""The selection explorer's Python side without a browser: its values stay in step, and bad ones are refused by name."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqlab.explorers import SelectionExplorer
from seqlab.explorers.selection import model


def element(explorer):
    data, _ = explorer._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser").find("seqlab-explorer")


def right_share(run, explorer):
    right = explorer.right()
    return np.mean(run.probabilities.argmax(-1)[right >= 0] == right[right >= 0])


def test_it_starts_with_gaps_and_the_models_steps():
    explorer = SelectionExplorer()
    assert (explorer.stream, explorer.rule, explorer.position, explorer.channel) == ("gaps", "model", 6, 1)
    np.testing.assert_array_equal(explorer.delta, model.chosen_steps(model.tokens_of(explorer.text)))


def test_the_models_are_what_their_records_say():
    """On streams of the script's kind: the selective one is always right, the other is not."""
    draw = np.random.default_rng(0)
    texts = [
        "".join(draw.choice(list("·abcd12"), 24, p=[0.5, *[0.069] * 4, 0.112, 0.112])) for _ in range(40)
    ]
    scores = {"selective": [], "invariant": []}
    for text in texts:
        explorer = SelectionExplorer(text=text)
        if (explorer.right() >= 0).any():
            for name, found in scores.items():
                found.append(right_share(getattr(explorer, name)(), explorer))
    recorded = np.mean(model.WEIGHTS["invariant"]["right"]["0.5"])
    assert np.mean(scores["selective"]) == 1
    assert abs(np.mean(scores["invariant"]) - recorded) < 0.12  # four standard errors


def test_blanks_are_skipped_letters_are_not():
    steps = model.chosen_steps(np.arange(7))
    assert steps[1:5].min() > 1
    assert steps[[0, 5, 6]].max() < 0.02


def test_a_name_brings_its_tokens_and_steps():
    explorer = SelectionExplorer(stream="silence", position=23, channel=8)
    explorer.stream = "close"
    assert (explorer.text, explorer.position) == ("abcd12cb12ad12", 13)
    assert len(explorer.delta) == 14
    explorer.rule = "constant"
    np.testing.assert_array_equal(explorer.delta, np.ones(14))
    explorer.stream = "gaps"
    np.testing.assert_array_equal(explorer.delta, np.ones(22))
    explorer.rule = "model"
    assert explorer.delta.min() < 0.01


def test_a_text_and_steps_can_be_set():
    explorer = SelectionExplorer(position=20)
    explorer.text = "a.b 12"
    assert (explorer.stream, explorer.text, explorer.rule, explorer.position) == (
        "custom",
        "a·b·12",
        "model",
        5,
    )
    explorer.delta = [1, 0, 1, 0, 0, 2]
    assert explorer.rule == "custom"
    np.testing.assert_array_equal(explorer.delta, [1, 0, 1, 0, 0, 2])
    given = SelectionExplorer(text="a.b 12", delta=[1, 0, 1, 0, 0, 2])
    assert (given.stream, given.rule, given.text) == ("custom", "custom", "a·b·12")
    explorer.text = "ab2"  # whose steps nobody has set
    np.testing.assert_array_equal(explorer.delta, model.chosen_steps(model.tokens_of("ab2")))
    assert explorer.rule == "model"


def test_one_step_cannot_be_changed_unseen():
    with pytest.raises(ValueError, match="read-only"):
        SelectionExplorer().delta[0] = 0.5


def test_a_step_of_zero_skips_a_token_and_a_huge_one_forgets_all_others():
    skipped = SelectionExplorer(text="abc", delta=[1, 0, 1]).selective().states[-1]
    without = SelectionExplorer(text="ac", delta=[1, 1]).selective().states[-1]
    np.testing.assert_allclose(skipped, without, rtol=1e-12)  # products of matrices of two and of three rows
    last = [SelectionExplorer(text=text, delta=[1, 100]).selective().states[-1] for text in ("ac", "bc")]
    np.testing.assert_allclose(*last, rtol=1e-12)


def test_what_the_front_end_sends_is_taken_as_it_is():
    explorer = SelectionExplorer()
    explorer.set_state(
        {"stream": "custom", "text": "ab2", "rule": "custom", "delta": [1, 1, 0.5], "position": 2}
    )
    assert (explorer.text, explorer.rule, explorer.position) == ("ab2", "custom", 2)
    np.testing.assert_array_equal(explorer.delta, [1, 1, 0.5])
    explorer.stream = "close"  # and from here on Python decides again
    assert explorer.rule == "model"


def test_the_page_gets_names_or_what_they_stand_for():
    tag = element(SelectionExplorer(stream="close", rule="constant", channel=3, question="Which?"))
    assert tag["name"] == "selection"
    assert json.loads(tag["params"]) == {
        "stream": "close", "rule": "constant", "position": 6, "channel": 3, "question": "Which?",
    }  # fmt: skip
    params = json.loads(element(SelectionExplorer(text="a2", delta=[1, 2]))["params"])
    assert (params["text"], params["delta"]) == ("a2", [1.0, 2.0])


def test_the_still_picture_says_who_is_right():
    assert (
        "24 tokens, cd····················12: of 2 questions the selective model 2 right and "
        "the time-invariant model 0 right." in SelectionExplorer(stream="silence").still()
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stream", "gap", "stream: expected one of gaps, .* got 'gap'"),
        ("text", "", "text: expected 1 to 32 of the letters"),
        ("text", "abx", "text: expected 1 to 32 of the letters a to d, .* got 'abx'"),
        ("text", "a" * 33, "text: expected 1 to 32 of the letters"),
        ("rule", "mine", "rule: expected one of model, constant, custom.* got 'mine'"),
        ("delta", [1.0] * 3, "delta: expected a step from 0 to 100 for each token"),
        ("delta", [-1.0] * 22, "delta: expected a step from 0 to 100 for each token"),
        ("delta", [101.0] * 22, "delta: expected a step from 0 to 100 for each token"),
        ("delta", [float("nan")] * 22, "delta: expected finite numbers"),
        ("position", 22, "position: expected the index of a token, counted from 0, got 22"),
        ("channel", 0, "channel: expected a channel, counted from 1 to 8, got 0"),
        ("channel", 9, "channel: expected a channel, counted from 1 to 8, got 9"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, words):
    explorer = SelectionExplorer()
    before = explorer.get_state()
    with pytest.raises(ValueError, match=words):
        setattr(explorer, name, value)
    assert explorer.get_state() == before
    with pytest.raises(ValueError, match=words):
        SelectionExplorer(**{name: value})


def test_values_and_a_name_for_them_contradict_each_other():
    with pytest.raises(ValueError, match="text: expected no stream beside it, got 'gaps'"):
        SelectionExplorer(text="ab", stream="gaps")
    with pytest.raises(ValueError, match="delta: expected no rule beside it, got 'model'"):
        SelectionExplorer(delta=[1.0] * 22, rule="model")
    with pytest.raises(ValueError, match=r"stream: .custom. goes with text; give it"):
        SelectionExplorer(stream="custom")
    with pytest.raises(ValueError, match=r"rule: .custom. goes with delta; give it"):
        SelectionExplorer(rule="custom")
