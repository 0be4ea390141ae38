"""Layers that are convolutions without a small state: a multi-scale kernel, and one that looks both ways."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.nn import BiGS, Hyena, HyenaFilter, SequenceModel, SGConv
from seqlab.ops.convolution.reference import causal_convolution, multiscale_kernel
from seqlab.ops.h3.reference import hyena

WIDTH = 4
LAYERS = {
    "SGConv": lambda: SGConv(WIDTH, 50, taps=4),
    "BiGS": lambda: BiGS(WIDTH, 3, inner=5, gated=6),
    "Hyena": lambda: Hyena(WIDTH, 50, taps=2, hidden=6, bands=2),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, dtype=torch.float64):
    torch.manual_seed(0)
    return LAYERS[name]().to(dtype)


def noise(length, batch=2, seed=1):
    return torch.randn(
        batch, length, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def depends(layer, length, t):
    """How much output t depends on each input, (length,)."""
    u = noise(length, batch=1).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(u)[0][0, t].sum(), u)
    return gradient[0].abs().amax(-1)


def test_the_kernel_is_a_row_of_scales():
    layer = make("SGConv")
    scales = layer.scales.detach().numpy()
    assert len(scales) == 5  # 4 + 4 + 8 + 16 + 32 = 64 times reach over 50
    expected = multiscale_kernel(scales, 0.5)
    assert expected.shape == (WIDTH, 64)
    # The norm was taken in float32, when the layer was made.
    np.testing.assert_allclose(layer.kernel().detach(), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(
        layer.kernel().norm(dim=1), torch.ones(WIDTH, dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_parameters_grow_with_the_logarithm_of_the_length():
    counts = [SGConv(1, length, taps=8).scales.numel() for length in (8, 16, 1024, 2**17)]
    assert counts == [8, 16, 64, 120]


@pytest.mark.parametrize("length", [1, 9, 50, 64, 65, 300])
def test_sgconv_is_the_convolution_with_its_kernel(length):
    layer, u = make("SGConv"), noise(length)
    K, D = layer.kernel().detach().numpy(), layer.D.detach().numpy()
    expected = causal_convolution(u.numpy(), K) + D * u.numpy()
    y, state = layer(u)
    assert state is None
    np.testing.assert_allclose(y.detach(), expected, rtol=0, atol=1e-12)


def test_sgconv_is_causal_and_reaches_as_far_as_its_kernel():
    seen = depends(make("SGConv"), 150, 100)
    assert seen[101:].max() < 1e-12
    assert seen[100 - 63 : 101].min() > 1e-6
    assert seen[: 100 - 63].max() < 1e-12


def test_bigs_looks_both_ways():
    seen = depends(make("BiGS"), 40, 20)
    assert seen.min() > 1e-9


def test_bigs_reversed_is_bigs_with_its_two_models_exchanged():
    """No flip is off by one: what runs forward on reversed inputs is what ran backward."""
    layer, other = make("BiGS"), make("BiGS")
    for one, two in (
        ("into_forward", "into_backward"),
        ("forward_ssm", "backward_ssm"),
        ("of_forward", "of_backward"),
    ):
        getattr(other, one).load_state_dict(getattr(layer, two).state_dict())
        getattr(other, two).load_state_dict(getattr(layer, one).state_dict())
    u = noise(31)
    torch.testing.assert_close(other(u.flip(1))[0].flip(1), layer(u)[0], rtol=0, atol=1e-12)


def test_bigs_is_its_equations():
    layer, u = make("BiGS"), noise(12)
    p = dict(layer.named_parameters())
    gelu = nn.functional.gelu

    def ssm(model, x):
        K = model.kernel(x.shape[1]).detach().numpy()
        return torch.from_numpy(causal_convolution(x.detach().numpy(), K)) + model.D * x

    f = ssm(layer.forward_ssm, gelu(u @ p["into_forward.weight"].T)) @ p["of_forward.weight"].T
    turned = ssm(layer.backward_ssm, gelu(u.flip(1) @ p["into_backward.weight"].T))
    b = (turned @ p["of_backward.weight"].T).flip(1)
    gate, mixed = gelu(u @ p["gate.weight"].T), gelu((f * b) @ p["mixed.weight"].T)
    torch.testing.assert_close(layer(u)[0], (gate * mixed) @ p["out.weight"].T, rtol=0, atol=1e-12)


@every_layer
def test_finite_differences(name):
    layer, u = make(name), noise(6, batch=1).requires_grad_()
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(u, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (u,))[0]

    assert torch.autograd.gradcheck(call, (u, *values))


@every_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast(name, dtype):
    layer, u = make(name, torch.float32), noise(20).float()
    expected, _ = layer(u)
    with torch.autocast("cpu", dtype=dtype):
        y, _ = layer(u.to(dtype))
        y.float().square().sum().backward()
    assert (y - expected).norm() < 3e-2 * expected.norm()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in layer.parameters())
    y, _ = layer.to(dtype)(u.to(dtype))
    assert y.dtype == dtype
    assert (y - expected).norm() < 5e-2 * expected.norm()


@every_layer
def test_a_model_of_it_trains(name):
    torch.manual_seed(0)
    model = SequenceModel(lambda _: make(name, torch.float32), WIDTH, WIDTH, 2, 3)
    u, labels = noise(30, batch=16).float(), torch.arange(16) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(model(u), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@every_layer
def test_no_step_is_promised(name):
    assert not hasattr(make(name), "step")


@every_layer
@pytest.mark.parametrize("wrong", [[1.0], None, "u"])
def test_a_wrong_input_is_refused_in_a_sentence(name, wrong):
    with pytest.raises(TypeError, match=r"u: expected a torch\.Tensor, got"):
        make(name)(wrong)
    with pytest.raises(ValueError, match=r"u: expected shape \(batch, length, width\)"):
        make(name)(noise(5)[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGConv(4, 0), ValueError, "length: expected an integer from 1"),
        (lambda: SGConv(4, 8, taps=0), ValueError, "taps: expected an integer from 1"),
        (lambda: SGConv(4, 8, decay=0), ValueError, "decay: expected "),
        (lambda: SGConv(4, 8, decay=1.5), ValueError, "decay: expected "),
        (lambda: BiGS(4, 4, 0, 2), ValueError, "inner: expected an integer from 1"),
        (lambda: BiGS(4, 4, 2, 2.5), TypeError, "gated: expected an integer, got float"),
    ],
)
def test_bad_construction(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_hyena_is_its_equations():
    """From its parameters: projections, short convolutions, and gates and filters in turn."""
    layer, u = make("Hyena"), noise(9)
    inner = layer.project(u).detach().numpy()
    taps, bias = layer.short.taps.detach().numpy(), layer.short.bias.detach().numpy()
    x_1, x_2, v = np.split(causal_convolution(inner, taps) + bias, 3, axis=-1)
    filters = [K.detach().numpy() for K in layer.kernels(9)]
    z = hyena(v, (x_1, x_2), filters)
    weight, bias = layer.out.weight.detach().numpy(), layer.out.bias.detach().numpy()
    np.testing.assert_allclose(layer(u)[0].detach(), z @ weight.T + bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 50, 80])
def test_hyena_is_causal_at_every_length(length):
    seen = depends(make("Hyena"), length, length // 2)
    assert (seen[length // 2 + 1 :] < 1e-12).all()
    assert seen[: length // 2 + 1].min() > 0


def test_an_implicit_filter_has_as_many_times_as_are_asked_for_and_fades():
    torch.manual_seed(0)
    filters = HyenaFilter(16, 100)
    K = filters(400)
    torch.testing.assert_close(filters(30), K[:, :30])
    decay = np.log(100) / np.array([1.5, 0.3])  # of the slowest channel and of the fastest
    window = torch.from_numpy(np.exp(-decay[:, None] * np.arange(400) / 100))
    most = filters.read.weight.abs().sum(1)[[0, -1], None] * window  # as no sine is over 1
    assert (K[[0, -1]].abs() <= most * (1 + 1e-6)).all()
    assert (K[[0, -1]].abs() > 0.02 * most).any(dim=1).all()
    assert sum(p.numel() for p in HyenaFilter(16, 10).parameters()) == sum(
        p.numel() for p in filters.parameters()
    )
