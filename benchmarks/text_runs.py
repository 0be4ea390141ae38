"""Chapters 8 and 9 on the works of Shakespeare: which character is next? asked of attention, an LSTM, RWKV-4 and 6,
GLA, mLSTM, sLSTM and Mamba with as many parameters each, trained on 256 characters at a time and tested on 4,096.

``python -m benchmarks.text_runs --out benchmarks/results/text_runs_DEVICE.json``

Two blocks of each kind, of two heads where there are any; on a GPU there is room for ``--depth 6 --heads 8``. The width
is that of attention's, and the others' are those multiples of 8, and of twice the heads, that bring the number of
parameters nearest to its. The LSTM is torch's. The recipe is that of `seqlab.training.train`, one learning rate for
all. The record is rewritten after every row, so that what was measured stays where time runs out.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.training_runs import (
    Stack,
    Transformer,
    arguments_of_runs,
    record_rows,
    rows_asked_for,
    run_of,
)
from seqlab.nn import GLA, MambaBlock, MLSTMBlock, ResidualBlock, RWKVBlock, SLSTMBlock
from seqlab.tasks import Task, shakespeare

LENGTH, FURTHEST = 256, 4096
TEXTS = 16  # of FURTHEST characters, read from their beginning
Make = Callable[[int, int, int, int], nn.Module]  # of a width, heads, and a place among so many
BLOCKS: dict[str, Make] = {
    "attention": lambda width, heads, n, depth: Transformer(width, heads),
    "RWKV-4": lambda width, heads, n, depth: RWKVBlock(width, layer=n, depth=depth),
    "mLSTM": lambda width, heads, n, depth: MLSTMBlock(width, heads),
    "LSTM": lambda width, heads, n, depth: ResidualBlock(nn.LSTM(width, width, batch_first=True), width),
    "GLA": lambda width, heads, n, depth: GLA(width, heads),
    "sLSTM": lambda width, heads, n, depth: SLSTMBlock(width, heads),
    "RWKV-6": lambda width, heads, n, depth: RWKVBlock(width, layer=n, depth=depth, version=6, heads=heads),
    "Mamba": lambda width, heads, n, depth: ResidualBlock(MambaBlock(width), width),
}

ROWS = [(layer,) for layer in BLOCKS]


def model_of(layer: str, task: Task, width: int, heads: int, depth: int) -> nn.Module:
    return Stack((BLOCKS[layer](width, heads, n, depth) for n in range(depth)), task, width)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def width_of(layer: str, task: Task, width: int, heads: int, depth: int) -> int:
    """The width at which the layer has about as many parameters as attention has at ``width``."""
    if layer == "attention":
        return width
    with torch.device("meta"):
        wanted = parameters(model_of("attention", task, width, heads, depth))
        unit = math.lcm(8, 2 * heads)
        widths = range(unit, 2 * width + unit + 1, unit)
        return min(widths, key=lambda n: abs(parameters(model_of(layer, task, n, heads, depth)) - wanted))


def long_texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of TEXTS texts, from all parts of what is held out."""
    inputs, targets = shakespeare(FURTHEST).test()
    chosen = torch.linspace(0, len(inputs) - 1, min(TEXTS, len(inputs))).round().long()
    return inputs[chosen], targets[chosen]


@torch.no_grad()
def bits_at(model: nn.Module, texts: tuple[torch.Tensor, torch.Tensor]) -> dict[int, float]:
    """Bits per character in the second half of the first n characters, n = LENGTH, 2 LENGTH, ..., FURTHEST."""
    device = next(model.parameters()).device
    pairs = zip(*texts, strict=True)
    losses = [cross_entropy(model(u[None].to(device))[0], y.to(device), reduction="none") for u, y in pairs]
    bits = torch.stack(losses).mean(0) / math.log(2)
    lengths = (LENGTH * 2**n for n in range(FURTHEST.bit_length() - LENGTH.bit_length() + 1))
    return {n: bits[n // 2 : n].mean().item() for n in lengths}


def main() -> None:
    arguments = arguments_of_runs(
        __doc__, steps=4000, width=256, batch_size=32, rows=len(ROWS), depth=2, heads=2, lr=4e-3
    )
    heads, depth, lr = arguments.heads, arguments.depth, arguments.lr
    task, texts = shakespeare(LENGTH), long_texts()
    counted = {name: task.bits(n) for n, name in enumerate(("unigram", "bigram", "trigram"), start=1)}

    def run(layer: str) -> dict[str, Any]:
        width = width_of(layer, task, arguments.width, heads, depth)
        further: list[dict[int, float]] = []

        def make() -> nn.Module:
            return model_of(layer, task, width, heads, depth)

        def test_further(model: nn.Module) -> None:
            further.append(bits_at(model.eval(), texts))

        row = run_of(arguments, task, make, lr, test_further, layer=layer)
        sizes = {
            "width": width,
            "heads": heads,
            "depth": depth,
            "batch_size": arguments.batch_size,
            "lr": lr,
        }
        return {**row, **sizes, "counted": counted, "further": further}

    record_rows(arguments, (run(layer) for (layer,) in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
