"""Chapter 9 at the paper's lengths: formal languages, read from 3 to 40 symbols and tested on 40 to 256, recall of many
queries, and the search for the nearest neighbor, by sLSTM, mLSTM, both, an LSTM, a transformer and Mamba.

``python -m benchmarks.xlstm_runs --out benchmarks/results/xlstm_runs_DEVICE.json``

Two blocks of width 64, as the authors' code has them for parity (Beck et al., 2024, section 4.1), sLSTM and mLSTM with
a head for every 64 features. The answers after all symbols are judged in training, and the last one alone in the tests
at other lengths. The recipe is that of `seqlab.training.train`, with one learning rate for all models, and a lower one
beside it in the first three tasks, so that no model fails by a rate that suits another. The record is rewritten after
every row, so that what was measured stays where time runs out; the rows that matter most come first.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.training_runs import (
    Stack,
    Transformer,
    arguments_of_runs,
    record_rows,
    rows_asked_for,
    run_of,
)
from seqlab.nn import (
    LSTM,
    MambaBlock,
    MLSTMBlock,
    ResidualBlock,
    SLSTMBlock,
)
from seqlab.tasks import Task, formal_language, multi_query_recall, nearest_neighbor
from seqlab.training import evaluate

SHORTEST, LONGEST = 3, 40
FURTHER = (40, 64, 128, 256)  # symbols of the strings of the tests
HEAD = 64  # features of a head


def slstm(width: int) -> nn.Module:
    return SLSTMBlock(width, heads=max(1, width // HEAD))


def mlstm(width: int) -> nn.Module:
    return MLSTMBlock(width, heads=max(1, width // HEAD))


def lstm(width: int) -> nn.Module:
    return ResidualBlock(LSTM(width, width), width)


def mamba(width: int) -> nn.Module:
    return ResidualBlock(MambaBlock(width), width)


BLOCKS: dict[str, tuple[Callable[[int], nn.Module], ...]] = {
    "sLSTM": (slstm, slstm),
    "mLSTM": (mlstm, mlstm),
    "mLSTM, sLSTM": (mlstm, slstm),
    "LSTM": (lstm, lstm),
    "Mamba": (mamba, mamba),
    "transformer": (Transformer, Transformer),
}
TASKS: dict[str, Callable[[], Task]] = {
    "recall": lambda: multi_query_recall(keys=64, values=64, pairs=16, length=128),
    "search": nearest_neighbor,
    "short search": lambda: nearest_neighbor(16),
}
FAST, SLOW = 1e-2, 2e-3  # learning rates
FOUR = ("sLSTM", "mLSTM", "Mamba", "transformer")
ROWS = (
    *((task, layer, FAST) for task in ("parity", "recall", "search") for layer in FOUR),
    *((task, layer, SLOW) for task in ("parity", "recall", "search") for layer in FOUR),
    *((task, layer, FAST) for task in ("parity", "search") for layer in ("LSTM", "mLSTM, sLSTM")),
    *(("short search", layer, FAST) for layer in ("LSTM", "sLSTM", "mLSTM", "transformer")),
    *((task, layer, FAST) for task in ("cycle navigation", "permutations", "even pairs") for layer in BLOCKS),
)


def task_of(name: str) -> Task:
    return TASKS[name]() if name in TASKS else formal_language(name, SHORTEST, LONGEST, "all")


def model_of(layer: str, task: Task, width: int) -> nn.Module:
    return Stack((make(width) for make in BLOCKS[layer]), task, width)


def main() -> None:
    arguments = arguments_of_runs(__doc__, steps=2000, width=64, batch_size=64, rows=len(ROWS))

    def run(name: str, layer: str, lr: float) -> dict[str, Any]:
        task = task_of(name)
        further: list[dict[int, float]] = []

        def test_further(model: nn.Module) -> None:
            if name not in TASKS:
                further.append({n: evaluate(model, formal_language(name, n, n)) for n in FURTHER})

        def make() -> nn.Module:
            return model_of(layer, task, arguments.width)

        row = run_of(arguments, task, make, lr, test_further, layer=layer)
        return {**row, "lr": lr, "further": further}

    record_rows(arguments, (run(*row) for row in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
