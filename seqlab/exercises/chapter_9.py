"""Chapter 9: xLSTM."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.xlstm import reference


def joined(first, second):
    """Eq. 9.3 and 9.4 for two runs of steps, (log_f, m, c, n) each."""
    (log_f_1, m_1, c_1, n_1), (log_f_2, m_2, c_2, n_2) = first, second
    m = np.maximum(m_1 + log_f_2, m_2)
    old, new = np.exp(m_1 + log_f_2 - m), np.exp(m_2 - m)
    return log_f_1 + log_f_2, m, old * c_1 + new * c_2, old * n_1 + new * n_2


def join(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def run(D, size):
        log_f, m = -random.exponential(3, D), random.normal(0, size, D)
        n = random.uniform(1, 5, D)
        return log_f, m, n * random.uniform(-1, 1, D), n

    # The last two are far apart: e^1000 is no number.
    cases = [(run(3, 2), run(3, 2)), (run(2, 1000), run(2, 1000))]
    compare(answer, joined, cases, ("log_f", "m", "c", "n"))


def normalizer_gradients(y, nq, bound, dh):
    """dy (L, V) and dnq (L,) of h = y / max(|nq|, bound)."""
    size = np.maximum(np.abs(nq), bound)
    dnq = -(dh * y).sum(1) / size**2 * np.sign(nq) * (np.abs(nq) > bound)
    return dh / size[:, None], dnq


def through_the_normalizer(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def case(L, V):
        y, dh = random.standard_normal((2, L, V))
        nq = np.linspace(-3, 3.5, L)  # some of them below the bound, on either side
        return y, nq, random.uniform(0.8, 1.6, L), dh

    compare(answer, normalizer_gradients, [case(9, 3), case(7, 5)], ("dy", "dnq"))


def beyond_a_mean(answer: Callable) -> None:
    shapes = {"q": (2,), "k": (3, 2), "v": (3,), "i": (3,)}
    given = unpacked(answer(), tuple(shapes))
    arrays = [np.asarray(x, float) for x in given]
    for (name, shape), x in zip(shapes.items(), arrays, strict=True):
        if x.shape != shape:
            raise Rejected(f"{name} has shape {x.shape}, expected {shape}")
        most = 10 if name == "i" else 1
        if not (np.abs(x) <= most).all():
            raise Rejected(
                f"{name} has numbers beyond {most} in size, got {x.tolist()}"
            )
    q, k, v, i = arrays
    queries = np.broadcast_to(q, (1, 3, 1, 2))
    h, _ = reference.mlstm(
        queries, k[None, :, None], v[None, :, None, None], i[None, :, None],
        np.full((1, 3, 1), 1e3),
    )  # fmt: skip
    if not abs(h[0, 2, 0, 0]) > 1000:
        raise Rejected(
            f"the last output is {h[0, 2, 0, 0]:.6g}, expected more than 1000"
        )


def memory(i, log_f, z):
    """Eq. 9.3 and 9.4: h (L, D)."""
    c, n, m, h = 0.0, 0.0, np.full(i.shape[1], -1e38), []
    for i_t, log_f_t, z_t in zip(
        *(x.astype(float) for x in (i, log_f, z)), strict=True
    ):
        past = log_f_t + m
        m = np.maximum(past, i_t)
        kept, written = np.exp(past - m), np.exp(i_t - m)
        c, n = kept * c + written * z_t, kept * n + written
        h.append(c / n)
    return np.array(h, np.float32)


def scalar_memory(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def case(L, D, size):
        i, z = random.normal(0, size, (L, D)), random.standard_normal((L, D))
        log_f = -random.exponential(1.0, (L, D))
        return tuple(x.astype(np.float32) for x in (i, log_f, z))

    def made(i, log_f, z):
        L, D = i.shape
        h = unwritten(L, D)
        launch(kernel, (-(-D // 4),), i, log_f, z, h, L, D, BLOCK=4)
        return h

    cases = [case(5, 7, 1), case(6, 5, 100)]
    compare(made, memory, cases, ("h",), tolerance=1e-4)


CHECKS = {
    "9.4": join,
    "9.5": through_the_normalizer,
    "9.6": beyond_a_mean,
    "9.7": scalar_memory,
}
