"""Measure everything that the book shows of a GPU, in order, with one command.

``python -m benchmarks.record --out benchmarks/results``

Every part runs in a process of its own within a time limit, and writes one JSON file, named after the part and
the device, where the chapters and the performance page look for it; ``bench`` times several ops in one process and
writes a file for each. A part that fails or is cut off does not keep the others from running. The last file,
``recording_DEVICE.json``, says how each part ended, and is rewritten after each. ``--seconds`` limits all parts
together; what no time was left for is named at the end with the command that runs it. ``--rehearse`` runs the parts
at tiny sizes, where there is no GPU as well, into a folder of your choice.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqlab.benchmark import ROOT, provenance
from seqlab.catalogue import PAIRINGS

KEPT_LINES = 40


@dataclass(frozen=True)
class Part:
    """One measurement: a module to run with ``--out FILE``, and the seconds it may take.

    ``rehearsal`` are the further arguments of a rehearsal, None for a part that says nothing without a GPU. A part
    ``by_op`` takes ``--ops``, and writes a file for each of them.
    """

    name: str
    seconds: int
    command: tuple[str, ...]
    rehearsal: tuple[str, ...] | None = ()
    by_op: bool = False


TINY_LADDER = "--side 14 --width 8 --state-size 8 --steps 2 --batch-size 4 --seeds 1 --ring-seeds 1"
TINY_RUNS = "--steps 1 --width 4 --batch-size 2 --seeds 1 --rows 1"
TINY_CELLS = "--side 14 --width 4 --order 4 --epochs 1 --rate-epochs 1 --batch-size 2000 --seeds 1"
PARTS = (
    Part("first_calls", 150, ("benchmarks.first_calls",)),
    Part(
        "verification",
        240,
        ("benchmarks.verification", "--backends", "portable", "cuda"),
        ("--backends", "portable"),
    ),
    Part("gpu_tests", 420, ("benchmarks.gpu_tests",)),
    Part("host_time", 180, ("benchmarks.host_time",), ("--ops", "linear_scan")),
    Part("bench", 580, ("seqlab", "bench", "--peers", "benchmarks.peers"), ("--quick",), by_op=True),
    Part("attention_vs_recurrence", 240, ("benchmarks.attention_vs_recurrence",)),
    Part("scan_vs_attention", 120, ("benchmarks.scan_vs_attention",), ("--quick",)),
    Part("chapters", 580, ("benchmarks.chapters", "--at-once", "2"), ("--chapters", "1")),
    Part("lru_ladder", 560, ("benchmarks.lru_ladder",), tuple(TINY_LADDER.split())),
    Part(
        "lru_rates",
        120,
        ("benchmarks.lru_ladder", "--lr", "8e-3", "--seeds", "0", "--ring-seeds", "2"),
        tuple(TINY_LADDER.split()),
    ),
    Part("hippo_against_numpy", 300, ("benchmarks.hippo_against_numpy",), ("--quick",)),
    Part("hippo_cells", 580, ("benchmarks.hippo_cells",), tuple(TINY_CELLS.split())),
    Part("lstm_gates_rungs", 120, ("benchmarks.lstm_gates_rungs",), ("--quick",)),
    Part("linear_scan_rungs", 120, ("benchmarks.linear_scan_rungs",), ("--quick",)),
    Part("hippo_rungs", 120, ("benchmarks.hippo_rungs",), ("--quick",)),
    Part("discretize_rungs", 120, ("benchmarks.discretize_rungs",), ("--quick",)),
    Part("ssm_kernel_rungs", 120, ("benchmarks.ssm_kernel_rungs",), ("--quick",)),
    Part("h3_rungs", 120, ("benchmarks.h3_rungs",), ("--quick",)),
    Part("wkv_rungs", 120, ("benchmarks.wkv_rungs",), ("--quick",)),
    Part("mlstm_rungs", 120, ("benchmarks.mlstm_rungs",), ("--quick",)),
    Part("published_mlstm", 240, ("benchmarks.published_mlstm",), ("--quick",)),
    Part("selective_scan_rungs", 120, ("benchmarks.selective_scan_rungs",), ("--quick",)),
    Part("state_space_runs", 580, ("benchmarks.state_space_runs",), tuple(TINY_RUNS.split())),
    Part("recall_runs", 580, ("benchmarks.recall_runs",), tuple(TINY_RUNS.split())),
    Part("mamba_runs", 580, ("benchmarks.mamba_runs",), tuple(TINY_RUNS.split())),
    Part("xlstm_runs", 580, ("benchmarks.xlstm_runs",), tuple(TINY_RUNS.split())),
    Part("mqar_runs", 580, ("benchmarks.mqar_runs",), tuple(TINY_RUNS.split())),
    Part("text_runs", 580, ("benchmarks.text_runs",), tuple(TINY_RUNS.split())),
    Part("kernel_tilings", 580, ("benchmarks.kernel_tilings",), None),
)


def main() -> int:
    """Run the parts; returns 0 when every one of them ended well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [part.name for part in PARTS]
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=str(names))
    parser.add_argument(
        "--ops", nargs="+", choices=PAIRINGS, default=list(PAIRINGS), metavar="OP", help="of the part bench"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for all parts together")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes; no GPU is needed")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available()
    if not (gpu or arguments.rehearse):
        parser.error("there is no CUDA GPU here to record; --rehearse runs the parts at tiny sizes")
    if arguments.rehearse and arguments.out.resolve() == ROOT / "benchmarks" / "results":
        parser.error("--out: a rehearsal is no result, name another folder")
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + arguments.seconds
    record: dict[str, Any] = {**provenance(torch.device("cuda" if gpu else "cpu")), "parts": []}
    device = re.sub(r"[^a-z0-9]+", "_", record["device"].lower()).strip("_")
    for part in PARTS:
        if part.name not in arguments.parts:
            continue
        files = [f"{name}_{device}.json" for name in (arguments.ops if part.by_op else [part.name])]
        entry = {"part": part.name, "files": files}
        if arguments.rehearse and part.rehearsal is None:
            entry["outcome"] = "left out of the rehearsal: it needs a GPU"
        elif end - time.monotonic() < 1:
            entry["outcome"] = "no time was left"
        else:
            command = [*part.command, *(part.rehearsal or ()) * arguments.rehearse]
            command += ["--ops", *arguments.ops] * part.by_op
            command += ["--out", str(arguments.out / (f"{{op}}_{device}.json" if part.by_op else files[0]))]
            print(f"\n== {part.name}: python -m {' '.join(command)}", flush=True)
            entry |= run(command, min(part.seconds, end - time.monotonic()))
        record["parts"].append(entry)
        (arguments.out / f"recording_{device}.json").write_text(json.dumps(record, indent=1) + "\n")
    print("\n" + summary(record["parts"], arguments.out))
    return 0 if all(ended_well(entry) for entry in record["parts"]) else 1


