"""What a sequence costs when it is attended to, and when it is carried in a state.

``python -m benchmarks.attention_vs_recurrence --out benchmarks/results/attention_vs_recurrence.json``

One layer's mixing over time and nothing else: softmax attention through the fastest of PyTorch's own kernels,
and the linear recurrence with a decay that varies in time. "prefill" reads a whole sequence at once; "decode"
makes one more output after a context, from the cached keys and values or from the state. It takes less than a
minute on a large GPU, and runs on one CPU core where there is none.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from seqlab.benchmark import milliseconds, provenance
from seqlab.ops import linear_scan, linear_scan_step

HEAD_WIDTH = 64


def main() -> None:
    """Measure on the GPU where there is one, else on the CPU at smaller sizes; write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    torch.set_num_threads(1)
    channels, dtype = (1024, torch.bfloat16) if gpu else (256, torch.float32)
    lengths = [2**power for power in (range(9, 19) if gpu else range(7, 13))]
    rows = [row for length in lengths for row in measure(length, channels, dtype, device)]
    for row in rows:
        print(
            f"{row['what']:<8}{row['layer']:<11}{row['kernel']:<20}{row['length']:>8}"
            f"{row['milliseconds']:>12.4f} ms{row['kept_bytes']:>12} bytes"
        )
    result = {
        **provenance(device),
        "batch": 1,
        "channels": channels,
        "head_width": HEAD_WIDTH,
        "dtype": str(dtype).removeprefix("torch."),
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


@torch.no_grad()
def measure(length: int, channels: int, dtype: torch.dtype, device: torch.device) -> Iterator[dict[str, Any]]:
    """Rows for one length: time, and the bytes that must be kept to go on after it."""
    q, k, v = (
        _normal(1, channels // HEAD_WIDTH, length, HEAD_WIDTH, dtype=dtype, device=device) for _ in range(3)
    )
    a = torch.sigmoid(_normal(1, length, channels, dtype=dtype, device=device))
    b = _normal(1, length, channels, dtype=dtype, device=device)
    _, state = linear_scan(a, b)
    last_q, last_a, last_b = q[:, :, -1:], a[:, -1], b[:, -1]
    # Long prefills leave out the kernel that writes all length x length weights to memory.
    fused = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    attend = _fastest(lambda: scaled_dot_product_attention(q, k, v, is_causal=True), fused, device)
    attend_last = _fastest(
        lambda: scaled_dot_product_attention(last_q, k, v), [*fused, SDPBackend.MATH], device
    )
    for what, layer, (kernel, time), kept in (
        ("prefill", "attention", attend, [k, v]),
        ("prefill", "recurrence", _timed(lambda: linear_scan(a, b), device), [state]),
        ("decode", "attention", attend_last, [k, v]),
        ("decode", "recurrence", _timed(lambda: linear_scan_step(last_a, last_b, state), device), [state]),
    ):
        yield {
            "what": what,
            "layer": layer,
            "kernel": kernel,
            "length": length,
            "milliseconds": time,
            "kept_bytes": sum(x.nbytes for x in kept),
        }


def _fastest(
    call: Callable[[], object], backends: list[SDPBackend], device: torch.device
) -> tuple[str, float]:
    """The name and the time of the fastest attention kernel that takes these inputs on this device."""
    times = {}
    for backend in backends:
        with sdpa_kernel(backend), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each kernel that refuses says at length why
            try:
                call()
            except RuntimeError:  # "No available kernel"
                continue
            times[backend.name.lower()] = milliseconds([call], device, budget=0.2)
    kernel = min(times, key=times.__getitem__)
    return kernel, times[kernel]


def _timed(call: Callable[[], object], device: torch.device) -> tuple[str, float]:
    return "seqlab", milliseconds([call], device, budget=0.2)


def _normal(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.randn(shape, dtype=torch.float32, device=device).to(dtype)


if __name__ == "__main__":
    main()
