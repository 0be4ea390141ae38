"""WKV: keys and decays of any size, tokens without weight, what rounding does to slow decays, lengths around chunks."""

from time import process_time

import numpy as np
import pytest
import torch

from seqlab.ops import wkv, wkv_step
from seqlab.ops.backends import has_triton
from seqlab.ops.sanitizer import watched
from seqlab.ops.wkv import reference

BACKENDS = [
    "portable",
    pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton")),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
INF = float("inf")


def draw(length, batch=2, channels=3):
    generator = torch.Generator().manual_seed(length)
    k, v = torch.randn(2, batch, length, channels, generator=generator)
    w, u = torch.rand(2, channels, generator=generator)
    state = torch.rand(batch, 3, channels, generator=generator) + 0.5
    return w, u, k, v, state


def gradients(outputs, leaves):
    """Of all outputs, weighed by noise, and the noise."""
    weights = [torch.randn(y.shape, generator=torch.Generator().manual_seed(0)) for y in outputs]
    sent = [weight.to(y.dtype) for weight, y in zip(weights, outputs, strict=True)]
    return torch.autograd.grad(outputs, leaves, sent), sent


@every_backend
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 17, 23])
def test_values_and_gradients_at_lengths_around_chunks(length, backend):
    leaves = [x.requires_grad_() for x in draw(length)]
    outputs = wkv(*leaves, backend=backend)
    found, weights = gradients(outputs, leaves)
    arrays = [x.detach().double().numpy() for x in (*leaves, *weights)]
    expected = *reference.wkv(*arrays[:5]), *reference.wkv_gradients(*arrays)
    for x, y in zip((*outputs, *found), expected, strict=True):
        np.testing.assert_allclose(x.detach(), y, rtol=5e-5, atol=5e-6)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("length", [1, 4, 7, 9])
def test_kernels_stay_in_their_tensors_and_write_all_of_them(length):
    with watched():
        leaves = [x.requires_grad_() for x in draw(length)]
        outputs = wkv(*leaves, backend="triton")
        found, _ = gradients(outputs, leaves)
        assert all(torch.isfinite(x).all() for x in (*outputs, *found))


@every_backend
def test_without_decay_and_bonus_it_is_a_cumulative_average(backend):
    _, _, k, v, _ = draw(21)
    y, _ = wkv(torch.zeros(3), torch.zeros(3), k, v, backend=backend)
    torch.testing.assert_close(y, (k.exp() * v).cumsum(1) / k.exp().cumsum(1), rtol=1e-5, atol=1e-6)


@every_backend
@pytest.mark.parametrize("w", [1e3, 1e30, INF])
def test_a_huge_decay_leaves_the_token_before(w, backend):
    _, u, k, v, _ = draw(11)
    y, last = wkv(torch.full((3,), w), u, k, v, backend=backend)
    past, own = k[:, :-1].exp(), (k[:, 1:] + u).exp()
    expected = (past * v[:, :-1] + own * v[:, 1:]) / (past + own)
    torch.testing.assert_close(y[:, 1:], expected)
    torch.testing.assert_close(last[:, 0], v[:, -1])
    torch.testing.assert_close(last[:, 2], k[:, -1])


@every_backend
def test_a_decay_below_zero_is_growth(backend):
    """No one is stopped: of the equation the sums are right, whatever the sign."""
    _, u, k, v, _ = draw(13)
    w = torch.tensor([-0.5, -30.0, -1e3])
    y, _ = wkv(w, u, k, v, backend=backend)
    expected, _ = reference.wkv(*(x.double().numpy() for x in (w, u, k, v)))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@every_backend
@pytest.mark.parametrize("shift", [-3e4, -200.0, 200.0, 3e4])
def test_what_all_keys_have_in_common_cancels(shift, backend):
    w, u, k, v, _ = draw(17)
    u, k = torch.round(64 * u) / 64, torch.round(64 * k) / 64  # so that sums with the shift are exact
    y, last = wkv(w, u, k, v, backend=backend)
    shifted, shifted_last = wkv(w, u, k + shift, v, backend=backend)
    torch.testing.assert_close(shifted, y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shifted_last[:, 2], last[:, 2] + shift)


