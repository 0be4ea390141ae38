"""Training curves: one that grows while a notebook's reader watches, and the final
figure of several runs. Matplotlib and IPython are imported where a curve is drawn, as
training needs neither."""

from collections.abc import Sequence
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlab.training.history import History
from seqlab.training.progress import building_the_site, in_notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS_BETWEEN_DRAWINGS = 2.0  # at least
DRAWING = 0.05  # share of a run that drawing takes at most, its first and last aside
POINTS = 60  # a noisy loss is averaged into about this many points


def plot_histories(
    histories: Sequence[History], *, alt: str, title: str | None = None
) -> None:
    """Display training loss and test score of several runs against the steps taken.

    Runs that share a label (the same model with several seeds) share a color and one
    entry in the legend.

    Args:
        histories: at least one run, all on tasks with the same measure.
        alt: the alternative text: what a reader who cannot see the figure should know.
        title: a line over the figure; None means the first run's task.

    Raises:
        ValueError: there is no history, or measures differ.
    """
    from seqlab import figures

    if not histories:
        raise ValueError("histories: expected at least one, got none")
    measures = sorted({history.measure for history in histories})
    if len(measures) > 1:
        raise ValueError(f"histories: expected one measure, got {measures}")
    with figures.style():
        figures.display(_draw(histories, title or histories[0].task), alt=alt)


def _draw(histories: Sequence[History], title: str) -> "Figure":
    import matplotlib.pyplot as plt

    from seqlab import figures

    figure, (losses, scores) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    labels = dict.fromkeys(history.label for history in histories)
    color = dict(zip(labels, cycle(figures.SERIES), strict=False))
    for history in histories:
        losses.plot(*_averaged(history.losses), color=color[history.label])
        scores.plot(
            history.scored_at,
            history.scores,
            "o-",
            markersize=3,
            color=color[history.label],
        )
    scores.axhline(
        histories[0].chance, linestyle=":", color=figures.NEUTRAL, linewidth=1
    )
    for label in color:
        scores.plot([], [], color=color[label], label=label)
    scores.plot([], [], ":", color=figures.NEUTRAL, linewidth=1, label="chance")
    scores.legend()
    losses.set(xlabel="step", ylabel="training loss")
    scores.set(xlabel="step", ylabel=f"test {histories[0].measure}")
    if histories[0].measure == "accuracy":
        scores.set_ylim(0, 1.02)
    elif histories[0].measure == "mean squared error":
        losses.set_yscale("log")
        scores.set_yscale("log")
    figure.suptitle(title)
    return figure


def _averaged(losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """(steps, losses) with neighbors averaged, so that the trend shows through the
    noise of batches."""
    parts = [
        part for part in np.array_split(np.arange(len(losses)), POINTS) if len(part)
    ]
    values = np.asarray(losses)
    return np.array([part.mean() + 1 for part in parts]), np.array(
        [values[part].mean() for part in parts]
    )


class LiveCurve:
    """The curve of one run, redrawn every few seconds in a notebook; nothing anywhere
    else."""

    def __init__(self, history: History):
        self._history = history
        self._shown: Any = None
        self._drawn_at = monotonic()
        self._pause = SECONDS_BETWEEN_DRAWINGS
        self._watched = in_notebook() and not building_the_site()

    def refresh(self) -> None:
        """Redraw if the last drawing is old enough."""
        if self._watched and monotonic() - self._drawn_at > self._pause:
            self._draw()

    def finish(self) -> None:
        """Draw the run as it ended."""
        if self._watched:
            self._draw()

    def _draw(self) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        from seqlab import figures

        started = monotonic()
        with figures.style():
            figure = _draw(
                [self._history], f"{self._history.label}: {self._history.task}"
            )
            if self._shown is None:
                self._shown = display(figure, display_id=True)
            else:
                self._shown.update(figure)
            plt.close(figure)
        self._drawn_at = monotonic()
        self._pause = max(
            SECONDS_BETWEEN_DRAWINGS, (self._drawn_at - started) / DRAWING
        )
