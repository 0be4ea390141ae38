"""The linear recurrence in NumPy: one loop, one tree, one walk over chunks, and the
gradients.

Shapes: B batch, L length, D channels. ``a`` is (B, L, D), or (D,) when the decay does
not change in time; ``b`` is (B, L, D).
"""

from collections.abc import Callable

import numpy as np

Element = tuple[np.ndarray, np.ndarray]


def linear_scan(a, b, state=None, reverse=False):
    """h_t = a_t h_{t-1} + b_t, step by step; returns every h (B, L, D) and the last one
    (B, D)."""
    a = np.broadcast_to(a, b.shape)
    h = np.zeros(b.shape, np.result_type(a, b, np.float64))
    h_t = np.zeros_like(h[:, 0]) if state is None else state
    times = range(b.shape[1])
    for t in reversed(times) if reverse else times:
        h_t = a[:, t] * h_t + b[:, t]  # eq. 2.1
        h[:, t] = h_t
    return h, h_t


def linear_scan_step(a_t, b_t, state):
    """One step of the recurrence, for generation: all arguments (B, D), ``a_t`` also
    (D,)."""
    h_t = a_t * state + b_t  # eq. 2.1
    return h_t, h_t


def combine(first: Element, second: Element) -> Element:
    """The map h -> a1 h + b1 followed by h -> a2 h + b2, as one map of the same
    kind."""
    (a1, b1), (a2, b2) = first, second
    return a2 * a1, a2 * b1 + b2  # eq. 2.3


def prefixes(elements: list, combine: Callable) -> list:
    """All running products e_1, e_1∘e_2, ... of an associative ``combine``, as a tree
    (Blelloch, 1990).

    Neighbors are combined in pairs, the half-length problem is solved the same way,
    and the products that end inside a pair cost one combination more: fewer than 2 L in
    all, 2 log2 L deep.
    """
    if len(elements) == 1:
        return elements
    pairs = [
        combine(e, f) for e, f in zip(elements[0::2], elements[1::2], strict=False)
    ]
    ends = prefixes(pairs, combine)
    between = [combine(p, e) for p, e in zip(ends, elements[2::2], strict=False)]
    result = [elements[0]] * len(elements)
    result[1::2] = ends
    result[2::2] = between
    return result


def linear_scan_tree(a, b, state=None, combine=combine):
    """The same values from a tree: compose the maps by ``prefixes``, then apply each to
    the first state."""
    a = np.broadcast_to(a, b.shape)
    h_0 = np.zeros_like(b[:, 0]) if state is None else state
    maps = prefixes([(a[:, t], b[:, t]) for t in range(b.shape[1])], combine)
    h = np.stack([A_t * h_0 + B_t for A_t, B_t in maps], axis=1)  # eq. 2.4
    return h, h[:, -1]


def linear_scan_chunked(a, b, state=None, chunk=16):
    """The same values chunk by chunk: each chunk runs from zero on its own, then the
    carried state is added."""
    a = np.broadcast_to(a, b.shape)
    carry = np.zeros_like(b[:, 0]) if state is None else state
    h = []
    for start in range(0, b.shape[1], chunk):
        inside = slice(start, start + chunk)
        local, _ = linear_scan(a[:, inside], b[:, inside])
        decay = np.cumprod(a[:, inside], axis=1)
        h.append(local + decay * carry[:, None])  # eq. 2.5
        carry = h[-1][:, -1]
    return np.concatenate(h, axis=1), carry


def linear_scan_gradients(a, b, state, grad_h, grad_last):
    """Gradients of a real loss to a, b and the first state, given those to h and to the
    last state.

    For complex numbers a gradient is dl/dRe + i dl/dIm, as in PyTorch.
    """
    full = np.broadcast_to(a, b.shape)
    h, _ = linear_scan(a, b, state)
    previous = np.concatenate([state[:, None], h[:, :-1]], axis=1)
    grad_b = np.zeros_like(h)
    flowing = grad_last
    for t in reversed(range(b.shape[1])):
        g_t = grad_h[:, t] + flowing  # eq. 2.6
        grad_b[:, t] = g_t  # eq. 2.7
        flowing = full[:, t].conj() * g_t
    grad_state = flowing  # eq. 2.9
    grad_a = grad_b * previous.conj()  # eq. 2.8
    return grad_a.sum(axis=(0, 1)) if a.ndim == 1 else grad_a, grad_b, grad_state
