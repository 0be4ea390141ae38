"""Transitions against numbers that code by others printed: S4's own for three measures, hippox's for LagT.

S4's is `transition` of its repository as ESPnet 202611 ships it, espnet2/asr/state_spaces/s4.py; hippox's is
`hippo_lagt(N, generalized=False)` of hippox 0.0.9, hippox/basis_measures.py, with NumPy for jax.numpy. Small
orders are stored entry by entry; of an order of 32 or more, two sums that every entry of A and of B is part of.
"""

import numpy as np
import pytest

from seqlab.ops.hippo.reference import hippo_transition

S3, S5, S7, S15, S21, S35 = np.sqrt([3, 5, 7, 15, 21, 35])
SMALL = {
    "legs": (
        [[-1, 0, 0, 0], [-S3, -2, 0, 0], [-S5, -S15, -3, 0], [-S7, -S21, -S35, -4]],
        [1, S3, S5, S7],
    ),
    "legt": (
        [
            [-0.5, S3 / 2, -S5 / 2, S7 / 2],
            [-S3 / 2, -1.5, S15 / 2, -S21 / 2],
            [-S5 / 2, -S15 / 2, -2.5, S35 / 2],
            [-S7 / 2, -S21 / 2, -S35 / 2, -3.5],
        ],
        [0.5, S3 / 2, S5 / 2, S7 / 2],
    ),
    # S4 pairs every cosine with a sine, so the constant has one too, at state 1, which nothing enters and
    # nothing leaves: its row and its column, of zeros, are left out here.
    "fourier": (
        [
            [-1, -np.sqrt(2), 0, -np.sqrt(2), 0],
            [-np.sqrt(2), -2, -np.pi, -2, 0],
            [0, np.pi, 0, 0, 0],
            [-np.sqrt(2), -2, 0, -2, -2 * np.pi],
            [0, 0, 0, 2 * np.pi, 0],
        ],
        [1, np.sqrt(2), 0, np.sqrt(2), 0],
    ),
    "lagt": (
        [[-0.5, 0, 0, 0], [-1, -0.5, 0, 0], [-1, -1, -0.5, 0], [-1, -1, -1, -0.5]],
        [1, 1, 1, 1],
    ),
}
# cos(n) A sin(n^2) and cos(n) B, with n = 1, 2, ...
LARGE = {
    ("legs", 32): (156.36246839776027, 6.2977211709974625),
    ("legt", 32): (69.4009213847515, 3.1488605854987313),
    ("fourier", 33): (-9.53093217927738, 0.6734436967942853),
    ("lagt", 32): (4.175873136363972, 0.42180156497203547),
}
# S4 halves the A and B of a window, "for timescale correctness": its window is 2 long where theta here is 1.
# (Of LegS it drops the 1/t and keeps A and B, signs included.)
WINDOW = {"legs": 1, "legt": 2, "fourier": 2, "lagt": 1}


@pytest.mark.parametrize("measure", SMALL)
def test_transitions_are_the_official_ones(measure):
    A, B = SMALL[measure]
    found = hippo_transition(measure, len(B))
    np.testing.assert_allclose(found[0], WINDOW[measure] * np.array(A), rtol=1e-13)
    np.testing.assert_allclose(found[1], WINDOW[measure] * np.array(B), rtol=1e-13)


@pytest.mark.parametrize(("measure", "order"), LARGE)
def test_transitions_of_many_coefficients_are_the_official_ones(measure, order):
    A, B = hippo_transition(measure, order)
    n = np.arange(1, order + 1)
    found = np.cos(n) @ A @ np.sin(n**2), np.cos(n) @ B
    np.testing.assert_allclose(np.array(found) / WINDOW[measure], LARGE[measure, order], rtol=1e-12)
