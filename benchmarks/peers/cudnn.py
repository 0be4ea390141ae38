"""cuDNN's causal convolution by Fourier transforms (from 9.26 on), and H3 composed of it.

``libcudnn_ext.so.9`` of ``nvidia-cudnn-cu13`` is called as its header says, as ``torch`` does not call it. It compiles
a kernel for each length, for up to a minute, with NVRTC and CUDA's headers, which it finds by ``CUDA_HOME``. Taps have
the type of the samples: those of bfloat16 are rounded, where others' are not.
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.torch_convolutions import by_taps, prepare_convolution, prepare_h3
from seqlab.benchmark import Absent, Implementation

TYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 9}
MOST_TAPS = 16384
"""Of the kernel that transforms tiles; further ones transform whole sequences, and write transforms to memory."""


@cache
def library() -> ctypes.CDLL:
    for folder in sys.path:
        path = Path(folder) / "nvidia" / "cudnn" / "lib" / "libcudnn_ext.so.9"
        if path.exists() and hasattr(found := ctypes.CDLL(str(path)), "cudnnFFTCausalConv1dForward"):
            return found
    raise Absent("needs nvidia-cudnn-cu13 from 9.26 on")


def call(name: str, *arguments: Any) -> None:
    """A function of the library, with tensors by their addresses, on the current stream."""
    taken = [ctypes.c_void_p(x.data_ptr()) if isinstance(x, Tensor) else x for x in arguments]
    status = getattr(library(), name)(*taken)
    if status != 0:
        raise Absent(f"{name} ends with status {status}: does it find CUDA's headers (CUDA_HOME) and NVRTC?")


def stream() -> ctypes.c_void_p:
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)


class Convolution(torch.autograd.Function):
    """y of x (B, D, L) and as many taps as times, (D, L), of x's type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor) -> Tensor:
        y, sizes = torch.empty_like(x), (*x.shape, x.shape[2], TYPES[x.dtype])
        if x.shape[2] <= MOST_TAPS:
            call("cudnnFFTCausalConv1dForward", stream(), x, taps, y, *sizes)
            ctx.save_for_backward(x, taps)
            return y
        counts = ctypes.c_size_t(), ctypes.c_size_t()
        call("cudnnLongFFTCausalConv1dGetBufferSizes", *sizes, *map(ctypes.byref, counts))
        room, kept = (x.new_empty(count.value, dtype=torch.uint8) for count in counts)
        buffers = room, counts[0], kept, counts[1]
        call("cudnnLongFFTCausalConv1dForward", stream(), x, taps, y, *sizes, *buffers)
        ctx.save_for_backward(x, taps, room, kept)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor]:
        x, taps, *buffers = ctx.saved_tensors
        grad_x, grad_taps = torch.empty_like(x), torch.empty_like(taps)
        found, sizes = (grad_y.contiguous(), grad_x, grad_taps), (*x.shape, x.shape[2], TYPES[x.dtype])
        if not buffers:
            call("cudnnFFTCausalConv1dBackward", stream(), x, taps, *found, *sizes)
            return grad_x, grad_taps
        counted = [each for x in buffers for each in (x, ctypes.c_size_t(x.numel()))]
        call("cudnnLongFFTCausalConv1dBackward", stream(), *found, *sizes, *counted)
        return grad_x, grad_taps


def convolve(x: Tensor, taps: Tensor) -> Tensor:
    length = x.shape[-1]
    if not x.is_cuda:
        raise Absent("needs a CUDA GPU")
    if taps.shape[1] != length or length < 128 or length & (length - 1):
        raise Absent("is compared with as many taps as times, a power of 2 from 128 on")
    return Convolution.apply(x.contiguous(), taps.to(x.dtype).contiguous())


PEERS = [
    *(
        Implementation("cuDNN, FFT", op, lambda x: prepare_convolution(x, convolve), patience=240)
        for op in ("ssm_convolution", "causal_convolution", "flashconv")
    ),
    Implementation("composed of cuDNN", "h3", lambda x: prepare_h3(x, by_taps, convolve), patience=240),
]
