"""Chapter 7 at the paper's sizes: associative recall and induction heads by attention, H3, S4D, Hyena and an LSTM.

``python -m benchmarks.recall_runs --out benchmarks/results/recall_runs_DEVICE.json``

Two layers of width 32, as in Fu et al. (2023), table 1; fresh sequences instead of 5,000 for hundreds of epochs. The
recipe is that of `seqlab.training.train`, one learning rate for all. The record is rewritten after every row, so that
what was measured stays where time runs out; the rows that matter most come first.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.training_runs import arguments_of_runs, record_rows, rows_asked_for, run_of
from seqlab.nn import H3, S4D, Attention, Hyena, SequenceModel
from seqlab.tasks import Task, associative_recall, induction_heads

TASKS: dict[str, Callable[[], Task]] = {
    "associative recall": associative_recall,
    "induction heads": induction_heads,
}
Make = Callable[[int], nn.Module]
LAYERS: dict[str, Callable[[int], Make]] = {  # for a length: width -> layer
    "attention": lambda length: lambda width: Attention(width),
    "H3": lambda length: lambda width: H3(width, 32),
    "S4D": lambda length: lambda width: S4D(width, 32),
    "Hyena": lambda length: lambda width: Hyena(width, length),
    "LSTM": lambda length: lambda width: nn.LSTM(width, width, batch_first=True),
}
ROWS = [(task, layer) for layer in LAYERS for task in TASKS]


def main() -> None:
    arguments = arguments_of_runs(__doc__, steps=2000, width=32, batch_size=64, rows=len(ROWS))

    def run(name: str, layer: str) -> dict[str, Any]:
        task = TASKS[name]()

        def make() -> nn.Module:
            of_width = LAYERS[layer](task.length)
            return SequenceModel(of_width, task.inputs, arguments.width, 2, task.outputs, pool=False)

        return run_of(arguments, task, make, 2e-3, layer=layer)

    record_rows(arguments, (run(*row) for row in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
