"""The residual stack: shapes, causality and what it refuses."""

import pytest
import torch

from seqlab.nn import GRU, LRU, LSTM, RNN, Block, SequenceModel
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


def test_bad_input():
    with pytest.raises(TypeError, match="layer: expected a function"):
        SequenceModel(lambda width: None, 3, 8, 2, 5)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="depth: expected at least 1, got 0"):
        SequenceModel(LAYERS["LRU"], 3, 8, 0, 5)
    model = SequenceModel(LAYERS["LRU"], 3, 8, 1, 5)
    with pytest.raises(ValueError, match=r"u: expected shape \(batch, length, 3\)"):
        model(torch.zeros(2, 11, 4))
