"""The selection explorer's JavaScript mathematics, run by Node, against NumPy on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import SelectionExplorer
from seqlab.explorers.selection import model
from seqlab.ops.selective_scan.reference import selective_scan

evaluate = evaluator("selection/mathematics.mjs")
TEXTS = ["a", "·", "1", "ab12", "ab12··c·12·····d····12", "abcd" * 8, "2" * 32, "dcba21·1·2"]
every_text = pytest.mark.parametrize("text", TEXTS)


def tokens(text):
    return [float(token) for token in model.tokens_of(text)]


def steps(length):
    """From nothing to much."""
    return 10 ** np.random.default_rng(length).uniform(-5, 2, length)


def compare(found, run):
    states = np.concatenate([np.zeros((1, *run.states.shape[1:])), run.states])
    np.testing.assert_allclose(found["states"], states.ravel(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["probabilities"], run.probabilities.ravel(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        found["steps"], np.broadcast_to(run.delta, run.states.shape).ravel(), rtol=1e-13
    )


@every_text
def test_both_models_run_as_in_numpy(text):
    ids = model.tokens_of(text)
    stepped = {
        "chosen": model.chosen_steps(ids), "drawn": steps(len(text)), "none": np.zeros(len(text)),
    }  # fmt: skip
    invariant = model.invariant(ids)
    chosen, B, C, right, answers, found, *runs = evaluate(
        ("chosenSteps", tokens(text)),
        ("writing", tokens(text)),
        ("reading", tokens(text)),
        ("rightAnswers", tokens(text)),
        ("answers", invariant.probabilities.ravel().tolist()),
        ("invariant", tokens(text)),
        *(("selective", tokens(text), delta.tolist()) for delta in stepped.values()),
    )
    np.testing.assert_allclose(chosen, stepped["chosen"], rtol=1e-12)
    for values, delta in zip(runs, stepped.values(), strict=True):
        run = model.selective(ids, delta)
        compare(values, run)
        np.testing.assert_allclose(B, run.B.ravel(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(C, run.C.ravel(), rtol=1e-12, atol=1e-14)
    compare(found, invariant)
    written = invariant.B * np.array(model.WEIGHTS["invariant"]["embedding"])[ids][:, :, None]
    np.testing.assert_allclose(found["drives"], written.ravel(), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(right, model.right_answers(ids))
    np.testing.assert_array_equal(answers, invariant.probabilities.argmax(-1))


@every_text
def test_the_selective_run_is_the_packages_scan(text):
    ids = model.tokens_of(text)
    weights = model.WEIGHTS["selective"]
    u = np.array(weights["embedding"])[ids]
    A = np.broadcast_to(-np.exp(weights["log_rates"]), (u.shape[1], len(weights["log_rates"])))
    run = model.selective(ids, steps(len(text)))
    delta = np.broadcast_to(run.delta[:, :, 0], u.shape)
    y, last = selective_scan(
        u[None], delta[None], A, run.B[None, :, 0], run.C[None, :, 0], discretization="zoh"
    )
    np.testing.assert_allclose(run.y, y[0], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(run.states[-1], last[0], rtol=1e-11, atol=1e-12)


def test_two_halves_of_a_step_are_the_step():
    cases = [(0.5, -2.0, 0.3, 1.5), (-3.0, -0.6, 7.0, 0.0), (1.0, -2.0, 0.0, 4.0)]
    found = evaluate(*[("partway", *case, part) for case in cases for part in (0.5, 1, 0)])
    again = evaluate(
        *[("partway", float(half), *case[1:], 0.5) for case, half in zip(cases, found[::3], strict=True)]
    )
    for (h, A, step, drive), (_, whole, none), twice in zip(
        cases, np.reshape(found, (-1, 3)), again, strict=True
    ):
        assert twice == pytest.approx(whole, rel=1e-13)
        assert none == h
        assert whole == pytest.approx(np.exp(step * A) * h + np.expm1(step * A) / A * drive, rel=1e-13)


def test_right_answers_of_a_stream_that_is_read_aloud():
    names = "·abcd"
    right = model.right_answers(model.tokens_of("1a12b·12·c2"))
    assert "".join(names[k + 1] for k in right) == "··a··" + "·ba" + "··b"


def test_a_text_becomes_tokens_and_a_text_again():
    texts = {"a.b c\t1": "a·b·c·1", "A?9": "", "": "", "abcd12···": "abcd12···"}
    found = evaluate(*[("tokensOf", text) for text in texts])
    back = evaluate(*[("textOf", each.tolist()) for each in found])
    assert [str(text) if len(text) else "" for text in back] == list(texts.values())


@pytest.mark.parametrize("name", ["gaps", "close", "silence", "questions"])
def test_streams_are_the_same_in_both_languages(name):
    source = (model.Path(model.__file__).with_name("streams.mjs")).read_text("utf8")
    assert f'{name}: {{ words: "' in source
    assert f'text: "{SelectionExplorer(stream=name).text}"' in source
