"""RNN, LSTM and GRU, written as equations, are torch.nn's: values, states and gradients."""

import pytest
import torch

from seqlab.nn import GRU, LSTM, RNN

PAIRS = {"RNN": (RNN, torch.nn.RNN), "LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}
BATCH, LENGTH, INPUTS, WIDTH = 3, 9, 4, 5


def draw(name):
    torch.manual_seed(0)
    ours, theirs = PAIRS[name]
    module = theirs(INPUTS, WIDTH, batch_first=True, dtype=torch.float64)
    state = torch.randn(1, BATCH, WIDTH, dtype=torch.float64)
    states = (state, torch.randn_like(state)) if name == "LSTM" else state
    return ours.from_torch(module), module, torch.randn(BATCH, LENGTH, INPUTS, dtype=torch.float64), states


def parts(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("given", [False, True])
def test_equals_torch(name, given):
    layer, module, u, state = draw(name)
    ours, theirs = u.clone().requires_grad_(), u.clone().requires_grad_()
    squeezed = tuple(s[0] for s in parts(state))
    h, last = layer(ours, (squeezed if name == "LSTM" else squeezed[0]) if given else None)
    h_torch, last_torch = module(theirs, state if given else None)
    assert torch.allclose(h, h_torch, rtol=0, atol=1e-12)
    for mine, its in zip(parts(last), parts(last_torch), strict=True):
        assert torch.allclose(mine, its[0], rtol=0, atol=1e-12)

    (h.square().sum() + sum(s.sin().sum() for s in parts(last))).backward()
    (h_torch.square().sum() + sum(s.sin().sum() for s in parts(last_torch))).backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=0, atol=1e-12)
    gradients = {n: p.grad for n, p in module.named_parameters()}
    assert torch.allclose(layer.W.grad, gradients["weight_ih_l0"], rtol=0, atol=1e-12)
    assert torch.allclose(layer.U.grad, gradients["weight_hh_l0"], rtol=0, atol=1e-12)
    assert torch.allclose(layer.b.grad, gradients["bias_ih_l0"], rtol=0, atol=1e-12)
    if name == "GRU":
        assert torch.allclose(layer.d.grad, gradients["bias_hh_l0"][2 * WIDTH :], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_equals_torch_in_float32(name):
    layer, module, u, _ = draw(name)
    h, _ = layer.float()(u.float())
    h_torch, _ = module.float()(u.float())
    assert torch.allclose(h, h_torch, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_split_and_resume_and_step(name):
    layer, _, u, _ = draw(name)
    whole, last = layer(u)
    first, state = layer(u[:, :4])
    second, resumed = layer(u[:, 4:], state)
    assert torch.allclose(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-14)
    for a, b in zip(parts(resumed), parts(last), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-14)
    h, _ = layer.step(u[:, 4], state)
    assert torch.equal(h, second[:, 0])


@pytest.mark.parametrize("name", PAIRS)
def test_names_what_it_cannot_take(name):
    layer = PAIRS[name][0](INPUTS, WIDTH)
    with pytest.raises(
        ValueError, match=r"u: expected shape \(batch, length, width\) = \(\*, \*, 4\), got \(2, 3, 5\)"
    ):
        layer(torch.zeros(2, 3, 5))
    wrong = torch.zeros(3, WIDTH)
    with pytest.raises(ValueError, match=r"state.*expected shape .* = \(2, 5\) like u, got \(3, 5\)"):
        layer(torch.zeros(2, 3, INPUTS), (wrong, wrong) if name == "LSTM" else wrong)


def test_an_lstm_asks_for_both_parts_of_its_state():
    layer, u = LSTM(INPUTS, WIDTH), torch.zeros(2, 3, INPUTS)
    with pytest.raises(TypeError, match=r"state: expected a tuple \(h, c\), got Tensor"):
        layer(u, torch.zeros(2, WIDTH))
    with pytest.raises(TypeError, match=r"state: expected a tuple \(h, c\), got a tuple of 3"):
        layer(u, (torch.zeros(2, WIDTH),) * 3)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("option", [{"num_layers": 2}, {"bidirectional": True}, {"bias": False}])
def test_from_torch_refuses_what_it_cannot_hold(name, option):
    ours, theirs = PAIRS[name]
    with pytest.raises(ValueError, match="module: expected one layer"):
        ours.from_torch(theirs(INPUTS, WIDTH, **option))


@pytest.mark.parametrize("name", PAIRS)
def test_from_torch_refuses_another_kind_of_layer(name):
    ours, theirs = PAIRS[name]
    others = [module for _, module in PAIRS.values() if module is not theirs]
    for module in (*[other(INPUTS, WIDTH) for other in others], torch.nn.Linear(2, 2), None):
        expected = f"module: expected a torch.nn.{name}, got {type(module).__name__}"
        with pytest.raises(TypeError, match=expected):
            ours.from_torch(module)


@pytest.mark.parametrize("name", PAIRS)
def test_from_torch_keeps_dtype_and_device_whatever_the_default(name):
    ours, theirs = PAIRS[name]
    module = theirs(INPUTS, WIDTH, dtype=torch.bfloat16)
    with torch.device("meta"):
        layer = ours.from_torch(module)
    assert {(p.dtype, p.device.type) for p in layer.parameters()} == {(torch.bfloat16, "cpu")}


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_rounded_under_autocast(name):
    """What comes in may be bfloat16; from there on all is float32, to the last bit."""
    layer, _, u, _ = draw(name)
    layer, rounded = layer.float(), u.bfloat16()
    expected, expected_state = layer(rounded.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h, state = layer(rounded)
    assert torch.equal(h, expected)
    assert all(map(torch.equal, parts(state), parts(expected_state)))


def test_rnn_refuses_relu():
    with pytest.raises(ValueError, match="nonlinearity='tanh', got 'relu'"):
        RNN.from_torch(torch.nn.RNN(INPUTS, WIDTH, nonlinearity="relu"))
