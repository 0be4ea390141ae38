"""HiPPO cells against an LSTM of as many parameters, at full length: `python -m benchmarks.hippo_cells`.

Two parts. "permuted": MNIST-5k at 28x28, its 784 pixels in one shuffled order. "rates": the Japanese vowels,
trained at their own sampling rate and tested at others. The recipe is `seqlab.training.train`'s: Adam, a linear
rise and a cosine, gradients shortened to norm 1. Each row's learning rate is the one of `RATES` that does best,
with one seed, on a fifth of the training set that was held out; then every seed trains on all of it, and is
tested once. Runs share the device in several processes.
"""

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from seqlab.benchmark import provenance
from seqlab.nn import HippoRNN, Readout
from seqlab.tasks import japanese_vowels, sequential_mnist
from seqlab.tasks.images import Images
from seqlab.tasks.speech import Recordings
from seqlab.training import evaluate, train

RESULTS = Path(__file__).parent / "results"
PARTS = ("permuted", "rates")
ROWS = ("HiPPO-LegS", "HiPPO-LegT", "LSTM")
RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2)  # learning rates to choose from
SAMPLING = (1.0, 2.0, 0.5, 4.0, 0.25)  # of the tests, where the training set has 1
PERMUTATION = 0


@dataclass(frozen=True)
class Protocol:
    """What all runs share. Images have side * side pixels; the LSTM's width follows from its parameters."""

    side: int
    width: int
    order: int
    epochs: int
    rate_epochs: int
    batch_size: int


@dataclass(frozen=True)
class Run:
    """One run to make: a row of a part, its learning rate, and the seed of its weights and batches."""

    part: str
    row: str
    lr: float
    seed: int
    choosing: bool


@cache
def load(part: str, side: int, rate: float = 1.0) -> Images | Recordings:
    """The task of a part, at a sampling rate where it has one."""
    return sequential_mnist(side, PERMUTATION) if part == "permuted" else japanese_vowels(rate)


def held_out(task: Images | Recordings) -> Images | Recordings:
    """The training set alone: a fifth of each class takes the place of the test set."""
    random = np.random.default_rng(0)
    out = np.zeros(len(task.train_labels), dtype=bool)
    for label in range(task.outputs):
        members = random.permutation(np.flatnonzero(task.train_labels == label))
        out[members[: len(members) // 5]] = True
    parts = {}
    for field in fields(task):
        if field.name.startswith("train_"):
            values = getattr(task, field.name)
            parts[field.name] = values[~out]
            parts[field.name.replace("train_", "test_")] = values[out]
    return replace(task, **parts)


def build(run: Run, protocol: Protocol, task: Images | Recordings) -> Readout:
    """The model of a run, drawn from its seed; LegT's window is as long as a sequence of the training set."""
    torch.manual_seed(run.seed)
    inputs, width, order = task.inputs, protocol.width, protocol.order
    cell: nn.Module
    if run.row == "HiPPO-LegS":
        cell = HippoRNN(inputs, width, order, "legs")
    elif run.row == "HiPPO-LegT":
        cell = HippoRNN(inputs, width, order, "legt", theta=float(task.length))
    else:
        like = HippoRNN(inputs, width, order)
        width = lstm_width(inputs, sum(p.numel() for p in like.parameters()))
        cell = nn.LSTM(inputs, width, batch_first=True)
    return Readout(cell, width, task.outputs, last=task.pool)


def lstm_width(inputs: int, parameters: int) -> int:
    """The widest LSTM of torch, which has 4 width (inputs + width + 2) parameters, with no more of them."""
    half = (inputs + 2) / 2
    return int((half * half + parameters / 4) ** 0.5 - half)


def make(run: Run, protocol: Protocol, device: torch.device) -> dict[str, Any]:
    """Train and test one model; `accuracy` has one entry for each sampling rate of the tests."""
    task = load(run.part, protocol.side)
    tests = {1.0: task}
    if run.choosing:
        task = tests[1.0] = held_out(task)
    elif run.part == "rates":
        tests = {rate: load(run.part, protocol.side, rate) for rate in SAMPLING}
    model = build(run, protocol, task)
    epochs = protocol.epochs if run.part == "permuted" else protocol.rate_epochs
    batch_size = min(protocol.batch_size, len(task.train_labels))
    started = time.perf_counter()
    history = train(
        model,
        task,
        steps=epochs * (len(task.train_labels) // batch_size),
        batch_size=batch_size,
        lr=run.lr,
        seed=run.seed,
        device=device,
        label=run.row,
    )
    return {
        **asdict(run),
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": len(history.losses),
        "last_loss": history.losses[-1],
        "stopped": history.stopped,
        "accuracy": {str(rate): evaluate(model, test) for rate, test in tests.items()},
        "milliseconds_per_step": 1e3 * history.seconds_per_step,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Choose the learning rates, run every seed, and keep the record up to date on disk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=28, choices=(14, 28))
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--order", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20, help="of the permuted images")
    parser.add_argument("--rate-epochs", type=int, default=100, help="of the recordings")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes that share the device (GPU: 6, CPU: 1)")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/hippo_cells_<device>.json")
    arguments = vars(parser.parse_args())
    seeds, workers, out = (arguments.pop(name) for name in ("seeds", "workers", "out"))
    protocol = Protocol(**arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = workers or (6 if device.type == "cuda" else 1)
    record: dict[str, Any] = {**provenance(device), "protocol": asdict(protocol), "workers": workers}
    record |= {"chosen": {part: {} for part in PARTS}, "runs": []}
    out = out or RESULTS / f"hippo_cells_{record['device'].lower().replace(' ', '_')}.json"
    load("rates", protocol.side)  # fetched here, once, before several processes ask for it

    # A GPU cannot be shared with processes that are forked: they are started afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def all_of(runs: list[Run]) -> list[dict[str, Any]]:
            futures = [pool.submit(make, run, protocol, device) for run in runs]
            done = []
            for future in tqdm(as_completed(futures), total=len(runs), unit="run"):
                done.append(future.result())
                record["runs"].append(done[-1])
                tqdm.write(line(done[-1]))
                out.write_text(json.dumps(record, indent=1) + "\n")
            return done

        choices = all_of([Run(part, row, lr, 0, True) for part in PARTS for row in ROWS for lr in RATES])
        for part in PARTS:
            for row in ROWS:
                tried = [r for r in choices if (r["part"], r["row"]) == (part, row)]
                record["chosen"][part][row] = max(tried, key=lambda r: r["accuracy"]["1.0"])["lr"]
        chosen = record["chosen"]
        all_of(
            [
                Run(part, row, chosen[part][row], seed, False)
                for part in PARTS
                for row in ROWS
                for seed in range(seeds)
            ]
        )
    print(f"wrote {out}: {len(record['runs'])} runs")


def line(result: dict[str, Any]) -> str:
    """One run, for the terminal."""
    scores = "  ".join(f"rate {rate} {score:.3f}" for rate, score in result["accuracy"].items())
    what = "choosing" if result["choosing"] else f"seed {result['seed']}"
    name = f"{result['part']:<10}{result['row']:<12}lr {result['lr']:<7g}{what:<10}"
    return f"{name}{scores}  loss {result['last_loss']:.3g}  {result['seconds']:.0f} s"


if __name__ == "__main__":
    main()
