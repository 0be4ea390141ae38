"""Hold every op to its reference on this machine, and keep the errors.

``python -m benchmarks.verification --out benchmarks/results/verification_DEVICE.json``

The same comparisons as ``python -m seqlab verify``, in its order, with every error and its bound written down beside
where and when they were found. As many processes as there are cores share the work, each of one thread, and the file
is written anew after each sample, with the number of comparisons that are left. Fails when an error is over its bound.
"""

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import torch

from seqlab.benchmark import provenance
from seqlab.catalogue import PAIRINGS
from seqlab.verify import (
    BACKENDS,
    Comparison,
    Row,
    absent_backends,
    by_sample,
    comparisons,
    run_together,
    table,
)


def main() -> int:
    """Verify, print the table, write JSON; returns 1 when an error is over its bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--ops", nargs="+", choices=PAIRINGS, help="default: all of the catalogue")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, help="default: all that this machine has")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    record = {**provenance(device), "absent": absent_backends(), "comparisons": []}
    chosen = comparisons(arguments.ops, arguments.backends)
    rows: dict[Comparison, Row] = {}
    # The ops in turn, so that processes compile the kernels of different ones, and find those of the same compiled.
    samples = sorted(by_sample(chosen), key=lambda together: together[0].sample)
    # Threads of several processes would wait for one another: NumPy's, too, read this when they start.
    os.environ["OMP_NUM_THREADS"] = "1"
    # A GPU cannot be shared with processes that are forked: they are started afresh.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        for ended in as_completed([pool.submit(run_together, together) for together in samples]):
            rows |= ended.result()
            done = [rows[each] for each in chosen if each in rows]
            record["comparisons"] = [{**asdict(row), "passed": row.passed} for row in done]
            record["left"] = len(chosen) - len(done)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(done))
    return 0 if all(row.passed for row in done) else 1


if __name__ == "__main__":
    sys.exit(main())
