"""What this machine has, and what will therefore run."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


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
    gpu: GPU | None


def doctor() -> None:
    """Print three lines: what this machine has, which backend runs, and what will
    therefore work."""
    print("\n".join(report(machine())))


def machine() -> Machine:
    """Look at the machine this runs on."""
    import torch

    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = None
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
        triton=triton,
        gpu=gpu,
    )


def report(machine: Machine) -> list[str]:
    """The three lines, from the facts alone."""
    return [_has(machine), _backend(machine), _therefore(machine)]


def _has(machine: Machine) -> str:
    cores = f"{machine.cores} CPU core{'s' if machine.cores > 1 else ''}"
    gpu = machine.gpu
    if gpu is None:
        device = "no CUDA GPU"
    else:
        major, minor = gpu.capability
        device = f"{gpu.name} ({gpu.memory / 2**30:.0f} GiB, compute capability {major}.{minor})"
    triton = f"triton {machine.triton}" if machine.triton else "no triton"
    software = f"Python {machine.python}, torch {machine.torch}, {triton}"
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
