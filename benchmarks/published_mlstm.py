"""Are the gradients of the published mLSTM right? The Triton kernels of mlstm_kernels, at several sizes of chunk, and
the package's own, held to float64: the lesson on tolerances of chapter 9.

``python -m benchmarks.published_mlstm --out benchmarks/results/published_mlstm_DEVICE.json``

It settles two reports. One is that the backward pass takes the normalizer for a constant: a gradient of h that is
orthogonal to h in each head cannot tell, and a random one can. The other is that gradients are wrong in chunks of more
than 128 steps. So each row has the relative errors of h and, for a gradient of h of either kind, those of the gradients
of q, k, v, i and f. q, k and v hold numbers of bfloat16 whatever the dtype, so that h has one truth. A kernel that does
not run has a row that says why. The record is rewritten after every row.
"""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.timed_rungs import out_and_quick
from seqlab import ops
from seqlab.benchmark import Absent, provenance
from seqlab.benchmark.comparison import device_here
from seqlab.benchmark.measurement import why_absent
from seqlab.ops.xlstm import reference

SIZES = {"batch": 1, "length": 1024, "heads": 2, "keys": 64, "values": 64}
TINY = {"batch": 1, "length": 19, "heads": 2, "keys": 3, "values": 5}
NAMES = ("q", "k", "v", "i", "f")
OURS = "seqlab"
THEIRS = (
    ("triton_xl_chunk", (128, 256, 64, 512)),
    ("triton_limit_chunk", (64, 128)),
)
"""Kernels, by their names in the package, and their chunks, what is asked first in front."""

Kernel = Callable[..., Tensor]


class Problem(NamedTuple):
    """Inputs, and what is true of them."""

    inputs: tuple[Tensor, ...]
    """q, k and v of the dtype, i and f in float32, with time before heads"""
    h: Tensor
    """(B, L, H, V) in float64"""
    sent: dict[str, tuple[Tensor, tuple[Tensor, ...]]]
    """for each kind of gradient of h, one of the dtype, and the true gradients of the inputs"""


def main() -> None:
    arguments = out_and_quick(__doc__)
    sizes, device = TINY if arguments.quick else SIZES, device_here()
    record: dict[str, Any] = {**provenance(device), "mlstm_kernels": installed(), "shape": sizes, "rows": []}
    problems = {dtype: problem_of(dtype, sizes) for dtype in (torch.float32, torch.bfloat16)}
    for name, chunk in kernels():
        for dtype, problem in problems.items():
            row = {"kernel": name, "chunk": chunk, "dtype": str(dtype).removeprefix("torch.")}
            row |= found(name, chunk, problem, device)
            record["rows"].append(row)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")
            print(line(row), flush=True)


def installed() -> str | None:
    """The version of the published package."""
    try:
        return version("mlstm-kernels")
    except PackageNotFoundError:
        return None


def kernels() -> Iterator[tuple[str, int | None]]:
    """Who is asked, each with a size of chunk; ours chooses its own."""
    yield OURS, None
    for name, chunks in THEIRS:
        yield from ((name, chunk) for chunk in chunks)


def problem_of(dtype: torch.dtype, sizes: dict[str, int]) -> Problem:
    """q, k, v and i normal, forget gates as its layers begin, a random gradient of h and what is left of it beside
    h."""
    batch, length, heads, keys, values = sizes.values()
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, length, heads, *shape, generator=generator).bfloat16().double()

    inputs = normal(keys), normal(keys), normal(values), normal(), 4.5 + 0.5 * normal()
    random = normal(values)
    q, k, v, i, f = (x.numpy() for x in inputs)
    h, state = reference.mlstm(q, k, v, i, f)
    h = torch.from_numpy(h)
    along = (random * h).sum(-1, keepdim=True) / h.square().sum(-1, keepdim=True)
    nothing = tuple(0 * x for x in state)
    sent = {}
    for kind, grad_h in {"random": random, "orthogonal": random - along * h}.items():
        grad_h = grad_h.to(dtype)
        grad_array = grad_h.double().numpy()
        *true, _ = reference.mlstm_gradients(q, k, v, i, f, None, grad_array, nothing)
        sent[kind] = grad_h, tuple(map(torch.from_numpy, true))
    leaves = tuple(x.to(dtype if x.ndim == 4 else torch.float32) for x in inputs)
    return Problem(leaves, h, sent)


def found(name: str, chunk: int | None, problem: Problem, device: torch.device) -> dict[str, Any]:
    """Errors of h and of the gradients, or why there are none."""
    try:
        return {"absent": None, **errors(kernel_of(name, chunk, device), problem, device)}
    except Exception as failure:
        # A peer that breaks is a finding to record; ours must not break.
        if name == OURS:
            raise
        return {"absent": why_absent(failure)}


def kernel_of(name: str, chunk: int | None, device: torch.device) -> Kernel:
    """h of q, k, v, i and f."""
    if name == OURS:
        return lambda q, k, v, i, f: ops.mlstm(q, k, v, i, f, backend="triton")[0]
    if device.type != "cuda":
        raise Absent("needs a CUDA GPU")
    from mlstm_kernels.torch import get_mlstm_kernel

    theirs = get_mlstm_kernel(f"chunkwise--{name}")

    def turned(*inputs: Tensor) -> Tensor:
        heads_first = (x.transpose(1, 2).contiguous() for x in inputs)
        # Without its epsilon, which is in no equation; its dtype applies under autocast alone.
        options = {"chunk_size": chunk, "eps": 0.0, "autocast_kernel_dtype": inputs[0].dtype}
        return theirs(*heads_first, **options).transpose(1, 2)

    return turned


# Their gates are compiled by torch, anew for each size of chunk.
@torch.compiler.set_stance("force_eager")
def errors(kernel: Kernel, problem: Problem, device: torch.device) -> dict[str, Any]:
    """Relative errors of h, and by kind of gradient of h of those of the inputs."""
    leaves = [x.to(device).requires_grad_() for x in problem.inputs]
    h = kernel(*leaves)
    errors: dict[str, Any] = {"h": error(h.detach(), problem.h)}
    for kind, (grad_h, true) in problem.sent.items():
        grads = torch.autograd.grad(h, leaves, grad_h.to(device), retain_graph=True)
        errors[kind] = {name: error(x, y) for name, x, y in zip(NAMES, grads, true, strict=True)}
    return errors


def error(x: Tensor, truth: Tensor) -> float | None:
    """How far from the truth, in parts of its norm; None where there is something that is no number."""
    x = x.cpu().double()
    return float((x - truth).norm() / truth.norm()) if x.isfinite().all() else None


def line(row: dict[str, Any]) -> str:
    """One row, for the terminal."""
    told = f"{row['kernel']:<20}{row['chunk'] or '':>4} {row['dtype']:<9}"
    if row["absent"]:
        return f"{told} absent: {row['absent']}"
    told += f" h {row['h']:.0e}" if row["h"] is not None else " h no number"
    for kind in ("random", "orthogonal"):
        each = (f"d{name} {'no number' if x is None else f'{x:.0e}'}" for name, x in row[kind].items())
        told += f"; {kind}: " + ", ".join(each)
    return told


if __name__ == "__main__":
    main()
