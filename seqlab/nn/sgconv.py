"""SGConv: a long convolution whose kernel is made of scales (chapter 6)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seqlab.ops import causal_convolution
from seqlab.ops.arguments import (
    accumulation_dtype,
    check_sequence,
    number,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast


class SGConv(nn.Module):
    """Structured global convolution (Li et al., 2022, arXiv 2210.09298, section 3): y = K *
    u + D ⊙ u, causal, with a kernel of few parameters and long reach.

    K is a row of sub-kernels of `taps` numbers each: the first as it is, the others drawn
    out to lengths taps, 2 taps, 4 taps, ... by linear interpolation and weighted by decay,
    decay², ... So parameters grow with the logarithm of the length, and what lies further
    back weighs less. K has no small state: a layer that generates would have to keep all
    inputs, so there is no step.

    Args:
        width: channels, at least 1.
        length: the reach of the kernel, at least 1: it covers as many times or more.
            Sequences may be of any length; earlier inputs than its reach count for nothing.
        taps: numbers of each sub-kernel, at least 1.
        decay: weight of a sub-kernel relative to that before it, above 0, at most 1.

    Attributes:
        scales: (sub-kernels, width, taps), standard normal.
        D: (width,).
        norm: (width,), the norm of each channel's first kernel, by which it stays divided.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    norm: Tensor

    def __init__(
        self, width: int, length: int, taps: int = 16, decay: float = 0.5
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        length = positive_integer("length", length)
        self.taps = positive_integer("taps", taps)
        self.decay = number("decay", decay, most=1, above=0)
        count = 1
        while self.taps << (count - 1) < length:
            count += 1
        self.scales = nn.Parameter(torch.randn(count, self.width, self.taps))
        self.D = nn.Parameter(torch.randn(self.width))
        self.register_buffer("norm", torch.ones(self.width))
        with torch.no_grad():
            self.norm = self.kernel().norm(dim=1)

    def kernel(self) -> Tensor:
        """K, (width, taps 2^(sub-kernels - 1)), without D; float32 in half precision."""
        wide = self.scales.to(accumulation_dtype(self.scales.dtype))
        parts = [
            self.decay**i
            * interpolate(scale[None], self.taps << max(0, i - 1), mode="linear")[0]
            for i, scale in enumerate(wide)
        ]
        return torch.cat(parts, dim=1) / self.norm.to(wide.dtype)[:, None]

    def forward(self, u: Tensor) -> tuple[Tensor, None]:
        """u (batch, length, width) -> y of the same shape, and None for a state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.D)
        with outside_autocast(u.device):
            return causal_convolution(u, self.kernel()) + self.D * u, None
