"""Where and when a measurement was made, and of what."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
"""The folder that holds the package: in a copy of the project, the project's own."""


def provenance(device: torch.device) -> dict[str, Any]:
    """Where and when a measurement was made, and of what."""
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = None
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else processor(),
        "driver": _first_line(
            "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
        ),
        "torch": torch.__version__,
        "triton": triton,
        "python": platform.python_version(),
        # A copy of the project without its history is told its commit through the environment.
        "commit": os.environ.get("SEQLAB_COMMIT") or _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """The name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of this copy of the project; None for an installed package, which may
    lie inside a repository of its reader's."""
    git = ("git", "-C", str(ROOT))
    top = _first_line(*git, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != ROOT.resolve():
        return None
    return _first_line(*git, "describe", "--always", "--dirty", "--abbrev=40")


def _first_line(*command: str) -> str | None:
    """What a program prints first; None where there is no such program or it fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return (
        done.stdout.splitlines()[0].strip()
        if done.returncode == 0 and done.stdout
        else None
    )
