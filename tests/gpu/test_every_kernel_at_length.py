"""Every op of a state-space model or an attention as a recurrence, over a hundred thousand steps, by its kernels."""

import pytest
from long_sequences import SAMPLES, check

pytestmark = pytest.mark.gpu


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_values_and_gradients_keep_their_digits(name, sample):
    check(name, sample, "cuda")
