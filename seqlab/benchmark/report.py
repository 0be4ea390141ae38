"""The result of a benchmark as text."""

from typing import Any


def table(result: dict[str, Any]) -> str:
    """The result of ``benchmark`` as text: for each row the milliseconds as called and
    queued, and the share of the floor's speed that the queued call reaches."""
    lines = [
        f"{result['device']}: a large copy moves {result['copy_bandwidth_bytes_per_s'] / 1e9:.0f} GB/s,",
        f"a large matrix product does {result['arithmetic_rate_operations_per_s'] / 1e9:.0f} G operations/s",
        "(share: the least time the bytes or the arithmetic could take, over the time queued)",
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
            share = row["floor_milliseconds"] / row["queued_milliseconds"]
            lines.append(
                f"  {row['implementation']:<36}{row['called_milliseconds']:10.3f} ms called"
                f"{row['queued_milliseconds']:10.3f} ms queued{share:6.0%}"
                f"   error {row['relative_error']:.1e}"
            )
        lines += [
            f"  absent ({reason}): {'; '.join(names)}"
            for reason, names in absent.items()
        ]
    return "\n".join(lines)
