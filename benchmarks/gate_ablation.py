"""Which gates of mLSTM have to see the input? The ablation of chapter 9 with more updates and more seeds: neither gate,
the forget gate, the input gate, both.

``python -m benchmarks.gate_ablation --out benchmarks/results/gate_ablation_DEVICE.json``

Task, model and training are the chapter's, taken from its notebook: one layer of width 32, which learns on a CPU and so
runs there. The score is the share of right answers among 512 sequences that were held out, kept every 25 updates. The
record is rewritten after every row.
"""

import argparse
import ast
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from seqlab import ops
from seqlab.benchmark import provenance

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "09_xlstm.ipynb"
NAMES = {"MLSTM", "Model", "learn", "KEPT", "CHOICES", "FEW", "marked"}
GATES = {"neither": "", "forget": "f", "input": "i", "both": "if"}
WIDTH, HELD_OUT, EVERY = 32, 512, 25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--steps", type=int, default=600, help=f"updates, a multiple of {EVERY}")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # small tensors: more threads would only wait for each other
    record: dict[str, Any] = {
        **provenance(torch.device("cpu")),
        "steps": arguments.steps,
        "seeds": arguments.seeds,
        "scored_every": EVERY,
        "rows": [],
    }
    chapter = of_the_chapter()
    held_out = chapter.marked(np.random.default_rng(9), HELD_OUT)
    for name, gates in GATES.items():
        began, scores = time.perf_counter(), []
        for seed in range(arguments.seeds):
            _, found, _ = chapter.learn(
                lambda width, gates=gates: chapter.MLSTM(width, gates),
                chapter.marked, arguments.steps, seed, WIDTH, held_out, EVERY,
            )  # fmt: skip
            scores.append(found)
        row = {"gates": name, "scores": scores, "seconds": round(time.perf_counter() - began, 1)}
        record["rows"].append(row)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{name:<8}", *(f"{1 - each[-1]:.2%}" for each in scores), f"{row['seconds']} s", flush=True)


def of_the_chapter() -> SimpleNamespace:
    """What the notebook calls by the NAMES: functions, classes and constants."""
    cells = json.loads(NOTEBOOK.read_text("utf8"))["cells"]
    parts = (
        part
        for cell in cells
        if cell["cell_type"] == "code"
        for part in ast.parse("".join(cell["source"])).body
        if names_of(part) & NAMES
    )
    found = {"np": np, "torch": torch, "nn": nn, "F": F, "ops": ops, "time": time, "device": "cpu"}
    exec(compile(ast.Module([*parts], []), str(NOTEBOOK), "exec"), found)
    return SimpleNamespace(**{name: found[name] for name in NAMES})


def names_of(part: ast.stmt) -> set[str]:
    """The names that a statement gives a function, a class or constants."""
    if isinstance(part, ast.FunctionDef | ast.ClassDef):
        return {part.name}
    if isinstance(part, ast.Assign):
        return {x.id for target in part.targets for x in ast.walk(target) if isinstance(x, ast.Name)}
    return set()


if __name__ == "__main__":
    main()
