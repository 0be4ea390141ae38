"""The selective scan against causal softmax attention, at more and more tokens of one sequence (chapter 10).

``python -m benchmarks.scan_vs_attention --out benchmarks/results/scan_vs_attention_DEVICE.json``

Both mix as many channels over time, and nothing else is timed: no projections. The scan has 16 modes a channel,
softplus with its bias, the skip D and the gate z; attention has heads of 128, and is the faster of FlashAttention and
cuDNN's kernel as PyTorch calls them. Forward without gradients, and forward with the gradients of all inputs, queued;
about a minute on a big GPU, most of it attention at the longest length. Without one the CPU's kernel takes part.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.attention_vs_recurrence import fastest
from benchmarks.timed_rungs import out_and_quick
from seqlab.benchmark import plain_call, provenance, queued_milliseconds
from seqlab.benchmark.comparison import device_here
from seqlab.catalogue import PAIRINGS, sizes

FULL = {"channels": 2048, "states": 16, "head_width": 128}
TINY = {"channels": 64, "states": 4, "head_width": 32}
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]

Function = Callable[..., Tensor]


def main() -> None:
    """Measure length after length, write JSON after each."""
    arguments = out_and_quick(__doc__)
    device = device_here()
    shape = TINY if arguments.quick else FULL
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    record: dict[str, Any] = {
        **provenance(device), "batch": 1, **shape, "dtype": str(dtype).removeprefix("torch."), "rows": [],
    }  # fmt: skip
    for power in range(4, 7) if arguments.quick else range(9, 18):
        for row in rows(2**power, shape, dtype, device):
            print(
                f"{row['layer']:<10}{row['pass']:<18}{row['length']:>7}{row['milliseconds']:>12.4f} ms",
                flush=True,
            )
            record["rows"].append(row)
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def rows(
    length: int, shape: dict[str, int], dtype: torch.dtype, device: torch.device
) -> Iterator[dict[str, Any]]:
    """Both layers and both passes at one length."""
    generator = torch.Generator(device).manual_seed(0)
    pairing = PAIRINGS["selective_scan"]
    size = sizes(1, length, shape["channels"], states=shape["states"])
    scan = plain_call("selective_scan", pairing.op, pairing.workloads[0].draw(generator, size, dtype))
    heads = (1, shape["channels"] // shape["head_width"], length, shape["head_width"])
    qkv = torch.randn(3, *heads, dtype=torch.float32, device=device, generator=generator).to(dtype)
    for pass_, call in passes(lambda *leaves: scan.forward(*leaves)[0], scan.leaves):
        time = queued_milliseconds([call], device, budget=0.2)
        yield {"layer": "scan", "kernel": "seqlab", "pass": pass_, "length": length, "milliseconds": time}
    for pass_, call in passes(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True), qkv.unbind()
    ):
        kernel, time = fastest(call, KERNELS, device)
        yield {"layer": "attention", "kernel": kernel, "pass": pass_, "length": length, "milliseconds": time}


def passes(function: Function, inputs: tuple[Tensor, ...]) -> Iterator[tuple[str, Callable[[], object]]]:
    """The passes of the benchmark, as functions without arguments."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    with torch.no_grad():
        gradient = torch.randn_like(function(*leaves))

    def forward() -> Tensor:
        with torch.no_grad():
            return function(*leaves)

    yield "forward", forward
    yield "forward+backward", lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


if __name__ == "__main__":
    main()
