"""The mixings of RWKV-4, 5 and 6: the papers' equations, gradients, and how they start."""

import numpy as np
import pytest
import torch
from rwkv_models import WIDTH, randomized, same
from torch import nn

from seqlab.nn import ChannelMix, EagleTimeMix, FinchTimeMix, RWKVBlock, TimeMix
from seqlab.nn.time_mix import TimeMixState
from seqlab.ops.wkv import reference


def test_time_mixing_is_its_equations():
    """In NumPy: shifts, projections, the sum of chapter 8 and the gate."""
    torch.manual_seed(0)
    layer = TimeMix(4, 5, layer=1, depth=3).double()
    u = torch.randn(2, 9, 4, dtype=torch.float64)
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    x = u.numpy()
    before = np.concatenate((0 * x[:, :1], x[:, :-1]), axis=1)
    k, v, r = (
        (weights[f"shift_{letter}.mu"] * x + (1 - weights[f"shift_{letter}.mu"]) * before)
        @ weights[f"{name}.weight"].T
        for letter, name in (("k", "key"), ("v", "value"), ("r", "receptance"))
    )
    average = reference.wkv_sum(np.exp(weights["decay"]), weights["bonus"], k, v)
    y = (average / (1 + np.exp(-r))) @ weights["output.weight"].T
    np.testing.assert_allclose(layer(u)[0].detach(), y, rtol=1e-10)


def test_channel_mixing_is_its_equations():
    torch.manual_seed(0)
    layer = ChannelMix(4, 5).double()
    nn.init.uniform_(layer.shift_k.mu)
    u = torch.randn(2, 9, 4, dtype=torch.float64)
    before = torch.cat((0 * u[:, :1], u[:, :-1]), dim=1)
    k = torch.lerp(before, u, layer.shift_k.mu) @ layer.key.weight.T
    r = torch.lerp(before, u, layer.shift_r.mu) @ layer.receptance.weight.T
    y = torch.sigmoid(r) * (torch.relu(k) ** 2 @ layer.value.weight.T)
    same(layer(u)[0], y)


def test_a_layer_starts_as_the_paper_says():
    width, inner, depth = 8, 6, 4
    for layer in range(depth):
        mix, deep = TimeMix(width, inner, layer, depth), layer / (depth - 1)
        present = [(i / width) ** (1 - layer / depth) for i in range(width)]
        same(mix.shift_k.mu, torch.tensor(present))
        same(mix.shift_v.mu, torch.tensor(present) + 0.3 * deep)
        same(mix.shift_r.mu, torch.tensor(present) ** 0.5)
        decay = [-5 + 8 * (i / (inner - 1)) ** (0.7 + 1.3 * deep) for i in range(inner)]
        same(mix.decay, torch.tensor(decay))
        bonus = [np.log(0.3) + 0.5 * ((i + 1) % 3 - 1) for i in range(inner)]
        same(mix.bonus, torch.tensor(bonus, dtype=torch.float32))
        same(ChannelMix(width, layer=layer, depth=depth).shift_r.mu, torch.tensor(present))


def eagle(layer, x):
    """RWKV-5's time mixing as the paper's section 4.1 has it, token by token, in NumPy: (outputs, S)."""
    p = {name: each.detach().numpy() for name, each in layer.named_parameters()}
    mu = dict(zip("rkvg", 1 - p["mu"], strict=True))  # of the past
    decay = np.exp(-np.exp(p["decay"]))

    def mixed(a, b):
        return {letter: lerp(a, b, share) for letter, share in mu.items()}, decay

    return matrix_loop(layer, p, x, mixed)


def finch(layer, x):
    """RWKV-6's, section 4.2, where low ranks see the data."""
    p = {name: each.detach().numpy() for name, each in layer.named_parameters()}
    A = np.split(p["mix_in.weight"].T, 5, axis=1)
    B = -p["mix_out"]
    lora = {
        letter: lambda z, i=i: 1 - p["mu"][i] + np.tanh(z @ A[i]) @ B[i] for i, letter in enumerate("rkvgw")
    }

    def mixed(a, b):
        z = lerp(a, b, 1 - p["mu_x"])
        x = {letter: lerp(a, b, share(z)) for letter, share in lora.items()}
        d = p["decay"] + np.tanh(x["w"] @ p["decay_in.weight"].T) @ p["decay_out.weight"].T
        return x, np.exp(-np.exp(d))

    return matrix_loop(layer, p, x, mixed)


def lerp(a, b, mu):
    return a + (b - a) * mu


