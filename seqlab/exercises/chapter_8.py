"""Chapter 8: RWKV."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.wkv import reference

MOST_KEYS = 400


def joined(first, second, length, w):
    """Average and logarithm of all weight, by the join of eq. 8.8."""
    triples = [(average, 1.0, log) for average, log in (first, second)]
    a, b, m = reference.join(triples[0], length * w, triples[1])
    return a / b, m + np.log(b)


def after_both(answer: Callable) -> None:
    inputs = [
        ((0.5, 1.0), (-2.0, 0.3), 7, 0.2),
        ((0.5, 1000.0), (-2.0, 990.0), 3, 1.5),
        ((4.0, -900.0), (1.0, -905.0), 2, 0.0),
    ]
    compare(answer, joined, inputs, ("average", "log weight"))


def last_gradients(w, u, k, v):
    """Of the last average of one channel: eq. 8.11, and the same to w."""
    arrays = np.array([w]), np.array([u]), k[None, :, None], v[None, :, None]
    grad_y = np.zeros((1, len(k), 1))
    grad_y[0, -1] = 1
    found = reference.wkv_gradients(*arrays, None, grad_y, np.zeros((1, 3, 1)))
    return found[2][0, :, 0], found[0][0]


def gradients(answer: Callable) -> None:
    random = np.random.default_rng(0)
    inputs = [
        (0.3, 0.7, *random.standard_normal((2, 6))),
        (0.0, -1.0, 800 + random.standard_normal(5), random.standard_normal(5)),
    ]
    compare(answer, last_gradients, inputs, ("dk", "dw"))


def cumulative_sums(w, k):
    """WKV of values of 1 without a bonus beside w, without a loop, in float32: 1
    wherever it is a number."""
    t = np.arange(len(k), dtype=np.float32)
    with np.errstate(all="ignore"):
        weights = np.exp(k.astype(np.float32) + t * np.float32(w))
        total = np.cumsum(weights) * np.exp(-t * np.float32(w))
        return total / total


def breaking(answer: Callable) -> None:
    broken, fine, k = map(
        np.asarray, unpacked(answer(), ("broken rate", "fine rate", "k"))
    )
    if k.ndim != 1 or not 1 <= len(k) <= MOST_KEYS:
        raise Rejected(
            f"k has shape {k.shape}, expected (L,) with L at most {MOST_KEYS}"
        )
    if not np.abs(k).max() <= 3:
        raise Rejected(f"the largest |k| is {np.abs(k).max():.3g}, expected at most 3")
    if broken.shape or fine.shape or not 0 <= fine < broken:
        raise Rejected(
            f"the rates are {broken} and {fine}, expected two numbers, the second smaller "
            "and at least 0"
        )
    if np.isfinite(cumulative_sums(broken, k)).all():
        raise Rejected(
            f"with w = {broken:.3g} and {len(k)} keys all outputs are numbers"
        )
    lost = np.flatnonzero(~np.isfinite(cumulative_sums(fine, k)))
    if len(lost):
        raise Rejected(
            f"with w = {fine:.3g} the output of token {lost[0]} is no number"
        )


def step(w, u, k, v, state):
    """y (B, C) and what the next state stands for, its averages and log weights."""
    y, last = reference.wkv_step(w, u, k, v, state)
    return y, last[:, 0], last[:, 2]


def step_kernel(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def token(B, C, height):
        w, u = random.exponential(0.5, C), random.standard_normal(C)
        k = height * random.standard_normal((B, C))
        state = random.uniform(0.5, 2, (B, 3, C))
        state[:, 2] = height * random.standard_normal((B, C))
        arrays = w, u, k, random.standard_normal((B, C)), state
        return [x.astype(np.float32) for x in arrays]

    def made(w, u, k, v, state):
        B, C = k.shape
        y = unwritten(B, C)
        launch(kernel, (-(-C // 4), B), k, v, w, u, state, y, C, BLOCK=4)
        with np.errstate(all="ignore"):
            last = reference.normalized(state.swapaxes(0, 1))
        return y, last[:, 0], last[:, 2]

    results = ("y", "average after it", "log weight after it")
    inputs = [token(2, 5, 1.0), token(3, 7, 200.0)]

    def truth(w, u, k, v, state):
        return [x.astype(np.float32) for x in step(w, u, k, v, state)]

    compare(made, truth, inputs, results, tolerance=1e-5)


CHECKS = {
    "8.4": after_both,
    "8.5": gradients,
    "8.6": breaking,
    "8.7": step_kernel,
}
