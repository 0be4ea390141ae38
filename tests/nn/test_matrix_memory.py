"""Retention and gated linear attention as layers, and the blocks around them."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.nn import GLA, GatedLinearAttention, LanguageModel, Retention, RetNet
from seqlab.nn.gated_linear_attention import TEMPERATURE

WIDTH, HEADS, KEYS, VALUES = 6, 3, 12, 9
LAYERS = {
    "Retention": lambda: Retention(WIDTH, HEADS, KEYS, VALUES),
    "GatedLinearAttention": lambda: GatedLinearAttention(WIDTH, HEADS, KEYS, VALUES, rank=2),
    "RetNet": lambda: RetNet(WIDTH, HEADS, KEYS, VALUES),
    "GLA": lambda: GLA(WIDTH, HEADS, KEYS, VALUES),
}


@pytest.fixture
def u():
    torch.manual_seed(0)
    return torch.randn(2, 40, WIDTH, dtype=torch.float64)


def made(name):
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    for p in layer.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return layer


def same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def weights(layer):
    return {name: p.detach().numpy() for name, p in layer.named_parameters()}


def heads(x, count=HEADS):
    return x.reshape(*x.shape[:-1], count, -1)


def swish(x):
    return x / (1 + np.exp(-x))


def out(layer, u, o):
    """A norm of each head, the gate and the way out, in NumPy."""
    w = weights(layer)
    centred = o - o.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    normal = w["norm.weight"] * normal.reshape(*u.shape[:2], -1) + w["norm.bias"]
    gate = u @ w["gate.weight"].T + w.get("gate.bias", 0.0)
    return (swish(gate) * normal) @ w["output.weight"].T


def projected(layer, u):
    w = weights(layer)
    return [heads(u @ w[f"{name}.weight"].T) for name in ("query", "key", "value")]


def test_retention_is_attention_whose_weights_decay_and_turn(u):
    """As one sum over all pairs of steps, with complex numbers for what turns."""
    layer, x = made("Retention"), u.numpy()
    q, k, v = projected(layer, x)
    pairs = KEYS // HEADS // 2
    q, k = (each[..., :pairs] + 1j * each[..., pairs:] for each in (q, k))
    theta = 10_000.0 ** (-np.arange(pairs) / pairs)
    gamma = 1 - 2.0 ** (-5 - np.arange(HEADS))
    age = np.arange(40)[:, None] - np.arange(40)
    turned = np.exp(1j * np.abs(age)[..., None] * theta)
    scores = np.einsum("bthk,bshk,tsk->bhts", q.conj(), k, turned.conj()).real
    decayed = np.where(age >= 0, gamma[:, None, None] ** np.abs(age), 0)
    o = np.einsum("bhts,bshv->bthv", scores * decayed, v) * (KEYS / HEADS) ** -0.5
    np.testing.assert_allclose(layer(u)[0].detach(), out(layer, x, o), rtol=1e-9, atol=1e-11)


def test_gated_linear_attention_is_its_equations(u):
    layer, x = made("GatedLinearAttention"), u.numpy()
    w, (q, k, v) = weights(layer), projected(layer, x)
    low = x @ w["decay_in.weight"].T
    alpha = 1 / (1 + np.exp(-(low @ w["decay_out.weight"].T + w["decay_out.bias"])))
    alpha = heads(alpha ** (1 / TEMPERATURE))
    S, o = np.zeros((2, HEADS, KEYS // HEADS, VALUES // HEADS)), np.zeros(v.shape)
    for t in range(40):
        S = alpha[:, t, ..., None] * S + k[:, t, ..., None] * v[:, t, :, None]
        o[:, t] = np.einsum("bhk,bhkv->bhv", q[:, t], S) * (KEYS / HEADS) ** -0.5
    y, last = layer(u)
    np.testing.assert_allclose(last.detach(), S, rtol=1e-10)
    np.testing.assert_allclose(y.detach(), out(layer, x, o), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", LAYERS)
def test_it_goes_on_from_its_state_and_by_steps(name, u):
    layer = made(name)
    whole, last = layer(u)
    state = None
    for t in range(40):
        y_t, state = layer.step(u[:, t], state)
        same(y_t, whole[:, t])
    same(state, last)
    first, state = layer(u[:, :17])
    second, state = layer(u[:, 17:], state)
    same(torch.cat((first, second), dim=1), whole)
    same(state, last)


def test_a_turn_is_as_exact_after_many_steps():
    """Steps are not counted from call to call, and within one in float64."""
    torch.manual_seed(0)
    layer, u = Retention(4, 2), torch.randn(1, 20_000, 4)
    found, _ = layer(u)
    true, _ = layer.double()(u.double())
    error = (found - true)[:, -100:].norm() / true[:, -100:].norm()
    assert error < 2e-4


def test_blocks_are_their_layer_and_a_feed_forward_with_what_passes_by(u):
    for name in ("RetNet", "GLA"):
        block = made(name)
        x = u + block.layer(block.layer_norm(u))[0]
        z = block.feed_forward_norm(x)
        into, out = block.into.weight, block.out.weight
        inside = z @ into.T
        if name == "RetNet":
            inside = nn.functional.gelu(inside)
        else:
            inside = nn.functional.silu(z @ block.gate.weight.T) * inside
        same(block(u)[0], x + inside @ out.T)


def test_sizes_that_the_papers_have():
    retention, attention = Retention(8, 2), GatedLinearAttention(8, 2)
    assert (retention.keys, retention.values) == (8, 16)
    assert (attention.keys, attention.values, attention.decay_in.out_features) == (4, 8, 16)
    assert RetNet(8, 2).into.out_features == 16
    assert GLA(6, 2).into.out_features == 16


def test_a_language_model_of_them_counts():
    torch.manual_seed(0)
    text = torch.arange(40) % 5
    for block in (RetNet, GLA):
        model = LanguageModel(5, 8, [block(8, 2)], nn.LayerNorm(8), tied=False)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(30):
            logits, _ = model(text[None, :-1])
            loss = nn.functional.cross_entropy(logits[0], text[1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        counted = model.generate(text[None, :12], 8, temperature=0)
        assert torch.equal(counted[0], torch.arange(12, 20) % 5)


def test_wrong_sizes_are_named():
    for call, words in (
        (lambda: Retention(6, 4), "keys: expected a multiple of heads = 4, got 6"),
        (lambda: Retention(6, 2), "keys: expected a multiple of 2 heads = 4, got 6"),
        (lambda: Retention(4, 2, values=3), "values: expected a multiple of heads = 2, got 3"),
        (lambda: GatedLinearAttention(4, 2, keys=3), "keys: expected a multiple of heads = 2, got 3"),
        (lambda: GLA(4, 4), "values: expected at least 2 features in each of 4 heads, got 4 in all"),
        (lambda: RetNet(4, 2, hidden=0), "hidden: expected an integer from 1"),
        (lambda: GLA(4, 2, hidden=0), "hidden: expected an integer from 1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
