"""Chapter 1: why recurrence came back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.linear_scan.reference import linear_scan


def pooled(n, f, o, state):
    """All h and the last state of c_t = f_t c_{t-1} + (1 - f_t) n_t, h_t = o_t c_t."""
    c, last = linear_scan(f, (1 - f) * n, state)
    return o * c, last


def fo_pooling(answer: Callable) -> None:
    import torch

    def made(n, f, o, state):
        return answer(*map(torch.from_numpy, (n, f, o, state)))

    random = np.random.default_rng(0)
    inputs = []
    for batch, length, width in ((2, 5, 3), (1, 1, 4)):
        n = np.tanh(random.standard_normal((batch, length, width)))
        f, o = random.uniform(0.1, 0.9, (2, batch, length, width))
        inputs.append((n, f, o, random.standard_normal((batch, width))))
    compare(made, pooled, inputs, ("h", "state"))


def parity_gates(answer: Callable) -> None:
    import torch

    random = np.random.default_rng(0)
    bits = random.integers(0, 2, (2, 40, 1)).astype(np.float64)
    a, b = (
        np.broadcast_to(np.asarray(each, np.float64), bits.shape)
        for each in unpacked(answer(torch.from_numpy(bits)), ("a", "b"))
    )
    for name, gate in (("a", a), ("b", b)):
        for bit in (0, 1):
            values = gate[bits == bit]
            if np.ptp(values):
                raise Rejected(
                    f"{name} takes several values where the bit is {bit}, such as {values.min():g} "
                    f"and {values.max():g}: it has to depend on that bit alone"
                )
    h, _ = linear_scan(a, b)
    wrong = h != np.cumsum(bits, axis=1) % 2
    if wrong.any():
        place = np.argwhere(wrong)[0]
        seen = "".join(f"{bit:.0f}" for bit in bits[place[0], : place[1] + 1, 0])
        raise Rejected(f"after the bits {seen} h is {h[tuple(place)]:g}, from h_0 = 0")


def rising_gradient(answer: Callable) -> None:
    U = np.asarray(answer())
    if U.shape != (16, 16) or not np.isrealobj(U):
        raise Rejected(f"U is {U.dtype} of shape {U.shape}, expected real (16, 16)")
    if not np.abs(U).max() <= 1:
        raise Rejected(
            f"U has an entry of size {np.abs(U).max():g}, expected 1 at most"
        )
    radius = np.abs(np.linalg.eigvals(U)).max()
    if not radius <= 0.5 + 1e-9:
        raise Rejected(
            f"U has an eigenvalue of size {radius:.4f}, expected 0.5 at most"
        )
    power, largest = np.eye(16), 0.0
    for _ in range(400):
        power = power @ U.T
        largest = max(largest, float(np.linalg.norm(power, 2)))
    if not largest > 1e5:
        raise Rejected(f"no gradient grows more than {largest:.3g}-fold")


def softmax_average(s, v):
    """Over time, channel by channel, in float64; s and v are (L, D)."""
    weights = np.exp(np.float64(s) - s.max(0))
    return np.float32((weights * v).sum(0) / weights.sum(0))


def running_softmax(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def made(s, v):
        L, D = s.shape
        y = unwritten(D)
        launch(kernel, (-(-D // 4),), s, v, y, L, D, BLOCK=4)
        return y

    s, v = random.standard_normal((2, 7, 5)).astype(np.float32)
    inputs = [(s, v), (3 * s + np.float32(200), v), (s[:3] - np.float32(200), v[:3])]
    inputs += [(100 * s, v)]  # no score but the largest is a safe one to subtract
    compare(made, softmax_average, inputs, ("y",), tolerance=1e-5)


CHECKS = {
    "1.5": fo_pooling,
    "1.6": parity_gates,
    "1.7": rising_gradient,
    "1.8": running_softmax,
}
