"""Further seeds and further rows, from runs of their own, behind those of a record of training runs.

``python -m benchmarks.join_runs RECORD FURTHER ... --out RECORD``

The runs were made on one kind of device. What is trained in the same way, in as many steps, is one row, with the scores
of all runs one behind the other, so that ``--first-seed`` must be further on in each; a row that a run has alone keeps
its own seeds. The origin of the record is that of the first run, and names the others, those of one commit and day
together. Where each row had a run of its own, join the rows of a seed first, and then the seeds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

PER_SEED = ("scores", "further", "seconds_per_step")


def joined(first: dict[str, Any], further: dict[str, Any]) -> dict[str, Any]:
    """The record ``first`` with the rows of ``further``: seeds that come after its own, or rows that it lacks."""
    if first["device"] != further["device"]:
        raise ValueError(f"device: expected {first['device']} in all records, got {further['device']}")
    begin, again = first.get("first_seed", 0), further.get("first_seed", 0)
    rows = {identity(row): dict(row) for row in first["rows"]}
    shared = [row for row in further["rows"] if identity(row) in rows]
    if shared and again < begin + first["seeds"]:
        raise ValueError(
            f"first_seed: expected {begin + first['seeds']} at least, as those before are there, got {again}"
        )
    for row in further["rows"]:
        same = rows.get(identity(row), {})
        lists = {key: same.get(key, []) + row[key] for key in ("scores", "further") if key in row}
        rows[identity(row)] = {**row, **same, **lists}
    last = again + further["seeds"] - 1
    seeds = f"seed {last}" if last == again else f"seeds {again} to {last}"
    name = seeds if shared else ", ".join(dict.fromkeys(row["task"] for row in further["rows"]))
    origin = {"implementation": name, "commit": further["commit"], "date": further["date"]}
    return {
        **first,
        "seeds": last + 1 - begin if shared else max(first["seeds"], further["seeds"]),
        "joined": together([*first.get("joined", []), origin]),
        "rows": list(rows.values()),
    }


def together(origins: list[dict[str, str]]) -> list[dict[str, str]]:
    """The origins, those of one commit and day as one that names all that was run."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for origin in origins:
        of_run = names.setdefault((origin["commit"], origin["date"]), {})
        of_run.update(dict.fromkeys(origin["implementation"].split(", ")))
    return [
        {"implementation": ", ".join(found), "commit": commit, "date": date}
        for (commit, date), found in names.items()
    ]


def identity(row: dict[str, Any]) -> str:
    """What two runs of a row have in common: all but what a seed makes of it."""
    return json.dumps({key: value for key, value in row.items() if key not in PER_SEED}, sort_keys=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    record, *others = (json.loads(file.read_text()) for file in arguments.records)
    for other in others:
        record = joined(record, other)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
