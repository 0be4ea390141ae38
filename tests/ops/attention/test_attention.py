"""Attention and its substitutes: what each one is, and what each one cannot do."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from seqlab import ops
from seqlab.ops.attention import reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def heads(length=7, seed=0):
    """q, k (2, L, 3, 4) and v (2, L, 3, 5)."""
    return draw(2, length, 3, 4, seed=seed), draw(2, length, 3, 4, seed=1), draw(2, length, 3, 5, seed=2)


def tensors(*arrays):
    return [torch.from_numpy(x) for x in arrays]


def close(one, other, bound=1e-12):
    np.testing.assert_allclose(one, other, rtol=bound, atol=bound)


def later_times_matter(function, x, t=3):
    """Whether the output at time t has a gradient to an input of a later time."""
    leaf = x.clone().requires_grad_()
    function(leaf)[:, t].sum().backward()
    return bool((leaf.grad[:, t + 1 :].abs() > 1e-9).any())


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_pytorchs(causal):
    q, k, v = heads()
    ours = reference.attention(q, k, v, causal)
    theirs = scaled_dot_product_attention(*(x.transpose(1, 2) for x in tensors(q, k, v)), is_causal=causal)
    close(ours, theirs.transpose(1, 2))
    close(ops.attention(*tensors(q, k, v), causal), ours)


def test_attention_sees_no_later_time():
    q, k, v = tensors(*heads())
    assert not later_times_matter(lambda x: ops.attention(q, x, v), k)
    assert not later_times_matter(lambda x: ops.attention(q, k, x), v)
    assert later_times_matter(lambda x: ops.attention(q, k, x, causal=False), v)


@pytest.mark.parametrize("chunk", [1, 3, 7, 10])
def test_linear_attention_is_recurrent_parallel_and_chunked(chunk):
    q, k, v = heads()
    q, k = reference.elu_features(q), reference.elu_features(k)
    y, S = reference.linear_attention(q, k, v)
    close(reference.linear_attention_parallel(q, k, v), y)
    close(reference.linear_attention_chunked(q, k, v, chunk), y)
    close(S[..., -1], k.sum(1))  # the normalizer
    found, last = ops.linear_attention(*tensors(q, k, v))
    close(found, y)
    close(last, S)


def test_linear_attention_is_a_mean_of_the_values():
    """Whatever the features: of values that are all 1 it makes 1, which is what the normalizer is for."""
    q, k, v = heads()
    y, _ = reference.linear_attention(np.exp(q), np.exp(k), np.ones_like(v))
    close(y, 1)


def test_elu_features_are_pytorchs_and_above_zero():
    x = np.linspace(-20, 20, 41)
    close(ops.elu_features(torch.from_numpy(x)), reference.elu_features(x))
    assert (reference.elu_features(x) > 0).all()


def test_random_features_are_unbiased_and_their_error_falls_with_the_root_of_their_number():
    q, k = 0.5 * draw(2, 4)
    generator = np.random.default_rng(3)

    def estimates(m, times):
        w = generator.standard_normal((times, m, 4))
        return np.array([reference.performer_features(q, x) @ reference.performer_features(k, x) for x in w])

    exact = np.exp(q @ k)
    few, many = estimates(16, 4000), estimates(256, 4000)
    assert abs(few.mean() - exact) < 4 * few.std() / np.sqrt(len(few))
    assert abs(many.mean() - exact) < 4 * many.std() / np.sqrt(len(many))
    ratio = few.std() / many.std()
    assert 3.6 < ratio < 4.4  # the root of 256 / 16


def test_linear_attention_of_random_features_tends_to_softmax_attention():
    q, k, v = (0.5 * x for x in heads())
    exact = reference.attention(q, k, v)
    errors = []
    for m in (64, 4096):
        w = draw(m, 4, seed=5)
        features = [
            ops.performer_features(x, torch.from_numpy(w)) for x in tensors(*(x / 4**0.25 for x in (q, k)))
        ]
        close(features[0], reference.performer_features(q / 4**0.25, w))
        y, _ = ops.linear_attention(*features, torch.from_numpy(v))
        errors.append(np.abs(y.numpy() - exact).max())
    assert errors[1] < 0.03 < errors[0]


def test_the_linformer_is_not_causal():
    """Its mixtures hold all times, so its published form is of no use for predicting the next token."""
    q, k, v = heads()
    E, F = draw(3, 7, seed=3), draw(3, 7, seed=4)
    close(ops.linformer(*tensors(q, k, v, E, F)), reference.linformer(q, k, v, E, F))
    q, k, v, E, F = tensors(q, k, v, E, F)
    assert later_times_matter(lambda x: ops.linformer(q, x, v, E, F), k)
    assert later_times_matter(lambda x: ops.linformer(q, k, x, E, F), v)
    assert not later_times_matter(lambda x: ops.linformer(x, k, v, E, F), q)


def test_the_linformer_with_a_mixture_for_each_time_is_attention():
    q, k, v = heads()
    close(reference.linformer(q, k, v, np.eye(7), np.eye(7)), reference.attention(q, k, v, causal=False))


def test_the_synthesizer_is_blind_to_what_others_hold():
    """Its weights come from a time's own input: to change another input changes no weight, and it has no keys."""
    x, _, v = heads()
    parameters = draw(4, 6, seed=3), draw(6, seed=4), draw(6, 9, seed=5), draw(9, seed=6)
    y = reference.synthesizer(x, v, *parameters)
    close(ops.synthesizer(*tensors(x, v, *parameters)), y)
    other = x[:, ::-1].copy()
    other[:, 3] = x[:, 3]
    close(reference.synthesizer(other, v, *parameters)[:, 3], y[:, 3])
    attended = reference.attention(x[..., :4], x[..., :4], v)
    moved = reference.attention(other, other, v)
    assert np.abs(moved[:, 3] - attended[:, 3]).max() > 0.1
    v = torch.from_numpy(v)
    assert not later_times_matter(lambda z: ops.synthesizer(torch.from_numpy(x), z, *tensors(*parameters)), v)


