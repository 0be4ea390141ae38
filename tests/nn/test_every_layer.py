"""What holds for every layer of seqlab.nn, those to come included."""

import importlib
import pkgutil
import re
from copy import deepcopy

import numpy as np
import pytest
import torch
from layers import (
    BATCH,
    INPUTS,
    LAYERS,
    LENGTH,
    MODELS,
    SHARED,
    STATELESS,
    error,
    like,
    loss,
    results,
    rounded,
    rounding,
    sizes_of_gradients,
    tensors,
)
from torch import nn
from torch.func import functional_call, grad, vmap

import seqlab.nn
from seqlab.nn import SequenceModel

SENTENCE = re.compile(r"^[\w .]+: expected .+, got .+")
HALF = (torch.bfloat16, torch.float16)


@pytest.fixture(params=LAYERS)
def listed(request):
    return LAYERS[request.param]


@pytest.fixture
def layer(listed):
    return listed.make()


@pytest.fixture
def u():
    torch.manual_seed(1)
    return torch.randn(BATCH, LENGTH, INPUTS)


@pytest.fixture
def defaults():
    """Puts torch's defaults back."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def test_every_layer_is_listed():
    modules = [
        importlib.import_module(f"seqlab.nn.{module.name}")
        for module in pkgutil.iter_modules(seqlab.nn.__path__)
    ]
    defined = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
        if not name.startswith("_")
    }
    listed = {layer.kind for layer in LAYERS.values()} | {*SHARED, *STATELESS, *MODELS}
    missing = sorted(kind.__name__ for kind in defined - listed)
    assert not missing, (
        f"{missing} of seqlab.nn: add each to tests/nn/layers.py, whose layers are tested alike"
    )


# ---------------------------------------------------------------------------------- states, handed over


def test_a_step_is_one_step_of_forward(layer, u):
    y, last = layer.double()(u.double())
    state = None
    for t, u_t in enumerate(u.double().unbind(dim=1)):
        y_t, state = layer.step(u_t, state)
        torch.testing.assert_close(y_t, y[:, t], rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)


def test_a_later_call_continues_from_the_state_of_an_earlier_one(layer, u):
    whole, last = layer.double()(u.double())
    first, state = layer(u[:, :3].double())
    second, resumed = layer(u[:, 3:].double(), state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(resumed, last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", ["step", "forward"])
def test_output_and_states_share_no_memory(layer, u, way):
    _, given = layer(u)
    kept = [part.clone() for part in tensors(given)]
    y, state = layer.step(u[:, 0], given) if way == "step" else layer(u, given)
    places = [part.untyped_storage().data_ptr() for part in (y, *tensors(state), *tensors(given))]
    assert len(set(places)) == len(places)
    assert all(map(torch.equal, tensors(given), kept))
    sizes = [part.untyped_storage().nbytes() == part.nbytes for part in tensors(state)]
    assert all(sizes), "a state that is a view keeps more than itself alive"


# --------------------------------------------------------------------------------- dtypes, devices, modes


def test_default_dtype(listed, u, defaults):
    torch.set_default_dtype(torch.float64)
    layer = listed.make()
    y, state = layer(u.double())
    assert {p.dtype for p in layer.parameters()} == {y.dtype} == {torch.float64}
    assert {part.dtype for part in tensors(state)} <= {torch.float64, torch.complex128}


@pytest.mark.parametrize("how", ["set", "with"])
def test_default_device(listed, u, defaults, how):
    if how == "set":
        torch.set_default_device("meta")
        layer = listed.make()
    else:
        with torch.device("meta"):  # stands for a GPU
            layer = listed.make()
    assert {p.device.type for p in layer.parameters()} == {"meta"}
    u = torch.empty(BATCH, LENGTH, INPUTS, device="meta")
    y, _ = layer(u)
    assert y.shape[:2] == (BATCH, LENGTH)
    assert layer.step(u[:, 0])[0].shape == y[:, 0].shape


def test_float32_is_exact_to_rounding(layer, u):
    true = deepcopy(layer).double()
    sizes = sizes_of_gradients(true, u.double())
    expected = results(true, u.double())
    found = results(layer, u)
    assert error(found["y"], expected["y"]) < 1e-5
    for name, size in sizes.items():
        assert (found[name].double() - expected[name]).norm() < 1e-4 * size, name


@pytest.mark.parametrize("dtype", HALF)
def test_trains_under_autocast(layer, u, dtype):
    """Behind a Linear, whose outputs autocast has rounded; state and gradients are float32 all the same."""
    model, true = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS)
    true.load_state_dict(model.state_dict())
    x = true(u)
    _, expected_state = layer(x)
    exact, rounded_off = results(layer, x), rounding(layer, x.detach(), dtype)
    layer.zero_grad()
    with torch.autocast("cpu", dtype=dtype):
        y, state = layer(model(u))
        y_0, first = layer.step(model(u[:, 0]))
        layer(model(u), rounded(state, dtype))
        total = loss(y, state)
    total.backward()
    assert [part.dtype for part in tensors(state)] == [part.dtype for part in tensors(expected_state)]
    assert [part.dtype for part in tensors(first)] == [part.dtype for part in tensors(expected_state)]
    assert error(y, exact["y"]) < 3 * rounded_off["y"]
    assert error(y_0, exact["y_0"]) < 3 * rounded_off["y_0"]
    for name, p in layer.named_parameters():
        assert p.grad.dtype == torch.float32
        assert error(p.grad, exact[name]) < 6 * rounded_off[name], name
    assert error(model.weight.grad, true.weight.grad) < 5e-2


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision(layer, u, dtype):
    expected, _ = layer(u)
    y, state = layer.to(dtype)(u.to(dtype))
    assert y.dtype == dtype
    assert error(y, expected) < 5e-2
    loss(y, state).backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
    y_0, _ = layer.step(u[:, 0].to(dtype))
    assert y_0.dtype == dtype
    assert error(y_0, y[:, 0]) < 2e-2


def test_a_model_of_it_trains_under_autocast(listed, u):
    layer = listed.make
    torch.manual_seed(0)
    names = set(listed.arguments) & {"inputs", "width"}
    model = SequenceModel(lambda width: layer(**dict.fromkeys(names, width)), INPUTS, 8, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = model(u).square().sum()
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_inference_mode_and_then_training(layer, u):
    with torch.inference_mode():
        before, state = layer(u)
        layer.step(u[:, 0], state)
    y, last = layer(u)
    assert torch.equal(y, before)
    loss(y, last).backward()
    layer.zero_grad()
    y, last = layer.step(u[:, 0])
    loss(y, last).backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


# ----------------------------------------------------------------------- torch.func, compiled and exported


def test_per_sample_gradients(layer, u):
    layer.double()
    parameters = dict(layer.named_parameters())

    def one(parameters, x):
        return loss(*functional_call(layer, parameters, (x[None],)))

    found = vmap(grad(one), in_dims=(None, 0))(
        {name: p.detach() for name, p in parameters.items()}, u.double()
    )
    for i, x in enumerate(u.double()):
        true = torch.autograd.grad(loss(*layer(x[None])), list(parameters.values()))
        for name, g in zip(parameters, true, strict=True):
            torch.testing.assert_close(found[name][i], g, rtol=1e-9, atol=1e-12)


# Made of the same operations as others, which are compiled on every push.
ALIKE = ["RNN", "GRU", "HippoRNN, legt", "DenseTanh", "DenseLinear"]  # as LSTM and HippoRNN
ALIKE += ["Cartesian", "Exponential", "StableExponential"]  # as LRU
ALIKE += ["S4, recurrence", "S4D, lin, convolution", "S4D, inv, recurrence"]  # as S4, S5 and S4D
ALIKE += ["DSS", "DSS, softmax", "GSS", "S5, convolution"]  # as S4D and S5
ALIKE += ["ShortConvolution", "S6"]  # in MambaBlock
ALIKE += ["ChannelMix", "Retention", "CappedMLSTM"]  # as TimeMix, GatedLinearAttention and MLSTM
one_of_each = pytest.mark.parametrize(
    "listed",
    [pytest.param(name, marks=[pytest.mark.thorough] * (name in ALIKE)) for name in LAYERS],
    indirect=True,
)


@one_of_each
def test_export_with_dynamic_batch_and_length(listed, layer, u):
    dynamic = {0: torch.export.Dim("batch", min=1, max=64)}
    if not listed.loop:
        dynamic[1] = torch.export.Dim("length", min=1, max=512)
    exported = torch.export.export(layer.eval(), (u,), dynamic_shapes=(dynamic,)).module()
    for batch, length in (
        [(2, 7), (5, 7), (6, 7), (4, 7)] if listed.loop else [(3, 2), (4, 5), (6, 6), (5, 31)]
    ):
        v = torch.randn(batch, length, INPUTS)
        torch.testing.assert_close(exported(v), layer(v))


class Graphs:
    """A backend that counts the graphs that it is given."""

    def __init__(self):
        self.count = 0

    def __call__(self, graph, inputs):
        self.count += 1
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)


@pytest.fixture
def graphs():
    torch._dynamo.reset()
    yield Graphs()
    torch._dynamo.reset()


@one_of_each
@pytest.mark.filterwarnings("error:Dynamo")
def test_compiled_graphs_are_one_for_all_lengths(listed, layer, u, graphs):
    compiled = torch.compile(layer, backend=graphs, fullgraph=True, dynamic=None if listed.loop else True)
    lengths = (LENGTH,) if listed.loop else (5, 8, 33, 64, 81, 100)
    for length in lengths:
        v = torch.randn(BATCH, length, INPUTS)
        y, state = compiled(v)
        torch.testing.assert_close((y, state), layer(v))
        loss(y, state).backward()
    assert graphs.count == 1
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@one_of_each
@pytest.mark.filterwarnings("error:Dynamo")
def test_compiled_steps_are_one_graph(layer, u, graphs):
    with torch.no_grad():
        _, state = layer(u)
        compiled = torch.compile(layer.step, backend=graphs, fullgraph=True)
        for _ in range(5):
            expected = layer.step(u[:, 0], state)
            y, state = compiled(u[:, 0], state)
            torch.testing.assert_close((y, state), expected)
    assert graphs.count <= 2  # the clock of a memory becomes a symbol when it is seen to move


# --------------------------------------------------------------------------------------- wrong arguments


def refused(call, kind, *words):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert caught.type is kind, message
    assert SENTENCE.match(message), message
    for word in words:
        assert word in message, message


def test_a_wrong_input_is_refused_in_a_sentence(layer, u):
    for value in ([1.0], u.numpy(), None, 1.0):
        refused(lambda value=value: layer(value), TypeError, "u: ", "torch.Tensor", type(value).__name__)
        refused(lambda value=value: layer.step(value), TypeError, "u_t: ", type(value).__name__)
    for wrong in (u.double(), u.bfloat16(), u.long(), u.cfloat(), u > 0):
        refused(lambda wrong=wrong: layer(wrong), TypeError, "u: ", "float32", str(wrong.dtype))
        refused(lambda wrong=wrong: layer.step(wrong[:, 0]), TypeError, "u_t: ", str(wrong.dtype))
    for wrong in (u[0], u[None], u[..., :3], u[:0], u[:, :0]):
        refused(lambda wrong=wrong: layer(wrong), ValueError, "u: ", f"got {tuple(wrong.shape)}")
    for wrong in (u, u[0, 0], u[:, 0, :3], u[:0, 0]):
        refused(lambda wrong=wrong: layer.step(wrong), ValueError, "u_t: ", f"got {tuple(wrong.shape)}")
    refused(lambda: layer(u.to("meta")), ValueError, "u: ", "device cpu", "meta")
    refused(lambda: layer.step(u[:, 0].to("meta")), ValueError, "u_t: ", "device cpu", "meta")


@pytest.mark.parametrize("way", ["step", "forward"])
def test_a_wrong_state_is_refused_in_a_sentence(layer, u, way):
    def go(state):
        return layer.step(u[:, 0], state) if way == "step" else layer(u, state)

    _, state = layer(u)
    wrong_types = [
        lambda part: part.detach().numpy(),
        lambda part: part.tolist(),
        lambda part: None,
        lambda part: part.to(torch.complex128 if part.is_complex() else torch.float64),
        lambda part: part.real.to(torch.bfloat16),
        lambda part: part.real.clone() if part.is_complex() else part.cfloat(),
    ]
    wrong_shapes = [
        lambda part: part[:2],
        lambda part: part[0],
        lambda part: part[:, :-1],
        lambda part: part[None],
        lambda part: part.to("meta"),
    ]
    for kind, changes in ((TypeError, wrong_types), (ValueError, wrong_shapes)):
        for change in changes:
            for wrong in like(state, change):
                if wrong is not None:
                    refused(lambda wrong=wrong: go(wrong), kind, "state")
    if isinstance(state, tuple):
        for wrong in (state[0], state[:1], (*state, state[0]), "state"):
            refused(lambda wrong=wrong: go(wrong), TypeError, "state: expected ")


def test_sizes_are_positive_integers_of_python_or_numpy(listed, u):
    for name in listed.sizes:
        for wrong in (float(listed.arguments[name]), "4", None, True, torch.tensor(4)):
            refused(lambda name=name, wrong=wrong: listed.make(**{name: wrong}), TypeError, f"{name}: ")
        for wrong in (0, -1):
            refused(lambda name=name, wrong=wrong: listed.make(**{name: wrong}), ValueError, f"{name}: ")
    numbers = {name: np.int64(listed.arguments[name]) for name in listed.sizes}
    layer, same = listed.make(**numbers), listed.make()
    assert torch.equal(layer(u)[0], same(u)[0])
