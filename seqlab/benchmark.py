"""How fast is each op, beside other people's kernels and beside the least time that it
could take?

Protocol: every implementation is first checked against float64; inputs are random and
rotated past the last level of cache; the median of many calls is kept. The floor is the
larger of two times: the fewest bytes an op must move over the bandwidth of a large
copy, and the operations it needs over the rate of a large matrix product, both measured
on the same device in the same run. "forward" runs without gradients, "forward+backward"
asks for the gradient of every floating input given one of the result. Peers get inputs
in their own layout, made beforehand. Peak memory is what a call allocates beyond its
inputs.
"""

import argparse
import itertools
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.catalogue import PAIRINGS, Arguments, Pairing, Workload
from seqlab.ops.backends import has_triton

ROOT = Path(__file__).parent.parent
MOST_SETS = 32  # of inputs; workloads so small that this does not fill the cache are not worth timing
PATIENCE = 90  # seconds for all measurements of a peer; ours must be done
QUEUED = 20  # calls that are launched ahead of the GPU
CYCLES_PER_SECOND = 2e9  # about what a GPU's clock does
PASSES = ("forward", "forward+backward")


class Absent(Exception):
    """Raised by a peer that cannot take part in a comparison; the message says why."""


@dataclass(frozen=True)
class Call:
    """An implementation with its inputs, in its own layout, and the way back to ours.

    What ``forward(*leaves)`` returns becomes our result through ``output``; a
    gradient of ours becomes theirs through ``cotangents``; the gradients of the leaves
    become ours, by name, through ``gradients``.
    """

    leaves: tuple[Tensor, ...]
    forward: Callable[..., tuple[Tensor, ...]]
    output: Callable[[tuple[Tensor, ...]], Tensor]
    cotangents: Callable[[Tensor], tuple[Tensor, ...]]
    gradients: Callable[[tuple[Tensor, ...]], dict[str, Tensor]]


@dataclass(frozen=True)
class Implementation:
    """Something that computes an op: ``prepare`` makes its call for given arguments, or
    raises ``Absent``."""

    name: str
    op: str
    prepare: Callable[[Arguments], Call]


def benchmark(
    names: Iterable[str] | None = None, quick: bool = False, only: str | None = None
) -> dict[str, Any]:
    """Time ops against their peers and their floors; returns provenance and one row per
    measurement.

    names: ops of the catalogue, all if None. quick: the first size and the first dtype
    of each workload only. only: the name of the one implementation to time, all if
    None. Raises ``ValueError`` for a name that is not in the catalogue.
    """
    names = list(PAIRINGS) if names is None else list(names)
    for name in names:
        if name not in PAIRINGS:
            raise ValueError(
                f"names: expected some of {', '.join(PAIRINGS)}, got {name!r}"
            )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    limits = {
        "copy_bandwidth_bytes_per_s": copy_bandwidth(device),
        "arithmetic_rate_operations_per_s": arithmetic_rate(device),
    }
    rows: list[dict[str, Any]] = []
    for name in names:
        pairing = PAIRINGS[name]
        all_sizes = pairing.workload_sizes[device.type]
        for sizes in all_sizes[:1] if quick else all_sizes:
            for workload in pairing.workloads:
                for dtype in workload.dtypes[:1] if quick else workload.dtypes:
                    rows += _compare(
                        name, pairing, workload, sizes, dtype, device, only
                    )
    return _with_floors({**provenance(device), **limits, "rows": rows})


def implementations(op: str, device: torch.device) -> list[Implementation]:
    """Everything that could compute ``op``: ours, a loop where it is bearable, and the
    adapted peers."""
    from benchmarks.peers import (
        PEERS,
    )  # beside the package in the repository, not installed with it

    kernel = device.type == "cuda" and has_triton() and "cuda" in PAIRINGS[op].sizes
    # Where there is a kernel the portable form is no rival, but the truth that it is held to.
    backend = "triton" if kernel else "portable"
    ours = [
        Implementation(
            f"seqlab, {backend}", op, lambda arguments: _ours(op, arguments, backend)
        )
    ]
    if device.type == "cpu":
        ours.append(
            Implementation(
                "python loop",
                op,
                lambda arguments: _call(op, PAIRINGS[op].loop, arguments),
            )
        )
    return ours + [peer for peer in PEERS if peer.op == op]


