"""The rungs between a tanh RNN and the LRU, in the order of Orvieto et al. (2023),
sections 2 and 3.

Like the LRU, all map (batch, length, width) to the same shape through a state of
`state_size` and return (y, last state). Each changes one thing from the rung before.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlab.nn.arguments import check_sequence, check_state
from seqlab.nn.diagonal import DiagonalRecurrence
from seqlab.nn.eigenvalues import Draws, ring
from seqlab.nn.lru import LRU
from seqlab.ops.arguments import positive_integer


class _Dense(nn.Module):
    """A dense recurrence with Glorot's A, whose eigenvalues fill the unit disk, and a
    readout C, D."""

    def __init__(self, width: int, state_size: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        # Holds A as weight_hh and B as weight_ih, where cuDNN wants them.
        self.recurrence = nn.RNN(width, state_size, bias=False, batch_first=True)
        nn.init.normal_(self.A, std=state_size**-0.5)
        nn.init.normal_(self.B, std=width**-0.5)
        self.C = nn.Parameter(torch.randn(width, state_size) / state_size**0.5)
        self.D = nn.Parameter(torch.randn(width))

    @property
    def A(self) -> Tensor:
        """The transition, (state_size, state_size)."""
        return self.recurrence.get_parameter("weight_hh_l0")

    @property
    def B(self) -> Tensor:
        """The way in, (state_size, width)."""
        return self.recurrence.get_parameter("weight_ih_l0")

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state (batch,
        state_size)."""
        check_sequence("u", u, self.width, self.D)
        state = u.new_zeros(len(u), self.state_size) if state is None else state
        check_state("state", state, len(u), self.state_size)
        h = self._states(u, state)
        return h @ self.C.T + self.D * u, h[:, -1]

    def _states(self, u: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


class DenseTanh(_Dense):
    """Rung 1: h_t = tanh(A h_{t-1} + B u_t), a step after another in torch's loop, or
    cuDNN's."""

    def _states(self, u: Tensor, state: Tensor) -> Tensor:
        return self.recurrence(u, state[None])[0]  # eq. 1.1


class DenseLinear(_Dense):
    """Rung 2: h_t = A h_{t-1} + B u_t.

    Without the tanh, products of A may be regrouped: in chunks of C steps this takes 2
    C + L / C matrix products one after another instead of L, at about twice the
    arithmetic.
    """

    def _states(self, u: Tensor, state: Tensor) -> Tensor:
        A, b, length = self.A.T, u @ self.B.T, u.shape[1]
        chunk = math.isqrt(max(1, length // 2))
        chunks = -(-length // chunk)
        b = nn.functional.pad(b, (0, 0, 0, chunks * chunk - length)).unflatten(
            1, (chunks, chunk)
        )
        ends = torch.zeros_like(b[:, :, 0])
        for b_t in b.unbind(dim=2):  # every chunk from zero, all chunks at once
            ends = ends @ A + b_t
        jump = torch.linalg.matrix_power(A, chunk)
        starts = [state]
        for end in ends.unbind(dim=1)[:-1]:
            starts.append(starts[-1] @ jump + end)  # eq. 2.5
        h, states = torch.stack(starts, dim=1), []
        for b_t in b.unbind(dim=2):  # every chunk again, from where it starts
            h = h @ A + b_t  # eq. 3.1
            states.append(h)
        return torch.stack(states, dim=2).flatten(1, 2)[:, :length]


class Cartesian(DiagonalRecurrence):
    """Rung 3: a complex diagonal, its real and imaginary parts the parameters. Nothing
    keeps |λ| below 1."""

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.real = _parameter(eigenvalues.real)
        self.imag = _parameter(eigenvalues.imag)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.complex(self.real, self.imag)


class Exponential(DiagonalRecurrence):
    """Rung 4: λ = exp(-nu + i theta). Modulus and phase are parameters apart; nu may
    still turn negative."""

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.nu = _parameter(-np.log(np.abs(eigenvalues)))
        self.theta = _parameter(np.mod(np.angle(eigenvalues), 2 * np.pi))

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.exp(torch.complex(-self.nu, self.theta))


class StableExponential(DiagonalRecurrence):
    """Rungs 5 and 6: λ = exp(-exp(nu_log) + i exp(theta_log)), inside the disk for any
    parameters.

    Rung 6, the ring, is a choice of eigenvalues. Rung 7 adds γ: that is the `LRU`.
    """

    def __init__(self, width: int, eigenvalues: NDArray[np.complex128]) -> None:
        super().__init__(width, len(eigenvalues))
        self.nu_log = _parameter(np.log(-np.log(np.abs(eigenvalues))))
        self.theta_log = _parameter(np.log(np.mod(np.angle(eigenvalues), 2 * np.pi)))

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.exp(
            torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log))
        )  # eq. 3.4


def rungs(
    state_size: int, rng: Draws, r_min: float = 0.9, r_max: float = 0.999
) -> dict[str, Callable[[int], nn.Module]]:
    """The ladder from bottom to top: a name and a function width -> layer, as
    `SequenceModel` takes it.

    Args:
        state_size: size of the state on every rung.
        rng: where eigenvalues are drawn from. A dense A is drawn with torch's
            generator, like all weights.
        r_min, r_max: the ring of the last two rungs. The three diagonal rungs below
            them start from the whole unit disk, as the eigenvalues of a Glorot matrix
            do.
    """

    def disk() -> NDArray[np.complex128]:
        return ring(state_size, 0.0, 1.0, 2 * math.pi, rng)

    def narrow() -> NDArray[np.complex128]:
        return ring(state_size, r_min, r_max, 2 * math.pi, rng)

    return {
        "tanh, dense": lambda width: DenseTanh(width, state_size),
        "linear, dense": lambda width: DenseLinear(width, state_size),
        "diagonal, Re + i Im": lambda width: Cartesian(width, disk()),
        "exponential": lambda width: Exponential(width, disk()),
        "stable exponential": lambda width: StableExponential(width, disk()),
        "+ ring": lambda width: StableExponential(width, narrow()),
        "+ gamma = LRU": lambda width: LRU.from_eigenvalues(width, narrow()),
    }


def _parameter(values: NDArray[np.float64]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).float())
