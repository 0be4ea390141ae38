"""Which stream a launch goes to: asked at every launch, so by the shortest way."""

import torch
from torch import Tensor


def on_default_stream(like: Tensor) -> bool:
    """Whether kernels on ``like`` are queued on its GPU's default stream, where they
    follow one another. They may run at the same time as others on any other stream, and
    when a CUDA graph is captured, none runs."""
    if not like.is_cuda:
        return False
    return torch._C._cuda_getCurrentRawStream(like.device.index) == 0