def table(result: dict[str, Any]) -> str:
    """The result of ``benchmark`` as text, with the share of the floor's speed that
    each row reaches."""
    lines = [
        f"{result['device']}: a large copy moves {result['copy_bandwidth_bytes_per_s'] / 1e9:.0f} GB/s,",
        f"a large matrix product does {result['arithmetic_rate_operations_per_s'] / 1e9:.0f} G operations/s",
        "(share: the least time the bytes or the arithmetic could take, over the time taken)",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        shape = ", ".join(f"{name} {size}" for name, size in row["shape"].items())
        heading = (
            f"{row['op']}, {row['variant']}, {row['dtype']}, {shape}, {row['pass']}"
        )
        groups.setdefault(heading, []).append(row)
    for heading, rows in groups.items():
        least = f"at least {rows[0]['floor_milliseconds']:.3f} ms ({rows[0]['floor']})"
        lines += ["", f"{heading}: {least}"]
        absent: dict[str, list[str]] = {}
        for row in rows:
            if row["absent"]:
                absent.setdefault(row["absent"], []).append(row["implementation"])
                continue
            share = row["floor_milliseconds"] / row["milliseconds"]
            lines.append(
                f"  {row['implementation']:<36}{row['milliseconds']:10.3f} ms{share:8.0%}"
                f"   error {row['relative_error']:.1e}"
            )
        lines += [
            f"  absent ({reason}): {'; '.join(names)}"
            for reason, names in absent.items()
        ]
    return "\n".join(lines)


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
    parser.add_argument("--only", metavar="IMPLEMENTATION", help="time this one alone")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the result there as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark, print its table, write the result."""
    if not torch.cuda.is_available():
        print(
            "There is no CUDA GPU here: the portable ops are timed against a Python loop, on the CPU.\n"
        )
    results: Iterable[dict[str, Any]]
    if torch.cuda.is_available() and arguments.only is None:
        results = _isolated(arguments.ops, arguments.quick)
    else:
        results = [benchmark(arguments.ops, arguments.quick, arguments.only)]
    # Written as it grows: what is cut off leaves what was measured.
    for result in results:
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    return 0


def _isolated(names: Sequence[str] | None, quick: bool) -> Iterator[dict[str, Any]]:
    """``benchmark`` with a process for each implementation, as an error on a GPU ends
    the process that meets it: the result so far, after each of them."""
    results: list[dict[str, Any]] = []
    everything = {
        i.name: i
        for op in names or PAIRINGS
        for i in implementations(op, torch.device("cuda"))
    }
    for name in everything:
        found, trouble = _in_a_process(name, names, quick)
        if found is not None:
            results.append(found)
        elif name.startswith("seqlab"):
            raise RuntimeError(f"{name} failed:\n" + "\n".join(trouble[-20:]))
        else:
            reason = next((line for line in trouble if "Error:" in line), trouble[-1])
            rows = [_failed(row, name, reason[:200]) for row in results[0]["rows"]]
            results.append({"rows": rows})
        # Beside each other in the result stand the rows of one workload and pass.
        rows = [
            row
            for group in zip(*(result["rows"] for result in results), strict=True)
            for row in group
        ]
        # Each process measured the limits for itself; one floor holds for all of them.
        yield _with_floors({**results[0], "rows": rows})


def _in_a_process(
    name: str, names: Sequence[str] | None, quick: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """What the one implementation measured, or None and what it said instead."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, "-m", "seqlab", "bench", "--only", name]
        command += ["--out", str(out)]
        command += ["--quick"] * quick + (["--ops", *names] if names else [])
        patience = None if name.startswith("seqlab") else PATIENCE
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=patience
            )
        except subprocess.TimeoutExpired:
            return None, [f"was not done after {PATIENCE} s"]
        if done.returncode:
            return None, done.stderr.strip().splitlines() or ["no message"]
        return json.loads(out.read_text()), []


def _with_floors(result: dict[str, Any]) -> dict[str, Any]:
    """The result, and in each row the least time that it could have taken, with the
    limit that sets it."""
    rows = []
    for row in result["rows"]:
        times = {
            "bytes": row["fewest_bytes"] / result["copy_bandwidth_bytes_per_s"],
            # The rate is float32's: half precision is computed in it, and float64 has
            # no higher peak on any device, so there this is a floor, if a low one.
            "arithmetic": row["fewest_operations"]
            / result["arithmetic_rate_operations_per_s"],
        }
        floor = max(times, key=times.__getitem__)
        rows.append({**row, "floor_milliseconds": 1e3 * times[floor], "floor": floor})
    return {**result, "rows": rows}


def _failed(row: dict[str, Any], name: str, reason: str) -> dict[str, Any]:
    nothing = {"milliseconds": None, "peak_memory_bytes": None, "relative_error": None}
    return {
        **row,
        **nothing,
        "implementation": name,
        "absent": f"its process failed: {reason}",
    }


