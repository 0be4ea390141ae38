"""Gated linear attention: lengths around groups and chunks, widths of every kind, decays of 0, what a suffix sum must
not lose, what is refused."""

import numpy as np
import pytest
import torch

from seqlab.ops import gated_linear_attention, gated_linear_attention_step
from seqlab.ops.backends import has_triton
from seqlab.ops.gated_linear_attention import reference
from seqlab.ops.sanitizer import watched

BACKENDS = [
    "portable",
    pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton")),
]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
every_form = pytest.mark.parametrize("letters", ["BLHK", "BLH"], ids=["a decay a channel", "a decay a head"])
NAMES = ("q", "k", "v", "log_decay", "bonus", "state")
INF = float("inf")


def draw(length, letters="BLHK", bonus=False, batch=1, heads=2, keys=3, values=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(length)
    sizes = {"B": batch, "L": length, "H": heads, "K": keys}

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    q, k = normal(2, batch, length, heads, keys).to(dtype)
    v = normal(batch, length, heads, values).to(dtype)
    log_decay = -2 * torch.rand([sizes[letter] for letter in letters], generator=generator)
    return q, k, v, log_decay, normal(heads, keys) if bonus else None, normal(batch, heads, keys, values)


def values_and_gradients(inputs, backend):
    """By name, with what is true of each."""
    leaves = [None if x is None else x.detach().requires_grad_() for x in inputs]
    outputs = gated_linear_attention(*leaves, backend=backend)
    generator = torch.Generator().manual_seed(0)
    sent = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in outputs]
    found = torch.autograd.grad(outputs, [x for x in leaves if x is not None], sent)
    arrays = [None if x is None else x.detach().double().numpy() for x in leaves]
    expected = reference.gated_linear_attention(*arrays)
    true = reference.gated_linear_attention_gradients(*arrays, None, *(x.double().numpy() for x in sent))
    names = ["y", "last", *(name for name, x in zip(NAMES, inputs, strict=True) if x is not None)]
    whole = [*expected, *(x for x in true if x is not None)]
    return {
        name: (x.detach().double().numpy(), y)
        for name, x, y in zip(names, (*outputs, *found), whole, strict=True)
    }


def error(found, true):
    return np.linalg.norm(found - true) / np.linalg.norm(true)


LENGTHS = [("portable", length) for length in (1, 2, 15, 16, 17, 33)]
if has_triton():
    LENGTHS += [("triton", length) for length in (1, 3, 4, 5, 8, 9, 17)]


@pytest.mark.parametrize("bonus", [False, True])
@every_form
@pytest.mark.parametrize(("backend", "length"), LENGTHS)
def test_values_and_gradients_at_lengths_around_groups_and_chunks(length, letters, bonus, backend):
    for name, (found, true) in values_and_gradients(draw(length, letters, bonus), backend).items():
        assert error(found, true) < 3e-6, name


@every_backend
@every_form
@pytest.mark.parametrize("bonus", [False, True])
@pytest.mark.parametrize(("keys", "values"), [(1, 1), (7, 2), (2, 9), (16, 8)])
def test_heads_of_any_width(keys, values, bonus, letters, backend):
    inputs = draw(11, letters, bonus, keys=keys, values=values)
    for name, (found, true) in values_and_gradients(inputs, backend).items():
        assert error(found, true) < 3e-6, name


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("letters", ["H", "HK", "BLH", "BLHK"])
@pytest.mark.parametrize("length", [1, 11])
def test_kernels_stay_in_their_tensors_and_write_all_of_them(length, letters):
    with watched():
        for bonus in (False, True):
            for name, (found, _) in values_and_gradients(draw(length, letters, bonus), "triton").items():
                assert np.isfinite(found).all(), name


@every_backend
@every_form
@pytest.mark.parametrize("bonus", [False, True])
def test_a_decay_of_zero_forgets_all_and_gradients_are_numbers(bonus, letters, backend):
    q, k, v, log_decay, u, state = draw(21, letters, bonus)
    log_decay[:, 9] = -INF
    for name, (found, true) in values_and_gradients((q, k, v, log_decay, u, state), backend).items():
        assert error(found, true) < 3e-6, name
    _, last = gated_linear_attention(q, k, v, log_decay, u, state, backend=backend)
    after = (x[:, 10:] for x in (q, k, v, log_decay))
    k_v = k[:, 9, ..., None] * v[:, 9, :, None]
    torch.testing.assert_close(last, gated_linear_attention(*after, u, k_v, backend=backend)[1])


@every_backend
@every_form
def test_strong_decays_for_long_overflow_nothing(letters, backend):
    """The exponential of a difference of sums that is not masked first would be e^315."""
    q, k, v, log_decay, _, state = draw(33, letters)
    for name, (found, true) in values_and_gradients(
        (q, k, v, torch.full_like(log_decay, -5), None, state), backend
    ).items():
        assert np.isfinite(found).all()
        assert error(found, true) < 3e-6, name


@every_backend
@every_form
@pytest.mark.parametrize("bonus", [False, True])
def test_gradients_of_tiny_decays_are_as_tiny_and_no_rounding_of_larger_sums(bonus, letters, backend):
    """Nothing passes a decay of e^-100: a difference of sums over steps would leave 1e-8 and more."""
    q, k, v, log_decay, u, state = draw(33, letters, bonus)
    inputs = q, k, v, torch.full_like(log_decay, -100), u, state
    found, true = values_and_gradients(inputs, backend)["log_decay"]
    assert np.abs(true).max() < 1e-40
    assert np.abs(found).max() < 1e-37


