"""Each peer in a process of its own, as an error on a GPU ends the process that meets
it: ours are measured here, and a peer's process measures all of its ops and sizes."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqlab.benchmark.comparison import Keep, compare, group, with_rows
from seqlab.benchmark.implementation import Implementation
from seqlab.benchmark.measurement import absent_row


def compare_isolated(
    everything: Sequence[Implementation],
    quick: bool,
    module: str,
    peers: Sequence[Implementation],
    keep: Keep | None,
) -> dict[str, Any]:
    """``compare``, where ``peers`` are those of ``module``, the most patient last; what a
    peer measured before its process failed counts."""
    result = compare([each for each in everything if each not in peers], quick, keep)
    ours = {group(row): row for row in result["rows"]}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the memory is theirs now
    patience: dict[str, int] = {}
    for each in everything:
        if each in peers:
            patience[each.name] = max(each.patience, patience.get(each.name, 0))
    for name, seconds in sorted(patience.items(), key=lambda item: item[1]):
        ops = [each.op for each in everything if each.name == name]
        command = [sys.executable, "-m", "seqlab", "bench", "--peers", module]
        command += ["--only", name, "--ops", *ops, *["--quick"] * quick]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "result.json"
            reason: str | None = "its process was interrupted"
            try:
                reason = _run([*command, "--out", str(out)], seconds)
            finally:
                rows = json.loads(out.read_text())["rows"] if out.exists() else []
                measured = {group(row) for row in rows}
                rows += [
                    absent_row(row, name, reason or "its process left this out")
                    for key, row in ours.items()
                    if row["op"] in ops and key not in measured
                ]
                result = with_rows(result, rows)
                if keep is not None:
                    keep(result)
    return result


def _run(command: Sequence[str], seconds: int) -> str | None:
    """Run the command; None if it ended well, or else why it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"its process was not done after {seconds} s"
    if done.returncode == 0:
        return None
    trouble = done.stderr.strip().splitlines() or ["no message"]
    told = next((line for line in trouble if "Error:" in line), trouble[-1])
    return f"its process failed: {told[:200]}"
