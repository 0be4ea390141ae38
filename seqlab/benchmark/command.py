"""`python -m seqlab bench`: the benchmark from a terminal."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqlab.benchmark.comparison import compare, entrants
from seqlab.benchmark.implementation import Implementation
from seqlab.benchmark.processes import compare_isolated
from seqlab.benchmark.report import table
from seqlab.catalogue import PAIRINGS

EACH_OP = "{op}"
INTERRUPTED = 130  # the exit code of what Ctrl-C ended


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``run`` reads."""
    parser.add_argument(
        "--ops",
        nargs="+",
        metavar="OP",
        choices=PAIRINGS,
        help="default: all of the catalogue",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one size and one dtype of each workload"
    )
    parser.add_argument(
        "--peers",
        metavar="MODULE",
        help="a module whose list PEERS takes part: benchmarks.peers in a copy of the project",
    )
    parser.add_argument("--only", metavar="IMPLEMENTATION", help="time this one alone")
    parser.add_argument(
        "--out",
        type=_new_file,
        metavar="FILE",
        help=f"write the result there as JSON; one file for each op where its name has {EACH_OP}",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark, print its table, write the result as it grows; 2 for bad
    input."""
    try:
        peers = [] if arguments.peers is None else load_peers(arguments.peers)
        everything = entrants(arguments.ops, peers, arguments.only)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    gpu = torch.cuda.is_available()
    if not gpu:
        print(
            "There is no CUDA GPU here: the portable ops are timed against a Python loop, on the CPU."
        )
    if not peers:
        print(
            "Other people's kernels are no part of the package. In a copy of the project, they\n"
            "are timed beside it: python -m seqlab bench --peers benchmarks.peers"
        )
    so_far: dict[str, Any] = {}

    def keep(result: dict[str, Any]) -> None:
        so_far.update(result)
        if arguments.out is not None:
            write(result, arguments.out)

    code = 0
    try:
        if gpu and peers and arguments.only is None:
            compare_isolated(everything, arguments.quick, arguments.peers, peers, keep)
        else:
            compare(everything, arguments.quick, keep)
    except KeyboardInterrupt:
        print("Interrupted: what follows is what was measured.", file=sys.stderr)
        code = INTERRUPTED
    if so_far:
        print("\n" + table(so_far))
    return code


def load_peers(module: str) -> Sequence[Implementation]:
    """The peers of a module by its name; raises ``ValueError`` if it has none."""
    wanted = f"--peers: expected a module with a list PEERS, got {module}"
    try:
        peers = importlib.import_module(module).PEERS
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{wanted}: {error}") from error
    return peers


def _new_file(text: str) -> Path:
    """Looked at before anything is measured, after which it would be too late."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"expected a file in a folder that can be written to, got {text!r}"
        )
    return path


def write(result: dict[str, Any], out: Path) -> None:
    """Write the result as JSON: one file, or one for each op."""
    files = {out: result["rows"]}
    if EACH_OP in out.name:
        files = {}
        for row in result["rows"]:
            name = out.name.replace(EACH_OP, row["op"])
            files.setdefault(out.with_name(name), []).append(row)
    for file, rows in files.items():
        # In one step: whoever stops this finds a whole file, the one before or this.
        unfinished = file.with_name(file.name + ".unfinished")
        text = json.dumps({**result, "rows": rows}, indent=1, allow_nan=False)
        unfinished.write_text(text + "\n")
        unfinished.replace(file)
