"""Chapter 7: Hungry Hungry Hippos."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.h3 import reference as h3


def linear_attention(q, k, v, S, z):
    """Eq. 7.3 on one chunk: y (T, d), and S and z after it."""
    y = np.zeros(v.shape)
    for t in range(len(q)):
        S, z = S + np.outer(k[t], v[t]), z + k[t]
        y[t] = (q[t] @ S) / (q[t] @ z)
    return y, S, z


def attention_chunk(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def case(T, d):
        q, k, before = (random.uniform(0.1, 2, (T, d)) for _ in range(3))
        v, seen = random.standard_normal((2, T, d))
        return q, k, v, before.T @ seen, before.sum(0)

    compare(answer, linear_attention, [case(6, 3), case(1, 4)], ("y", "S", "z"))


def ahead(A, B, C, u, s):
    """Eq. 7.14 on one chunk: y (T,) and s after it, whose system steps after reading."""
    return h3.state_passing_ahead(A, B, C, u, np.linalg.solve(A, s), len(u))


def chunk_ahead(answer: Callable) -> None:
    random = np.random.default_rng(0)

    def case(N, T):
        A = random.uniform(-0.5, 0.5, (N, N)) + 0.5 * np.eye(N)
        B, C, s = random.standard_normal((3, N))
        return A, B, C, random.standard_normal(T), s

    compare(answer, ahead, [case(3, 5), case(2, 1)], ("y", "s"))


def hidden_carry(answer: Callable) -> None:
    u = answer()
    if u is ...:
        raise NotImplementedError
    u = np.asarray(u, float)
    if u.shape != (8,):
        raise Rejected(f"u has shape {u.shape}, expected (8,)")
    if np.count_nonzero(u) < 6:
        raise Rejected(
            f"u has {np.count_nonzero(u)} numbers that are not zero, expected 6 or more"
        )
    A, one, none = np.diag([0.9, 0.5]), np.ones(2), np.zeros(2)
    truth, _ = h3.dense_scan(A, one, one, u, none)
    wrong, _ = h3.state_passing(A, one, one, u, none, 4, "current", "next")
    far = np.flatnonzero(~(np.abs(wrong - truth) < 1e-9 * np.abs(u).max()))
    if len(far):
        t = int(far[0])
        raise Rejected(
            f"output {t} by the wrong rows is {wrong[t]:.6g}, expected {truth[t]:.6g}: the "
            "test would fail"
        )


def delayed_product(k, v, taps):
    """What eq. 7.9 writes, the delayed key times the value, (L, D)."""
    return (h3.shift_ssm(k[None], taps)[0][0] * v).astype(np.float32)


def written(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def case(L, D, M):
        shapes = (L, D), (L, D), (D, M)
        return tuple(random.standard_normal(s).astype(np.float32) for s in shapes)

    def made(k, v, taps):
        (L, D), M = k.shape, taps.shape[1]
        y = unwritten(L, D)
        launch(kernel, (D, -(-L // 4)), k, v, taps, y, D, M, L, BLOCK=4)
        return y

    cases = [case(10, 3, 3), case(2, 1, 5)]
    compare(made, delayed_product, cases, ("y",), tolerance=1e-5)


CHECKS = {
    "7.4": attention_chunk,
    "7.5": chunk_ahead,
    "7.6": hidden_carry,
    "7.7": written,
}
