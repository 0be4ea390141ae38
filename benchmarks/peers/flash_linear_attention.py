"""flash-linear-attention: HGRN's chunked scan, (batch, length, channels), with the decay as a logarithm.

It has no fixed decay, so one is expanded over time before the clock starts, and its gradient is summed after
the clock stops. In bfloat16 the logarithm is rounded as well, which its error shows.
"""

import torch
from torch import Tensor

from seqlab.benchmark import Absent, Call, Implementation


def _prepare(arguments: dict[str, Tensor]) -> Call:
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


PEERS = [Implementation("flash-linear-attention, chunk_hgrn", "linear_scan", _prepare)]
