"""Chapter 6 at full length: S4D, S4, S5 and an LSTM on sequential MNIST-5k at 196 and 784 steps, S4D on short ListOps.

``python -m benchmarks.state_space_runs --out benchmarks/results/state_space_runs_DEVICE.json``

The recipe is that of `seqlab.training.train`, one learning rate for all. The record is rewritten after every row, so
that what was measured stays where time runs out; the rows that matter most come first.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.training_runs import arguments_of_runs, record_rows, rows_asked_for, run_of
from seqlab.nn import S4, S4D, S5, SequenceModel
from seqlab.tasks import Task, listops, sequential_mnist

LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "S4D": lambda width: S4D(width, 16),
    "LSTM": lambda width: nn.LSTM(width, width, batch_first=True),
    "S5": lambda width: S5(width, width),
    "S4": lambda width: S4(width, 16),
}
ROWS = (
    *(("mnist14", layer) for layer in ("S4D", "LSTM")),
    *(("mnist28", layer) for layer in ("S4D", "LSTM")),
    ("short ListOps", "S4D"),
    *(("mnist14", layer) for layer in ("S5", "S4")),
)


def tasks() -> dict[str, Callable[[], Task]]:
    return {
        "mnist14": lambda: sequential_mnist(side=14),
        "mnist28": lambda: sequential_mnist(side=28),
        "short ListOps": lambda: listops(33, 127, depth=6),
    }


def main() -> None:
    arguments = arguments_of_runs(__doc__, steps=1000, width=64, batch_size=32, rows=len(ROWS))

    def run(name: str, layer: str) -> dict[str, Any]:
        task = tasks()[name]()

        def make() -> nn.Module:
            return SequenceModel(LAYERS[layer], task.inputs, arguments.width, 2, task.outputs)

        return run_of(arguments, task, make, 4e-3, layer=layer)

    record_rows(arguments, (run(*row) for row in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
