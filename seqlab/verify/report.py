"""The rows of a verification as text."""

from collections.abc import Iterable

import numpy as np

from seqlab.verify.errors import Row

LINE = 88
"""As many characters of the table as a page of the book shows without scrolling."""
OK, OVER = "    ok", "  OVER"


def table(rows: Iterable[Row]) -> str:
    """The rows as text: for each op, backend and dtype the largest errors, in several
    parts where there are many quantities, then every row over its bound."""
    rows = list(rows)
    lines: list[str] = []
    for op in dict.fromkeys(row.op for row in rows):
        of_op = [row for row in rows if row.op == op]
        quantities = list(dict.fromkeys(name for row in of_op for name in row.bounds))
        lines += [
            "",
            f"{op}: relative error against float64, the largest over samples and sizes",
            "",
        ]
        for part in _parts(quantities):
            head = "".join(f"{name:>{_width(name)}}" for name in part)
            head = _start("backend", "dtype", "inputs") + head
            lines += [head, "-" * (len(head) + len(OVER))]
            for backend, dtype, hard in dict.fromkeys(
                (row.backend, row.dtype, row.hard) for row in of_op
            ):
                group = [
                    row
                    for row in of_op
                    if (row.backend, row.dtype, row.hard) == (backend, dtype, hard)
                ]
                within = all(row.within(part) for row in group)
                lines.append(
                    _start(backend, dtype, "hard" if hard else "ordinary")
                    + "".join(
                        f"{_largest(group, name):>{_width(name)}}" for name in part
                    )
                    + (OK if within else OVER)
                )
            lines.append("")
        lines.pop()
    over = [row for row in rows if not row.passed]
    lines += [
        "",
        f"{len(rows) - len(over)} of {len(rows)} comparisons are within their bounds.",
    ]
    wider = {
        f"wider: {row.op}, {row.sample}, {name}: {reason}"
        for row in rows
        for name, reason in row.reasons.items()
    }
    lines += sorted(wider)
    for row in over:
        lines.append(f"over: {row.op}, {row.backend}, {row.dtype}, {row.sample}:")
        for name, bound in row.bounds.items():
            if not row.errors[name] <= bound:
                at = ", ".join(f"{key} {size}" for key, size in row.where[name].items())
                lines.append(
                    f"    {name}: {row.errors[name]:.1e}, bound {bound:.0e}, at {at}"
                )
    return "\n".join(lines[1:])


def _start(backend: str, dtype: str, inputs: str) -> str:
    return f"{backend:<12}{dtype:<11}{inputs:<9}"


def _width(quantity: str) -> int:
    return max(9, len(quantity) + 2)


def _parts(quantities: Iterable[str]) -> list[list[str]]:
    """The quantities in their order, as many in each part as have room in a line beside
    what a row begins and ends with."""
    room = LINE - len(_start("", "", "")) - len(OVER)
    parts: list[list[str]] = [[]]
    for name in quantities:
        if sum(map(_width, [*parts[-1], name])) > room:
            parts.append([])
        parts[-1].append(name)
    return parts


def _largest(rows: list[Row], quantity: str) -> str:
    errors = [row.errors[quantity] for row in rows if quantity in row.errors]
    return f"{np.max(errors):.1e}" if errors else ""
