"""What the gates explorer computes, in NumPy: the cell with a rounding after every
operation, and the matrix memory."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rounded(x: Array | float, precision: str) -> Array:
    """x to the nearest number of float16, float32 or float64, as float64."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(x, dtype=float).astype(precision).astype(float)


def log_forget(f: float, kind: str) -> float:
    """The logarithm of the forget gate, "sigmoid" or "exp", of pre-activation f."""
    return f if kind == "exp" else -float(np.log1p(np.exp(-f)))


def cell(
    gates: Array,
    log_f: float,
    z: Array,
    stabilized: bool,
    precision: str,
    readout: str,
) -> dict[str, Array]:
    """c, n, m and h (L,) of c_t = e^log_f c_(t-1) + e^(i_t) z_t and n_t likewise of ones.

    Args:
        gates: i_t (L,), pre-activations of the input gates.
        log_f: logarithm of the forget gate.
        z: (L,), what is written.
        stabilized: whether c and n are kept divided by e^(m_t).
        precision: "float16", "float32" or "float64", to which every operation rounds.
        readout: "slstm", h = c / n, or "mlstm", h = c / max(|n|, 1).
    """
    found = np.zeros((4, len(gates)))
    c, n, m = 0.0, 0.0, -np.inf if stabilized else 0.0

    def to(x: float) -> float:
        return float(rounded(x, precision))

    forget = to(log_f)
    with np.errstate(all="ignore"):
        for t, gate in enumerate(gates):
            i = to(gate)
            decayed = to(forget + m)
            m = max(decayed, i) if stabilized else 0.0
            kept = to(np.exp(to(decayed - m) if stabilized else forget))
            written = to(np.exp(to(i - m)))
            c = to(to(kept * c) + to(written * to(z[t])))
            n = to(to(kept * n) + written)
            bound = to(np.exp(-m)) if readout == "mlstm" else 0.0
            h = to(np.divide(c, np.maximum(abs(n), bound)))
            found[:, t] = c, n, m, h
    return dict(zip("cnmh", found, strict=True))


def matrix_memory(
    gates: Array, log_f: float, keys: Array, values: Array
) -> tuple[Array, Array, Array]:
    """After all steps: C (V, K) and n (K,), divided by e^m, and the relative error (L,)
    of what each key reads. keys is (L, K), values (L, V)."""
    logs = gates + np.arange(len(gates))[::-1] * log_f
    m = logs.max()
    weights = np.exp(logs - m)[:, None]
    C, n = values.T @ (weights * keys), (weights * keys).sum(0)
    read = keys @ C.T / np.maximum(np.abs(keys @ n), np.exp(-m))[:, None]
    lengths = np.linalg.norm(values, axis=1)
    return C, n, np.linalg.norm(read - values, axis=1) / lengths


def scattered(seed: int, size: int, count: int) -> Array:
    """(count, size): vectors of length 1 in no order, the same in every language."""
    state, vectors = seed, np.full((count, size), -2.0)
    for row in vectors:
        for a in range(size):
            for _ in range(4):
                state = (state * 1664525 + 1013904223) % 2**32
                row[a] += state / 2**32
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def keys_of(kind: str, size: int, count: int) -> Array:
    """(count, size): "orthogonal", the unit vectors over and over, or "scattered"."""
    if kind == "scattered":
        return scattered(1, size, count)
    return np.eye(size)[np.arange(count) % size]


def values_of(size: int, count: int) -> Array:
    """(count, size): what is stored under the keys."""
    return scattered(2, size, count)


def inputs(length: int) -> Array:
    """(length,): what the scalar memory is given to keep."""
    return np.cos(2.4 * np.arange(length) + 0.3)
