"""Run every chapter from top to bottom on this machine, and keep how that went.

``python -m benchmarks.chapters --out benchmarks/results/chapters_DEVICE.json``

The notebooks run as a reader's do, a process each, with the device that they find. What they print is not kept:
the record says how many cells ran, how long the chapter took, which cells took longest, and what failed. Chapters
start one after another, ``--at-once`` of them side by side, and the file is written anew after each.
"""

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from seqlab.benchmark import ROOT, provenance
from seqlab.chapters import CHAPTERS

CELL_SECONDS = 300  # that one cell may take
SLOW = 10  # seconds from which a cell is named


@dataclass(frozen=True)
class Outcome:
    """How one chapter went: ``slow`` has the first line and the seconds of each slow cell, of the slowest where lines
    are alike; ``failure`` is None, or the end of the error's text."""

    chapter: str
    cells: int
    cells_run: int
    seconds: float
    slow: dict[str, float]
    failure: str | None


def run_notebook(path: Path) -> Outcome:
    """Execute a notebook in its own folder, as far as it goes."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    started = time.perf_counter()
    failure = None
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        failure = str(error)[-2000:]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    took = sorted((seconds(cell), cell.source.splitlines()[0]) for cell in cells)
    return Outcome(
        chapter=path.stem,
        cells=len(cells),
        cells_run=sum(cell.execution_count is not None for cell in cells),
        seconds=round(time.perf_counter() - started, 1),
        slow={line: each for each, line in took if each >= SLOW},
        failure=failure,
    )


def seconds(cell: Any) -> float:
    """How long a cell ran, by the moments that the client noted; 0 if it did not end."""
    moments = cell.metadata.get("execution", {})
    if "shell.execute_reply" not in moments:
        return 0.0
    begin, end = (
        datetime.fromisoformat(moments[name]) for name in ("iopub.execute_input", "shell.execute_reply")
    )
    return round((end - begin).total_seconds(), 1)


def main() -> int:
    """Run the chapters; returns 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--chapters", type=int, nargs="+", choices=CHAPTERS, default=list(CHAPTERS), metavar="N"
    )
    parser.add_argument("--at-once", type=int, default=1)
    arguments = parser.parse_args()
    paths = [ROOT / "notebooks" / f"{CHAPTERS[number]}.ipynb" for number in arguments.chapters]
    record: dict[str, Any] = {
        **provenance(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        "at_once": arguments.at_once,
        "chapters": [],
    }
    with multiprocessing.get_context("spawn").Pool(arguments.at_once, maxtasksperchild=1) as pool:
        for outcome in pool.imap_unordered(run_notebook, paths, chunksize=1):
            record["chapters"].append(asdict(outcome))
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")
            how = "failed" if outcome.failure else "ran"
            print(
                f"{outcome.chapter}: {how}, {outcome.cells_run} of {outcome.cells} cells, {outcome.seconds} s"
            )
            print(outcome.failure or "", end="", flush=True)
    return int(any(chapter["failure"] for chapter in record["chapters"]))


if __name__ == "__main__":
    sys.exit(main())
