"""Run the tests that need a real GPU, and keep what passed, what failed, and what was skipped and why.

``python -m benchmarks.gpu_tests --out benchmarks/results/gpu_tests_DEVICE.json``

The file is written anew after every test, so that a run which is cut off leaves what it found.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.benchmark import ROOT, provenance


class Recorder:
    """A plugin for pytest that writes every outcome down as it comes."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.record: dict[str, Any] = {
            **provenance(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
            "tests": [],
        }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test when it has run, or when it was stopped before it could."""
        if report.when != "call" and report.passed:
            return
        test = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)}
        if not report.passed:
            why = report.longrepr
            test["why"] = why[2] if isinstance(why, tuple) else raised(report.longreprtext)
        self.record["tests"].append(test)
        self.out.write_text(json.dumps(self.record, indent=1) + "\n")


def raised(report: str) -> str:
    """What pytest marks as raised in its report, without the paths of a machine."""
    return "\n".join(line[1:].strip() for line in report.splitlines() if line.startswith("E "))


def main() -> int:
    """Run tests/gpu; returns pytest's own exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    recorder = Recorder(parser.parse_args().out)
    folder = str(ROOT / "tests" / "gpu")
    options = ["-p", "no:cacheprovider", "--durations=10"]
    # Values and gradients are held to the reference by benchmarks.verification.
    together = "not large_indices and not host_time and not equal_the_reference"
    ended = [
        pytest.main([folder, *options, *chosen], plugins=[recorder])
        for chosen in (
            ["-k", together, "-n", str(len(os.sched_getaffinity(0))), "--dist", "worksteal"],
            ["-k", "host_time"],  # what is timed has the machine to itself
            ["-k", "large_indices"],  # and what is large, the GPU
        )
    ]
    return int(max(ended))


if __name__ == "__main__":
    sys.exit(main())
