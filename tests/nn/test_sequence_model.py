"""The residual stack: shapes, causality and what it refuses."""

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, vmap

from seqlab.nn import GRU, LRU, LSTM, RNN, Block, Readout, SequenceModel
from seqlab.nn.ladder import DenseLinear, DenseTanh

LAYERS = {
    "RNN": lambda width: RNN(width, width),
    "LSTM": lambda width: LSTM(width, width),
    "GRU": lambda width: GRU(width, width),
    "torch.nn.GRU": lambda width: torch.nn.GRU(width, width, batch_first=True),
    "LRU": lambda width: LRU(width, 7),
    "DenseTanh": lambda width: DenseTanh(width, 7),
    "DenseLinear": lambda width: DenseLinear(width, 7),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("pool", [True, False])
def test_shapes_and_gradients(name, pool):
    torch.manual_seed(0)
    model = SequenceModel(LAYERS[name], inputs=3, width=8, depth=2, outputs=5, pool=pool)
    y = model(torch.randn(2, 11, 3))
    assert y.shape == ((2, 5) if pool else (2, 11, 5))
    y.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_causal_and_examples_apart(name):
    torch.manual_seed(0)
    model = SequenceModel(LAYERS[name], inputs=3, width=8, depth=2, outputs=5, pool=False).double().eval()
    u = torch.randn(2, 11, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(u)[0, 6].sum(), u)
    assert torch.all(gradient[0, 7:] == 0)
    assert torch.all(gradient[1] == 0)
    assert torch.all(gradient[0, :7].abs().sum(dim=-1) > 0)


def test_block_is_its_equation():
    torch.manual_seed(0)
    block, x = Block(LRU(8, 7), 8), torch.randn(2, 11, 8)
    mean, variance = x.mean(dim=(0, 1)), x.var(dim=(0, 1), correction=0)
    y, _ = block.layer((x - mean) / torch.sqrt(variance + block.norm.eps))
    value, gate = block.mix(y).chunk(2, dim=-1)
    assert torch.allclose(block(x), x + value * torch.sigmoid(gate), atol=1e-6)


def test_names_what_it_cannot_be_built_from():
    for layer, got in ((LRU(8, 7), "LRU"), (None, "NoneType"), ("LRU", "str")):
        with pytest.raises(
            TypeError, match=rf"layer: expected a function width -> torch.nn.Module, got {got}"
        ):
            SequenceModel(layer, 3, 8, 2, 5)
    with pytest.raises(TypeError, match=r"layer\(width\): expected a torch.nn.Module, got NoneType"):
        SequenceModel(lambda width: None, 3, 8, 2, 5)
    with pytest.raises(ValueError, match=r"layer\(width\): expected batch_first=True, got GRU\(8, 8\)"):
        SequenceModel(lambda width: torch.nn.GRU(width, width), 3, 8, 2, 5)
    with pytest.raises(ValueError, match=r"depth: expected an integer from 1 .*got 0"):
        SequenceModel(LAYERS["LRU"], 3, 8, 0, 5)
    with pytest.raises(TypeError, match="pool: expected True or False, got str"):
        SequenceModel(LAYERS["LRU"], 3, 8, 1, 5, pool="no")
    for inner in (None, LRU):
        for make in (Block, lambda layer, width: Readout(layer, width, 5)):
            with pytest.raises(TypeError, match=r"layer: expected a torch\.nn\.Module, got "):
                make(inner, 8)
    with pytest.raises(TypeError, match="last: expected True or False, got int"):
        Readout(LRU(8, 7), 8, 5, last=1)


def test_names_what_a_layer_gave_instead():
    x = torch.zeros(2, 11, 8)
    for make in (Block, lambda layer, width: Readout(layer, width, 5)):
        with pytest.raises(TypeError, match=r"layer: expected .* \(y, state\), got a tensor from Linear"):
            make(torch.nn.Linear(8, 8), 8)(x)
        with pytest.raises(
            ValueError, match=r"layer: expected .* = \(\*, \*, 8\), got \(2, 11, 6\) from GRU"
        ):
            make(GRU(8, 6), 8)(x)


def test_names_a_wrong_input():
    model, block = SequenceModel(LAYERS["LRU"], 3, 8, 1, 5), Block(LRU(8, 7), 8)
    with pytest.raises(ValueError, match=r"u: expected shape .* = \(\*, \*, 3\), got \(2, 11, 4\)"):
        model(torch.zeros(2, 11, 4))
    with pytest.raises(ValueError, match=r"x: expected shape .* = \(\*, \*, 8\), got \(2, 11, 4\)"):
        block(torch.zeros(2, 11, 4))
    with pytest.raises(TypeError, match=r"u: expected a torch.Tensor, got list"):
        model([1.0])


def test_sizes_of_numpy():
    model = SequenceModel(LAYERS["LRU"], *map(np.int64, (3, 8, 2, 5)))
    assert model(torch.zeros(2, 11, 3)).shape == (2, 5)


MODELS = {
    "SequenceModel": lambda: SequenceModel(LAYERS["LRU"], 3, 8, 2, 5),
    "Block": lambda: Block(LRU(3, 7), 3),
    "Readout": lambda: Readout(LRU(3, 7), 3, 5),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_trains_under_autocast_as_with_torchs_gru(name, dtype):
    torch.manual_seed(0)
    model, u = MODELS[name](), torch.randn(4, 11, 3)
    model(u).square().sum().backward()
    exact = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with torch.autocast("cpu", dtype=dtype):
        total = model(torch.nn.functional.linear(u, torch.eye(3))).square().sum()
    total.backward()
    for parameter, p in model.named_parameters():
        error = (p.grad - exact[parameter]).norm() / exact[parameter].norm()
        assert error < 0.1, (parameter, error)


@pytest.mark.parametrize(
    "name",  # the whole, which is made of the others
    [pytest.param(name, marks=[pytest.mark.thorough] * (name != "SequenceModel")) for name in MODELS],
)
def test_export_and_compile_for_all_batches_and_lengths(name):
    model = MODELS[name]().eval()
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=1, max=512)}
    exported = torch.export.export(model, (torch.randn(3, 11, 3),), dynamic_shapes=(dims,)).module()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    for shape in ((2, 5, 3), (3, 3, 3), (8, 31, 3), (7, 8, 3)):
        u = torch.randn(shape)
        torch.testing.assert_close(exported(u), model(u))
        torch.testing.assert_close(compiled(u), model(u))


@pytest.mark.parametrize("name", MODELS)
def test_per_sample_gradients(name):
    """Of a model in evaluation mode: while it trains, the norm of a block looks at the whole batch."""
    model, u = MODELS[name]().double().eval(), torch.randn(4, 11, 3, dtype=torch.float64)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def one(parameters, x):
        return functional_call(model, parameters, (x[None],)).square().sum()

    found = vmap(grad(one), in_dims=(None, 0))(parameters, u)
    for i, x in enumerate(u):
        true = torch.autograd.grad(model(x[None]).square().sum(), list(model.parameters()))
        for name, g in zip(parameters, true, strict=True):
            torch.testing.assert_close(found[name][i], g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_honours_default_dtype_and_device(name):
    with torch.device("meta"):
        assert {p.device.type for p in MODELS[name]().parameters()} == {"meta"}
    torch.set_default_dtype(torch.float64)
    try:
        model = MODELS[name]()
        assert model(torch.randn(2, 11, 3)).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
