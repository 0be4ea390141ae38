"""What the runs at full length share: their arguments, a stack of blocks, a transformer's block, training over seeds,
and a record that is rewritten after every row, so that what was measured stays where time runs out."""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from seqlab.benchmark import provenance
from seqlab.nn import Attention, FeedForwardBlock
from seqlab.tasks import Task
from seqlab.training import train

Row = TypeVar("Row", bound=tuple[Any, ...])


class Likeness(nn.Module):
    """A readout tied to an embedding: products with the vectors of the last tokens, of a variance of one at first."""

    def __init__(self, embedding: nn.Embedding, outputs: int) -> None:
        super().__init__()
        self.embedding, self.outputs = embedding, outputs

    def forward(self, x: Tensor) -> Tensor:
        return linear(x / x.shape[-1] ** 0.5, self.embedding.weight[-self.outputs :])


class Stack(nn.Module):
    """An encoder at each step, blocks, a norm and a readout at each step. Tokens are embedded, and the readout is tied
    to them."""

    def __init__(self, blocks: Iterable[nn.Module], task: Task, width: int) -> None:
        super().__init__()
        embed = nn.Embedding(task.inputs, width) if task.tokens else None
        self.encode = embed or nn.Linear(task.inputs, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(width)
        self.readout = Likeness(embed, task.outputs) if embed else nn.Linear(width, task.outputs)

    def forward(self, u: Tensor) -> Tensor:
        x = self.encode(u)
        for block in self.blocks:
            x, _ = block(x)
        return self.readout(self.norm(x))


class Transformer(FeedForwardBlock):
    """Attention that knows of positions, and a perceptron of four times the width."""

    def __init__(self, width: int, heads: int = 1) -> None:
        super().__init__(Attention(width, heads), width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.perceptron(x)


def arguments_of_runs(
    description: str | None, *, steps: int, width: int, batch_size: int, rows: int, **further: float
) -> argparse.Namespace:
    """The arguments of the command line, with what stands for those that are not given; ``further`` ones are numbers of
    the module's own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--width", type=int, default=width)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="another run's are joined by join_runs")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="ROW", help="rows of these words; * is any"
    )
    parser.add_argument("--rows", type=int, default=rows, help="so many of the rows, the first ones")
    for name, value in further.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()


def rows_asked_for(arguments: argparse.Namespace, rows: Sequence[Row]) -> list[Row]:
    """The rows that ``--only`` names, in the order of its words, and of these the first ``--rows``."""
    every = [row for words in arguments.only for row in rows if fnmatchcase(" ".join(map(str, row)), words)]
    return every[: arguments.rows]


def record_rows(arguments: argparse.Namespace, rows: Iterable[dict[str, Any]]) -> None:
    """Write the record anew after each row, and print its scores."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seeds = {"seeds": arguments.seeds, "first_seed": arguments.first_seed}
    record: dict[str, Any] = {**provenance(device), **seeds, "rows": []}
    for row in rows:
        record["rows"].append(row)
        names = "  ".join(row[key] for key in ("task", "block", "layer") if key in row)
        print(names, row["scores"], row.get("further", ""), flush=True)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def run_of(
    arguments: argparse.Namespace,
    task: Task,
    make: Callable[[], nn.Module],
    lr: float,
    also: Callable[[nn.Module], None] | None = None,
    **names: str,
) -> dict[str, Any]:
    """A row: a model trained from each seed, its scores, and, for each, what else is asked of it by ``also``."""
    scores, parameters = [], 0
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        torch.manual_seed(seed)
        model = make()
        parameters = sum(p.numel() for p in model.parameters())
        history = train(
            model, task, steps=arguments.steps, batch_size=arguments.batch_size, lr=lr, seed=seed, tests=1
        )  # fmt: skip
        scores.append(history.score)
        if also is not None:
            also(model)
    return {
        "task": task.name,
        **names,
        "parameters": parameters,
        "steps": arguments.steps,
        "scores": scores,
        "chance": task.chance,
        "measure": task.measure,
        "seconds_per_step": history.seconds_per_step,
    }
