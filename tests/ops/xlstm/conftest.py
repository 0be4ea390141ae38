"""What tests of sLSTM and mLSTM share."""

import pytest
import torch


@pytest.fixture
def has_gradients_of():
    """has_gradients_of(found, expected, leaves): two tuples of results, whose gradients are compared for the same ones
    sent back."""

    def check(found, expected, leaves):
        sent = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) for x in expected]
        true = torch.autograd.grad(expected, leaves, sent)
        for one, other in zip(torch.autograd.grad(found, leaves, sent), true, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

    return check
