"""The running log-sum-exp: numbers of any size, what a gradient does at the edges, lengths around chunks."""

import numpy as np
import pytest
import torch

from seqlab.ops import decayed_logsumexp, decayed_logsumexp_step
from seqlab.ops.backends import has_triton
from seqlab.ops.decayed_logsumexp import reference

BACKENDS = [
    "portable",
    pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton")),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
INF = float("inf")


def draw(length, batch=2, channels=3):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(batch, length, channels, generator=generator)
    return x, torch.rand(channels, generator=generator), torch.randn(batch, channels, generator=generator)


def column(*numbers):
    return torch.tensor(numbers)[None, :, None]


def of(numbers, w, state=None, backend="portable"):
    """m of one channel, and the gradients of its sum to x and w."""
    x, w = column(*numbers).requires_grad_(), torch.tensor([w], requires_grad=True)
    state = None if state is None else torch.tensor([[state]])
    m, _ = decayed_logsumexp(x, w, state, backend=backend)
    return m.flatten().tolist(), *(g.flatten().tolist() for g in torch.autograd.grad(m.sum(), (x, w)))


@every_backend
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 17, 23])
def test_values_and_gradients_at_lengths_around_chunks(length, backend):
    inputs = draw(length)
    leaves = [x.requires_grad_() for x in inputs]
    outputs = decayed_logsumexp(*leaves, backend=backend)
    weights = [torch.randn(y.shape, generator=torch.Generator().manual_seed(0)) for y in outputs]
    found = *outputs, *torch.autograd.grad(outputs, leaves, weights)
    arrays = [x.detach().double().numpy() for x in (*inputs, *weights)]
    expected = *reference.decayed_logsumexp(*arrays[:3]), *reference.decayed_logsumexp_gradients(*arrays)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x.detach(), y, rtol=2e-5, atol=2e-6)


@every_backend
def test_a_decay_of_zero_is_a_cumulative_log_sum(backend):
    x, _, _ = draw(21)
    m, _ = decayed_logsumexp(x, torch.zeros(3), backend=backend)
    torch.testing.assert_close(m, torch.logcumsumexp(x, dim=1), rtol=1e-6, atol=1e-6)


@every_backend
@pytest.mark.parametrize("w", [1e4, 1e30, INF])
def test_a_huge_decay_leaves_the_input_alone(w, backend):
    x, _, _ = draw(11)
    x.requires_grad_()
    m, last = decayed_logsumexp(x, torch.full((3,), w), torch.zeros(2, 3), backend=backend)
    assert torch.equal(m, x)
    assert torch.equal(last, x[:, -1])
    assert torch.equal(torch.autograd.grad(m.sum(), x)[0], torch.ones_like(x))


@every_backend
@pytest.mark.parametrize("size", [1e30, 3e38])
def test_the_largest_numbers_neither_overflow_nor_disappear(size, backend):
    m, grad_x, grad_w = of([size, 0.0, -size, 1.0, size, -size], 0.5, backend=backend)
    assert m[0] == m[1] == m[3] == pytest.approx(size)
    assert m[4] == pytest.approx(size)
    assert np.isfinite(grad_x).all()
    assert sum(grad_x) == pytest.approx(6)
    assert np.isfinite(grad_w).all()
    m, _, _ = of([-size, -size, 2.0, -size, 1.0], 0.5, backend=backend)
    assert m[0] == m[1] == pytest.approx(-size)
    np.testing.assert_allclose(m[2:], [2, 1.5, np.logaddexp(1.0, 1.0)], rtol=1e-6)


@every_backend
def test_an_input_of_minus_infinity_adds_nothing(backend):
    m, grad_x, grad_w = of([1.0, -INF, -INF, -INF, -INF], 0.25, backend=backend)
    np.testing.assert_allclose(m, [1, 0.75, 0.5, 0.25, 0])
    assert grad_x == [5, 0, 0, 0, 0]
    assert grad_w == [-10]
    m, grad_x, _ = of([-INF, -INF, 1.0, -INF, -INF], 0.25, backend=backend)
    np.testing.assert_allclose(m, [-INF, -INF, 1, 0.75, 0.5])
    assert grad_x == [0, 0, 3, 0, 0]


