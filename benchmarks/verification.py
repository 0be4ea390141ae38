"""Hold every op to its reference on this machine, and keep the errors.

``python -m benchmarks.verification --out benchmarks/results/verification_DEVICE.json``

The same comparisons as ``python -m seqlab verify``, with every error and its bound written down beside where and
when they were found. As many processes as there are cores share the work, and the file is written anew after each
comparison, with the number of those that are left. Fails when an error is over its bound.
"""

import argparse
import json
import multiprocessing
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from seqlab.benchmark import provenance
from seqlab.catalogue import PAIRINGS
from seqlab.verify import BACKENDS, Comparison, absent_backends, comparisons, table


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
    rows = []
    # A GPU cannot be shared with processes that are forked: they are started afresh.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), torch.set_num_threads, (1,)) as pool:
        for row in pool.imap_unordered(Comparison.run, chosen):
            rows.append(row)
            record["comparisons"].append({**asdict(row), "passed": row.passed})
            record["left"] = len(chosen) - len(rows)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
