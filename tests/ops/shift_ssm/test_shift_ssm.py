"""The shift state space model is a window of the last inputs, and a convolution of as many taps."""

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton
from seqlab.ops.shift_ssm import reference


def test_the_state_holds_the_last_inputs_the_newest_first():
    A, B = reference.shift_system(4)
    x = np.zeros(4)
    for k in range(1, 8):
        x = A @ x + B * k
    assert x.tolist() == [7, 6, 5, 4]


def test_the_system_read_by_its_taps_is_the_window():
    generator = np.random.default_rng(0)
    k, taps = generator.standard_normal((1, 9, 1)), generator.standard_normal((1, 4))
    A, B = reference.shift_system(4)
    x, y = np.zeros(4), []
    for k_t in k[0, :, 0]:
        x = A @ x + B * k_t
        y.append(taps[0] @ x)
    np.testing.assert_allclose(reference.shift_ssm(k, taps)[0][0, :, 0], y, rtol=1e-14, atol=1e-14)


def test_it_is_the_causal_convolution():
    k, taps = torch.randn(2, 11, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(ops.shift_ssm(k, taps)[0], ops.causal_convolution(k, taps))


def test_two_taps_are_a_token_shift():
    """RWKV's mixture of a token with the one before it."""
    k, mu = torch.randn(2, 5, 3), torch.rand(3)
    shifted = torch.nn.functional.pad(k, (0, 0, 1, -1))
    taps = torch.stack([mu, 1 - mu], dim=1)
    torch.testing.assert_close(ops.shift_ssm(k, taps)[0], mu * k + (1 - mu) * shifted)


@pytest.mark.parametrize(
    "backend",
    ["portable", pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))],
)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_gradients_reach_the_state_and_come_from_it_at_every_length(length, backend):
    """Shorter than the window too, where the state after is partly the state before."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator).requires_grad_()

    k, taps, state = normal(2, length, 3), normal(3, 4), normal(2, 3, 3)
    y, last = ops.shift_ssm(k, taps, state, backend=backend)
    everything = torch.cat([state, k], dim=1)
    expected = sum(everything[:, 3 - j : 3 - j + length] * taps[:, j] for j in range(4))
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, everything[:, length:])
    weights = [torch.randn(x.shape, generator=generator) for x in (y, last)]
    found = torch.autograd.grad((y, last), (k, taps, state), weights)
    true = torch.autograd.grad((expected, everything[:, length:]), (k, taps, state), weights)
    torch.testing.assert_close(found, true)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"taps": torch.ones(4, 3)},
            r"taps: expected shape \(channels, taps\) = \(3, \*\) like k, got \(4, 3\)",
        ),
        (
            {"state": torch.ones(2, 4, 3)},
            r"state: expected shape \(batch, taps - 1, channels\) = \(2, 3, 3\) like k",
        ),
        ({"taps": torch.ones(3, 0)}, r"taps: expected every axis to be at least 1 long, got \(3, 0\)"),
    ],
)
def test_wrong_shapes_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        ops.shift_ssm(**{"k": torch.ones(2, 5, 3), "taps": torch.ones(3, 4), **wrong})