@every_backend
@pytest.mark.parametrize("size", [1e4, 6e4])
def test_nothing_is_lost_beside_large_keys(size, backend):
    """Neither a bonus and a decay, nor gradients, at the ends of chunks and of a call: float32 has three digits after
    the point there."""
    w, u, k, v, state = draw(11)
    leaves = [x.requires_grad_() for x in (w, u, k + size, v, state)]
    outputs = wkv(*leaves, backend=backend)
    found, weights = gradients(outputs, leaves)
    arrays = [x.detach().double().numpy() for x in (*leaves, *weights)]
    expected = *reference.wkv(*arrays[:5]), *reference.wkv_gradients(*arrays)
    for x, y in zip((*outputs, *found), expected, strict=True):
        assert np.linalg.norm(x.detach().double().numpy() - y) <= 2e-6 * np.linalg.norm(y)
    y_t, _ = wkv_step(
        *(x.detach() for x in (w, u, leaves[2][:, -1], v[:, -1], wkv(*inputs_before(leaves))[1]))
    )
    torch.testing.assert_close(y_t, outputs[0][:, -1])


@every_backend
def test_gradients_of_what_outlasts_all_tokens_keep_their_digits(backend, monkeypatch):
    """Beside a state that no key comes near, the gradients to a numerator and a denominator nearly cancel, step after
    step; and an error in what is left of it after a chunk would come back with every chunk."""
    if backend == "triton":
        from seqlab.ops.wkv import kernel

        monkeypatch.setattr(kernel, "INTERPRETED", {"CHUNK": 16, "STEPS": 4, "BLOCK": 32})
    _, u, k, v, state = draw(515, batch=1, channels=32)
    w = torch.linspace(0.1, 1, 32)
    leaves = [x.requires_grad_() for x in (w, u, k - 6e4, v, state)]
    outputs = wkv(*leaves, backend=backend)
    found, weights = gradients(outputs, leaves)
    arrays = [x.detach().double().numpy() for x in (*leaves, *weights)]
    of_w, *_, of_state = reference.wkv_gradients(*arrays)
    for x, y in ((found[0], of_w), (found[-1], of_state)):
        assert np.linalg.norm(x.double().numpy() - y) <= 3e-6 * np.linalg.norm(y)


def inputs_before(leaves):
    """The arguments of the run without its last step."""
    w, u, k, v, state = (x.detach() for x in leaves)
    return w, u, k[:, :-1], v[:, :-1], state


@every_backend
def test_tokens_without_weight_are_padding(backend):
    """On the left they change nothing, and no NaN comes back from them."""
    w, u, k, v, _ = draw(9)
    padding = torch.full((2, 6, 3), -INF), torch.randn(2, 6, 3)
    padded = [torch.cat(pair, dim=1).requires_grad_() for pair in zip(padding, (k, v), strict=True)]
    plain = [x.requires_grad_() for x in (k, v)]
    y, last = wkv(w, u, *plain, backend=backend)
    padded_y, padded_last = wkv(w, u, *padded, backend=backend)
    assert (padded_y[:, :6] == 0).all()
    torch.testing.assert_close(padded_y[:, 6:], y)
    torch.testing.assert_close(padded_last, last)
    expected = torch.autograd.grad(y.square().sum(), plain)
    found = torch.autograd.grad(padded_y.square().sum(), padded)
    for x, y in zip(found, expected, strict=True):
        assert (x[:, :6] == 0).all()
        torch.testing.assert_close(x[:, 6:], y)


@every_backend
@pytest.mark.parametrize("w", [-100.0, -89.0, 3e38, INF])
def test_tokens_without_weight_are_padding_whatever_decays_or_grows(w, backend):
    """Of nothing nothing is left, where e^-w may be infinite and any exponent too low."""
    _, u, k, v, _ = draw(9)
    k[:, :6] = -INF
    leaves = [x.requires_grad_() for x in (torch.full((3,), w), u, k, v)]
    outputs = wkv(*leaves, backend=backend)
    found, weights = gradients(outputs, leaves)
    arrays = [x.detach().double().numpy() for x in (*leaves, *weights)]
    *expected, _ = *reference.wkv(*arrays[:4]), *reference.wkv_gradients(*arrays[:4], None, *arrays[4:])
    for x, y in zip((*outputs, *found), expected, strict=True):
        assert np.isfinite(y).all()
        np.testing.assert_allclose(x.detach(), y, rtol=5e-5, atol=5e-6)


