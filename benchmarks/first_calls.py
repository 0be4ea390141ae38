"""How long does the first call of each op take, with the compilation of its kernels?

``python -m benchmarks.first_calls --out benchmarks/results/first_calls_DEVICE.json``

Forward and backward once, on every workload and size of the catalogue, each in a process of its own, several at
the same time: the seconds are those of a machine that is busy with the others. What is compiled stays in Triton's
cache, so a benchmark that runs afterwards does not wait for it.
"""

import argparse
import json
import multiprocessing
import os
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark import provenance
from seqlab.catalogue import PAIRINGS

AT_ONCE = 8  # processes, each with some of the largest inputs in the GPU's memory

Job = tuple[str, int, int, int]
"""An op, and the numbers of a workload, of one of its dtypes, and of a size."""


def jobs(device: torch.device) -> list[Job]:
    """Everything that ``python -m seqlab bench`` would time on such a device."""
    found = []
    for op, pairing in PAIRINGS.items():
        sizes = range(len(pairing.workload_sizes[device.type]))
        for number, workload in enumerate(pairing.workloads):
            found += [(op, number, *rest) for rest in product(range(len(workload.dtypes)), sizes)]
    return found


def first_call(job: Job) -> dict[str, Any]:
    """The seconds of one first call."""
    op, number, dtype, size = job
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairing = PAIRINGS[op]
    workload = pairing.workloads[number]
    shape = pairing.workload_sizes[device.type][size]
    generator = torch.Generator(device).manual_seed(0)
    arguments = workload.draw(generator, shape, workload.dtypes[dtype])
    leaves = {key: x.requires_grad_() for key, x in arguments.items() if isinstance(x, Tensor)}
    started = time.perf_counter()
    results = pairing.op(**{**arguments, **leaves})[: pairing.results]
    torch.autograd.grad(results, list(leaves.values()), [torch.ones_like(x) for x in results])
    if device.type == "cuda":
        torch.cuda.synchronize()
    return {
        "op": op,
        "variant": workload.name,
        "dtype": str(workload.dtypes[dtype]).removeprefix("torch."),
        "sizes": dict(shape),
        "first_call_seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Make every first call, print each, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--ops", nargs="+", choices=PAIRINGS, default=list(PAIRINGS), metavar="OP")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = [job for job in jobs(device) if job[0] in arguments.ops]
    record: dict[str, Any] = {**provenance(device), "calls": []}
    # A GPU cannot be shared with processes that are forked: they are started afresh.
    context = multiprocessing.get_context("spawn")
    workers = min(AT_ONCE, os.cpu_count() or 1)
    with context.Pool(workers, torch.set_num_threads, (1,), maxtasksperchild=1) as pool:
        for call in pool.imap_unordered(first_call, chosen, chunksize=1):
            record["calls"].append(call)
            print(
                f"{call['first_call_seconds']:6.1f} s  {call['op']}, {call['variant']}, {call['dtype']}",
                flush=True,
            )
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
