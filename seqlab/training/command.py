"""`python -m seqlab train`: the chapters' training loop from a terminal."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from seqlab import tasks
from seqlab.nn import GRU, LRU, LSTM, RNN, SequenceModel
from seqlab.tasks import Task
from seqlab.training.loop import train

TASKS: dict[str, Callable[[], Task]] = {
    "digits": tasks.sequential_digits,
    "mnist14": lambda: tasks.sequential_mnist(side=14),
    "mnist28": lambda: tasks.sequential_mnist(side=28),
    "pmnist28": lambda: tasks.sequential_mnist(side=28, permutation=0),
    "full-mnist": tasks.full_mnist,
    "copying": tasks.copying,
    "delay": tasks.delay,
    "adding": tasks.adding,
}
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    # A ring near the circle: memories of ten to a thousand steps, what these tasks ask for.
    "lru": lambda width: LRU(width, state_size=width, r_min=0.9, r_max=0.999),
    "rnn": lambda width: RNN(width, width),
    "lstm": lambda width: LSTM(width, width),
    "gru": lambda width: GRU(width, width),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` reads."""
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--layer", choices=LAYERS, default="lru")
    parser.add_argument(
        "--width",
        type=int,
        default=64,
        help="channels of the stack and size of its states",
    )
    parser.add_argument(
        "--depth", type=int, default=2, help="number of residual blocks"
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3, help="largest learning rate")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the initial weights and of the batches"
    )
    parser.add_argument(
        "--time-budget", type=float, metavar="SECONDS", help="stop after this long"
    )
    parser.add_argument(
        "--device", help="cpu or cuda; by default the GPU where there is one"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the record of the run there"
    )


def run(args: argparse.Namespace) -> int:
    """Train, print the result, write the record; 0 if the loss stayed finite, 1 if not,
    2 for bad input."""
    torch.manual_seed(args.seed)
    try:
        task = TASKS[args.task]()
        model = SequenceModel(
            LAYERS[args.layer],
            task.inputs,
            args.width,
            args.depth,
            task.outputs,
            pool=task.pool,
        )
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
    except (ValueError, TypeError, ModuleNotFoundError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 2
    print(history)
    if args.json is not None:
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
        arguments = {name: getattr(args, name) for name in names}
        record = {
            "arguments": arguments,
            "torch": torch.__version__,
            "history": history.as_dict(),
        }
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if history.diverged else 0
