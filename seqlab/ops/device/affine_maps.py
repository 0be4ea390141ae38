"""Maps h -> a h + b of pairs, and their composition: what a scan of a diagonal recurrence
combines (equation 2.3 of the book).

A run of time steps is such a map, and a tile is RUNS of them, one below the other.
"""

import triton
import triton.language as tl


@triton.jit
def compose_complex(a0, a1, b0, b1, p0, p1, q0, q1, c0, c1, d0, d1, r0, r1, s0, s1):
    """Compose two neighboring stretches of runs, the earlier one first: the combine
    function of the scan.

    A stretch is two maps: h -> a h + b leads past its last run, h -> p h + q only up to
    its last run.
    """
    return (
        c0 * a0 - c1 * a1,
        c0 * a1 + c1 * a0,
        c0 * b0 - c1 * b1 + d0,  # eq. 2.3
        c0 * b1 + c1 * b0 + d1,
        r0 * a0 - r1 * a1,
        r0 * a1 + r1 * a0,
        r0 * b0 - r1 * b1 + s0,
        r0 * b1 + r1 * b0 + s1,
    )


@triton.jit
def compose_real(a0, a1, b0, b1, p0, p1, q0, q1, c0, c1, d0, d1, r0, r1, s0, s1):
    """The same for pairs of real channels."""
    return (
        c0 * a0,
        c1 * a1,
        c0 * b0 + d0,  # eq. 2.3
        c1 * b1 + d1,
        r0 * a0,
        r1 * a1,
        r0 * b0 + s0,
        r1 * b1 + s1,
    )


@triton.jit
def compose_runs(
    e0, e1, f0, f1, COMPLEX: tl.constexpr, RUNS: tl.constexpr, PAIRS: tl.constexpr
):
    """From the map of each run, h -> e h + f, the maps of all runs up to it, with and
    without itself."""
    one = tl.full((RUNS, PAIRS), 1.0, tl.float32)
    zero = tl.zeros((RUNS, PAIRS), tl.float32)
    if COMPLEX:
        return tl.associative_scan(
            (e0, e1, f0, f1, one, zero, zero, zero), 0, compose_complex
        )
    else:
        return tl.associative_scan(
            (e0, e1, f0, f1, one, one, zero, zero), 0, compose_real
        )


@triton.jit
def multiply_complex(x0, x1, y0, y1):
    return x0 * y0 - x1 * y1, x0 * y1 + x1 * y0


@triton.jit
def multiply_real(x0, x1, y0, y1):
    return x0 * y0, x1 * y1


@triton.jit
def over_tile(e0, e1, COMPLEX: tl.constexpr):
    """The product of the runs' decays, in float64: its rounding errors would come back
    with every tile, all in one direction where the decay is the same."""
    if COMPLEX:
        return tl.reduce((e0, e1), 0, multiply_complex, keep_dims=True)
    else:
        return tl.reduce((e0, e1), 0, multiply_real, keep_dims=True)
