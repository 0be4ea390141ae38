"""The ladder from a tanh RNN to the LRU at full length: `python -m benchmarks.lru_ladder`.

Every rung of `seqlab.nn.ladder.rungs` is trained with several seeds on sequential MNIST-5k, then the top two
(without and with γ) on rings ever closer to the unit circle. The recipe is `seqlab.training.train`'s: Adam, a
linear rise and a cosine, gradients shortened to norm 1, one learning rate for all. Runs share the device in
several processes; the time of a step is measured before, one row at a time. Chapter 3 reads the JSON written.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from seqlab.benchmark import provenance
from seqlab.nn import SequenceModel
from seqlab.nn.ladder import rungs
from seqlab.tasks import sequential_mnist
from seqlab.tasks.images import Images

RESULTS = Path(__file__).parent / "results"
RINGS = ((0.9, 0.99), (0.99, 0.999), (0.999, 0.9999))
WARM_UP = 0.1  # share of the steps over which the learning rate rises
CHECK_EVERY = 25  # steps between looks at the loss: each look waits for the device
TIMED_STEPS = 20


@dataclass(frozen=True)
class Protocol:
    """What all runs share. Images of side * side pixels are sequences of as many steps."""

    side: int
    width: int
    depth: int
    state_size: int
    steps: int
    batch_size: int
    lr: float


@dataclass(frozen=True)
class Run:
    """One run to make: a row of the "ladder" or of the "rings", and the seed of its weights and batches."""

    part: str
    row: str
    seed: int


def layers(part: str, state_size: int, seed: int) -> dict[str, Callable[[int], nn.Module]]:
    """Row name -> function width -> layer, for one part of the record."""
    rng = np.random.default_rng(seed)
    if part == "ladder":
        return rungs(state_size, rng)
    rows = {}
    for r_min, r_max in RINGS:
        ladder = rungs(state_size, rng, r_min, r_max)
        rows[f"[{r_min}, {r_max}] without gamma"] = ladder["+ ring"]
        rows[f"[{r_min}, {r_max}] with gamma"] = ladder["+ gamma = LRU"]
    return rows


def build(run: Run, protocol: Protocol, device: torch.device) -> SequenceModel:
    """The model of a run, drawn from its seed."""
    torch.manual_seed(run.seed)
    layer = layers(run.part, protocol.state_size, run.seed)[run.row]
    return SequenceModel(layer, 1, protocol.width, protocol.depth, 10).to(device)


def train(run: Run, protocol: Protocol, device: torch.device) -> dict[str, Any]:
    """Train and test one model. `diverged_at` is the step at which the loss was found not to be finite."""
    task = sequential_mnist(side=protocol.side)
    inputs, targets = (torch.from_numpy(x).to(device) for x in (task.train_pixels, task.train_labels))
    model = build(run, protocol, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=protocol.lr)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, protocol.steps))
    random = np.random.default_rng(run.seed)
    losses: list[float] = []
    diverged_at = None
    started = time.perf_counter()
    for step in range(protocol.steps):
        chosen = torch.from_numpy(random.integers(len(targets), size=protocol.batch_size)).to(device)
        loss = update(model, optimizer, inputs[chosen, :, None].float(), targets[chosen])
        rates.step()
        if step % CHECK_EVERY == 0 or step + 1 == protocol.steps:
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                diverged_at = step
                break
    seconds = time.perf_counter() - started
    return {
        **asdict(run),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "diverged_at": diverged_at,
        "accuracy": accuracy(model, task, device),
        "seconds": seconds,
    }


def update(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> Tensor:
    """One step of training; the loss before it."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def rate(step: int, steps: int) -> float:
    """The learning rate's factor: a linear rise, then a cosine down to zero."""
    rise = max(1, round(WARM_UP * steps))
    return (
        (step + 1) / rise if step < rise else 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
    )


@torch.no_grad()
def accuracy(model: nn.Module, task: Images, device: torch.device) -> float:
    """Share of the test images that are classified correctly."""
    model.eval()
    inputs, targets = task.test()
    answers = torch.cat([model(part.to(device)) for part in inputs.split(100)])
    return task.score(answers, targets.to(device))


def milliseconds_per_step(run: Run, protocol: Protocol, device: torch.device) -> float:
    """Median time of a training step, alone on the device and waited for."""
    model = build(run, protocol, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    inputs = torch.rand(protocol.batch_size, protocol.side**2, 1, device=device)
    targets = torch.zeros(protocol.batch_size, dtype=torch.long, device=device)
    times = []
    for _ in range(TIMED_STEPS + 3):
        started = time.perf_counter()
        update(model, optimizer, inputs, targets).item()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[3:])


def main() -> None:
    """Run everything, print each result as it comes, and keep the record up to date on disk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=28, choices=(14, 28))
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--state-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each rung of the ladder")
    parser.add_argument("--ring-seeds", type=int, default=3, help="runs of each ring, with and without gamma")
    parser.add_argument("--workers", type=int, help="processes that share the device (GPU: 6, CPU: 1)")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/lru_ladder_<device>.json")
    arguments = vars(parser.parse_args())
    parts = {"ladder": arguments.pop("seeds"), "rings": arguments.pop("ring_seeds")}
    workers, out = arguments.pop("workers"), arguments.pop("out")
    protocol = Protocol(**arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = workers or (6 if device.type == "cuda" else 1)
    record: dict[str, Any] = {**provenance(device), "protocol": asdict(protocol), "workers": workers}
    out = out or RESULTS / f"lru_ladder_{record['device'].lower().replace(' ', '_')}.json"

    record["milliseconds_per_step"] = {}
    for row in layers("ladder", 1, 0):
        milliseconds = milliseconds_per_step(Run("ladder", row, 0), protocol, device)
        record["milliseconds_per_step"][row] = milliseconds
        print(f"{row:<32}{milliseconds:8.2f} ms a step", flush=True)

    runs = [
        Run(part, row, seed)
        for part, seeds in parts.items()
        for row in layers(part, 1, 0)
        for seed in range(seeds)
    ]
    record["runs"] = []
    # A GPU cannot be shared with processes that are forked: they are started afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        futures = [pool.submit(train, run, protocol, device) for run in runs]
        for future in tqdm(as_completed(futures), total=len(runs), unit="run"):
            result = future.result()
            record["runs"].append(result)
            losses = f"loss {result['first_loss']:.3g} -> {result['last_loss']:.3g}"
            name = f"{result['part']:<8}{result['row']:<32}seed {result['seed']}"
            tqdm.write(f"{name}  accuracy {result['accuracy']:.3f}  {losses}  {result['seconds']:.0f} s")
            out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {out}: {len(record['runs'])} of {len(runs)} runs")


if __name__ == "__main__":
    main()