def test_gradients_of_a_step_from_nothing_are_numbers_whatever_decays_or_grows():
    _, u, k, v, _ = draw(1)
    nothing = torch.tensor([0.0, 0.0, -INF]).view(1, 3, 1).expand(2, 3, 3)
    for w in (-1e3, INF):
        leaves = [x.requires_grad_() for x in (torch.full((3,), w), k[:, 0].detach(), v[:, 0].detach())]
        _, last = wkv_step(leaves[0], u, *leaves[1:], nothing)
        assert all(x.isfinite().all() for x in torch.autograd.grad(last.sum(), leaves))


@every_backend
def test_the_least_denominator_of_a_state_divides(backend):
    """Of a state, (2 b, b, 0), all that is read is 2, down to the least number with all its digits."""
    b = 1.2e-38
    state = torch.tensor([2 * b, b, 0.0]).reshape(1, 3, 1)
    k = torch.full((1, 3, 1), -300.0)
    y, last = wkv(torch.zeros(1), torch.zeros(1), k, torch.ones_like(k), state, backend=backend)
    torch.testing.assert_close(y, torch.full_like(k, 2.0))
    torch.testing.assert_close(last[:, 0], torch.full((1, 1), 2.0))


@every_backend
def test_nothing_is_a_state_that_more_can_follow(backend):
    w, u, k, v, _ = draw(5)
    y, nothing = wkv(w, u, torch.full_like(k, -INF), v, backend=backend)
    assert (y == 0).all()
    assert (nothing[:, :2] == 0).all()
    for one, other in zip(
        wkv(w, u, k, v, nothing, backend=backend), wkv(w, u, k, v, backend=backend), strict=True
    ):
        torch.testing.assert_close(one, other)


@every_backend
@pytest.mark.parametrize("name", ["w", "u", "k", "v"])
def test_nan_stays_in_its_channel_from_its_time_on(name, backend):
    inputs = dict(zip(("w", "u", "k", "v", "state"), draw(14), strict=True))
    expected = torch.zeros(2, 14, 3, dtype=torch.bool)
    if name in ("w", "u"):
        inputs[name][1] = torch.nan
        expected[:, :, 1] = True
    else:
        inputs[name][0, 5, 1] = torch.nan
        expected[0, 5:, 1] = True
    if name == "w":
        expected[:, 0, 1] = False  # nothing has decayed yet
    y, last = wkv(**inputs, backend=backend)
    assert torch.equal(y.isnan(), expected)
    assert torch.equal(last[:, 0].isnan(), expected[:, -1] & torch.tensor(name != "u"))


@every_backend
@pytest.mark.parametrize("row", [0, 1, 2])
def test_nan_of_a_state_stays_in_its_channel(row, backend):
    *inputs, state = draw(9)
    state[1, row, 2] = torch.nan
    y, last = wkv(*inputs, state, backend=backend)
    expected = torch.zeros(2, 9, 3, dtype=torch.bool)
    expected[1, :, 2] = True
    assert torch.equal(y.isnan(), expected)
    assert torch.equal(last[:, 0].isnan(), expected[:, 0])


@every_backend
def test_values_and_numerators_are_linear_over_24_decades(backend):
    w, u, k, v, state = draw(13)
    y, last = wkv(w, u, k, v, state, backend=backend)
    for scale in (2.0**-40, 2.0**40):
        scaled = state.clone()
        scaled[:, 0] *= scale
        found, found_last = wkv(w, u, k, scale * v, scaled, backend=backend)
        assert torch.equal(found, scale * y)
        assert torch.equal(found_last[:, 0], scale * last[:, 0])
        assert torch.equal(found_last[:, 1:], last[:, 1:])


@every_backend
def test_a_slow_decay_beside_a_large_exponent_is_not_rounded_away(backend):
    """float32 numbers near 200 lie 1.5e-5 apart, so that a step's decay is none of them."""
    w, steps = torch.tensor([4e-6]), 400
    k = torch.full((1, steps, 1), 180.0)
    v = torch.ones(1, steps, 1)
    state = torch.tensor([[[0.0], [1.0], [200.0]]])
    y, last = wkv(w, torch.zeros(1), k, v, state, backend=backend)
    arrays = [x.double().numpy() for x in (w, torch.zeros(1), k, v, state)]
    expected, expected_last = reference.wkv(*arrays)
    np.testing.assert_allclose(y, expected, rtol=2e-5)
    np.testing.assert_allclose(last[:, 2] + last[:, 1].log(), expected_last[:, 2], atol=1.5e-5)