@every_backend
@every_form
@pytest.mark.parametrize("bonus", [False, True])
def test_early_giants_leave_later_gradients_of_decays_alone(bonus, letters, backend):
    """A sum over later steps is not the sum of all less that of the earlier ones."""
    inputs = list(draw(24, letters, bonus))
    inputs[1], inputs[0] = inputs[1].clone(), inputs[0].clone()
    inputs[0][:, :3] *= 1e6
    inputs[1][:, :3] *= 1e6
    inputs[3][:, 3] = -INF  # what comes later does not see them
    found, true = values_and_gradients(inputs, backend)["log_decay"]
    assert error(found[:, 4:], true[:, 4:]) < 1e-5


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("letters", "of_decays"),
    [("BLHK", 3e-6), ("BLH", 2.0**-17)],  # that of a head is a sum of products to 16 digits
    ids=["a decay a channel", "a decay a head"],
)
def test_decays_bonus_and_states_stay_in_float32(letters, of_decays, dtype, backend):
    bounds = {**dict.fromkeys("yqkv", 1e-2), "log_decay": of_decays}
    for name, (found, true) in values_and_gradients(draw(20, letters, True, dtype=dtype), backend).items():
        assert error(found, true) < bounds.get(name, 3e-6), name


@every_backend
def test_the_scale_is_a_number_of_its_own(backend):
    q, k, v, log_decay, _, state = draw(9)
    y, last = gated_linear_attention(q, k, v, log_decay, None, state, backend=backend)
    for scale in (1, 0.25, np.float64(-2.0)):
        scaled, same = gated_linear_attention(q, k, v, log_decay, None, state, scale, backend=backend)
        torch.testing.assert_close(scaled, y * 3**0.5 * float(scale))
        assert torch.equal(same, last)


@every_backend
def test_future_steps_have_no_influence(backend):
    q, k, v, log_decay, bonus, state = draw(19, bonus=True)
    y, _ = gated_linear_attention(q, k, v, log_decay, bonus, state, backend=backend)
    for x in (q, k, v, log_decay):
        later = x.clone()
        later[:, 12:] -= 3
        inputs = [later if other is x else other for other in (q, k, v, log_decay)]
        moved, _ = gated_linear_attention(*inputs, bonus, state, backend=backend)
        torch.testing.assert_close(moved[:, :12], y[:, :12], rtol=1e-6, atol=1e-6)
        assert not torch.allclose(moved[:, 13:], y[:, 13:])


def test_heads_and_entries_do_not_meet():
    q, k, v, log_decay, bonus, state = draw(13, bonus=True, batch=2)
    y, last = gated_linear_attention(q, k, v, log_decay, bonus, state)
    for b in range(2):
        for h in range(2):
            own = (x[b : b + 1, :, h : h + 1] for x in (q, k, v, log_decay))
            alone = gated_linear_attention(*own, bonus[h : h + 1], state[b : b + 1, h : h + 1])
            torch.testing.assert_close(alone[0], y[b : b + 1, :, h : h + 1])
            torch.testing.assert_close(alone[1], last[b : b + 1, h : h + 1])


def test_a_step_gives_two_tensors_in_their_own_dtypes():
    q, k, v, log_decay, bonus, state = draw(1, bonus=True, batch=3, dtype=torch.bfloat16)
    y_t, last = gated_linear_attention_step(q[:, 0], k[:, 0], v[:, 0], log_decay[:, 0], state, bonus)
    assert (y_t.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    y, whole = gated_linear_attention(q, k, v, log_decay, bonus, state)
    torch.testing.assert_close(y_t, y[:, 0])
    torch.testing.assert_close(last, whole)


def test_a_decay_of_a_step_that_could_be_two_things_is_refused():
    q, k, v, _, _, state = draw(1, batch=2, heads=2, keys=2)
    with pytest.raises(
        ValueError, match=r"log_decay: expected shape \(batch, heads, keys\), .* got \(2, 2\)"
    ):
        gated_linear_attention_step(q[:, 0], k[:, 0], v[:, 0], torch.zeros(2, 2), state)


def test_wrong_decays_are_told_what_they_may_be():
    q, k, v, log_decay, _, _ = draw(6)
    with pytest.raises(
        ValueError, match=r"log_decay: expected shape \(batch, length, heads\) = \(1, 6, 2\) like q"
    ):
        gated_linear_attention(q, k, v, log_decay[..., 0, :])
    with pytest.raises(TypeError, match=r"log_decay: expected dtype torch.float32 for a q of torch.float16"):
        gated_linear_attention(q.half(), k.half(), v.half(), log_decay.half())


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_a_decay_a_head_keeps_nothing_between_the_steps_of_a_chunk():
    """The states between chunks are all that backward gets beside the inputs and the gradients."""
    kept = {}
    for letters in ("BLH", "BLHK"):
        inputs = [x.requires_grad_() for x in draw(9, letters) if x is not None]
        y, _ = gated_linear_attention(*inputs[:4], None, inputs[4], backend="triton")
        kept[letters] = [tuple(x.shape) for x in y.grad_fn.saved_tensors if x is not None]
    states, scores = (3 * 1 * 2 * 3 * 5,), (1, 9, 2, 4)
    assert kept["BLH"][5:] == [states]
    assert kept["BLHK"][5:] == [states, scores]


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_heads_wider_than_the_kernel_takes_are_refused_by_it_alone():
    q, k, v, log_decay, _, _ = draw(2, batch=1, heads=1, keys=513)
    y, _ = gated_linear_attention(q, k, v, log_decay)
    assert y.isfinite().all()
    with pytest.raises(ValueError, match=r"backend: expected 'portable' for heads of more than 512 channels"):
        gated_linear_attention(q, k, v, log_decay, backend="triton")
