"""flash-linear-attention: HGRN's chunked scan, RWKV-4's walk over time, and its chunked linear attention.

All are (batch, length, ...), with decays as logarithms. HGRN has no fixed decay, so one is expanded over time before
the clock starts, and its gradient is summed after the clock stops. In bfloat16 the logarithm is rounded as well, which
its error shows.
"""

from typing import Any

import torch
from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation


def _prepare_scan(arguments: dict[str, Tensor]) -> Call:
    a, b = arguments["a"], arguments["b"]
    if not b.is_cuda:
        raise Absent("needs a CUDA GPU")
    if b.is_complex():
        raise Absent("computes real numbers only")
    from fla.ops.hgrn import chunk_hgrn

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        grad_log, grad_b = found
        grad_a = grad_log.to(torch.float64) / a.to(torch.float64)  # log a is what it differentiates by
        return {"a": grad_a.sum((0, 1)) if a.ndim == 1 else grad_a, "b": grad_b}

    return Call(
        leaves=(a.expand(b.shape).log().contiguous(), b.contiguous()),
        forward=lambda log_a, b: (chunk_hgrn(b, log_a)[0],),
        output=lambda outputs: outputs[0],
        cotangents=lambda cotangent: (cotangent,),
        gradients=gradients,
    )


def _prepare_rwkv4(arguments: dict[str, Tensor]) -> Call:
    k = arguments["k"]
    if not k.is_cuda:
        raise Absent("needs a CUDA GPU")
    if "state" in arguments:
        raise Absent("is compared without a first state")
    from fla.ops.rwkv4 import fused_recurrent_rwkv4

    batch, _, channels = k.shape
    nothing = torch.zeros(batch, 3, 1, channels, device=k.device)
    nothing[:, 2] = -1e38
    w = arguments["w"]

    def gradients(found: tuple[Tensor, ...]) -> dict[str, Tensor]:
        # The logarithm of the rate is what it differentiates by.
        return {"w": found[0] / w, **dict(zip(("u", "k", "v"), found[1:], strict=True))}

    return Call(
        leaves=(w.log(), arguments["u"], k, arguments["v"]),
        forward=lambda log_w, u, k, v: (fused_recurrent_rwkv4(log_w, u, k, v, nothing)[0],),
        output=lambda outputs: outputs[0],
        cotangents=lambda y: (y,),
        gradients=gradients,
    )


def _prepare_attention(arguments: dict[str, Any]) -> Call:
    """The one of its functions that is made for this kind of a decay."""
    if not arguments["q"].is_cuda:
        raise Absent("needs a CUDA GPU")
    if "state" in arguments:
        raise Absent("is compared without a first state")
    decay, bonus = arguments["log_decay"], arguments.get("bonus")
    if decay.ndim < 3:
        raise Absent("is compared for decays that change over time")
    from fla.ops.gla import chunk_gla
    from fla.ops.rwkv6 import chunk_rwkv6
    from fla.ops.simple_gla import chunk_simple_gla

    names = ("q", "k", "v", "log_decay") if bonus is None else ("q", "k", "v", "log_decay", "bonus")
    chosen = chunk_rwkv6 if bonus is not None else chunk_gla if decay.ndim == 4 else chunk_simple_gla
    return Call(
        leaves=tuple(arguments[name] for name in names),
        forward=lambda *leaves: (chosen(*leaves)[0],),
        output=lambda outputs: outputs[0],
        cotangents=lambda y: (y,),
        gradients=lambda found: dict(zip(names, found, strict=True)),
    )


PEERS = [
    Implementation("flash-linear-attention, chunk_hgrn", "linear_scan", _prepare_scan),
    Implementation("flash-linear-attention, fused_recurrent_rwkv4", "wkv", _prepare_rwkv4),
    Implementation(
        "flash-linear-attention, chunked", "gated_linear_attention", _prepare_attention, patience=240
    ),
]
