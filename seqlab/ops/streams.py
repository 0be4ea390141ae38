"""Where a launch goes: the device that its tensors lie on, and the stream that is current
there. Asked at every launch, so by the shortest way."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

_HERE = nullcontext()


def device_of(like: Tensor) -> AbstractContextManager:
    """A context in which the device of a tensor is the current one."""
    if like.is_cuda and like.device.index != torch.cuda.current_device():
        return torch.cuda.device(like.device)
    return _HERE


def on_default_stream(like: Tensor) -> bool:
    """Whether kernels on ``like`` are queued on its GPU's default stream, where they
    follow one another. They may run at the same time as others on any other stream, and
    when a CUDA graph is captured, none runs."""
    if not like.is_cuda:
        return False
    return torch._C._cuda_getCurrentRawStream(like.device.index) == 0
