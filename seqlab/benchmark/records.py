"""Recorded results, read back: what a page or a chapter says of them."""

import json
from collections.abc import Callable, Iterable, Sequence
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
    tables for a notebook: a line for each workload and pass, a column for each
    implementation."""
    tables = [
        times([row for row in record["rows"] if row["op"] == op], origin(record))
        for record in comparisons(read(folder))
        if any(row["op"] == op for row in record["rows"])
    ]
    nothing = f"No benchmark of {op} is recorded beside this copy of the package: python -m seqlab bench makes one."
    return Tables(tables, nothing)


def origin(record: Record) -> str:
    """One line that says where, when and of what a record's numbers were measured."""
    parts = [
        record["device"],
        f"driver {record['driver']}" if record["driver"] else None,
        f"torch {record['torch']}",
        f"triton {record['triton']}" if record["triton"] else None,
        f"Python {record['python']}",
        f"commit {record['commit'][:12]}" if record["commit"] else None,
        record["date"],
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


def times(rows: Sequence[Row], caption: str) -> Table:
    """Milliseconds as called and queued, with the share of the floor's speed."""

    def cell(row: Row) -> str:
        called, queued = (milliseconds(row[key]) for key in TIMINGS.values())
        reached = share(row, "queued")
        return f"{called} / {queued}" + (
            "" if reached is None else f"\n{percent(reached)}"
        )

    notes = [
        "Milliseconds as called / queued; below, the share of the floor's speed that the queued call reaches."
    ]
    if any(
        row["absent"] is None and None in (row[key] for key in TIMINGS.values())
        for row in rows
    ):
        notes.append("–: this record has no such time.")
    reasons: dict[str, list[str]] = {}
    errors: dict[str, float] = {}
    for row in rows:
        name = row["implementation"]
        if row["absent"]:
            names = reasons.setdefault(row["absent"], [])
            names += [name] * (name not in names)
        elif row["relative_error"] is not None:
            key = f"{name} in {row['dtype']}"
            errors[key] = max(errors.get(key, 0.0), row["relative_error"])
    worst = "; ".join(
        f"{key} {error:.0e}" if error else f"{key} 0" for key, error in errors.items()
    )
    notes.append(
        f"Largest relative error against float64, gradients included: {worst}."
    )
    notes += [
        f"Absent ({reason}): {'; '.join(names)}." for reason, names in reasons.items()
    ]
    return _by_implementation(rows, cell, caption, notes)


def memory(rows: Sequence[Row], caption: str) -> Table | None:
    """Peak memory; None where none was recorded, as on a CPU."""
    rows = [row for row in rows if row["peak_memory_bytes"] is not None]

    def cell(row: Row) -> str:
        return f"{row['peak_memory_bytes'] / 2**20:,.1f}"

    notes = [
        "MiB that a call allocates beyond its inputs, and that ops keep for the next one."
    ]
    return _by_implementation(rows, cell, caption, notes) if rows else None


def _by_implementation(
    rows: Sequence[Row],
    cell: Callable[[Row], str],
    caption: str,
    notes: Sequence[str],
) -> Table:
    columns = list(
        dict.fromkeys(row["implementation"] for row in rows if not row["absent"])
    )
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        floor = f"{milliseconds(row['floor_milliseconds'])}\n{row['floor']}"
        passes = row["pass"].replace("+", " +\n")
        line = lines.setdefault((workload(row), passes, floor), {})
        line[row["implementation"]] = "absent" if row["absent"] else cell(row)
    body = [
        (*first, *(found.get(column, "") for column in columns))
        for first, found in lines.items()
    ]
    return Table(["workload", "pass", "floor, ms", *columns], body, caption, notes)


def percent(part: float) -> str:
    """A share in percent, with a digit more where it rounds to nothing."""
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"


def milliseconds(taken: float | None) -> str:
    """A time with about three digits, or a dash where there is none."""
    if taken is None:
        return "–"
    if taken < 0.01:
        return f"{taken:.2g}"
    return f"{taken:.3f}" if taken < 10 else f"{taken:.1f}"
