"""Every op that is a recurrence, over a hundred thousand steps, by its kernels."""

import pytest
from long_sequences import ON_A_GPU_TOO, SAMPLES, check

pytestmark = pytest.mark.gpu


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "sample"), SAMPLES + ON_A_GPU_TOO)
def test_values_and_gradients_keep_their_digits(name, sample):
    check(name, sample, "cuda")
