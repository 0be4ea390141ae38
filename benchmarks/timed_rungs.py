"""What the rungs of the chapters share: their arguments, their record, and the package's launches with other values."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from seqlab.benchmark import copy_bandwidth, provenance, queued_milliseconds
from seqlab.benchmark.comparison import device_here


def out_and_quick(description: str | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    return parser.parse_args()


def record_rungs(
    out: Path,
    sizes: dict[str, int],
    fewest_bytes: int,
    rungs: Iterable[tuple[str, Callable[[], Any]]],
    error: Callable[[Any], float],
    bound: float,
) -> None:
    """Hold what each rung returns to the truth, whose ``error`` stays below ``bound``; time it beside the time that
    ``fewest_bytes`` take; write the record."""
    device = device_here()
    floor = 1e3 * fewest_bytes / copy_bandwidth(device)
    record: dict[str, Any] = {**provenance(device), "shape": sizes, "floor_milliseconds": floor, "rungs": []}
    for name, call in rungs:
        found = error(call())
        assert found < bound, (name, found)
        milliseconds = queued_milliseconds([call], device)
        record["rungs"].append({"name": name, "milliseconds": milliseconds, "relative_error": found})
        print(f"{milliseconds:9.3f} ms  {floor / milliseconds:4.0%}  {found:.0e}  {name}")
    out.write_text(json.dumps(record, indent=1) + "\n")


def relative_error(found: Tensor, truth: np.ndarray) -> float:
    """How far from the truth, in parts of its norm."""
    return float(np.linalg.norm(found.cpu().double().numpy() - truth) / np.linalg.norm(truth))


@contextmanager
def launched_with(module: ModuleType, **values: Any) -> Iterator[None]:
    """The package's launches with other values of their module's names."""
    own = {name: getattr(module, name) for name in values}
    set_values(module, **values)
    try:
        yield
    finally:
        set_values(module, **own)


def set_values(module: ModuleType, **values: Any) -> None:
    """Give names of a module other values, of which its launches are planned anew."""
    for name, value in values.items():
        setattr(module, name, value)
    for planned in filter(lambda each: hasattr(each, "cache_clear"), vars(module).values()):
        planned.cache_clear()