@every_backend
def test_nothing_at_all_is_minus_infinity_and_passes_gradients_on(backend):
    x, w = torch.full((1, 6, 1), -INF, requires_grad=True), torch.ones(1)
    state = torch.zeros(1, 1, requires_grad=True)
    m, last = decayed_logsumexp(x, w, backend=backend)
    assert (m == -INF).all()
    assert (last == -INF).all()
    m, last = decayed_logsumexp(x, w, state, backend=backend)
    assert last.item() == -6
    grad_x, grad_state = torch.autograd.grad(last, (x, state))
    assert (grad_x == 0).all()
    assert grad_state.item() == 1


@every_backend
def test_after_plus_infinity_all_is_plus_infinity_and_gradients_are_numbers(backend):
    m, grad_x, grad_w = of([0.0, INF, 1.0, INF, 2.0, 3.0, -1.0], 0.5, backend=backend)
    assert m == [0] + 6 * [INF]
    assert np.isfinite(grad_x).all()
    assert np.isfinite(grad_w).all()
    assert grad_x[0] == 1
    assert grad_x[1] + grad_x[3] == 6
    assert of([0.0, 1.0], 0.5, state=INF, backend=backend)[0] == [INF, INF]


@every_backend
def test_nan_stays_in_its_channel_from_its_time_on(backend):
    x, w, state = draw(14)
    x[0, 5, 1] = torch.nan
    state[1, 2] = torch.nan
    m, last = decayed_logsumexp(x, w, state, backend=backend)
    expected = torch.zeros(2, 14, 3, dtype=torch.bool)
    expected[0, 5:, 1] = expected[1, :, 2] = True
    assert torch.equal(m.isnan(), expected)
    assert torch.equal(last.isnan(), expected[:, -1])


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_in_half_precision_do_not_come_from_a_rounded_m(dtype, backend):
    """m grows to 40, where bfloat16 knows quarters only; the weights of inputs are exact to a thousandth."""
    x = torch.linspace(30, 40, 16)[None, :, None].to(dtype).requires_grad_()
    w = torch.tensor([0.3], requires_grad=True)
    m, _ = decayed_logsumexp(x, w, backend=backend)
    assert m.dtype == dtype
    weights = torch.linspace(-1, 1, 16)[None, :, None].to(dtype)
    found = torch.autograd.grad(m, (x, w), weights)
    arrays = [y.detach().double().numpy() for y in (x, w)]
    state = np.full((1, 1), -np.inf)
    expected = reference.decayed_logsumexp_gradients(
        *arrays, state, weights.double().numpy(), np.zeros((1, 1))
    )
    assert found[1].dtype == torch.float32
    for one, other in zip(found, expected, strict=False):
        error = np.linalg.norm(one.double().numpy() - other) / np.linalg.norm(other)
        assert error < (4e-3 if one.dtype == dtype else 1e-5)


@every_backend
def test_a_slow_decay_of_a_large_state_is_not_rounded_away(backend):
    """A step takes less from the state than half of its last digit; a chunk of them does not."""
    m, _ = decayed_logsumexp(
        torch.full((1, 100, 1), -INF), torch.tensor([2e-4]), torch.tensor([[4096.0]]), backend=backend
    )
    assert m[0, -1, 0].item() == pytest.approx(4096 - 0.02, abs=0.01)


def test_a_step_gives_two_tensors_in_their_own_dtypes():
    x, w, state = draw(1)
    m_t, last = decayed_logsumexp_step(x[:, 0].bfloat16(), w, state)
    assert (m_t.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(last, torch.logaddexp(state - w, x[:, 0].bfloat16().float()))


def test_a_decay_has_one_number_for_each_channel_and_the_dtype_of_a_state():
    x, w, state = draw(4)
    with pytest.raises(ValueError, match=r"w: expected shape \(channels,\) = \(3,\) like x, got \(2, 4, 3\)"):
        decayed_logsumexp(x, torch.ones(2, 4, 3), state)
    with pytest.raises(TypeError, match=r"w: expected dtype torch.float32 for a x of torch.float16"):
        decayed_logsumexp(x.half(), w.half())
