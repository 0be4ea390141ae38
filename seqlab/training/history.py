"""What one training run leaves behind."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from statistics import median
from typing import Any


@dataclass
class History:
    """The record of one run of `train`.

    Attributes:
        label: what was trained, for legends.
        task: the task's name.
        measure: what a score measures: "accuracy" (0 to 1), "mean squared error" or
            "bits per character".
        chance: the score of the best answer that never looks at the input.
        seed: the seed of the training batches.
        device: where the run took place, "cpu" or "cuda".
        losses: training loss of each step taken, before that step's update.
        step_seconds: seconds that each step took (batch, forward, backward, update).
        scored_at: number of steps taken before each test.
        scores: score on the test set at each of those moments; the last one is the
            result.
        stopped: None where all steps were taken, else the reason for stopping early.
    """

    label: str
    task: str
    measure: str
    chance: float
    seed: int
    device: str
    losses: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    scored_at: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    stopped: str | None = None

    @property
    def score(self) -> float:
        """The score on the test set at the end; NaN where there was none before the run
        was interrupted."""
        return self.scores[-1] if self.scores else float("nan")

    @property
    def seconds_per_step(self) -> float:
        """The median over the steps, so that a first step that compiles kernels does
        not count."""
        return median(self.step_seconds) if self.step_seconds else float("nan")

    @property
    def diverged(self) -> bool:
        """Whether the run stopped because its loss was not finite."""
        return bool(self.losses) and not isfinite(self.losses[-1])

    def __str__(self) -> str:
        text = (
            f"{self.label} on {self.task}: {self.measure} {self.score:.4g} after {len(self.losses)} steps of "
            f"{1e3 * self.seconds_per_step:.3g} ms (seed {self.seed}, {self.device})"
        )
        return (
            text if self.stopped is None else f"{text}; stopped early: {self.stopped}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything above in plain values that JSON can hold; a number that is not
        finite, which JSON cannot, is None."""
        values = asdict(self) | {
            "score": self.score,
            "seconds_per_step": self.seconds_per_step,
        }
        return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
