"""What one launch may leave in memory for the next one."""

import torch
from torch import Tensor


def on_default_stream(like: Tensor) -> bool:
    """Whether kernels on ``like`` are queued on its GPU's default stream, where they
    follow one another. They may run at the same time as others on any other stream, and
    when a CUDA graph is recorded, none runs."""
    if not like.is_cuda:
        return False
    current = torch.cuda.current_stream(like.device)
    return current == torch.cuda.default_stream(like.device)
