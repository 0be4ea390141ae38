"""Chapter 10 at full length: selective copying in the cells of the paper's table, at 256 to 1,024 steps, and induction
heads, trained at 256 steps and tested on up to 131,072.

``python -m benchmarks.mamba_runs --out benchmarks/results/mamba_runs_DEVICE.json``

The last four rows, of 64 steps, are small enough for a processor, where ``--only "* 64 *" --steps 2000 --width 32
--batch-size 32 --seeds 2`` takes an hour. The recipe is that of `seqlab.training.train`, one learning rate for all. The
record is rewritten after every row, so that what was measured stays where time runs out; the rows that matter most come
first.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.training_runs import Stack, arguments_of_runs, record_rows, rows_asked_for, run_of
from seqlab import ops
from seqlab.nn import S4D, S6, H3Block, HyenaFilter, MambaBlock, ResidualBlock, SequenceModel
from seqlab.tasks import induction_heads, selective_copying
from seqlab.tasks.task import Task

STATES = 16


class Hyena(nn.Module):
    """A long convolution with filters that are functions of the time: what the paper's table calls by this name."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.filter = HyenaFilter(width, length)
        self.D = nn.Parameter(torch.randn(width))

    def forward(self, u: Tensor, state: None = None) -> tuple[Tensor, None]:
        return ops.causal_convolution(u, self.filter(u.shape[1])) + self.D * u, None

    def step(self, u_t: Tensor, state: None = None) -> tuple[Tensor, None]:
        raise NotImplementedError("step: expected a layer with a state, got one that needs all inputs so far")


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "S6": lambda width: S6(width, STATES),
    "S4D": lambda width: S4D(width, STATES, "real"),
    "Hyena": lambda width: Hyena(width, 256),
}
BLOCKS: dict[str, Callable[[int, Callable[[int], nn.Module]], nn.Module]] = {
    "Mamba": lambda width, layer: MambaBlock(width, layer=layer),
    "H3": lambda width, layer: H3Block(width, layer),
}
SYMBOLS = 14
ROWS = (
    ("copying", 256, "Mamba", "S6"),
    ("induction", 256, "Mamba", "S6"),
    ("copying", 256, "Mamba", "S4D"),
    ("copying", 256, "none", "S6"),
    ("copying", 256, "none", "S4D"),
    ("copying", 256, "H3", "S6"),
    ("copying", 256, "H3", "S4D"),
    ("copying", 256, "Mamba", "Hyena"),
    ("copying", 256, "H3", "Hyena"),
    ("copying", 1024, "Mamba", "S6"),
    ("copying", 1024, "Mamba", "S4D"),
    ("copying", 64, "Mamba", "S6"),
    ("induction", 64, "Mamba", "S6"),
    ("copying", 64, "Mamba", "S4D"),
    ("induction", 64, "Mamba", "S4D"),
)
FURTHER = (1, 4, 16, 64, 512)  # times the trained length of induction heads
TESTED = 32  # sequences at each of these lengths, one after the other


def model_of(block: str, layer: str, task: Task, width: int) -> nn.Module:
    if block == "none":
        return SequenceModel(LAYERS[layer], task.inputs, width, 2, task.outputs, pool=False)
    blocks = (ResidualBlock(BLOCKS[block](width, LAYERS[layer]), width) for _ in range(2))
    return Stack(blocks, task, width)


@torch.no_grad()
def tested(model: nn.Module, length: int, device: torch.device) -> float:
    """The share of right answers to induction heads of a length, a sequence at a time."""
    inputs, targets = next(induction_heads(SYMBOLS, length).batches(TESTED, 1))
    answers = [model(x[None].to(device))[0, -1].argmax().item() for x in inputs]
    return sum(a == t for a, t in zip(answers, targets[:, -1].tolist(), strict=True)) / TESTED


def main() -> None:
    arguments = arguments_of_runs(__doc__, steps=8000, width=64, batch_size=64, rows=len(ROWS))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def run(name: str, length: int, block: str, layer: str) -> dict[str, Any]:
        copying = name == "copying"
        task = selective_copying(SYMBOLS, 16, length) if copying else induction_heads(SYMBOLS, length)
        further: list[dict[int, float]] = []

        def test_further(model: nn.Module) -> None:
            if not copying:
                further.append({length * n: tested(model.eval(), length * n, device) for n in FURTHER})

        def make() -> nn.Module:
            return model_of(block, layer, task, arguments.width)

        row = run_of(arguments, task, make, 2e-3, test_further, block=block, layer=layer)
        return {**row, "further": further}

    record_rows(arguments, (run(*row) for row in rows_asked_for(arguments, ROWS)))


if __name__ == "__main__":
    main()
