"""What tests/test_releases.py runs in a process of its own: every op's kernels against float64 in the interpreter,
every kernel compiled ahead of time, an explorer shown and a model trained. Prints what it ran with, as JSON."""

import inspect
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from seqlab.ops import interpreter

CAPABILITIES = (75, 90)
POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32", torch.int64: "*i64"}

launches: dict[Any, dict[str, Any]] = {}
"""For each kernel, the arguments of its first launch."""


def remember_launches() -> None:
    """From now on; before any kernel module is imported."""
    runner = interpreter.runner

    class Remembered:
        def __init__(self, kernel: JITFunction, like: Tensor):
            self.kernel, self.run = kernel, runner(kernel, like)

        def __getitem__(self, grid: Any) -> Callable:
            def launch(*args: Any, **options: Any) -> None:
                if self.kernel not in launches:
                    own = {name: value for name, value in options.items() if name in self.kernel.arg_names}
                    launches[self.kernel] = inspect.signature(self.kernel.fn).bind(*args, **own).arguments
                self.run[grid](*args, **options)

            return launch

    interpreter.runner = Remembered


def verify() -> list[str]:
    """What is over its bound; in float32 alone, since other precisions take the same way through Triton."""
    from seqlab.verify import comparisons, table

    every = comparisons(backends=["interpreter"], quick=True)
    rows = [each.run() for each in every if each.precision == "float32"]
    return [] if all(row.passed for row in rows) else [table(rows)]


def compile_ahead(kernel: JITFunction, arguments: dict[str, Any]) -> str:
    """Compile for GPUs that are not here, and return the kernel's name."""
    signature, constants = {}, {}
    for parameter in kernel.params:
        value = arguments[parameter.name]
        if parameter.is_constexpr or value is None:
            signature[parameter.name] = "constexpr"
            constants[parameter.name] = value
        elif isinstance(value, Tensor):
            signature[parameter.name] = POINTERS[value.dtype]
        else:
            signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
    source = ASTSource(kernel, signature=signature, constexprs=constants)
    for capability in CAPABILITIES:
        compile(source, target=GPUTarget("cuda", capability, 32))
    return f"{kernel.fn.__module__}.{kernel.fn.__name__}"


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
    remember_launches()
    over = verify()
    ran = {
        "versions": {name: version(name) for name in sys.argv[1:]},
        "over": over,
        "kernels": [compile_ahead(*each) for each in launches.items()],
        "shown": show_explorers(),
        "trained": train(),
    }
    print(json.dumps(ran))
