"""`python -m seqlab train`: the chapters' training loop from a terminal."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from seqlab import tasks
from seqlab.nn import GRU, LRU, LSTM, RNN, HippoRNN, Readout, SequenceModel
from seqlab.tasks import Task
from seqlab.training.history import History
from seqlab.training.loop import Interrupted, train

TASKS: dict[str, Callable[[], Task]] = {
    "digits": tasks.sequential_digits,
    "mnist14": lambda: tasks.sequential_mnist(side=14),
    "pmnist14": lambda: tasks.sequential_mnist(side=14, permutation=0),
    "mnist28": lambda: tasks.sequential_mnist(side=28),
    "pmnist28": lambda: tasks.sequential_mnist(side=28, permutation=0),
    "full-mnist": tasks.full_mnist,
    "japanese-vowels": tasks.japanese_vowels,
    "copying": tasks.copying,
    "delay": tasks.delay,
    "adding": tasks.adding,
    "associative-recall": tasks.associative_recall,
    "induction-heads": tasks.induction_heads,
    "multi-query-recall": tasks.multi_query_recall,
    "nearest-neighbor": tasks.nearest_neighbor,
    "parity": tasks.formal_language,
    "cycle-navigation": lambda: tasks.formal_language("cycle navigation"),
    "listops": tasks.listops,
    "short-listops": lambda: tasks.listops(33, 127, depth=6),
    "pathfinder": tasks.pathfinder,
    "python-documentation": tasks.python_documentation,
    "shakespeare": tasks.shakespeare,
}
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    # A ring near the circle: memories of ten to a thousand steps, what these tasks ask for.
    "lru": lambda width: LRU(width, state_size=width, r_min=0.9, r_max=0.999),
    "rnn": lambda width: RNN(width, width),
    "lstm": lambda width: LSTM(width, width),
    "gru": lambda width: GRU(width, width),
}
# Cells read the input and are read out themselves, in no stack, as in chapter 4.
CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "hippo": lambda inputs, width: HippoRNN(inputs, width, order=width),
}
DEPTH = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` reads."""
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--layer", choices=(*LAYERS, *CELLS), default="lru")
    parser.add_argument(
        "--width",
        type=int,
        default=64,
        help="channels of the model and size of its states",
    )
    parser.add_argument(
        "--depth",
        type=int,
        help=f"number of residual blocks, by default {DEPTH}; {', '.join(CELLS)}: none",
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3, help="largest learning rate")
    parser.add_argument(
        "--seed",
        type=_seed,
        default=0,
        help="of the initial weights and of the batches",
    )
    parser.add_argument(
        "--time-budget", type=float, metavar="SECONDS", help="stop after this long"
    )
    parser.add_argument(
        "--device",
        type=_device,
        help="cpu or cuda; by default the GPU where there is one",
    )
    parser.add_argument(
        "--json",
        type=_new_file,
        metavar="FILE",
        help="write the record of the run there",
    )


def run(args: argparse.Namespace) -> int:
    """Train, print the result, write the record; 0 if the loss stayed finite, 1 if not,
    2 for bad input, 130 if the interrupt key was pressed."""
    torch.manual_seed(args.seed)
    if args.depth is None and args.layer in LAYERS:
        args.depth = DEPTH
    interrupted = False
    try:
        task = TASKS[args.task]()
        model = build(args, task)
        history = train(
            model,
            task,
            steps=args.steps,
            batch_size=args.batch_size,
            lr=args.lr,
            seed=args.seed,
            time_budget=args.time_budget,
            device=args.device,
            label=args.layer,
        )
    except Interrupted as caught:
        history, interrupted = caught.history, True
    except (
        ValueError,
        TypeError,
        ModuleNotFoundError,
        OSError,
        torch.OutOfMemoryError,
    ) as error:
        print(error, file=sys.stderr)
        return 2
    print(history)
    if args.json is not None and not _write(record(args, history), args.json):
        return 2
    if interrupted:
        return 130  # what a shell expects of a program that was interrupted
    return 1 if history.diverged else 0


def record(args: argparse.Namespace, history: History) -> str:
    """What was asked for and what came of it, as JSON."""
    names = (
        "task",
        "layer",
        "width",
        "depth",
        "steps",
        "batch_size",
        "lr",
        "seed",
        "time_budget",
    )
    values = {
        "arguments": {name: getattr(args, name) for name in names},
        "torch": torch.__version__,
        "history": history.as_dict(),
    }
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def _write(text: str, path: Path) -> bool:
    """Whether the record could be written; it is printed where not."""
    try:
        path.write_text(text, "utf8")
    except OSError as error:
        print(f"json: {error}; the record follows on stdout", file=sys.stderr)
        print(text, end="")
        return False
    return True


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(
            f"expected a whole number below 2^63, got {text!r}"
        )
    return int(text)


def _device(text: str) -> str:
    try:
        torch.zeros(1, device=text).item()
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(
            f"expected cpu, or cuda where PyTorch sees a GPU, got {text!r}"
        ) from error
    return text


def _new_file(text: str) -> Path:
    """Looked at before the training, after which it would be too late."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"expected a file in a folder that exists, got {text!r}"
        )
    return path


def build(args: argparse.Namespace, task: Task) -> nn.Module:
    """The model asked for: a stack of blocks around the layer, or a cell alone."""
    if args.layer in LAYERS:
        layer, pool = LAYERS[args.layer], task.pool
        return SequenceModel(
            layer, task.inputs, args.width, args.depth, task.outputs, pool
        )
    if args.depth is not None:
        raise ValueError(
            f"depth: expected none with {args.layer}, which stands alone, got {args.depth}"
        )
    cell = CELLS[args.layer](task.inputs, args.width)
    return Readout(cell, args.width, task.outputs, last=task.pool)