def test_attention_costs_the_square_of_the_length_and_the_linformer_does_not():
    """Multiplications that PyTorch counts, of sequences twice as long."""

    def count(length, function):
        q, k, v = tensors(*heads(length))
        with FlopCounterMode(display=False) as counter:
            function(q, k, v)
        return counter.get_total_flops()

    def linformer(q, k, v):
        mixtures = torch.ones(4, q.shape[1], dtype=q.dtype)
        return ops.linformer(q, k, v, mixtures, mixtures)

    with sdpa_kernel(SDPBackend.MATH):
        assert count(256, ops.attention) == 4 * count(128, ops.attention)
        assert count(256, linformer) == 2 * count(128, linformer)


def test_a_query_that_is_not_finite_has_no_answer_and_others_have_theirs():
    q, k, v = tensors(*heads())
    for value in (torch.nan, torch.inf):
        bad = q.clone()
        bad[0, 3, 1, 2] = value
        y = ops.attention(bad.float(), k.float(), v.float())
        expected = torch.zeros_like(y, dtype=torch.bool)
        expected[0, 3, 1] = True
        assert torch.equal(y.isnan(), expected)


def test_sums_of_weights_outgrow_float16():
    """After a thousand tokens of 64 channels: the mean of values is a mean all the same, of the op and of its step."""
    q, k, v = (
        torch.ones(1, 1100, 1, 64).half(),
        torch.ones(1, 1100, 1, 64).half(),
        torch.ones(1, 1100, 1, 2).half(),
    )
    y, S = ops.linear_attention(q, k, v)
    y_t, _ = ops.linear_attention_step(q[:, 0], k[:, 0], v[:, 0], S)
    for found in (y, y_t):
        assert found.dtype == torch.float16
        close(found.float(), 1, 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_where_batch_heads_and_keys_are_as_many(dtype):
    """Its decay of 1 is nobody's (heads, keys): a batch of 2 with 2 heads of 2 features is
    one like any other."""
    q, k = (np.exp(draw(2, 3, 2, 2, seed=seed)) for seed in (0, 1))
    v = draw(2, 3, 2, 3, seed=2)
    expected, _ = reference.linear_attention(q, k, v)
    q, k, v = (x.to(dtype) for x in tensors(q, k, v))
    S = torch.zeros(2, 2, 2, 4)
    for t in range(3):
        y_t, S = ops.linear_attention_step(q[:, t], k[:, t], v[:, t], S)
        close(y_t.float(), expected[:, t], 1e-5 if dtype == torch.float32 else 3e-2)


def forms():
    """Every form with arguments for it."""
    q, k, v = (x.float() for x in tensors(*heads()))
    w, E, W_1, b_1, W_2, b_2 = (
        torch.from_numpy(draw(*shape, seed=3)).float()
        for shape in ((9, 4), (3, 7), (4, 6), (6,), (6, 9), (9,))
    )
    return {
        ops.attention: {"q": q, "k": k, "v": v, "causal": True},
        ops.elu_features: {"x": q},
        ops.performer_features: {"x": q, "w": w},
        ops.linformer: {"q": q, "k": k, "v": v, "E": E, "F": E},
        ops.synthesizer: {"x": q, "v": v, "W_1": W_1, "b_1": b_1, "W_2": W_2, "b_2": b_2},
    }


every_form = pytest.mark.parametrize("form", forms())


@every_form
def test_autocast_makes_no_difference(form):
    expected = form(**forms()[form])
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            assert torch.equal(form(**forms()[form]), expected)


@every_form
def test_what_is_wrong_is_named(form):
    arguments = forms()[form]
    for name, x in arguments.items():
        wrong, empty = [None, 0.5, "no", np.ones(3)], []
        if isinstance(x, torch.Tensor):
            wrong += [x.to_sparse(), x.long(), x > 0, x.cfloat()]
            empty = [x[:0], x[..., :0]]
        for value in wrong:
            with pytest.raises(TypeError, match=rf"^{name}: expected .+, got .+"):
                form(**{**arguments, name: value})
        for value in empty:
            with pytest.raises(ValueError, match=rf"^({'|'.join(arguments)}): expected .+, got .+"):
                form(**{**arguments, name: value})
    whole = {name: x.long() if isinstance(x, torch.Tensor) else x for name, x in arguments.items()}
    with pytest.raises(TypeError, match=r"^\w+: expected one of float16, .+, got torch.int64"):
        form(**whole)


def test_wrong_arguments_are_named():
    q = torch.ones(2, 7, 3, 4)
    with pytest.raises(
        ValueError, match=r"^k: expected shape \(batch, length, heads, channels\) = \(2, 7, 3, 4\)"
    ):
        ops.attention(q, q[:, :5], q)
    with pytest.raises(ValueError, match=r"^x: expected a length of at most 5, got 7"):
        ops.synthesizer(q, q, torch.ones(4, 6), torch.ones(6), torch.ones(6, 5), torch.ones(5))
    with pytest.raises(
        ValueError, match=r"^F: expected shape \(mixtures, length\) = \(3, 7\) like q, got \(2, 7\)"
    ):
        ops.linformer(q, q, q, torch.ones(3, 7), torch.ones(2, 7))
