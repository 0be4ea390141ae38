"""Hyena: long convolutions with implicit filters, and gates, in turn (chapter 7)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from seqlab.nn.short_convolution import ShortConvolution
from seqlab.ops import hyena
from seqlab.ops.arguments import accumulation_dtype, check_sequence, positive_integer
from seqlab.ops.autocast import outside_autocast


class HyenaFilter(nn.Module):
    """Filters as functions of the time (Poli et al., 2023, arXiv 2302.10866, section 3.3):

        K_c(t) = network(positions(t))_c e^{-decay_c t},

    where t is the time over `length`, positions are t and sines and cosines of it, and the
    network has sines for activations. So its parameters do not grow with the filters, and
    any number of times can be asked for. The windows' decays are spread over the channels:
    at t = 1.5 the slowest one is down to 1/100, at t = 0.3 the fastest one.

    Args:
        width: filters, at least 1.
        length: times to which the positions are scaled, at least 1.
        hidden: features inside the network, at least 1.
        bands: frequencies of the sines and cosines, 1 to bands, at least 1.

    Attributes:
        into, mix, read: the three Linear layers of the network, the last without bias.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self, width: int, length: int, hidden: int = 64, bands: int = 8
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.length = positive_integer("length", length)
        hidden = positive_integer("hidden", hidden)
        self.bands = positive_integer("bands", bands)
        self.into = nn.Linear(1 + 2 * self.bands, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.read = nn.Linear(hidden, self.width, bias=False)

    def forward(self, times: int) -> Tensor:
        """K of the first so many times, (width, times), in float32 at least."""
        times = positive_integer("times", times)
        device = self.read.weight.device
        wide = accumulation_dtype(self.read.weight.dtype)
        with outside_autocast(device):
            t = torch.arange(times, device=device, dtype=wide)[:, None] / self.length
            band = torch.arange(1, self.bands + 1, device=device, dtype=wide)
            angle = 2 * math.pi * band * t
            x = torch.cat([t, angle.cos(), angle.sin()], dim=1)
            for layer in (self.into, self.mix):
                x = linear(x, layer.weight.to(wide), layer.bias.to(wide)).sin()
            x = linear(x, self.read.weight.to(wide))
            share = torch.linspace(0, 1, self.width, device=device, dtype=wide)
            slow, fast = math.log(100) / 1.5, math.log(100) / 0.3
            return (x * torch.exp(-t * (slow + (fast - slow) * share))).mT.contiguous()


class Hyena(nn.Module):
    """Hyena of order n (Poli et al., 2023, arXiv 2302.10866, definition 3.1): n gates and a
    value x_1, ..., x_n, v, each a projection of the input and then a short convolution, and

        z = v,  z = x_i ⊙ (K_i * z) for each i,  y = W_o z,

    with long filters K_i, those of a `HyenaFilter`, to each of which a direct path D_i
    δ_0 is added. It has no state: to go on, a layer would need all inputs, so there is
    no step.

    (The paper's code leaves out the first of the n convolutions. H3 is of order 2, with
    responses of state-space models for filters.)

    Args:
        width: features of the input and of the output, at least 1.
        length: of the sequences that it is made for, at least 1; others run as well.
        order: gates, at least 1.
        taps: of the short convolutions, at least 1.
        hidden, bands: as in `HyenaFilter`.

    Attributes:
        project, out: the Linear layers, one for all projections, and W_o.
        short: the `ShortConvolution` of all of them.
        filters: the `HyenaFilter` of order times width filters.
        D: (order width,).

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        length: int,
        order: int = 2,
        taps: int = 3,
        hidden: int = 64,
        bands: int = 8,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.order = positive_integer("order", order)
        inner = (self.order + 1) * self.width
        self.project = nn.Linear(self.width, inner)
        self.short = ShortConvolution(inner, taps)
        self.filters = HyenaFilter(self.order * self.width, length, hidden, bands)
        self.D = nn.Parameter(torch.randn(self.order * self.width))
        self.out = nn.Linear(self.width, self.width)

    def kernels(self, times: int) -> tuple[Tensor, ...]:
        """The filters of the first so many times, one for each gate, (width, times)."""
        K = self.filters(times)
        K = torch.cat([K[:, :1] + self.D.to(K.dtype)[:, None], K[:, 1:]], dim=1)
        return K.chunk(self.order)

    def forward(self, u: Tensor) -> tuple[Tensor, None]:
        """u (batch, length, width) -> y of the same shape, and None for a state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.out.weight)
        parts, _ = self.short(self.project(u))
        *gates, v = parts.chunk(self.order + 1, dim=-1)
        return self.out(hyena(v, gates, self.kernels(u.shape[1]))), None
