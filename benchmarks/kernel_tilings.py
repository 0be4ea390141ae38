"""Which tilings of the kernels are fastest?

``python -m benchmarks.kernel_tilings --out benchmarks/results/kernel_tilings_DEVICE.json --ops mlstm``

A setting gives other values to names of the module that tiles an op's kernels. Each takes part in a benchmark of its
own: held to float64, then timed on every workload of the catalogue, with its memory; one that does not fit on the chip
says so. What wins stands in the module. All are compiled beforehand, side by side. About a minute for an op on a Hopper
GPU.
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from benchmarks.timed_rungs import set_values
from seqlab.benchmark import Absent, Call, Implementation, plain_call
from seqlab.benchmark.command import write
from seqlab.benchmark.comparison import compare, device_here
from seqlab.benchmark.problem import problems
from seqlab.catalogue import PAIRINGS, Arguments

Setting = Mapping[str, Any]


def settings(*names: str, values: Any) -> list[Setting]:
    """For each value a setting that gives it to all the names."""
    return [dict.fromkeys(names, value) for value in values]


def tilings(names: str, *rows: tuple[int, ...]) -> list[dict[str, int]]:
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


ROWS = [(32, 64), (64, 32), (64, 64), (64, 128)]
MODES = [(modes, warps) for modes in (16, 32) for warps in (4, 8)]
WALKS = [  # STEPS, RUNS, PAIRS, ENTRIES, warps
    (16, 16, 32, 4, 8), (16, 16, 32, 8, 8), (16, 16, 16, 2, 4), (16, 16, 16, 4, 4), (16, 16, 16, 8, 4),
    (16, 8, 32, 8, 4), (16, 8, 16, 4, 4), (16, 32, 8, 2, 8), (16, 32, 16, 2, 8), (8, 16, 32, 8, 4),
    (8, 16, 16, 4, 8), (8, 8, 32, 8, 4), (8, 32, 16, 2, 4), (8, 32, 8, 2, 8), (4, 16, 32, 8, 4),
]  # fmt: skip
CHUNKS = tilings(
    "CHUNK STEPS num_warps",
    *((*steps, warps) for steps in [(32, 8), (64, 4), (64, 16), (128, 8)] for warps in (4, 8)),
)

SWEEPS: dict[str, list[Setting]] = {
    "linear_scan": [{"TILINGS": {0: 4 * (walk,)}, "OF_16_BITS": 4 * (walk,)} for walk in WALKS],
    "ssm_kernel": settings(
        "FORWARD", "BACKWARD",
        values=tilings("ROWS COLUMNS MODES num_warps", *((*rows, *modes) for rows in ROWS for modes in MODES)),
    ),
    "dplr_kernel": settings(
        "FORWARD", "BACKWARD",
        values=tilings("BLOCK num_warps", (128, 1), (256, 1), (256, 2), (512, 2), (512, 4), (1024, 8)),
    ),
    "causal_convolution": [
        *settings("COMPILED", values=tilings("STEPS BLOCK", (16, 64), (16, 128), (32, 64), (32, 128), (64, 32))),
        *settings("COMPILED_TAPS", values=tilings("TAPS BLOCK", (4, 64), (8, 64), (16, 32), (16, 128), (32, 32))),
        *settings("SHORT", values=(0,)),
    ],
    "flashconv": [
        *settings("COMPILED", values=tilings("TIMES CHANNELS", (32, 32), (64, 32), (64, 64), (32, 128))),
        *settings("COMPILED_BLOCK", values=(128, 256, 1024)),
    ],
    "ssm_scan": [*settings("COMPILED", values=CHUNKS), *settings("LANES", values=(64, 256))],
    "ssm_convolution": [
        *(
            {"T": T, "WALK": walk}
            for T in (32, 64)
            for walk in tilings("ROWS num_warps", (16, 4), (16, 8), (32, 4), (32, 8), (64, 4), (64, 8), (128, 8))
        ),
        *settings("CORRELATION", values=tilings("ROWS num_warps", (16, 8), (32, 4), (32, 8), (64, 8), (64, 16))),
        *settings("ENOUGH", values=(2048,)),
    ],
    "shift_ssm": settings(
        "COMPILED", values=tilings("CHUNK BLOCK num_warps", (16, 128, 4), (32, 64, 2), (32, 256, 4), (64, 64, 4))
    ),
    "wkv": settings(
        "COMPILED",
        values=tilings(
            "CHUNK STEPS BLOCK num_warps",
            (64, 4, 128, 4), (128, 2, 128, 4), (128, 4, 64, 2), (128, 4, 128, 2), (128, 4, 256, 4), (128, 8, 128, 4),
            (256, 4, 128, 4),
        ),
    ),
    "gated_linear_attention": [
        {"COMPILED": {torch.bfloat16: tile}, "STAGES": stages}
        for tile, stages in [((64, 64, 64), 2), *product([(64, 32, 64), (32, 64, 64), (32, 32, 64)], (1, 2))]
    ],
    "gated_linear_attention.head_decay": [
        {"COMPILED": {torch.bfloat16: tuple(tiles)}, "STAGES": stages}
        for *tiles, stages in [
            ((64, 64, 64), (64, 32, 128), (64, 64, 64), 1),
            ((64, 64, 128), (64, 32, 128), (64, 64, 64), 2),
            ((64, 64, 32), (64, 64, 64), (64, 64, 64), 2),
            ((64, 32, 32), (64, 32, 64), (64, 32, 64), 2),
            ((64, 128, 32), (64, 64, 128), (64, 64, 128), 2),
        ]
    ],
    "mlstm": [
        {"COMPILED": {torch.bfloat16: tuple(tiles)}, "STAGES": stages}
        for *tiles, stages in [
            ((64, 64, 64), (64, 64, 64), (64, 64, 64), 2),
            ((64, 64, 128), (64, 32, 128), (64, 64, 64), 1),
            ((64, 64, 128), (64, 64, 128), (64, 32, 64), 2),
            ((64, 128, 64), (64, 32, 128), (64, 64, 64), 2),
        ]
    ],
    "selective_scan": [
        *settings(
            "COMPILED",
            values=tilings("STEPS STAGES num_warps", (4, 3, 1), (4, 4, 1), (8, 2, 1), (8, 4, 1), (8, 3, 2)),
        ),
        *settings("BUSY", values=(1024, 2048, 8192)),
        *settings("BUSY_BACKWARD", values=(1024, 4096)),
        *settings("WAVE", values=(512, 2048)),
        *settings(
            "COMPILED_BACKWARD",
            values=tilings("STEPS STAGES num_warps", (2, 2, 1), (2, 4, 1), (2, 3, 2), (2, 3, 4), (4, 3, 1)),
        ),
    ],
}  # fmt: skip


def module_of(sweep: str) -> ModuleType:
    """Where the tilings of an op stand; one that has kernels in several modules has a sweep of each, op.module."""
    if sweep == "flashconv":  # of many taps
        return import_module("seqlab.ops.convolution.transforms")
    op, _, name = sweep.partition(".")
    name = name or ("plan" if op == "ssm_convolution" else "kernel")
    return import_module(f"{PAIRINGS[op].op.__module__.rpartition('.')[0]}.{name}")


def kernels(sweep: str) -> Iterator[Implementation]:
    """The op with its kernel as it is, and with each setting of its sweep."""
    module, op = module_of(sweep), sweep.partition(".")[0]
    own = {name: getattr(module, name) for setting in SWEEPS[sweep] for name in setting}
    others = (
        setting for setting in SWEEPS[sweep] if any(own[name] != value for name, value in setting.items())
    )
    for setting in ({}, *others):
        name = ", ".join(f"{key} = {value}" for key, value in setting.items()) or "as it is"
        yield Implementation(name, op, partial(prepare, sweep, {**own, **setting}))


def prepare(sweep: str, values: Setting, arguments: Arguments) -> Call:
    """The op's call, from now on with these values in its kernel."""
    op, _, module = sweep.partition(".")
    if op == "gated_linear_attention" and (arguments["log_decay"].ndim == 3) != (module == "head_decay"):
        raise Absent("left out: its kernels are those of another sweep")
    if op == "mlstm" and arguments["v"].dtype == torch.float32:
        raise Absent("left out: its tile is the same in every setting")
    if op == "flashconv" and "A_bar" in arguments:
        raise Absent("left out: it is another op's")
    set_values(module_of(sweep), **values)
    return plain_call(op, PAIRINGS[op].op, arguments, backend="triton")


