"""Ops against their peers and their floors, in this process."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from seqlab.benchmark.implementation import Implementation, implementations
from seqlab.benchmark.limits import Row, limits, with_floor
from seqlab.benchmark.measurement import measure
from seqlab.benchmark.origin import provenance
from seqlab.benchmark.problem import problems
from seqlab.catalogue import PAIRINGS

Keep = Callable[[dict[str, Any]], None]


def benchmark(
    names: Iterable[str] | None = None,
    quick: bool = False,
    peers: Sequence[Implementation] = (),
    only: str | None = None,
    keep: Keep | None = None,
) -> dict[str, Any]:
    """Time ops against ``peers`` and their floors; returns provenance, the device's
    limits and one row per measurement.

    names: ops of the catalogue, all if None. quick: the first size and the first dtype
    of each workload only. only: the name of the one implementation to time, all if
    None. keep: called with the result so far after each problem. Raises ``ValueError``
    for a name that there is not.
    """
    return compare(entrants(names, peers, only), quick, keep)


def device_here() -> torch.device:
    """The device that is measured: the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def entrants(
    names: Iterable[str] | None,
    peers: Sequence[Implementation],
    only: str | None = None,
) -> list[Implementation]:
    """Everything that takes part, op by op; raises as ``benchmark`` does."""
    names = list(PAIRINGS) if names is None else list(names)
    for name in names:
        if name not in PAIRINGS:
            raise ValueError(
                f"names: expected some of {', '.join(PAIRINGS)}, got {name!r}"
            )
    device = device_here()
    found = [each for name in names for each in implementations(name, device, peers)]
    known = dict.fromkeys(each.name for each in found)
    if only is not None and only not in known:
        raise ValueError(f"only: expected one of {'; '.join(known)}, got {only!r}")
    return [each for each in found if only in (None, each.name)]


def compare(
    everything: Sequence[Implementation], quick: bool, keep: Keep | None
) -> dict[str, Any]:
    """The result for these implementations, handed to ``keep`` as it grows."""
    device = device_here()
    result: dict[str, Any] = {**provenance(device), **limits(device), "rows": []}
    names = dict.fromkeys(each.op for each in everything)
    for problem in problems(names, quick, device):
        chosen = [each for each in everything if each.op == problem.op]
        result = with_rows(result, measure(problem, chosen, device))
        if keep is not None:
            keep(result)
    return result


def with_rows(result: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """The result with more rows, those of one problem and pass beside each other, and
    all of them held to the limits of this result."""
    groups: dict[str, list[Row]] = {}
    for row in (*result["rows"], *rows):
        groups.setdefault(group(row), []).append(with_floor(row, result))
    return {**result, "rows": [row for rows in groups.values() for row in rows]}


def group(row: Row) -> str:
    """What the rows of one problem and pass have in common."""
    return repr([row[key] for key in ("op", "variant", "shape", "dtype", "pass")])
