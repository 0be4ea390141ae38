"""Which tiling of the linear scan's kernel is fastest where?

``python -m benchmarks.linear_scan_tilings --out benchmarks/results/linear_scan_tilings_DEVICE.json``

Every tiling is first held to the portable form in float64 (one process a tiling, so that they compile side by
side), then timed forward and backward at each size. What wins stands in ``TILINGS`` of the kernel. A minute and a
half on a Hopper GPU.
"""

import argparse
import itertools
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqlab.benchmark import copy_bandwidth, provenance, queued_milliseconds
from seqlab.catalogue import PAIRINGS
from seqlab.ops.linear_scan import kernel, portable

Tiling = tuple[int, int, int, int, int]
"""STEPS, RUNS, PAIRS, ENTRIES, warps."""

TILINGS: list[Tiling] = [
    (16, 16, 32, 4, 8), (16, 16, 32, 8, 8), (16, 16, 16, 2, 4), (16, 16, 16, 4, 4), (16, 16, 16, 8, 4),
    (16, 16, 16, 2, 8), (16, 8, 32, 4, 4), (16, 8, 32, 8, 4), (16, 8, 32, 4, 8), (16, 8, 16, 4, 4),
    (16, 16, 8, 2, 4), (16, 32, 8, 1, 8), (16, 32, 8, 2, 8), (16, 32, 16, 2, 8), (8, 16, 32, 4, 4),
    (8, 16, 32, 8, 4), (8, 16, 32, 4, 8), (8, 16, 32, 8, 8), (8, 8, 32, 8, 4), (8, 32, 16, 2, 4),
    (8, 32, 16, 4, 4), (8, 32, 16, 2, 8), (8, 16, 16, 4, 4), (8, 16, 16, 4, 8), (8, 32, 8, 2, 4),
    (8, 32, 8, 2, 8), (4, 32, 32, 4, 8), (4, 16, 32, 8, 4), (4, 32, 16, 4, 4),
]  # fmt: skip
BOUNDS = {2: 2e-2, 4: 1e-4, 8: 1e-4}  # of the relative error, by the bytes of an element
BUDGET = 0.05  # seconds of timing for each tiling, size and pass


def use(tiling: Tiling) -> None:
    """Make every launch in this process take ``tiling``."""
    kernel.TILINGS = {0: (tiling, tiling, tiling, tiling)}
    kernel.OF_16_BITS = 4 * (tiling,)
    kernel.plan_launch.cache_clear()


def draw(case: tuple[int, torch.dtype], sizes: dict[str, int]) -> tuple[torch.Tensor, ...]:
    number, dtype = case
    workload = PAIRINGS["linear_scan"].workloads[number]
    arguments = workload.draw(torch.Generator("cuda").manual_seed(0), sizes, dtype)
    a, b = arguments["a"], arguments["b"]
    grad_last = torch.randn_like(b[:, 0], dtype=torch.promote_types(dtype, torch.float32))
    return a, b, torch.randn_like(b), grad_last


def error(tiling: Tiling, case: tuple[int, torch.dtype]) -> float:
    """The largest relative error against float64 at a small size; compiles the kernel on the way."""
    use(tiling)
    a, b, grad_h, grad_last = draw(case, {"batch": 2, "length": 1100, "channels": 128})
    wide = torch.promote_types(b.dtype, torch.float64)
    h, last = kernel.scan(a, b, None, False)
    found = (h, last, *kernel.gradients(a, h, None, grad_h, grad_last, False)[:2])
    true_h, true_last = portable.scan(a.to(wide), b.to(wide), None, False)
    true = portable.gradients(a.to(wide), true_h, None, grad_h.to(wide), grad_last.to(wide), False)
    pairs = zip(found, (true_h, true_last, *true[:2]), strict=True)
    return max(float((x - y).norm() / y.norm()) for x, y in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    if not torch.cuda.is_available():
        raise SystemExit("Tilings are timed on a CUDA GPU, and there is none here.")
    device = torch.device("cuda")
    pairing = PAIRINGS["linear_scan"]
    workloads = [(number, dtype) for number, each in enumerate(pairing.workloads) for dtype in each.dtypes]
    everything = list(itertools.product(TILINGS, workloads))
    with multiprocessing.get_context("spawn").Pool(max(1, (os.cpu_count() or 2) - 1)) as pool:
        errors = dict(zip(everything, pool.starmap(error, everything, chunksize=1), strict=True))

    bandwidth = copy_bandwidth(device)
    rows: list[dict[str, Any]] = []
    for sizes, case in itertools.product(pairing.workload_sizes["cuda"], workloads):
        a, b, grad_h, grad_last = draw(case, dict(sizes))
        h, _ = kernel.scan(a, b, None, False)
        floors = [1e3 * count / bandwidth for count in pairing.fewest_bytes({"a": a, "b": b})]
        for tiling in TILINGS:
            row: dict[str, Any] = {
                "variant": pairing.workloads[case[0]].name,
                "dtype": str(b.dtype).removeprefix("torch."),
                "shape": dict(sizes),
                "tiling": tiling,
            }
            row["relative_error"] = errors[tiling, case]
            if row["relative_error"] < BOUNDS[b.element_size()]:
                use(tiling)
                forward = queued_milliseconds([partial(kernel.scan, a, b, None, False)], device, BUDGET)
                back = partial(kernel.gradients, a, h, None, grad_h, grad_last, False)
                backward = queued_milliseconds([back], device, BUDGET)
                row |= {"forward": forward, "backward": backward}
                row |= {"forward_share": floors[0] / forward, "backward_share": floors[1] / backward}
            rows.append(row)
        timed = [row for row in rows[-len(TILINGS) :] if "forward" in row]
        for pass_ in ("forward", "backward"):
            for row in sorted(timed, key=lambda row: row[pass_])[:3]:
                print(
                    f"{row['variant']}, {row['dtype']}, {dict(sizes)}, {pass_}: {row['tiling']} "
                    f"{row[pass_]:.3f} ms {row[f'{pass_}_share']:.0%}"
                )
    result = {**provenance(device), "copy_bandwidth_bytes_per_s": bandwidth, "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