def compile_for(implementation: Implementation, quick: bool) -> None:
    """Make Triton compile, and keep on the disk, what one setting launches."""
    device = device_here()
    for problem in problems([implementation.op], quick, device):
        arguments = problem.workload.draw(
            torch.Generator(device).manual_seed(0), problem.sizes, problem.dtype
        )
        try:
            call = implementation.prepare(arguments)
            leaves = [leaf.requires_grad_() for leaf in call.leaves]
            outputs = call.forward(*leaves)
            torch.autograd.grad(outputs, leaves, call.cotangents(torch.ones_like(call.output(outputs))))
        except Exception as failure:  # the benchmark meets it again, and keeps it in the record
            print(f"{implementation.op}, {implementation.name}: {type(failure).__name__}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ops", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--quick", action="store_true", help="one size and one dtype of each workload")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("Tilings are timed on a CUDA GPU, and there is none here.")
    everything = [each for op in arguments.ops for each in kernels(op)]
    with multiprocessing.get_context("spawn").Pool(max(1, (os.cpu_count() or 2) - 1)) as pool:
        pool.starmap(compile_for, [(each, arguments.quick) for each in everything], chunksize=1)

    result = compare(everything, arguments.quick, partial(write, out=arguments.out))
    print_best(result["rows"])


def print_best(rows: list[dict[str, Any]]) -> None:
    """Of each problem and pass the three that were fastest, and how it is now."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        problem = row["op"], row["variant"], row["dtype"], str(row["shape"]), row["pass"]
        groups.setdefault(problem, []).append(row)
    for problem, group in groups.items():
        print(*problem)
        timed = sorted(
            (row for row in group if row["queued_milliseconds"]), key=lambda row: row["queued_milliseconds"]
        )
        for row in timed[:3] + [row for row in timed[3:] if row["implementation"] == "as it is"]:
            print(
                f"    {row['queued_milliseconds']:8.3f} ms, error {row['relative_error']:.1e}: {row['implementation']}"
            )


if __name__ == "__main__":
    main()
