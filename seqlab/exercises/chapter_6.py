"""Chapter 6: convolution or recurrence."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.convolution import reference as convolution
from seqlab.ops.ssm import reference as ssm


def correlation(u, g, M):
    """The second line of eq. 6.7: dl/dK (M,)."""
    _, grad_K = convolution.causal_convolution_gradients(
        u[None, :, None], np.zeros((1, M)), g[None, :, None]
    )
    return grad_K[0]


def kernel_gradient(answer: Callable) -> None:
    random = np.random.default_rng(0)
    inputs = [
        (random.standard_normal(L), random.standard_normal(L), M)
        for L, M in ((6, 3), (9, 9), (12, 5))
    ]
    compare(answer, correlation, inputs, ("dl/dK",))


def powers(lam, weight, L):
    """Eq. 6.15 with the weight C B_bar, (L,)."""
    return ssm.ssm_kernel(lam[None], weight[None], np.ones((1, len(lam))), L)[0]


def kernel_by_roots(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def modes(N):
        radius, phase = random.uniform(0.5, 0.95, N), random.uniform(0, 3, N)
        weight = random.standard_normal(N) + 1j * random.standard_normal(N)
        return radius * np.exp(1j * phase), weight

    compare(answer, powers, [(*modes(3), 8), (*modes(2), 11)], ("K",))


def chunk(lam, B_bar, C, u, state):
    """Eq. 6.8: y (T,) and the state after (N,)."""
    y, after = ssm.ssm_scan(
        lam[None], B_bar[None], C[None], u[None, :, None], state[None, None]
    )
    return y[0, :, 0], after[0, 0]


def one_chunk(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def case(N, T):
        lam = random.uniform(0.5, 0.95, N) * np.exp(1j * random.uniform(0, 3, N))
        B_bar, C, state = random.standard_normal((3, N)) + 1j * random.standard_normal(
            (3, N)
        )
        return lam, B_bar, C, random.standard_normal(T), state

    compare(answer, chunk, [case(5, 7), case(3, 1)], ("y", "after"))


def hidden_wrap(answer: Callable) -> None:
    u, K = (np.asarray(x, float) for x in unpacked(answer(), ("u", "K")))
    for name, x, least in (("u", u, 5), ("K", K, 4)):
        if x.shape != (8,):
            raise Rejected(f"{name} has shape {x.shape}, expected (8,)")
        if np.count_nonzero(x) < least:
            raise Rejected(
                f"{name} has {np.count_nonzero(x)} numbers that are not zero, expected "
                f"{least} or more"
            )
    causal = convolution.causal_convolution(u[None, :, None], K[None])[0, :, 0]
    circle = convolution.causal_convolution_fft(u[None, :, None], K[None], 8)[0, :, 0]
    wrong = np.flatnonzero(~(np.abs(circle - causal) < 1e-9))
    if len(wrong):
        t = int(wrong[0])
        raise Rejected(
            f"output {t} of the circle is {circle[t]:.6g}, of the causal convolution "
            f"{causal[t]:.6g}"
        )


def scan(A, B, C, u):
    """Eq. 6.1, y (L, D), for real modes; u is (L, D)."""
    return ssm.ssm_scan(A, B, C, u[None])[0][0].astype(np.float32)


def recurrence(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def case(D, N, L):
        A = random.uniform(0.5, 0.95, (D, N))
        others = random.standard_normal((2, D, N))
        u = random.standard_normal((L, D))
        return tuple(x.astype(np.float32) for x in (A, *others, u))

    def made(A, B, C, u):
        (D, N), L = A.shape, len(u)
        y = unwritten(L, D)
        launch(kernel, (D,), A, B, C, u, y, D, N, L, BLOCK=8)
        return y

    compare(made, scan, [case(3, 5, 7), case(2, 8, 4)], ("y",), tolerance=1e-5)


CHECKS = {
    "6.4": kernel_gradient,
    "6.5": kernel_by_roots,
    "6.6": one_chunk,
    "6.7": hidden_wrap,
    "6.8": recurrence,
}