def matrix_loop(layer, p, x, mixed):
    """What both versions do with what they have mixed: x is (batch, length, width)."""
    heads, size = layer.heads, layer.inner // layer.heads
    outputs, last = np.zeros_like(x), np.zeros((len(x), heads, size, size))
    u = p["bonus"].reshape(heads, size)
    for i, sequence in enumerate(x):
        before, S = np.zeros(x.shape[-1]), last[i]
        for t, token in enumerate(sequence):
            of, w = mixed(token, before)
            r, k, v = (
                (p[f"{name}.weight"] @ of[name[0]]).reshape(heads, size)
                for name in ("receptance", "key", "value")
            )
            g = p["gate.weight"] @ of["g"]
            o = np.zeros((heads, size))
            for h, decay in enumerate(np.broadcast_to(w, layer.inner).reshape(heads, size)):
                o[h] = r[h] @ (S[h] + np.diag(u[h]) @ np.outer(k[h], v[h]))
                S[h] = np.diag(decay) @ S[h] + np.outer(k[h], v[h])
            # The code divides by 8 = 64^1/2 in front of a norm with an eps of 1e-5.
            o = (o - o.mean(1, keepdims=True)) / np.sqrt(o.var(1, keepdims=True) + 1e-5 * size)
            o = p["norm.weight"] * o.ravel() + p["norm.bias"]
            outputs[i, t] = p["output.weight"] @ (g / (1 + np.exp(-g)) * o)
            before = token
    return outputs, last


@pytest.mark.parametrize(("kind", "loop"), [(EagleTimeMix, eagle), (FinchTimeMix, finch)])
def test_mixing_with_a_matrix_is_the_equations_of_the_paper(kind, loop):
    layer = randomized(kind(WIDTH, 2, 8, layer=1, depth=3)).double()
    u = torch.randn(2, 21, WIDTH, dtype=torch.float64)
    true, S = loop(layer, u.numpy())
    y, (before, sums) = layer(u)
    np.testing.assert_allclose(y.detach(), true, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sums.detach(), S, rtol=1e-9, atol=1e-11)
    assert torch.equal(before, u[:, -1])


@pytest.mark.parametrize("kind", [EagleTimeMix, FinchTimeMix])
def test_gradients_of_mixing_with_a_matrix_are_differences(kind):
    """In every parameter, the input, and both parts of the state, through the output and the next state."""
    few = {"rank": 1, "decay_rank": 2} if kind is FinchTimeMix else {}
    layer = randomized(kind(3, 2, 4, layer=1, depth=2, **few)).double()
    names = [name for name, _ in layer.named_parameters()]

    def run(u, before, sums, *values):
        parameters = dict(zip(names, values, strict=True))
        y, state = torch.func.functional_call(layer, parameters, (u, TimeMixState(before, sums)))
        return y, *state

    sizes = (2, 4, 3), (2, 3), (2, 2, 2, 2)
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    assert torch.autograd.gradcheck(run, (*inputs, *layer.parameters()))


def test_finch_starts_as_eagle_and_then_sees_the_data():
    torch.manual_seed(0)
    finch, eagle = FinchTimeMix(WIDTH, 2, 8, 1, 3), EagleTimeMix(WIDTH, 2, 8, 1, 3)
    theirs = eagle.state_dict()
    given = finch.state_dict()
    eagle.load_state_dict({name: given[name][:4] if name == "mu" else given[name] for name in theirs})
    u = torch.randn(2, 9, WIDTH)
    same(finch(u)[0], eagle(u)[0])
    nn.init.normal_(finch.decay_in.weight, std=10)
    assert not torch.allclose(finch(u)[0], eagle(u)[0])


@pytest.mark.parametrize("kind", [EagleTimeMix, FinchTimeMix])
def test_a_layer_with_a_matrix_starts_as_the_authors_code_says(kind):
    width, inner, depth = 8, 6, 4
    for layer in range(depth):
        mix, deep = kind(width, 2, inner, layer, depth), layer / (depth - 1)
        present = torch.tensor([(i / width) ** (1 - layer / depth) for i in range(width)])
        for row, share in zip(
            mix.mu, (present**0.5, present, present + 0.3 * deep, present**0.5, present), strict=False
        ):
            same(row, share)
        decay = [-6 + 5 * (i / (inner - 1)) ** (0.7 + 1.3 * deep) for i in range(inner)]
        same(mix.decay, torch.tensor(decay))
        bonus = [deep * (1 - i / (inner - 1)) + 0.1 * ((i + 1) % 3 - 1) for i in range(inner)]
        same(mix.bonus, torch.tensor(bonus))
        same(mix.norm.weight, torch.full((inner,), ((1 + layer) / depth) ** 0.7))
        if kind is FinchTimeMix:
            same(mix.mu_x, present)
            assert len(mix.mu) == 5
            assert not mix.mix_in.weight.any()
            assert not mix.decay_in.weight.any()
            for B in (mix.mix_out, mix.decay_out.weight):
                assert 0.009 < B.abs().max() <= 0.01


def test_a_place_is_in_its_model():
    for kind in (TimeMix, ChannelMix, RWKVBlock, EagleTimeMix, FinchTimeMix):
        headed = {"heads": 2} if kind in (EagleTimeMix, FinchTimeMix) else {}
        with pytest.raises(ValueError, match="layer: expected 0 <= layer < depth = 2, got 2"):
            kind(4, layer=2, depth=2, **headed)
        with pytest.raises(TypeError, match="layer: expected an integer"):
            kind(4, layer=0.5, depth=2, **headed)
        with pytest.raises(ValueError, match=r"inner: |hidden: |heads: "):
            kind(4, 0)
