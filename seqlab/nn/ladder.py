"""The rungs between a tanh RNN and the LRU, in the order of Orvieto et al. (2023), sections 2 and 3.

Like the LRU, all map (batch, length, width) to the same shape through a state of `state_size` and return
(y, last state). Each changes one thing from the rung before.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlab.nn.arguments import check_sequence, check_state, positive_integer
from seqlab.nn.diagonal import DiagonalRecurrence


class _Dense(nn.Module):
    """B, C, D and a dense Glorot transition A, whose eigenvalues fill the unit disk (the circular law)."""

    def __init__(self, width: int, state_size: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        self.A = nn.Parameter(torch.randn(state_size, state_size) / state_size**0.5)
        self.B = nn.Parameter(torch.randn(state_size, width) / width**0.5)
        self.C = nn.Parameter(torch.randn(width, state_size) / state_size**0.5)
        self.D = nn.Parameter(torch.randn(width))

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state (batch, state_size)."""
        check_sequence("u", u, self.width, self.D)
        state = u.new_zeros(len(u), self.state_size) if state is None else state
        check_state("state", state, len(u), self.state_size)
        h = self._states(u @ self.B.T, state)
        return h @ self.C.T + self.D * u, h[:, -1]

    def _states(self, b: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


class DenseTanh(_Dense):
    """Rung 1: h_t = tanh(A h_{t-1} + B u_t), one step after another (equation 1.1 without its bias)."""

    def _states(self, b: Tensor, state: Tensor) -> Tensor:
        states = []
        for b_t in b.unbind(dim=1):
            state = torch.tanh(torch.addmm(b_t, state, self.A.T))  # eq. 1.1
            states.append(state)
        return torch.stack(states, dim=1)


class DenseLinear(_Dense):
    """Rung 2: h_t = A h_{t-1} + B u_t (equation 3.1).

    Without the tanh, products of A may be regrouped: in chunks of C steps this takes 2 C + L / C matrix
    products one after another instead of L, at about twice the arithmetic.
    """

    def _states(self, b: Tensor, state: Tensor) -> Tensor:
        length = b.shape[1]
        chunk = math.isqrt(max(1, length // 2))
        chunks = -(-length // chunk)
        b = nn.functional.pad(b, (0, 0, 0, chunks * chunk - length)).unflatten(1, (chunks, chunk))
        local = torch.zeros_like(b[:, :, 0])
        for b_t in b.unbind(dim=2):  # every chunk from zero, all chunks at once
            local = local @ self.A.T + b_t
        jump = torch.linalg.matrix_power(self.A, chunk)
        starts = [state]
        for last in local.unbind(dim=1)[:-1]:
            starts.append(starts[-1] @ jump.T + last)  # eq. 2.5
        h, states = torch.stack(starts, dim=1), []
        for b_t in b.unbind(dim=2):  # every chunk again, from where it starts
            h = h @ self.A.T + b_t  # eq. 3.1
            states.append(h)
        return torch.stack(states, dim=2).flatten(1, 2)[:, :length]


class Cartesian(DiagonalRecurrence):
    """Rung 3: a complex diagonal, its real and imaginary parts the parameters. Nothing keeps |λ| below 1."""

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.real = _parameter(eigenvalues.real)
        self.imag = _parameter(eigenvalues.imag)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.complex(self.real, self.imag)


class Exponential(DiagonalRecurrence):
    """Rung 4: λ = exp(-nu + i theta). Modulus and phase are parameters apart; nu may still turn negative."""

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.nu = _parameter(-np.log(np.abs(eigenvalues)))
        self.theta = _parameter(np.mod(np.angle(eigenvalues), 2 * np.pi))

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.exp(torch.complex(-self.nu, self.theta))


class StableExponential(DiagonalRecurrence):
    """Rungs 5 and 6: λ = exp(-exp(nu_log) + i exp(theta_log)), inside the disk for any parameters.

    Rung 6, the ring, is a choice of eigenvalues. Rung 7 adds γ: that is the `LRU`.
    """

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.nu_log = _parameter(np.log(-np.log(np.abs(eigenvalues))))
        self.theta_log = _parameter(np.log(np.mod(np.angle(eigenvalues), 2 * np.pi)))

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.exp(torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log)))  # eq. 3.4


def _parameter(values: NDArray[np.float64]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).float())