def provenance(device: torch.device) -> dict[str, Any]:
    """Where and when a measurement was made, and of what."""
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = None
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else processor(),
        "driver": _first_line(
            "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
        ),
        "torch": torch.__version__,
        "triton": triton,
        "python": platform.python_version(),
        # A copy of the project without its history is told its commit through the environment.
        "commit": os.environ.get("SEQLAB_COMMIT")
        or _first_line(
            "git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"
        ),
        "date": datetime.now(UTC).date().isoformat(),
    }


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read plus bytes written per second by a copy far larger than any cache."""
    source = torch.ones(
        2**28 if device.type == "cuda" else 2**26, dtype=torch.float32, device=device
    )
    target = torch.empty_like(source)
    return (
        2
        * source.nbytes
        / (1e-3 * milliseconds([lambda: target.copy_(source)], device))
    )


def arithmetic_rate(device: torch.device) -> float:
    """Multiplications plus additions per second of a large matrix product in float32,
    on a CPU by the threads in use."""
    n = 8192 if device.type == "cuda" else 1024
    generator = torch.Generator(device).manual_seed(0)
    matrix = torch.randn(n, n, dtype=torch.float32, generator=generator, device=device)
    product = torch.empty_like(matrix)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # no tf32
    try:
        took = milliseconds([lambda: torch.mm(matrix, matrix, out=product)], device)
    finally:
        torch.set_float32_matmul_precision(precision)
    return 2 * n**3 / (1e-3 * took)


def milliseconds(
    calls: Sequence[Callable[[], object]], device: torch.device, budget: float = 0.3
) -> float:
    """Median time of one call, taken in turn from ``calls``, after a warm-up;
    ``budget`` seconds in all."""
    for call in (*calls, *calls):
        call()
    estimate = statistics.median(_times([calls[0]] * 3, device))
    repeats = min(max(5, round(budget * 1e3 / max(estimate, 1e-3))), 200)
    return statistics.median(
        _times([calls[i % len(calls)] for i in range(repeats)], device)
    )


def _times(calls: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """Milliseconds that each call took."""
    if device.type == "cpu":
        moments = [time.perf_counter()]
        for call in calls:
            call()
            moments.append(time.perf_counter())
        return [1e3 * (after - before) for before, after in itertools.pairwise(moments)]
    torch.cuda.synchronize()
    started = time.perf_counter()
    calls[0]()
    launch = time.perf_counter() - started
    times = []
    for first in range(0, len(calls), QUEUED):
        batch = calls[first : first + QUEUED]
        events = [
            [torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in batch
        ]
        # The GPU idles while launches queue up behind it, which stay out of the times.
        torch.cuda._sleep(int(1.5 * launch * len(batch) * CYCLES_PER_SECOND))
        for call, (start, end) in zip(batch, events, strict=True):
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        times += [start.elapsed_time(end) for start, end in events]
    return times


def _compare(
    name: str,
    pairing: Pairing,
    workload: Workload,
    sizes: Any,
    dtype: torch.dtype,
    device: torch.device,
    only: str | None,
) -> list[dict[str, Any]]:
    """Rows of every implementation on one workload."""
    generator = torch.Generator(device).manual_seed(0)
    sets = [workload.draw(generator, sizes, dtype)]
    cache = (
        torch.cuda.get_device_properties(device).L2_cache_size
        if device.type == "cuda"
        else 2**25
    )
    enough = math.ceil(3 * cache / sum(x.nbytes for x in _tensors(sets[0]).values()))
    for _ in range(min(enough, MOST_SETS) - 1):
        sets.append(workload.draw(generator, sizes, dtype))
    cotangent, truth = _truth(pairing, sets[0], generator)
    needs = []  # bytes and operations, of each pass
    for count in (pairing.fewest_bytes, pairing.operations):
        forward, backward = count(sets[0])
        needs.append((forward, forward + backward))
    everything = [i for i in implementations(name, device) if only in (None, i.name)]
    measured = [
        _measure(implementation, sets, cotangent, truth, device)
        for implementation in everything
    ]
    return [
        {
            "op": name,
            "variant": workload.name,
            "shape": dict(sizes),
            "dtype": str(dtype).removeprefix("torch."),
            "pass": pass_,
            "implementation": implementation.name,
            "milliseconds": found[pass_].get("milliseconds"),
            "absent": found[pass_].get("absent"),
            "fewest_bytes": fewest_bytes,
            "fewest_operations": fewest_operations,
            "peak_memory_bytes": found[pass_].get("peak_memory_bytes"),
            "relative_error": found[pass_].get("relative_error"),
        }
        for pass_, fewest_bytes, fewest_operations in zip(PASSES, *needs, strict=True)
        for implementation, found in zip(everything, measured, strict=True)
    ]


def _measure(
    implementation: Implementation,
    sets: list[Arguments],
    cotangent: Tensor,
    truth: dict[str, Tensor],
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """For each pass: the error, the time and the peak memory, or the reason why there
    are none."""
    found: dict[str, dict[str, Any]] = {}
    for pass_ in PASSES:
        try:
            calls = [implementation.prepare(arguments) for arguments in sets]
            runs = [_pass(call, call.cotangents(cotangent), pass_) for call in calls]
            found[pass_] = {
                "relative_error": _error(calls[0], runs[0](), truth),
                "milliseconds": milliseconds(runs, device),
                "peak_memory_bytes": _peak_memory(runs[0], device),
            }
        except Absent as absent:
            found[pass_] = {"absent": str(absent)}
        except ImportError as missing:
            found[pass_] = {"absent": f"cannot be imported: {missing}"}
        except Exception as failure:
            # A peer that breaks is a finding to record; ours must not break.
            if implementation.name.startswith("seqlab"):
                raise
            lines = [
                line.strip() for line in str(failure).splitlines() if line.strip()
            ] or ["no message"]
            found[pass_] = {
                "absent": f"failed: {type(failure).__name__}: {lines[0][:200]}"
            }
    return found


Result = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


def _pass(
    call: Call, cotangents: tuple[Tensor, ...], pass_: str
) -> Callable[[], Result]:
    """One pass as a function without arguments, returning the outputs and the gradients
    of the leaves."""

    def forward() -> Result:
        with torch.no_grad():
            return call.forward(*call.leaves), ()

    def forward_and_backward() -> Result:
        leaves = [leaf.detach().requires_grad_() for leaf in call.leaves]
        outputs = call.forward(*leaves)
        return outputs, torch.autograd.grad(outputs, leaves, cotangents)

    return forward if pass_ == "forward" else forward_and_backward


def _truth(
    pairing: Pairing, arguments: Arguments, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """A random gradient for the result, and in float64 that output and the
    arguments' gradients."""
    tensors = _tensors(arguments)
    wide = {key: x.to(_wide(x)).requires_grad_() for key, x in tensors.items()}
    # The portable form in float64, which ``verify`` holds to a plain loop: at these lengths a loop takes minutes.
    outputs = pairing.op(**{**arguments, **wide}, backend="portable")
    output = _one(outputs[: pairing.results])
    like = next(iter(tensors.values()))
    cotangent = torch.randn(
        output.shape, dtype=like.dtype, device=like.device, generator=generator
    )
    gradients = torch.autograd.grad(
        output, list(wide.values()), cotangent.to(output.dtype)
    )
    return cotangent, {
        "output": output.detach(),
        **dict(zip(wide, gradients, strict=True)),
    }