def test_a_key_of_ten_thousand_lasts_for_100_000_steps():
    """Its decays, of which float32 near 10,000 knows a multiple or nothing, are in numerators and denominators."""
    w, steps = torch.tensor([4e-4, 7e-4]), 100_000
    k, v = torch.full((1, steps, 2), -1e4), torch.randn(1, steps, 2)
    k[:, 0] = 1e4
    y, last = wkv(w, torch.zeros(2), k, v)
    torch.testing.assert_close(y, v[:, :1].expand_as(y))
    torch.testing.assert_close(last[0, 2], 1e4 - (steps - 1) * w, rtol=1e-6, atol=0)


def test_a_slow_decay_is_not_lost_from_step_to_step():
    """400 steps that decay by a quarter of the exponent's last digit each."""
    w, state = torch.tensor([4e-6]), torch.tensor([[[0.0], [1.0], [200.0]]])
    for _ in range(400):
        _, state = wkv_step(w, torch.zeros(1), torch.full((1, 1), -INF), torch.zeros(1, 1), state)
    total = state.double()[0, 2, 0] + state.double()[0, 1, 0].log()
    assert total.item() == pytest.approx(200 - 1.6e-3, abs=2.5e-5)


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_decays_and_states_stay_in_float32(dtype, backend):
    w, u, k, v, state = draw(16)
    leaves = [x.requires_grad_() for x in (w, u, k.to(dtype), v.to(dtype), state)]
    outputs = wkv(*leaves, backend=backend)
    assert [x.dtype for x in outputs] == [dtype, torch.float32]
    found, weights = gradients(outputs, leaves)
    arrays = [x.detach().double().numpy() for x in (*leaves, *weights)]
    expected = *reference.wkv(*arrays[:5]), *reference.wkv_gradients(*arrays)
    for one, other in zip((*outputs, *found), expected, strict=True):
        error = np.linalg.norm(one.detach().double().numpy() - other) / np.linalg.norm(other)
        assert error < (1e-2 if one.dtype == dtype else 1e-5)


def test_a_step_gives_two_tensors_in_their_own_dtypes():
    w, u, k, v, state = draw(1)
    y_t, last = wkv_step(w, u, k[:, 0].bfloat16(), v[:, 0].bfloat16(), state)
    assert (y_t.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    assert y_t.untyped_storage().data_ptr() != last.untyped_storage().data_ptr()


def test_gradients_of_steps_are_those_of_the_op():
    leaves = [x.double().requires_grad_() for x in draw(5)]
    w, u, k, v, state = leaves
    expected = torch.autograd.grad(sum(x.square().sum() for x in wkv(*leaves)), leaves)
    loss = 0.0
    for t in range(5):
        y_t, state = wkv_step(w, u, k[:, t], v[:, t], state)
        loss = loss + y_t.square().sum()
    found = torch.autograd.grad(loss + state.square().sum(), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_state_has_three_rows_and_float32():
    w, u, k, v, state = draw(4)
    with pytest.raises(ValueError, match=r"state: expected shape .* = \(2, 3, 3\) like k, got \(2, 2, 3\)"):
        wkv(w, u, k, v, state[:, :2])
    with pytest.raises(TypeError, match=r"w: expected dtype torch.float32 for a k of torch.float16"):
        wkv(w.half(), u, k.half(), v.half())
    with pytest.raises(TypeError, match=r"v: expected dtype torch.float16 like k, got torch.float32"):
        wkv(w, u, k.half(), v)


def slope_of_time(function, lengths):
    """Of the logarithm of the processor's time, over that of the length; the fastest of three calls counts."""
    times = []
    for length in lengths:
        inputs, took = torch.randn(3, 1, length, 16), []
        for _ in range(3):
            begun = process_time()
            function(*inputs)
            took.append(process_time() - begun)
        times.append(min(took))
    return np.polyfit(np.log(lengths), np.log(times), 1)[0]


def test_time_grows_as_the_length_and_attentions_as_its_square():
    w, u = torch.rand(2, 16)
    linear = slope_of_time(lambda _, k, v: wkv(w, u, k, v, backend="portable"), (16_384, 65_536))
    square = slope_of_time(lambda q, k, v: torch.softmax(torch.tril(q @ k.mT), dim=-1) @ v, (512, 1024, 2048))
    assert linear < 1.3
    assert square > 1.6
