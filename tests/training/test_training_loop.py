"""The loop learns, repeats itself for a seed, keeps to its time and does not hide a broken loss."""

import json
import math

import pytest
import torch
from torch import nn

from seqlab.tasks import delay, sequential_digits
from seqlab.training import History, curves, evaluate, loop, plot_histories, train
from seqlab.training.loop import learning_rate


class Convolution(nn.Module):
    """Sees the last few inputs, which is all that a short delay needs."""

    def __init__(self, reach):
        super().__init__()
        self.reach = reach
        self.convolution = nn.Conv1d(1, 1, reach)

    def forward(self, u):
        padded = nn.functional.pad(u.transpose(1, 2), (self.reach - 1, 0))
        return self.convolution(padded).transpose(1, 2)


class Broken(nn.Module):
    """Answers NaN from the third training batch on."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen = 0

    def forward(self, u):
        self.seen += self.training
        return self.scale * u * (math.nan if self.seen >= 3 else 1.0)


def small_run(seed=0, **changes):
    torch.manual_seed(7)
    arguments = {"steps": 60, "batch_size": 16, "lr": 0.1, "device": "cpu"} | changes
    model = Convolution(reach=4)
    return model, train(model, delay(length=12, lag=2), seed=seed, **arguments)


def test_it_learns_a_delay():
    model, history = small_run(steps=200)
    assert history.stopped is None
    assert history.losses[-1] < 0.01 * history.losses[0]
    assert history.score < 1e-3 < history.chance
    assert history.score == evaluate(model, delay(length=12, lag=2))


def test_a_seed_repeats_a_run_exactly_and_another_does_not():
    (model, first), (same_model, same), (_, other) = small_run(3), small_run(3), small_run(4)
    assert first.losses == same.losses
    assert first.scores == same.scores
    assert torch.equal(model.convolution.weight, same_model.convolution.weight)
    assert first.losses != other.losses


def test_the_record_is_complete():
    _, history = small_run(tests=3, label="taps")
    assert (history.label, history.seed, history.device) == ("taps", 0, "cpu")
    assert len(history.losses) == len(history.step_seconds) == 60
    assert history.scored_at == [20, 40, 60]
    assert len(history.scores) == 3
    assert json.loads(json.dumps(history.as_dict()))["losses"] == history.losses
    assert "taps on delay of 2 steps: mean squared error" in str(history)


def test_the_time_budget_is_kept(monkeypatch, capsys):
    now = 0.0

    def clock():
        return now

    class Slow(Convolution):
        def forward(self, u):
            nonlocal now
            now += 1.0
            return super().forward(u)

    monkeypatch.setattr(loop, "monotonic", clock)
    history = train(Slow(4), delay(length=12, lag=2), steps=100, time_budget=9.5, tests=1, device="cpu")
    # Steps end at 1, 2, ..., 10 s; the look at the clock before the eleventh finds the time gone.
    assert len(history.losses) == 10
    assert history.step_seconds == [1.0] * 10
    assert history.stopped == "the time budget of 9.5 s ran out after 10 of 100 steps"
    assert history.scored_at == [10]
    assert "ran out after 10 of 100 steps" in capsys.readouterr().out
    assert not history.diverged


def test_a_loss_that_is_not_finite_stops_the_run_and_is_reported(capsys):
    model = Broken()
    history = train(model, delay(length=12, lag=2), steps=100, device="cpu")
    assert len(history.losses) == 3
    assert math.isnan(history.losses[-1])
    assert history.diverged
    assert history.stopped == "the loss became nan at step 3 of 100"
    assert "the loss became nan at step 3 of 100" in capsys.readouterr().out
    assert torch.isfinite(model.scale), "no update is made from a broken loss"


def test_the_record_of_a_diverged_run_is_json():
    record = train(Broken(), delay(length=12, lag=2), steps=100, device="cpu").as_dict()
    assert json.loads(json.dumps(record, allow_nan=False))["losses"][-1] is None


def test_an_interrupted_run_leaves_its_record():
    class Interrupting(Convolution):
        """The interrupt key is pressed while the third batch is computed."""

        seen = 0

        def forward(self, u):
            self.seen += 1
            if self.seen == 3:
                raise KeyboardInterrupt
            return super().forward(u)

    with pytest.raises(KeyboardInterrupt) as caught:
        train(Interrupting(4), delay(length=12, lag=2), steps=100, device="cpu")
    history = caught.value.history
    assert len(history.losses) == 2
    assert history.stopped == "interrupted after 2 of 100 steps"
    assert math.isnan(history.score)
    assert json.loads(json.dumps(history.as_dict(), allow_nan=False))["score"] is None


def test_answers_that_do_not_fit_the_task_are_refused():
    with pytest.raises(ValueError, match=r"answers: expected shape \(batch, outputs\) = \(32, 10\)"):
        train(Convolution(4), sequential_digits(), steps=1, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"lr": 0.0}, "lr: expected a finite learning rate above 0, got 0.0"),
        ({"lr": math.nan}, "lr: expected a finite learning rate above 0, got nan"),
        ({"lr": math.inf}, "lr: expected a finite learning rate above 0, got inf"),
        ({"tests": 0}, "tests: expected at least 1, got 0"),
        ({"time_budget": 0}, "time_budget: expected seconds above 0, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        small_run(**changes)


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(step, 100, 0.3) for step in range(100)]
    assert rates[9] == max(rates) == pytest.approx(0.3)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert learning_rate(0, 1, 0.3) == 0.3


def test_histories_are_plotted_once_per_label(monkeypatch):
    shown = []
    monkeypatch.setattr("seqlab.figures.display", lambda figure, alt: shown.append((figure, alt)))
    histories = [small_run(seed, label="taps")[1] for seed in (0, 1)]
    plot_histories(histories, alt="two runs")
    (figure, alt) = shown[0]
    assert alt == "two runs"
    losses, scores = figure.axes
    assert losses.lines[0].get_color() == losses.lines[1].get_color()
    assert [text.get_text() for text in scores.get_legend().get_texts()] == ["taps", "chance"]


@pytest.mark.parametrize(
    ("measure", "scale"),
    [("accuracy", "linear"), ("mean squared error", "log"), ("bits per character", "linear")],
)
def test_scores_lie_on_the_scale_of_their_measure(measure, scale, monkeypatch):
    shown = []
    monkeypatch.setattr("seqlab.figures.display", lambda figure, alt: shown.append(figure))
    history = History("a", "t", measure, 4.5, 0, "cpu", losses=[3.0, 2.0], scored_at=[2], scores=[2.5])
    plot_histories([history], alt="one run")
    losses, scores = shown[0].axes
    assert losses.get_yscale() == scores.get_yscale() == scale


def test_plots_need_histories_of_one_measure():
    with pytest.raises(ValueError, match="histories: expected at least one, got none"):
        plot_histories([], alt="nothing")
    accuracy = History("a", "t", "accuracy", 0.1, 0, "cpu")
    error = History("b", "t", "mean squared error", 1.0, 0, "cpu")
    with pytest.raises(ValueError, match="expected one measure"):
        plot_histories([accuracy, error], alt="mixed")


def test_a_notebook_sees_the_curve_and_the_site_does_not(monkeypatch):
    class Shown:
        updates = 0

        def update(self, figure):
            Shown.updates += 1

    shown = []
    monkeypatch.setattr(curves, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: shown.append(figure) or Shown())
    monkeypatch.setattr(curves, "SECONDS_BETWEEN_DRAWINGS", 0.0)
    monkeypatch.setattr(curves, "DRAWING", float("inf"))
    monkeypatch.delenv("SEQLAB_BOOK", raising=False)
    small_run(steps=3)
    assert len(shown) == 1
    assert Shown.updates == 3, "after steps 2 and 3, and at the end"
    monkeypatch.setattr(curves, "DRAWING", 1e-9)
    small_run(steps=3)
    assert len(shown) == 2
    assert Shown.updates == 4, "at the end alone, since a drawing may not take more of the run"
    small_run(steps=3, curve=False)
    assert len(shown) == 2
    monkeypatch.setenv("SEQLAB_BOOK", "1")
    small_run(steps=3)
    assert len(shown) == 2


def test_the_site_shows_no_progress_bar(monkeypatch, capsys):
    monkeypatch.setenv("SEQLAB_BOOK", "1")
    small_run(steps=3)
    assert capsys.readouterr() == ("", "")
    monkeypatch.delenv("SEQLAB_BOOK")
    small_run(steps=3)
    assert "3/3" in capsys.readouterr().err
