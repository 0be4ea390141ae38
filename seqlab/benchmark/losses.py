"""Where we lose, and why: read from the records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seqlab.benchmark.limits import Row
from seqlab.benchmark.records import (
    TIMINGS,
    Record,
    fastest_peer,
    is_ours,
    origin,
    percent,
    share,
    speed_over_fastest_peer,
    workload,
)
from seqlab.benchmark.tables import Table

ENOUGH = 0.6  # of the floor's speed: below it, a row is a loss

Explain = Callable[[Row], str | None]
"""What there is to know about a row whose kernels are slow; None where nothing is."""


def duration(taken: float) -> str:
    """Milliseconds as a sentence says them."""
    number, unit = (1e3 * taken, "µs") if taken < 1 else (taken, "ms")
    return f"{number:.2g} {unit}" if number < 10 else f"{number:.0f} {unit}"


@dataclass(frozen=True)
class Loss:
    """One of our rows where a peer is faster or the floor is far, and why."""

    row: Row
    speeds: dict[str, float | None]
    reasons: tuple[str, ...]


def losses(record: Record, explain: Explain) -> list[Loss]:
    """Our rows of a record where a peer is faster, or the share of the floor's speed is
    below ``ENOUGH``.

    What can be told from the record is: that a launch takes longer than the floor, that
    the host does. ``explain`` says what else there is to know about a row whose kernels
    are slow, or None.
    """
    found = []
    for row in filter(is_ours, record["rows"]):
        if row["absent"]:
            continue
        speeds = {
            timing: speed_over_fastest_peer(record["rows"], row, timing)
            for timing in TIMINGS
        }
        reasons = (
            *_far_from_the_floor(record, row, explain),
            *_behind_a_peer(record, row, speeds, explain),
        )
        if reasons:
            found.append(Loss(row, speeds, tuple(dict.fromkeys(reasons))))
    return found


def _far_from_the_floor(record: Record, row: Row, explain: Explain) -> list[str]:
    reasons = []
    floor, called, queued = (
        row[key] for key in ("floor_milliseconds", *TIMINGS.values())
    )
    smallest = record.get("smallest_queued_milliseconds") or 0.0
    if floor / queued < ENOUGH:
        if floor < smallest:
            reasons.append(
                f"the floor is {duration(floor)}, and the smallest kernel there is takes {duration(smallest)}"
            )
        if max(floor, smallest) / queued < ENOUGH:
            reasons.append(explain(row) or "not explained yet")
    elif called is not None and floor / called < ENOUGH:
        reasons.append(
            f"the caller waits {duration(called)}, of which the GPU works {duration(queued)}:"
            " the rest is Python and launches"
        )
    return reasons


def _behind_a_peer(
    record: Record, row: Row, speeds: dict[str, float | None], explain: Explain
) -> list[str]:
    slower = [
        timing for timing, speed in speeds.items() if speed is not None and speed < 1
    ]
    if not slower:
        return []
    peers = [fastest_peer(record["rows"], row, timing) for timing in slower]
    names = " and ".join(
        dict.fromkeys(peer["implementation"] for peer in peers if peer)
    )
    reason = f"{names} is faster {' and '.join(slower)}"
    if slower == ["as called"] and peers[0] and peers[0]["queued_milliseconds"]:
        ours, theirs = (
            each["called_milliseconds"] - each["queued_milliseconds"]
            for each in (row, peers[0])
        )
        reason += (
            f": beyond the GPU's own time the caller waits {duration(max(ours, 0))} for ours,"
            f" {duration(max(theirs, 0))} for theirs"
        )
    told = explain(row) if "queued" in slower else None
    return [reason, *([told] if told else [])]


def lost(records: Sequence[Record], explain: Explain) -> list[Table]:
    """``losses`` as tables, one for all records of one origin."""
    tables: dict[str, list[Loss]] = {}
    for record in records:
        tables.setdefault(origin(record), []).extend(losses(record, explain))
    head = [
        "workload",
        "share of the floor",
        "speed over the fastest peer",
        "why",
    ]
    notes = [
        "Both numbers as called / queued; –: no peer computes it, or this record has no such time."
    ]
    return [
        Table(head, _lines(found), "Where we lose", [*notes, f"{where}."], wide=True)
        for where, found in tables.items()
        if found
    ]


def _lines(found: Sequence[Loss]) -> list[tuple[str, ...]]:
    def both(numbers: Iterable[float | None], say: Callable[[float], str]) -> str:
        return " / ".join("–" if number is None else say(number) for number in numbers)

    lines: list[tuple[str, ...]] = []
    before = None
    for loss in found:
        why = "; ".join(loss.reasons)
        lines.append(
            (
                f"{loss.row['op']}, {loss.row['pass']}\n{workload(loss.row)}",
                both((share(loss.row, timing) for timing in TIMINGS), percent),
                both(loss.speeds.values(), "{:.2f}".format),
                "as above" if why == before else why,
            )
        )
        before = why
    return lines
