"""Every op that is a recurrence, over a hundred thousand steps."""

import pytest
import torch
from long_sequences import SAMPLES, check, drawn

from seqlab.catalogue import PAIRINGS
from seqlab.verify.errors import relative_error
from seqlab.verify.truth import as_array

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_values_and_gradients_keep_their_digits(name, sample):
    check(name, sample)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("ssm_scan", "|a| = 1: complex, fixed"),
        ("wkv", "w = 0"),
        ("gated_linear_attention", "decays near 1"),
    ],
)
def test_what_they_are_held_to_is_the_loop(name, sample):
    """In float64 the form that is parallel over time is the reference, step by step."""
    _, exact = drawn(name, sample)
    with torch.no_grad():
        found = PAIRINGS[name].op(**exact)
    expected = PAIRINGS[name].reference(**{key: as_array(value) for key, value in exact.items()})
    for x, y in zip(found, expected, strict=True):
        assert relative_error(as_array(x), y) < 1e-12
