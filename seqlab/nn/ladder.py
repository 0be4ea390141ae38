"""The rungs between a tanh RNN and the LRU, in the order of Orvieto et al. (2023),
sections 2 and 3.

Like the LRU, all map (batch, length, width) to the same shape through a state of
`state_size` and return (y, last state). Each changes one thing from the rung before.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from seqlab.nn.diagonal import DiagonalRecurrence, as_complex
from seqlab.nn.eigenvalues import Draws, ring
from seqlab.nn.lru import LRU
from seqlab.nn.polar import check_eigenvalues, parameter, polar
from seqlab.ops.arguments import (
    check_sequence,
    check_state,
    check_step,
    number,
    positive_integer,
)
from seqlab.ops.autocast import outside_autocast


class _Dense(nn.Module):
    """A dense recurrence with Glorot's A (state_size, state_size), whose eigenvalues fill
    the unit disk, a way in B (state_size, width), and a readout C, D.

    Under autocast it is computed in the parameters' dtype. A graph made by
    ``torch.compile`` or ``torch.export`` is for one length.
    """

    def __init__(self, width: int, state_size: int) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.state_size = positive_integer("state_size", state_size)
        D, N = self.width, self.state_size
        # A and B under names of their own, and, tied, in a module that keeps them in one
        # piece of memory wherever they go, which is how cuDNN wants them.
        self.recurrence = nn.RNN(D, N, bias=False, batch_first=True)
        self.B, self.A = self.recurrence.all_weights[0]
        nn.init.normal_(self.A, std=N**-0.5)
        nn.init.normal_(self.B, std=D**-0.5)
        self.C = nn.Parameter(torch.randn(D, N) / N**0.5)
        self.D = nn.Parameter(torch.randn(D))

    def forward(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (batch, length, width) -> y of the same shape and the last state (batch,
        state_size)."""
        check_sequence("u", u, self.width, self.D)
        return self._run(u, state)

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.D)
        y, state = self._run(u_t[:, None], state)
        return y[:, 0], state

    def _run(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        N, dtype = self.state_size, self.D.dtype
        if state is None:
            state = u.new_zeros((u.shape[0], N), dtype=dtype)
        check_state("state", state, u, N, dtype)
        with outside_autocast(u.device):
            u = u.to(dtype)
            h = self._states(u, state.to(dtype))
            # The last state is a copy, so that it does not keep all others alive.
            return h @ self.C.T + self.D * u, h[:, -1].clone()

    def _states(self, u: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


class DenseTanh(_Dense):
    """Rung 1: h_t = tanh(A h_{t-1} + B u_t), a step after another in torch's loop, or
    cuDNN's."""

    def _states(self, u: Tensor, state: Tensor) -> Tensor:
        weights, options = (self.B, self.A), (False, 1, 0.0, self.training, False, True)
        return torch.rnn_tanh(u, state[None], weights, *options)[0]  # eq. 1.1


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
        transition = torch.linalg.matrix_power(A, chunk)  # of a whole chunk
        starts = [state]
        for end in ends.unbind(dim=1)[:-1]:
            starts.append(starts[-1] @ transition + end)  # eq. 2.5
        h, states = torch.stack(starts, dim=1), []
        for b_t in b.unbind(dim=2):  # every chunk again, from where it starts
            h = h @ A + b_t  # eq. 3.1
            states.append(h)
        return torch.stack(states, dim=2).flatten(1, 2)[:, :length]


class Cartesian(DiagonalRecurrence):
    """Rung 3: a complex diagonal, its real and imaginary parts the parameters. Nothing
    keeps |λ| below 1.

    It starts from the eigenvalues given, complex (state_size,); ValueError where one is
    not finite.
    """

    def __init__(self, width: int, eigenvalues: ArrayLike) -> None:
        lam = check_eigenvalues(eigenvalues, zero=True)
        super().__init__(width, len(lam))
        self.real = parameter(lam.real.copy(), like=self.D)
        self.imag = parameter(lam.imag.copy(), like=self.D)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return as_complex(self.real, self.imag)


class Exponential(DiagonalRecurrence):
    """Rung 4: λ = exp(-nu + i theta). Modulus and phase are parameters apart; nu may
    still turn negative.

    It starts from the eigenvalues given, complex (state_size,); ValueError where one is
    0 or not finite.
    """

    def __init__(self, width: int, eigenvalues: ArrayLike) -> None:
        nu, theta = polar(check_eigenvalues(eigenvalues))
        super().__init__(width, len(nu))
        self.nu = parameter(nu, like=self.D)
        self.theta = parameter(theta, like=self.D)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        return torch.exp(as_complex(-self.nu, self.theta))


class StableExponential(DiagonalRecurrence):
    """Rungs 5 and 6: λ = exp(-exp(nu_log) + i exp(theta_log)), inside the disk for any
    parameters.

    Rung 6, the ring, is a choice of eigenvalues. Rung 7 adds γ: that is the `LRU`. It
    starts from the eigenvalues given, complex (state_size,); ValueError unless 0 < |λ| <
    1 for all.
    """

    def __init__(self, width: int, eigenvalues: ArrayLike) -> None:
        nu, theta = polar(check_eigenvalues(eigenvalues, most=1))
        super().__init__(width, len(nu))
        self.nu_log = parameter(nu.log(), like=self.D)
        self.theta_log = parameter(theta.log(), like=self.D)

    @property
    def eigenvalues(self) -> Tensor:
        """λ, complex (state_size,)."""
        nu, theta = torch.exp(self.nu_log), torch.exp(self.theta_log)
        return torch.exp(as_complex(-nu, theta))  # eq. 3.4


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

    Raises:
        TypeError, ValueError: `state_size` is not a positive integer, or the ring is
            out of range.
    """
    state_size = positive_integer("state_size", state_size)
    r_min, r_max = number("r_min", r_min, 0, 1), number("r_max", r_max, 0, 1)
    if r_min > r_max:
        raise ValueError(
            f"r_min, r_max: expected r_min <= r_max, got {r_min} and {r_max}"
        )

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
