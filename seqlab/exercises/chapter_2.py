"""Chapter 2: the linear scan."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seqlab.exercises import Rejected
from seqlab.exercises.comparison import compare, unpacked
from seqlab.exercises.kernels import launch, unwritten
from seqlab.ops.linear_scan import reference


def joined(first, second):
    """The peak meter's m -> max(m - w, x) twice in a row, as one such step."""
    (w_1, x_1), (w_2, x_2) = first, second
    return w_1 + w_2, np.maximum(x_1 - w_2, x_2)


def fading_maximum(answer: Callable) -> None:
    join, neutral = unpacked(answer(), ("join", "neutral"))
    if not callable(join):
        raise Rejected(f"join is {join!r}, expected a function of two pairs")
    random = np.random.default_rng(0)

    def stretch(D):
        return random.uniform(0, 2, D), random.standard_normal(D)

    cases = [(stretch(5), stretch(5)), ((0.5, -np.inf), (0.25, -3.0))]
    compare(join, joined, cases, ("w", "x"))
    given = unpacked(neutral, ("w of neutral", "x of neutral"))
    pairs = (0.5, -7.0), (0.5, 7.0), (0.5, -np.inf)
    for pair, where in zip(pairs, ("before", "after", "before"), strict=True):
        operands = (given, pair) if where == "before" else (pair, given)
        made = tuple(float(x) for x in joined(*operands))
        if made != pair:
            raise Rejected(
                f"neutral {where} the pair {pair} makes {made} of it, and should leave it as it is"
            )


def in_logarithms(a, b):
    """The closed form with its products as sums of logarithms, in float32."""
    import torch

    a, b = (torch.from_numpy(x).float() for x in (a, b))
    S = a.log().cumsum(0)
    return (S + torch.logcumsumexp(b.log() - S, dim=0)).exp().double().numpy()


def long_and_forgetful(answer: Callable) -> None:
    import torch

    from seqlab.ops import linear_scan

    a, b = (np.asarray(x, float) for x in unpacked(answer(), ("a", "b")))
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 1 or len(x) != len(a):
            raise Rejected(
                f"{name} has shape {x.shape}, expected {a.shape[:1] or '(L,)'}"
            )
        if not 1 <= len(x) <= 10**6:
            raise Rejected(
                f"{name} has {len(x):,} steps, expected a million at the most"
            )
        if not (x.min() >= 0.1 and x.max() <= 1):
            raise Rejected(
                f"{name} lies between {x.min():.3g} and {x.max():.3g}, expected 0.1 to 1"
            )
    decays, inputs = (torch.from_numpy(x)[None, :, None] for x in (a, b))
    h, _ = linear_scan(decays, inputs)
    truth = h.numpy().ravel()
    worst = np.abs(in_logarithms(a, b) / truth - 1).max()
    if not worst > 0.05:
        raise Rejected(
            f"the state that is most wrong is off by {worst:.2%}, expected more than 5%"
        )


def carry(A, B, first):
    """The states before each chunk, and the last; A and B are (chunks, D)."""
    h, last = reference.linear_scan(A[None], B[None], first[None])  # eq. 2.1
    before = np.concatenate([first[None], h[0, :-1]])
    return np.float32(before), np.float32(last[0])


def chunk_carry(kernel: Any) -> None:
    random = np.random.default_rng(0)

    def made(A, B, first):
        chunks, D = A.shape
        before, last = unwritten(chunks, D), unwritten(D)
        launch(kernel, (-(-D // 4),), A, B, first, before, last, chunks, D, BLOCK=4)
        return before, last

    A, B = random.standard_normal((2, 3, 5)).astype(np.float32)
    first = random.standard_normal(5).astype(np.float32)
    inputs = [(A, B, first), (A[:1], B[:1], first)]
    compare(made, carry, inputs, ("before", "last"), tolerance=1e-5)


CHECKS = {"2.4": fading_maximum, "2.7": long_and_forgetful, "2.8": chunk_carry}
