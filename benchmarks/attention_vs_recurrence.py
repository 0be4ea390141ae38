"""What a sequence costs when it is attended to, and when it is carried in a state.

``python -m benchmarks.attention_vs_recurrence --out benchmarks/results/attention_vs_recurrence.json``

"prefill" and "decode" time one layer's mixing over time and nothing else: softmax attention through the
fastest of PyTorch's own kernels, and the linear recurrence with a decay that varies in time. Prefill reads a
whole sequence at once; decode makes one more output after a context, from the cached keys and values or from
the state. "training" times forward and backward of whole layers, projections included: PyTorch's tanh RNN and
LSTM, attention, and a recurrence whose gates see the input alone. All this takes some two minutes on a big
GPU; without one it runs on one CPU core.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from seqlab.benchmark import provenance, queued_milliseconds
from seqlab.ops import linear_scan, linear_scan_step

HEAD_WIDTH = 64
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


class RecurrentTorch(nn.Module):
    """One of PyTorch's recurrent layers, its outputs alone."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor) -> Tensor:
        return self.layer(u)[0]


class Attention(nn.Module):
    """Causal softmax attention with its projections to queries, keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)

    def forward(self, u: Tensor) -> Tensor:
        q, k, v = self.project(u).unflatten(-1, (3, -1, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).flatten(2)


class GatedScan(nn.Module):
    """The QRNN's f-pooling over one input at a time: h_t = f_t h_{t-1} + (1 - f_t) z_t."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * width)

    def forward(self, u: Tensor) -> Tensor:
        z, f = self.project(u).chunk(2, dim=-1)
        f = torch.sigmoid(f)
        return linear_scan(f, (1 - f) * torch.tanh(z))[0]


def main() -> None:
    """Measure on the GPU where there is one, else on the CPU at smaller sizes; write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    torch.set_num_threads(1)
    channels, dtype = (1024, torch.bfloat16) if gpu else (256, torch.float32)
    result: dict[str, Any] = {
        **provenance(device),
        "batch": 1,
        "channels": channels,
        "head_width": HEAD_WIDTH,
        "dtype": str(dtype).removeprefix("torch."),
        "rows": [],
    }
    for measure, powers in (
        (mixing, range(9, 19) if gpu else range(7, 13)),
        (training, range(9, 15) if gpu else range(7, 11)),
    ):
        for power in powers:
            for row in measure(2**power, channels, dtype, device):
                kept = f"{row['kept_bytes']:>12} bytes" if "kept_bytes" in row else ""
                name = f"{row['what']:<9}{row['layer']:<11}{row['kernel']:<20}{row['length']:>8}"
                print(f"{name}{row['milliseconds']:>12.4f} ms{kept}", flush=True)
                result["rows"].append(row)
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")


@torch.no_grad()
def mixing(length: int, channels: int, dtype: torch.dtype, device: torch.device) -> Iterator[dict[str, Any]]:
    """Prefill and decode at one length: times, and the bytes that must be kept to go on after it."""
    heads = (1, channels // HEAD_WIDTH, length, HEAD_WIDTH)
    q, k, v = (_normal(*heads, dtype=dtype, device=device) for _ in range(3))
    a = torch.sigmoid(_normal(1, length, channels, dtype=dtype, device=device))
    b = _normal(1, length, channels, dtype=dtype, device=device)
    _, state = linear_scan(a, b)
    last_q, last_a, last_b = q[:, :, -1:], a[:, -1], b[:, -1]
    # The kernel that writes all length x length weights to memory is left out of prefill only.
    attend = fastest(lambda: scaled_dot_product_attention(q, k, v, is_causal=True), FUSED, device)
    attend_last = fastest(
        lambda: scaled_dot_product_attention(last_q, k, v), [*FUSED, SDPBackend.MATH], device
    )
    scan = queued_milliseconds([lambda: linear_scan(a, b)], device, budget=0.2)
    step = queued_milliseconds([lambda: linear_scan_step(last_a, last_b, state)], device, budget=0.2)
    for what, layer, (kernel, time), kept in (
        ("prefill", "attention", attend, [k, v]),
        ("prefill", "recurrence", ("seqlab", scan), [state]),
        ("decode", "attention", attend_last, [k, v]),
        ("decode", "recurrence", ("seqlab", step), [state]),
    ):
        yield {
            "what": what,
            "layer": layer,
            "kernel": kernel,
            "length": length,
            "milliseconds": time,
            "kept_bytes": sum(x.nbytes for x in kept),
        }


def training(
    length: int, channels: int, dtype: torch.dtype, device: torch.device
) -> Iterator[dict[str, Any]]:
    """Forward and backward of whole layers at one length, projections included."""
    u = _normal(1, length, channels, dtype=dtype, device=device)
    gradient = _normal(1, length, channels, dtype=dtype, device=device)
    for name, layer in {
        "tanh RNN": RecurrentTorch(nn.RNN(channels, channels, batch_first=True)),
        "LSTM": RecurrentTorch(nn.LSTM(channels, channels, batch_first=True)),
        "attention": Attention(channels),
        "gated scan": GatedScan(channels),
    }.items():
        layer.to(device, dtype)

        def go(layer: nn.Module = layer) -> None:
            layer.zero_grad()
            layer(u).backward(gradient)

        if name == "attention":
            kernel, time = fastest(go, FUSED, device)
        else:
            kernel, time = (
                "seqlab" if name == "gated scan" else "torch",
                queued_milliseconds([go], device, 0.2),
            )
        yield {"what": "training", "layer": name, "kernel": kernel, "length": length, "milliseconds": time}


def fastest(
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
            times[backend.name.lower()] = queued_milliseconds([call], device, budget=0.2)
    kernel = min(times, key=times.__getitem__)
    return kernel, times[kernel]


def _normal(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.randn(shape, dtype=torch.float32, device=device).to(dtype)


if __name__ == "__main__":
    main()
