"""What this machine has, and what will therefore run."""

import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement


@dataclass(frozen=True)
class GPU:
    """One CUDA device: its name, compute capability, memory and shared memory per block
    in bytes.

    ``shared_memory`` is None where PyTorch is too old to say.
    """

    name: str
    capability: tuple[int, int]
    memory: int
    shared_memory: int | None

    @property
    def bfloat16(self) -> bool:
        """Whether kernels in bfloat16 compile for it: since Ampere."""
        return self.capability >= (8, 0)


@dataclass(frozen=True)
class Machine:
    """The facts that decide what runs; ``triton`` and ``gpu`` are None where there is
    none."""

    system: str
    cores: int
    python: str
    torch: str
    triton: str | None
    numpy: str
    gpu: GPU | None
    unmet: tuple["Unmet", ...] = ()


@dataclass(frozen=True)
class Unmet:
    """A package that seqlab needs in other versions than the one here; ``version`` is
    None where it is not installed."""

    name: str
    version: str | None
    wanted: str


def doctor() -> None:
    """Print three lines: what this machine has, which backend runs, and what will
    therefore work. One more for each package whose version is known not to work says
    what to do."""
    print("\n".join(report(machine())))


def machine() -> Machine:
    """Look at the machine this runs on."""
    import numpy as np
    import torch

    gpu = None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        gpu = GPU(
            properties.name,
            (properties.major, properties.minor),
            properties.total_memory,
            getattr(properties, "shared_memory_per_block_optin", None),
        )
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0))
        if sys.platform == "linux"
        else os.cpu_count() or 1,
        python=platform.python_version(),
        torch=torch.__version__,
        triton=_installed("triton"),
        numpy=np.__version__,
        gpu=gpu,
        unmet=unmet(_declared(), _installed),
    )


def unmet(
    requirements: Iterable[str], installed: Callable[[str], str | None]
) -> tuple[Unmet, ...]:
    """Which requirements do not hold here.

    A hosted notebook installs seqlab beside the packages it has, whatever their
    versions, so pip has not looked at them.

    requirements: as package metadata has them; those of extras and of other systems are
    left out. installed: gives the version of a package, None where there is none.
    """
    found = []
    for each in map(Requirement, requirements):
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        here = installed(each.name)
        if here is None or not each.specifier.contains(here, prereleases=True):
            found.append(Unmet(each.name, here, f"{each.name}{each.specifier}"))
    return tuple(found)


def report(machine: Machine) -> list[str]:
    """The lines, from the facts alone."""
    notes = [_note(each) for each in machine.unmet]
    return [_has(machine), _backend(machine), _therefore(machine), *notes]


def _declared() -> list[str]:
    try:
        return requires("seqlab") or []
    except PackageNotFoundError:  # a copy of the project that is not installed
        return []


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _note(package: Unmet) -> str:
    if package.version is None:
        trouble = f"{package.name} is not installed, and seqlab needs it"
    else:
        trouble = f"seqlab does not work with {package.name} {package.version}"
    return f"But       {trouble}: run   pip install '{package.wanted}'   and start Python again."


def _has(machine: Machine) -> str:
    cores = f"{machine.cores} CPU core{'s' if machine.cores > 1 else ''}"
    gpu = machine.gpu
    if gpu is None:
        device = "no CUDA GPU"
    else:
        major, minor = gpu.capability
        device = f"{gpu.name} ({gpu.memory / 2**30:.0f} GiB, compute capability {major}.{minor})"
    triton = f"triton {machine.triton}" if machine.triton else "no triton"
    software = f"Python {machine.python}, torch {machine.torch}, {triton}, numpy {machine.numpy}"
    return f"Machine   {machine.system}, {cores}, {device}; {software}."


def _backend(machine: Machine) -> str:
    if machine.triton is None:
        return "Backend   portable PyTorch for every op; no Triton here (it exists for Linux only)."
    if machine.gpu is None:
        return "Backend   portable PyTorch for every op; Triton kernels run in Triton's interpreter, on the CPU."
    return "Backend   Triton kernels, compiled, for CUDA tensors; portable PyTorch for CPU tensors."


def _therefore(machine: Machine) -> str:
    if machine.triton is None:
        return (
            "Therefore everything runs except the kernel cells, which say that they were skipped; "
            "references, ops and training work."
        )
    if machine.gpu is None:
        return (
            "Therefore everything runs, kernels slowly and on tiny shapes; "
            "figures that need a GPU show recorded measurements."
        )
    shared = machine.gpu.shared_memory
    block = f"; a block has {shared // 1024} KB of shared memory" if shared else ""
    if not machine.gpu.bfloat16:
        kinds = "in float32, complex64 and float16, but not in bfloat16, which this GPU cannot compile"
        return f"Therefore everything runs {kinds}{block}."
    return f"Therefore everything runs, bfloat16 included{block}."
