"""What an op is timed on: random inputs of one kind, size and dtype, and the true
result and gradients."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark.implementation import as_one, tensors
from seqlab.catalogue import PAIRINGS, Arguments, Pairing, Sizes, Workload

MOST_SETS = 32  # of inputs; workloads so small that this does not fill the cache are not worth timing
CPU_CACHE_BYTES = 2**25


@dataclass(frozen=True)
class Problem:
    """One workload of an op, at one of its sizes and in one of its dtypes."""

    op: str
    workload: Workload
    sizes: Sizes
    dtype: torch.dtype

    @property
    def pairing(self) -> Pairing:
        """What the catalogue says of the op."""
        return PAIRINGS[self.op]

    @property
    def description(self) -> dict[str, Any]:
        """The problem as the rows of a result name it."""
        return {
            "op": self.op,
            "variant": self.workload.name,
            "shape": dict(self.sizes),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def draw(self, generator: torch.Generator) -> list[Arguments]:
        """Sets of inputs on the generator's device, enough of them that a round of
        calls passes the last level of cache."""
        device = generator.device
        cache = (
            torch.cuda.get_device_properties(device).L2_cache_size
            if device.type == "cuda"
            else CPU_CACHE_BYTES
        )
        sets = [self.workload.draw(generator, self.sizes, self.dtype)]
        enough = math.ceil(3 * cache / sum(x.nbytes for x in tensors(sets[0]).values()))
        for _ in range(min(enough, MOST_SETS) - 1):
            sets.append(self.workload.draw(generator, self.sizes, self.dtype))
        return sets


def problems(names: Iterable[str], quick: bool, device: torch.device) -> list[Problem]:
    """All that the catalogue wants timed of these ops on such a device; ``quick``: the
    first size and the first dtype of each workload only."""
    found = []
    for name in names:
        all_sizes = PAIRINGS[name].workload_sizes[device.type]
        for sizes in all_sizes[:1] if quick else all_sizes:
            for workload in PAIRINGS[name].workloads:
                for dtype in workload.dtypes[:1] if quick else workload.dtypes:
                    found.append(Problem(name, workload, sizes, dtype))
    return found


def truth(
    pairing: Pairing, arguments: Arguments, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """A random gradient for the result, and in float64 that result ("output") and the
    arguments' gradients, by name."""
    given = tensors(arguments)
    wide = {key: x.to(_wide(x)).requires_grad_() for key, x in given.items()}
    # The portable form in float64, which ``verify`` holds to a plain loop: at these lengths a loop takes minutes.
    outputs = pairing.op(**{**arguments, **wide}, backend="portable")
    output = as_one(outputs[: pairing.results])
    cotangent = torch.randn(
        output.shape,
        dtype=_narrow(output, given),
        device=output.device,
        generator=generator,
    )
    gradients = torch.autograd.grad(
        output, list(wide.values()), cotangent.to(output.dtype)
    )
    return cotangent, {
        "output": output.detach(),
        **dict(zip(wide, gradients, strict=True)),
    }


def _narrow(output: Tensor, given: dict[str, Tensor]) -> torch.dtype:
    """The dtype in which an op returns this result: that of its narrowest argument, real
    or complex as the result is."""
    narrowest = min(
        (x.dtype for x in given.values()), key=lambda dtype: dtype.to_real().itemsize
    )
    return narrowest.to_complex() if output.is_complex() else narrowest.to_real()


def _wide(x: Tensor) -> torch.dtype:
    return torch.complex128 if x.is_complex() else torch.float64
