"""Recorded results, read back: what a page or a chapter says of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqlab.benchmark.implementation import OURS
from seqlab.benchmark.limits import Row
from seqlab.benchmark.origin import ROOT
from seqlab.benchmark.tables import Table, Tables

RESULTS = ROOT / "benchmarks" / "results"
TIMINGS = {"as called": "called_milliseconds", "queued": "queued_milliseconds"}
LETTERS = {"batch": "B", "length": "L", "channels": "D", "order": "N", "states": "N"}

Record = dict[str, Any]


def read(folder: Path | None = None) -> list[Record]:
    """Every record of a folder, ``benchmarks/results`` if None, in the order of their
    names; none where there is no such folder."""
    files = sorted((RESULTS if folder is None else folder).glob("*.json"))
    return [json.loads(path.read_text()) for path in files]


def comparisons(records: Iterable[Record]) -> list[Record]:
    """Those of ``python -m seqlab bench``."""
    return [
        record
        for record in records
        if any("floor_milliseconds" in row for row in record.get("rows", []))
    ]


def recorded(op: str, folder: Path | None = None) -> Tables:
    """What is recorded of an op's speed in a folder, ``benchmarks/results`` if None, as
    tables for a notebook: for each workload a line for each implementation, with the
    time and the share of the floor's speed of each pass."""
    tables = [
        times(own, f"{op} on {record['device']}", record)
        for record in comparisons(read(folder))
        if (own := [row for row in record["rows"] if row["op"] == op])
    ]
    nothing = f"No benchmark of {op} is recorded beside this copy of the package: `python -m seqlab bench` makes one."
    return Tables(tables, nothing)


def tabulate(
    name: str, make: Callable[[Record], Table], folder: Path | None = None
) -> Tables:
    """Whatever is recorded as ``name_DEVICE.json`` in a folder, ``benchmarks/results`` if
    None, as the tables that ``make`` makes of the records, each with its origin below and
    without columns for which nothing is recorded."""
    files = sorted((RESULTS if folder is None else folder).glob(f"{name}_*.json"))
    tables = []
    for record in (json.loads(path.read_text()) for path in files):
        table = make(record).filled()
        tables.append(replace(table, notes=[*table.notes, f"{origin(record)}."]))
    nothing = f"{name} is not recorded beside this copy of the package: `python -m benchmarks.{name}` makes a record."
    return Tables(tables, nothing)


def rungs(record: Record) -> Table:
    """The versions of a kernel, the first one the simplest, with what each brings."""
    times = [rung["milliseconds"] for rung in record["rungs"]]
    columns = {
        "version": [rung["name"] for rung in record["rungs"]],
        "ms": list(map(milliseconds, times)),
        "times as fast": [ratio(times[0] / each) for each in times],
    }
    if floor := record.get("floor_milliseconds"):
        columns["of the floor"] = [percent(floor / each) for each in times]
    lines = list(zip(*columns.values(), strict=True))
    return Table(list(columns), lines, f"{shape(record['shape'])}, queued", wide=True)


def origin(record: Record) -> str:
    """One line that says where, when and of what a record's numbers were measured. Rows
    of other commits or days on the same device, ``joined``, are named with theirs."""
    parts = [
        record["device"],
        f"driver {record['driver']}" if record["driver"] else None,
        f"torch {record['torch']}",
        f"triton {record['triton']}" if record["triton"] else None,
        f"Python {record['python']}",
        f"commit {record['commit'][:12]}" if record["commit"] else None,
        record["date"],
    ]
    others: dict[tuple[str, str], list[str]] = {}
    for each in record.get("joined", []):
        if (each["commit"], each["date"]) != (record["commit"], record["date"]):
            others.setdefault((each["commit"], each["date"]), []).append(
                each["implementation"]
            )
    parts += [
        f"of commit {commit[:12]}, {date}: {', '.join(names)}"
        for (commit, date), names in others.items()
    ]
    return "; ".join(part for part in parts if part)


def shape(sizes: dict[str, int]) -> str:
    """Sizes in the book's letters."""
    return ", ".join(f"{LETTERS.get(name, name)} {sizes[name]:,}" for name in sizes)


def workload(row: Row) -> str:
    """What was computed, without how, in two lines."""
    return f"{row['variant']}, {row['dtype']}\n{shape(row['shape'])}"


def is_ours(row: Row) -> bool:
    """Whether it is a row of this package's op."""
    return row["implementation"].startswith(OURS)


def share(row: Row, timing: str) -> float | None:
    """The share of the floor's speed that a row reaches; None where it has no time."""
    taken = row[TIMINGS[timing]]
    return None if taken is None else row["floor_milliseconds"] / taken


def fastest_peer(rows: Iterable[Row], ours: Row, timing: str) -> Row | None:
    """The fastest of the peers on the problem and pass of one of our rows; None where
    none was timed so."""
    same = ("op", "variant", "shape", "dtype", "pass")
    peers = [
        row
        for row in rows
        if not is_ours(row)
        and row[TIMINGS[timing]] is not None
        and all(row[key] == ours[key] for key in same)
    ]
    return min(peers, key=lambda row: row[TIMINGS[timing]], default=None)


def speed_over_fastest_peer(
    rows: Iterable[Row], ours: Row, timing: str
) -> float | None:
    """How many times as fast as the fastest peer one of our rows is; None where there
    is nothing to compare."""
    peer = fastest_peer(rows, ours, timing)
    taken = ours[TIMINGS[timing]]
    return None if peer is None or taken is None else peer[TIMINGS[timing]] / taken


