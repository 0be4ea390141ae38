"""Every layer of seqlab.nn on a real GPU: as on the CPU, under autocast too, and captured in a graph."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from seqlab.nn import LRU, SequenceModel

sys.path.append(str(Path(__file__).parents[1] / "nn"))
from layers import (
    BATCH,
    INPUTS,
    LAYERS,
    error,
    loss,
    results,
    rounded,
    rounding,
    sizes_of_gradients,
    tensors,
)

pytestmark = pytest.mark.gpu
LONG = 40


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param].make()


@pytest.fixture
def u():
    torch.manual_seed(1)
    return torch.randn(BATCH, LONG, INPUTS)


def test_equals_the_cpu(layer, u, monkeypatch):
    """In float64, as a gradient may be a small difference of large numbers."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # PyTorch's own RNN takes it
    true = deepcopy(layer).double()
    sizes = sizes_of_gradients(true, u.double())
    y, state = true(u.double())
    loss(y, state).backward()
    found, found_state = layer.cuda()(u.cuda())
    loss(found, found_state).backward()
    assert error(found.cpu(), y) < 1e-5
    for part, expected in zip(tensors(found_state), tensors(state), strict=True):
        assert error(part.cpu(), expected) < 1e-5
    for (name, p), expected in zip(layer.named_parameters(), true.parameters(), strict=True):
        assert (p.grad.cpu().double() - expected.grad).norm() < 1e-4 * sizes[name], name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_trains_under_autocast(layer, u, dtype):
    model = nn.Linear(INPUTS, INPUTS).cuda()
    layer, u = layer.cuda(), u.cuda()
    x = model(u).detach()
    _, expected_state = layer(x)
    exact, rounded_off = results(layer, x), rounding(layer, x, dtype)
    layer.zero_grad()
    with torch.autocast("cuda", dtype=dtype):
        y, state = layer(model(u))
        layer(model(u), rounded(state, dtype))
        y_0, first = layer.step(model(u[:, 0]))
        total = loss(y, state)
    total.backward()
    kept = [part.dtype for part in tensors(expected_state)]
    assert [part.dtype for part in tensors(state)] == [part.dtype for part in tensors(first)] == kept
    assert error(y, exact["y"]) < 3 * rounded_off["y"]
    assert error(y_0, exact["y_0"]) < 3 * rounded_off["y_0"]
    for name, p in layer.named_parameters():
        assert p.grad.dtype == torch.float32
        assert error(p.grad, exact[name]) < 6 * rounded_off[name], name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_trains_with_a_grad_scaler(dtype):
    torch.manual_seed(0)
    model = SequenceModel(lambda width: LRU(width, 16), INPUTS, 32, 2, 3).cuda()
    u, goal = torch.randn(8, LONG, INPUTS, device="cuda"), torch.randn(8, 3, device="cuda")
    optimizer, scaler = torch.optim.Adam(model.parameters(), lr=1e-2), torch.amp.GradScaler("cuda")
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=dtype):
            total = nn.functional.mse_loss(model(u), goal)
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(total.item())
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(layer, u, dtype):
    """Beside float32 with the same numbers: a step size that is rounded turns a state by more the later it is."""
    layer, u = layer.to(dtype).cuda(), u.to(dtype).cuda()
    expected, _ = deepcopy(layer).float()(u.float())
    y, state = layer(u)
    assert y.dtype == dtype
    assert error(y, expected) < 5e-2
    loss(y, state).backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_is_made_on_the_default_device(u):
    for listed in LAYERS.values():
        with torch.device("cuda"):
            layer = listed.make()
            y, _ = layer(u.cuda())
        assert {p.device.type for p in layer.parameters()} == {y.device.type} == {"cuda"}


@pytest.mark.filterwarnings("error:RNN module weights")
def test_dense_weights_are_where_cudnn_wants_them(u):
    layer = LAYERS["DenseTanh"].make().cuda()
    y, state = layer(u.cuda())
    loss(y, state).backward()


def test_compiled_with_inductor(u):
    layer = LAYERS["LRU"].make().cuda()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True)
    for length in (5, 17, LONG):
        v = u[:, :length].cuda()
        y, _ = compiled(v)
        assert error(y, layer(v)[0]) < 1e-5