@torch.no_grad()
def _error(call: Call, result: Result, truth: dict[str, Tensor]) -> float:
    """The largest relative error among the output and, where they were asked for, the
    gradients."""
    outputs, gradients = result
    found = {"output": call.output(outputs)}
    if gradients:
        found |= call.gradients(gradients)
    errors = [
        (x.to(truth[key].dtype) - truth[key]).norm() / truth[key].norm()
        for key, x in found.items()
    ]
    return float(torch.stack(errors).max())


def _wide(x: Tensor) -> torch.dtype:
    return torch.complex128 if x.is_complex() else torch.float64


def _peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _one(results: Sequence[Tensor]) -> Tensor:
    """The results of an op as one tensor."""
    return results[0] if len(results) == 1 else torch.stack(tuple(results))


def _call(
    op: str,
    function: Callable[..., tuple[Tensor, ...]],
    arguments: Arguments,
    **options: str,
) -> Call:
    """A call of something that takes our arguments in our layout."""
    tensors = _tensors(arguments)
    names = tuple(tensors)
    results = PAIRINGS[op].results
    return Call(
        leaves=tuple(tensors.values()),
        forward=lambda *leaves: function(
            **{**arguments, **dict(zip(names, leaves, strict=True))}, **options
        )[:results],
        output=_one,
        cotangents=lambda cotangent: (
            (cotangent,) if results == 1 else cotangent.unbind()
        ),
        gradients=lambda gradients: dict(zip(names, gradients, strict=True)),
    )


def _tensors(arguments: Arguments) -> dict[str, Tensor]:
    """The arguments without options such as a method's name."""
    return {key: x for key, x in arguments.items() if isinstance(x, Tensor)}


def _ours(op: str, arguments: Arguments, backend: str) -> Call:
    return _call(op, PAIRINGS[op].op, arguments, backend=backend)


def processor() -> str:
    """The name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def _first_line(*command: str) -> str | None:
    """What a program prints first; None where there is no such program or it fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return (
        done.stdout.splitlines()[0].strip()
        if done.returncode == 0 and done.stdout
        else None
    )
