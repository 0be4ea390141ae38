"""Transitions against packages by others: S4's own code, as ESPnet ships it, for three measures; hippox for LagT.

A function is run from its module's text; neither package is installed, nor is what they depend on.
"""

import ast

import numpy as np
import pytest

from seqlab.ops.hippo.reference import hippo_transition
from seqlab.tasks.package_data import package_files


def function(package, version, path, sha256, name, **names):
    """One function of a module in a package's wheel, which sees ``names`` and no import of its module."""
    text = package_files(package, version, {path: sha256})[path]
    (definition,) = (node for node in ast.parse(text).body if getattr(node, "name", None) == name)
    exec(compile(ast.Module([definition], []), path, "exec"), names)
    return names[name]


@pytest.fixture(scope="module")
def official():
    """transition(measure, N) -> A (N, N), B (N, 1) of x' = A x + B u, from the repository of S4."""
    return function(
        "espnet",
        "202611",
        "espnet2/asr/state_spaces/s4.py",
        "3e16762d4fc57b8db66fb5083299c2a62b1b9973861b08cd321f7c7eeb30c83a",
        "transition",
        np=np,
    )


@pytest.mark.parametrize("order", [1, 2, 5, 32])
def test_legs_is_the_official_one(official, order):
    """S4 drops the 1/t and keeps A and B, signs included."""
    for value, truth in zip(hippo_transition("legs", order), official("legs", order), strict=True):
        np.testing.assert_allclose(value, truth.reshape(value.shape), rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 5, 32])
def test_legt_is_twice_the_official_one(official, order):
    """S4 halves A and B, "for timescale correctness": its window is 2 long where theta here is 1."""
    for value, truth in zip(hippo_transition("legt", order), official("legt", order), strict=True):
        np.testing.assert_allclose(value, 2 * truth.reshape(value.shape), rtol=1e-13)


@pytest.mark.parametrize("order", [1, 3, 5, 33])
def test_fourier_is_twice_the_official_one_without_its_sine_of_frequency_zero(official, order):
    """The same window of 2. S4 pairs every cosine with a sine, so the constant has one too: it is state 1,
    which nothing enters and nothing leaves."""
    A, B = official("fourier", order + 1)
    assert not A[1].any()
    assert not A[:, 1].any()
    assert not B[1].any()
    here = np.delete(np.arange(order + 1), 1)
    found = hippo_transition("fourier", order)
    np.testing.assert_allclose(found[0], 2 * A[np.ix_(here, here)], rtol=1e-13)
    np.testing.assert_allclose(found[1], 2 * B[here, 0], rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 5, 32])
def test_lagt_is_that_of_hippox(order):
    """ESPnet left LagT out. hippox asks of jax.numpy here only what NumPy has too."""
    hippo_lagt = function(
        "hippox",
        "0.0.9",
        "hippox/basis_measures.py",
        "740fd1f62e71e83568ddb803c8760e6e44197f31e849b2981ed95406aef41217",
        "hippo_lagt",
        jnp=np,
        HippoParams=dict,
    )
    truth = hippo_lagt(order, generalized=False)
    A, B = hippo_transition("lagt", order)
    np.testing.assert_array_equal(A, truth["state_matrix"])
    np.testing.assert_array_equal(B, truth["input_matrix"])
