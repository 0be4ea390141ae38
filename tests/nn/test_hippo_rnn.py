"""The HiPPO cell against its equations in NumPy, its memory against the op's reference, and its clock."""

import copy

import numpy as np
import pytest
import torch

from seqlab.nn import LRU, LSTM, HippoRNN, Readout, SequenceModel
from seqlab.ops.hippo.reference import hippo_project, step_matrices

INPUTS, WIDTH, ORDER, LENGTH = 3, 6, 5, 20
MEASURES = {"legs": None, "legt": 12.0, "lagt": 8.0, "fourier": 12.0}


def layer_and_input(measure="legs", batch=2):
    torch.manual_seed(0)
    layer = HippoRNN(INPUTS, WIDTH, ORDER, measure, MEASURES[measure]).double()
    return layer, torch.randn(batch, LENGTH, INPUTS, dtype=torch.float64)


@pytest.mark.parametrize("measure", MEASURES)
def test_forward_is_its_equations_in_numpy(measure):
    layer, u = layer_and_input(measure)
    W, U, b, w = (p.detach().numpy() for p in (layer.W, layer.U, layer.b, layer.w))
    k = np.arange(1, LENGTH + 1)
    A_bar, B_bar = step_matrices(measure, ORDER, k, "zoh", MEASURES[measure] or 1.0)
    outputs, (_, last, count) = layer(u)
    for row in range(len(u)):
        h, c = np.zeros(WIDTH), np.zeros(ORDER)
        for t, u_t in enumerate(u[row].numpy()):
            z = W @ u_t + U[:, :ORDER] @ c + U[:, ORDER:] @ h + b
            gate = 1 / (1 + np.exp(-z[:WIDTH]))
            h = (1 - gate) * h + gate * np.tanh(z[WIDTH:])
            c = A_bar[t] @ c + B_bar[t] * (w @ h)
            np.testing.assert_allclose(outputs[row, t].detach().numpy(), h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(last[row].detach().numpy(), c, rtol=0, atol=1e-12)
    assert count == LENGTH


@pytest.mark.parametrize("measure", MEASURES)
def test_the_memory_is_the_projection_of_what_the_network_said(measure):
    layer, u = layer_and_input(measure)
    h, (_, c, _) = layer(u)
    f = (h @ layer.w)[..., None].detach().numpy()
    expected, _ = hippo_project(
        f, ORDER, measure, "zoh", theta=MEASURES[measure] or 1.0, dt=1.0, return_all=False
    )
    np.testing.assert_allclose(c.detach().numpy(), expected[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("cut", [1, 7])
def test_split_and_resume_and_step(measure, cut):
    layer, u = layer_and_input(measure)
    whole, last = layer(u)
    first, state = layer(u[:, :cut])
    second, resumed = layer(u[:, cut:], state)
    assert torch.allclose(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-13)
    for a, b in zip(resumed[:2], last[:2], strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-13)
    assert resumed[2] == last[2] == LENGTH

    fresh, state = copy.deepcopy(layer), None
    for t in range(LENGTH):
        h, state = fresh.step(u[:, t], state)
        assert torch.allclose(h, whole[:, t], rtol=0, atol=1e-13)
    assert state[2] == LENGTH


def test_the_number_of_the_sample_is_the_clock_of_legs_and_of_no_other():
    for measure, counts in {"legs": True, "legt": False}.items():
        layer, u = layer_and_input(measure)
        h, c = torch.randn(2, WIDTH, dtype=torch.float64), torch.randn(2, ORDER, dtype=torch.float64)
        early, late = (layer(u, (h, c, seen))[1][1] for seen in (3, 300))
        assert torch.equal(early, late) is not counts


def test_causal():
    layer, u = layer_and_input(batch=1)
    u.requires_grad_()
    h, _ = layer(u)
    (gradient,) = torch.autograd.grad(h[0, 8].sum(), u)
    assert torch.all(gradient[0, 9:] == 0)
    assert torch.all(gradient[0, :9].abs().sum(dim=-1) > 0)


def test_finite_differences():
    layer, _ = layer_and_input()
    u = torch.randn(2, 4, INPUTS, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, WIDTH, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, ORDER, dtype=torch.float64, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(u, h, c, *values):
        parameters = dict(zip(names, values, strict=True))
        outputs, (_, last, _) = torch.func.functional_call(layer, parameters, (u, (h, c, 2)))
        return outputs, last

    assert torch.autograd.gradcheck(call, (u, h, c, *values))


def test_a_layer_turned_to_float64_has_the_digits_of_float64():
    torch.manual_seed(0)
    layer = HippoRNN(INPUTS, WIDTH, ORDER)
    u = torch.randn(2, LENGTH, INPUTS)
    narrow, _ = layer(u)
    used = copy.deepcopy(layer).double()(u.double())[0]
    fresh = HippoRNN(INPUTS, WIDTH, ORDER).double()
    fresh.load_state_dict(layer.double().state_dict())
    assert torch.equal(used, fresh(u.double())[0])
    assert narrow.dtype == torch.float32
    assert torch.allclose(narrow.double(), used, rtol=0, atol=1e-5)


def test_longer_sequences_later():
    layer, u = layer_and_input()
    short, _ = layer(u[:, :3])
    whole, _ = layer(u)
    assert torch.allclose(whole[:, :3], short, rtol=0, atol=1e-14)
    assert torch.equal(layer(u[:, :3])[0], short)


def test_it_stands_in_the_residual_stack_and_under_a_readout():
    u = torch.randn(2, LENGTH, 1)
    stack = SequenceModel(lambda width: HippoRNN(width, width, ORDER), 1, WIDTH, depth=2, outputs=4)
    assert stack(u).shape == (2, 4)
    last = Readout(HippoRNN(1, WIDTH, ORDER), WIDTH, outputs=4)
    every = Readout(last.layer, WIDTH, outputs=4, last=False)
    every.readout = last.readout
    assert every(u).shape == (2, LENGTH, 4)
    assert torch.equal(every(u)[:, -1], last(u))
    for layer in (LSTM(1, WIDTH), torch.nn.LSTM(1, WIDTH, batch_first=True), LRU(1, WIDTH)):
        width = 1 if isinstance(layer, LRU) else WIDTH
        assert Readout(layer, width, outputs=4)(u).shape == (2, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"measure": "legz"}, ValueError, "measure: expected one of .*'legs'.*got 'legz'"),
        ({"theta": 10.0}, ValueError, "theta: expected None with legs, got 10.0"),
        ({"measure": "legt"}, ValueError, "theta: expected time steps above 0 with legt, got None"),
        ({"measure": "lagt", "theta": 0.0}, ValueError, "theta: .*got 0.0"),
        ({"measure": "lagt", "theta": float("nan")}, ValueError, "theta: .*got nan"),
        ({"order": 0}, ValueError, "order: expected an integer from 1 .*, got 0"),
        ({"width": 2.5}, TypeError, "width: expected an integer, got float"),
    ],
)
def test_bad_construction(options, error, message):
    with pytest.raises(error, match=message):
        HippoRNN(**{"inputs": 1, "width": 4, "order": 4, **options})


def test_bad_input():
    layer = HippoRNN(INPUTS, WIDTH, ORDER)
    with pytest.raises(ValueError, match=r"u: expected shape .* = \(\*, \*, 3\), got \(2, 3\)"):
        layer(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"u: expected every axis to be at least 1 long, got \(2, 0, 3\)"):
        layer(torch.zeros(2, 0, INPUTS))
    with pytest.raises(TypeError, match=r"float32.*got torch\.float64"):
        layer(torch.zeros(2, 3, INPUTS, dtype=torch.float64))
    h, c, u = torch.zeros(2, WIDTH), torch.zeros(2, ORDER), torch.zeros(2, 3, INPUTS)
    with pytest.raises(ValueError, match=r"state c: expected shape .* = \(2, 5\) like u, got \(2, 6\)"):
        layer(u, (h, h, 0))
    with pytest.raises(ValueError, match=r"state h: expected shape .* = \(2, 6\) like u, got \(2, 5\)"):
        layer(u, (c, c, 0))
    with pytest.raises(ValueError, match=r"state t: expected an integer from 0 .*, got -1"):
        layer(u, (h, c, -1))
    with pytest.raises(ValueError, match=r"u_t: expected shape .* = \(\*, 3\), got \(2, 2\)"):
        layer.step(torch.zeros(2, 2))
