"""Where we lose, and why: read from the records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seqlab.benchmark.limits import Row
from seqlab.benchmark.records import (
    TIMINGS,
    Record,
    fastest_peer,
    is_ours,
    percent,
    shape,
    share,
    speed_over_fastest_peer,
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
    measured: tuple[str, ...]
    """What the record itself tells of it."""
    explained: str | None
    """What else there is to know, None where the record tells all."""

    @property
    def is_behind(self) -> bool:
        """Whether a peer is faster, in one way or the other."""
        return any(speed is not None and speed < 1 for speed in self.speeds.values())


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
        far, of_kernel = _far_from_the_floor(record, row)
        behind = _behind_a_peer(record, row, speeds)
        slower = speeds["queued"] is not None and speeds["queued"] < 1
        explained = None
        if of_kernel or slower:
            explained = explain(row) or "not explained yet"
        if far or behind or explained:
            found.append(Loss(row, speeds, (*far, *behind), explained))
    return found


def _far_from_the_floor(record: Record, row: Row) -> tuple[list[str], bool]:
    """What the record tells of it, and whether there is something left to explain."""
    floor, called, queued = (
        row[key] for key in ("floor_milliseconds", *TIMINGS.values())
    )
    smallest = record.get("smallest_queued_milliseconds") or 0.0
    if floor / queued < ENOUGH:
        of_launch = f"the floor is {duration(floor)}, and the smallest kernel there is takes {duration(smallest)}"
        told = [of_launch] if floor < smallest else []
        return told, max(floor, smallest) / queued < ENOUGH
    if called is not None and floor / called < ENOUGH:
        of_host = (
            f"the caller waits {duration(called)}, of which the GPU works {duration(queued)}:"
            " the rest is Python and launches"
        )
        return [of_host], False
    return [], False


def _behind_a_peer(
    record: Record, row: Row, speeds: dict[str, float | None]
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
    return [reason]


def lost(records: Sequence[Record], explain: Explain) -> list[Table]:
    """``losses`` as tables, two for each device: where a peer is faster, and where none
    is but the floor is far."""
    tables: dict[tuple[str, bool], list[Loss]] = {}
    for record in records:
        for loss in losses(record, explain):
            tables.setdefault((record["device"], loss.is_behind), []).append(loss)
    captions = {
        True: "A peer is faster",
        False: "No peer is faster, but the floor is far",
    }
    return [
        _table(tables[device, behind], f"{captions[behind]}: {device}")
        for behind in (True, False)
        for device, which in tables
        if which == behind
    ]


def _table(found: Sequence[Loss], caption: str) -> Table:
    """A heading for each op, variant and dtype, below it a line for each row; what explains
    several of them stands once, below the table."""

    def both(numbers: Iterable[float | None], say: Callable[[float], str]) -> str:
        return " / ".join("–" if number is None else say(number) for number in numbers)

    notes: dict[str, str] = {}
    lines: list[tuple[str, ...]] = []
    heading = ""
    for loss in found:
        row = loss.row
        if heading != (heading := f"{row['op']}: {row['variant']}, {row['dtype']}"):
            lines.append((heading,))
        why = list(loss.measured)
        if loss.explained:
            why.append(notes.setdefault(loss.explained, f"note {len(notes) + 1}"))
        lines.append(
            (
                f"{shape(row['shape'])}\n{row['pass']}",
                both((share(row, timing) for timing in TIMINGS), percent),
                both(loss.speeds.values(), "{:.2f}".format),
                "; ".join(why),
            )
        )
    head = ["workload", "share of the floor", "speed over the fastest peer", "why"]
    told = [f"{name.capitalize()}: {reason}." for reason, name in notes.items()]
    dash = "Both numbers as called / queued; –: no peer computes it, or this record has no such time."
    return Table(head, lines, caption, [dash, *told], wide=True)
