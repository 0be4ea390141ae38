"""The training loop."""

import math
from time import monotonic

import torch
from torch import Tensor, nn

from seqlab.tasks import Task
from seqlab.training.curves import LiveCurve
from seqlab.training.history import History
from seqlab.training.progress import progress_bar

WARM_UP = 0.1  # share of the steps over which the learning rate rises
GRADIENT_NORM = 1.0  # longer gradients are shortened to this
TEST_BATCH = 256


class Interrupted(KeyboardInterrupt):
    """A run was interrupted; `history` holds its record up to there."""

    def __init__(self, history: History) -> None:
        super().__init__(history.stopped)
        self.history = history


def train(
    model: nn.Module,
    task: Task,
    *,
    steps: int = 500,
    batch_size: int = 32,
    lr: float = 1e-3,
    seed: int = 0,
    time_budget: float | None = None,
    device: str | torch.device | None = None,
    label: str | None = None,
    tests: int = 5,
    curve: bool = True,
) -> History:
    """Train `model` in place on `task` and return the record of the run.

    Adam, whose learning rate rises linearly to `lr` over the first tenth of the steps
    and falls to zero along a cosine; gradients longer than 1 are shortened to 1.

    Args:
        model: maps inputs (B, length, inputs) to answers, as `Task` describes them.
        task: where batches, loss and score come from.
        steps: updates to make, at least 1.
        batch_size: sequences per batch.
        lr: largest learning rate, above 0.
        seed: selects the training batches and torch's random numbers during training;
            the initial weights are the caller's, made before.
        time_budget: seconds after which to stop, measured from the call; None means no
            limit.
        device: where to train; None means the GPU where there is one, else the CPU. The
            model is moved there.
        label: the run's name in legends; None means the model's class name.
        tests: how often to score the test set, spread evenly over the run, at least 1
            (the end).
        curve: in a notebook, draw the losses as they come.

    Returns:
        the `History`. A run that stops early, out of time or with a loss that is not
            finite, says so in
        `history.stopped` and in print, and is scored where it stopped.

    Raises:
        ValueError: an argument is out of its range, or the model's answers do not fit
            the task.
        Interrupted: the interrupt key was pressed; the record is in its ``history``.
    """
    _check(steps=steps, lr=lr, tests=tests, time_budget=time_budget)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    started = monotonic()
    torch.manual_seed(seed)
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    batches = task.batches(batch_size, seed)
    history = History(
        label=label or type(model).__name__,
        task=task.name,
        measure=task.measure,
        chance=task.chance,
        seed=seed,
        device=device.type,
    )
    test_after = {round(steps * part / tests) for part in range(1, tests)}
    drawing = LiveCurve(history) if curve else None
    try:
        with progress_bar(steps, history.label) as progress:
            for step in range(steps):
                if time_budget is not None and monotonic() - started > time_budget:
                    history.stopped = f"the time budget of {time_budget:g} s ran out after {step} of {steps} steps"
                    break
                step_started = monotonic()
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, steps, lr)
                inputs, targets = next(batches)
                loss = _update(
                    model, task, optimizer, inputs.to(device), targets.to(device)
                )
                history.step_seconds.append(monotonic() - step_started)
                history.losses.append(loss)
                if not math.isfinite(loss):
                    history.stopped = (
                        f"the loss became {loss} at step {step + 1} of {steps}"
                    )
                    break
                if step + 1 in test_after:
                    _score(model, task, history)
                progress.update()
                progress.set_postfix(loss=f"{loss:.4g}", refresh=False)
                if drawing is not None:
                    drawing.refresh()
        _score(model, task, history)
    except KeyboardInterrupt:
        history.stopped = f"interrupted after {len(history.losses)} of {steps} steps"
        raise Interrupted(history) from None
    if drawing is not None:
        drawing.finish()
    if history.stopped is not None:
        print(f"{history.label}: stopped early, {history.stopped}.")
    return history


def evaluate(model: nn.Module, task: Task) -> float:
    """The model's score on the task's test set, computed where the model's parameters
    are.

    Raises:
        ValueError: the model's answers do not fit the task.
    """
    device = next(model.parameters()).device
    inputs, targets = task.test()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        answers = torch.cat(
            [model(part.to(device)) for part in inputs.split(TEST_BATCH)]
        )
    model.train(was_training)
    return task.score(answers, targets.to(device))


def learning_rate(step: int, steps: int, peak: float) -> float:
    """The rate of step 0, 1, ..., steps - 1: a linear rise to `peak`, then a cosine
    down to nearly zero."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def _update(
    model: nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    targets: Tensor,
) -> float:
    """One step; the loss before it. Parameters stay as they are where the loss is not
    finite."""
    optimizer.zero_grad()
    loss = task.loss(model(inputs), targets)
    value = loss.item()
    if math.isfinite(value):
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
    return value


def _score(model: nn.Module, task: Task, history: History) -> None:
    score = evaluate(model, task)  # an interrupt here leaves the two lists in step
    history.scored_at.append(len(history.losses))
    history.scores.append(score)


def _check(*, steps: int, lr: float, tests: int, time_budget: float | None) -> None:
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    if not 0 < lr < math.inf:
        raise ValueError(f"lr: expected a finite learning rate above 0, got {lr}")
    if tests < 1:
        raise ValueError(f"tests: expected at least 1, got {tests}")
    if time_budget is not None and not time_budget > 0:
        raise ValueError(f"time_budget: expected seconds above 0, got {time_budget}")
