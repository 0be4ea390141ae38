"""The two trained models that the selection explorer runs, in NumPy; mathematics.mjs is
the same in JavaScript."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEIGHTS = json.loads(
    Path(__file__)
    .with_name("weights.mjs")
    .read_text("utf-8")
    .partition("WEIGHTS = ")[2]
    .rstrip(";\n")
)
TOKENS: str = WEIGHTS["tokens"]


class Run(NamedTuple):
    """What a model did with a stream of L tokens: delta, B and C as the recurrence took
    them, of shapes that broadcast to (L, D, N); its states after each token, (L, D, N);
    its outputs y, (L, D); and the probability of each of the four letters, (L, 4)."""

    delta: Array
    B: Array
    C: Array
    states: Array
    y: Array
    probabilities: Array


def tokens_of(text: str) -> NDArray[np.int_]:
    """The index of each token in ``TOKENS``."""
    return np.array([TOKENS.index(character) for character in text])


def chosen_steps(tokens: NDArray[np.int_]) -> Array:
    """Delta (L,) as the selective model chooses it."""
    weights = WEIGHTS["selective"]
    u = np.array(weights["embedding"])[tokens]
    return _softplus(u @ weights["to_step"] + weights["step_bias"])


def selective(tokens: NDArray[np.int_], delta: Array) -> Run:
    """Delta (L,), B and C depend on the token."""
    weights = WEIGHTS["selective"]
    u = np.array(weights["embedding"])[tokens]
    B, C = u @ weights["to_B"], u @ weights["to_C"]
    return _run(weights, u, delta[:, None, None], B[:, None], C[:, None])


def invariant(tokens: NDArray[np.int_]) -> Run:
    """Delta, B and C are constants, and each channel has its own."""
    weights = WEIGHTS["invariant"]
    u = np.array(weights["embedding"])[tokens]
    delta = _softplus(np.array(weights["step_bias"]))[None, :, None]
    return _run(
        weights, u, delta, np.array(weights["B"])[None], np.array(weights["C"])[None]
    )


def _run(weights: dict[str, list], u: Array, delta: Array, B: Array, C: Array) -> Run:
    A = -np.exp(np.array(weights["log_rates"]))
    A_bar = np.exp(delta * A)
    written = np.expm1(delta * A) / A * B * u[:, :, None]
    A_bar, read = (np.broadcast_to(x, written.shape) for x in (A_bar, C))
    h, states = np.zeros(written.shape[1:]), np.empty(written.shape)
    for t in range(len(u)):
        h = states[t] = A_bar[t] * h + written[t]
    y = (read * states).sum(-1)
    z = u @ weights["gate"]
    scores = (y * z / (1 + np.exp(-z))) @ np.array(weights["readout"])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return Run(delta, B, C, states, y, powers / powers.sum(-1, keepdims=True))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def right_answers(tokens: NDArray[np.int_]) -> NDArray[np.int_]:
    """The letter that is right at each question, from 0, and -1 elsewhere or where there
    was none yet."""
    latest = before = -1
    right = []
    for name in (TOKENS[token] for token in tokens):
        if name in "abcd":
            before, latest = latest, TOKENS.index(name) - 1
        right.append({"1": latest, "2": before}.get(name, -1))
    return np.array(right)