def times(rows: Sequence[Row], caption: str, record: Record) -> Table:
    """Milliseconds of each pass, queued and in brackets as called, with the share of the
    floor's speed; the floor is the first line of each workload."""
    called_too = any(row["called_milliseconds"] is not None for row in rows)

    def cells(row: Row) -> tuple[str, str]:
        called, queued = row["called_milliseconds"], row["queued_milliseconds"]
        told = milliseconds(queued) + f"\n({milliseconds(called)})" * called_too
        reached = share(row, "queued")
        return told, "" if reached is None else percent(reached)

    def floor(row: Row) -> tuple[str, str]:
        # A word that fits the column of a phone.
        limit = {"bytes": "bytes", "arithmetic": "compute"}[row["floor"]]
        return milliseconds(row["floor_milliseconds"]), limit

    notes = [
        "Milliseconds queued, many calls ahead of the GPU"
        + "; in brackets as called, one at a time" * called_too
        + ".",
        "The floor: the least time that the bytes or the arithmetic (compute) could take; "
        "of the floor: the share of its speed.",
    ]
    if called_too and any(
        row["absent"] is None and None in (row[key] for key in TIMINGS.values())
        for row in rows
    ):
        notes.append("–: this record has no such time.")
    notes += [*_errors(rows), *_absences(rows), f"{origin(record)}."]
    heads = ("{}, ms", "of the floor")
    return _by_workload(rows, heads, cells, caption, notes, floor)


def _errors(rows: Iterable[Row]) -> list[str]:
    worst: dict[str, float] = {}
    for row in rows:
        if row["relative_error"] is not None:
            key = f"{row['implementation']} in {row['dtype']}"
            worst[key] = max(worst.get(key, 0.0), row["relative_error"])
    told = "; ".join(
        f"{key} {error:.0e}" if error else f"{key} 0" for key, error in worst.items()
    )
    return [f"Largest relative error against float64, gradients included: {told}."]


def _absences(rows: Iterable[Row]) -> list[str]:
    """Who was not timed, on what where that is not everything, and why: one note."""
    every: dict[str, dict[str, list[str]]] = {}
    absent: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        name, what = row["implementation"], f"{row['variant']} in {row['dtype']}"
        of_all = every.setdefault(name, {}).setdefault(what, [])
        of_all.append(shape(row["shape"]))
        if row["absent"]:
            of_reason = absent.setdefault((name, row["absent"]), {})
            of_reason.setdefault(what, []).append(shape(row["shape"]))
    told = []
    for (name, reason), where in absent.items():
        parts = [
            what
            if sorted(shapes) == sorted(every[name][what])
            else f"{what} at {' and at '.join(dict.fromkeys(shapes))}"
            for what, shapes in where.items()
        ]
        part = "" if parts == list(every[name]) else f" on {', '.join(parts)}"
        told.append(f"{name}{part}: {reason}")
    return [f"Absent: {'; '.join(told)}."] if told else []


def memory(rows: Sequence[Row], caption: str, record: Record) -> Table | None:
    """Peak memory; None where none was recorded, as on a CPU."""
    rows = [row for row in rows if row["peak_memory_bytes"] is not None]

    def cells(row: Row) -> tuple[str]:
        return (f"{row['peak_memory_bytes'] / 2**20:,.1f}",)

    notes = [
        "MiB that a call allocates beyond its inputs, and that ops keep for the next one.",
        f"{origin(record)}.",
    ]
    return _by_workload(rows, ("{}, MiB",), cells, caption, notes) if rows else None


def _by_workload(
    rows: Sequence[Row],
    heads: Sequence[str],
    cells: Callable[[Row], Sequence[str]],
    caption: str,
    notes: Sequence[str],
    floor: Callable[[Row], Sequence[str]] | None = None,
) -> Table:
    """A heading for each workload, below it a line for each implementation that was
    timed, with the ``cells`` of every pass side by side."""
    passes = list(dict.fromkeys(row["pass"] for row in rows))
    groups: dict[str, dict[str, dict[str, Sequence[str]]]] = {}
    for row in rows:
        group = groups.setdefault(workload(row).replace("\n", "; "), {})
        if floor is not None:
            group.setdefault("floor", {})[row["pass"]] = floor(row)
        if not row["absent"]:
            group.setdefault(row["implementation"], {})[row["pass"]] = cells(row)
    lines: list[Sequence[str]] = []
    for heading, found in groups.items():
        lines.append((heading,))
        for name, by_pass in found.items():
            missing = ("",) * len(heads)
            each = [text for which in passes for text in by_pass.get(which, missing)]
            lines.append((name, *each))
    told = [head.format(name.replace("+", " + ")) for name in passes for head in heads]
    return Table(["implementation", *told], lines, caption, notes)


def percent(part: float) -> str:
    """A share in percent, with a digit more where it rounds to nothing."""
    if part < 0.0005:
        return "under 0.1%"
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def ratio(times: float) -> str:
    """How many times as fast, with no digit behind the point where that would be the
    fourth or a later one."""
    return f"{times:.1f}" if times < 100 else f"{times:,.0f}"


def milliseconds(taken: float | None) -> str:
    """A time with about three digits, or a dash where there is none."""
    if taken is None:
        return "–"
    if taken < 0.01:
        return f"{taken:.2g}"
    return f"{taken:.3f}" if taken < 10 else f"{taken:.1f}"