def run(command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run ``python -m`` with these words; how it ended, how long it took, and the last lines that it printed."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    # A part has processes of its own: all of them end with it.
    limit = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    last: deque[str] = deque(maxlen=KEPT_LINES)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last.append(line.rstrip())
    code = process.wait()
    limit.cancel()
    took = time.monotonic() - started
    if code == 0:
        outcome = "done"
    elif took >= seconds:
        outcome = f"was not done after {seconds:.0f} s"
    else:
        outcome = f"failed with exit code {code}"
    return {"outcome": outcome, "seconds": round(took, 1), "last_lines": list(last)}


def ended_well(entry: dict[str, Any]) -> bool:
    """Whether a part did what was asked of it."""
    return entry["outcome"] == "done" or entry["outcome"].startswith("left out")


def summary(entries: Sequence[dict[str, Any]], out: Path) -> str:
    """How each part ended, and the command that runs the rest."""
    lines = []
    for entry in entries:
        written = [name for name in entry["files"] if (out / name).exists()]
        files = f" ({', '.join(written)})" if written else ""
        lines.append(f"{entry['part']:<26}{entry.get('seconds', 0):>7.0f} s  {entry['outcome']}{files}")
    rest = [entry["part"] for entry in entries if not ended_well(entry)]
    if rest:
        lines.append(
            f"To run what is missing: python -m benchmarks.record --out {out} --parts {' '.join(rest)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
