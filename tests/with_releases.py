"""What tests/test_releases.py runs in a process of its own: every op's kernels against float64 in the interpreter,
every kernel compiled ahead of time, an explorer shown and a model trained. Prints what it ran with, as JSON."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "ops" / "shared"))

CAPABILITY = 90


def verify() -> list[str]:
    """What is over its bound; of each op its first sample, in float32 alone, since others take the same way through
    Triton."""
    from seqlab.verify import comparisons, table

    every = comparisons(backends=["interpreter"], quick=True)
    first = {each.op: each for each in reversed(every) if each.precision == "float32"}
    rows = [each.run() for each in first.values()]
    return [] if all(row.passed for row in rows) else [table(rows)]


def compile_ahead(thoroughly: bool) -> list[str]:
    """Compile each kernel, as it is launched with its smallest tile, for a GPU that is not here; their names. Where it
    need not be thorough, of all but the smallest of each op the first stage alone, which takes a twentieth of the time:
    what changes from release to release is Triton's language."""
    from launches import every_arguments, launches_of

    from seqlab.catalogue import PAIRINGS

    smallest, whole = {}, set()
    for pairing in PAIRINGS.values():
        if "cuda" in pairing.sizes:
            launches = launches_of(pairing, every_arguments(pairing))
            for launch in sorted(launches, key=lambda launch: launch.tile, reverse=True):
                smallest[launch.kernel] = launch
            whole |= {each.kernel for each in launches} if thoroughly else {launch.kernel}
    for kernel, launch in smallest.items():
        (launch.compile if kernel in whole else launch.check_types)(CAPABILITY)
    return [f"{kernel.fn.__module__}.{kernel.fn.__name__}" for kernel in smallest]


def show_explorers() -> dict[str, list[str]]:
    """For each explorer, the kinds of output that a notebook gets."""
    from seqlab import explorers

    return {name: sorted(getattr(explorers, name)()._repr_mimebundle_()[0]) for name in explorers.__all__}


def train() -> int:
    """The exit code of a short training from the terminal."""
    from seqlab.__main__ import main

    small = ["--width", "8", "--depth", "1", "--steps", "2", "--batch-size", "4", "--device", "cpu"]
    return main(["train", "--task", "delay", *small])


if __name__ == "__main__":
    over = verify()
    *names, how = sys.argv[1:]
    ran = {
        "versions": {name: version(name) for name in names},
        "over": over,
        "kernels": compile_ahead(how == "thoroughly"),
        "shown": show_explorers(),
        "trained": train(),
    }
    print(json.dumps(ran))
