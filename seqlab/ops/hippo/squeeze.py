"""The exact step of LegS (zoh), e^{A sigma} with sigma = log(k / (k - 1)), without a
matrix exponential, which would cost O(N^3).

While no signal comes in, LegS remembers the same function, which fills only the first
part lambda = (k - 1) / k of its longer history: it is squeezed. With s counted from the
start of the history and the basis g_n(s) = r_n P_n(2 s - 1),

      (e^{A sigma})_{nm}  =  int_0^lambda g_n(s) g_m(s / lambda) ds
                          =  int_0^1 lambda g_n(lambda s) g_m(s) ds

The integrand is a polynomial of degree below 2 N, which the N nodes s_i and weights w_i
of Gauss and Legendre integrate exactly. With G_{ni} = g_n(s_i), where G w G^T = I, and
H_{ni} = lambda g_n(lambda s_i) - g_n(s_i),

      (e^{A sigma} - I) x  =  H w G^T x

two products of a matrix with a vector; what is small beside I is never added to it.
"""

import numpy as np
import torch
from torch import Tensor

from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.hippo.transition import basis
from seqlab.ops.kept import keep

PAGE = 256
"""Steps whose matrices are made together, if they are few numbers: 2^20 in all."""


class Squeeze:
    """Exact steps of LegS; as ``portable.Triangular`` for those of equation 4.9."""

    def __init__(self, order: int, dtype: torch.dtype, device: torch.device):
        self.order, self.dtype, self.device = order, dtype, device
        self.page = max(1, min(PAGE, 2**20 // order**2))

    def change(self, x: Tensor, numbers: range, back: bool = False) -> Tensor:
        """(A_bar_k - I) x, or BACK with A_bar_k transposed, for the steps k with these
        numbers, one for each chunk; x (J, N, R)."""
        places = [divmod(k - 1, self.page) for k in numbers]
        pages = {number: self._page(number) for number, _ in places}
        matrices = [pages[number][0][place] for number, place in places]
        H = torch.stack(matrices) if len(matrices) > 1 else matrices[0]
        wG = pages[places[0][0]][1]
        if back:
            return matmul(wG.mT, matmul(H.mT, x))
        return matmul(H, matmul(wG, x))

    def _page(self, number: int) -> tuple[Tensor, Tensor]:
        """H of the steps on a page (page, N, N), and w G^T (N, N)."""

        def make() -> tuple[Tensor, Tensor]:
            first = 1 + number * self.page
            k = torch.arange(self.page, dtype=torch.float64, device=self.device) + first
            s, w = self._nodes()
            ratio = ((k - 1) / k)[:, None]
            G = basis("legs", self.order, 1 - s)
            H = ratio[..., None] * basis("legs", self.order, 1 - ratio * s) - G
            return H.to(self.dtype), (w[:, None] * G.T).to(self.dtype)

        size = (self.page + 1) * self.order**2 * self.dtype.itemsize
        key = ("exact steps of LegS", self.order, self.dtype, number)
        return keep(key, self.device, size, make) or make()

    def _nodes(self) -> tuple[Tensor, Tensor]:
        """Gauss-Legendre nodes in [0, 1] and their weights (N,), in float64."""

        def make() -> tuple[Tensor, Tensor]:
            x, w = np.polynomial.legendre.leggauss(self.order)
            both = torch.from_numpy(np.stack([(x + 1) / 2, w / 2]))
            points, weights = both.to(self.device, non_blocking=True)
            return points, weights

        key = ("Gauss-Legendre nodes", self.order)
        return keep(key, self.device, 16 * self.order, make) or make()
