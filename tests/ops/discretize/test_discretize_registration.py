"""``discretize`` as PyTorch sees it: registered, compiled and exported."""

import pytest
import torch
from systems import dense_system, draw

from seqlab.ops import discretize


@pytest.mark.thorough  # one of these forms, and its gradient: tests/ops/shared/test_every_op_registration.py
@pytest.mark.parametrize("method", ["gbt", "foh"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64])
def test_registration_passes_opcheck(dtype, method):
    generator = torch.Generator().manual_seed(6)
    real = torch.promote_types(dtype.to_real(), torch.float32)
    A = torch.randn(1, 3, 2, dtype=dtype, generator=generator)
    B = torch.randn(4, 1, 2, dtype=dtype, generator=generator)
    dt = torch.rand(4, 3, dtype=real, generator=generator)
    inputs = [x.requires_grad_() for x in (A, B, dt)]
    outcome = torch.library.opcheck(torch.ops.seqlab.discretize.default, (*inputs, method, 0.5, "portable"))
    assert set(outcome.values()) == {"SUCCESS"}


@pytest.mark.parametrize(
    ("method", "diagonal"),
    [  # the forms that take most; zoh of a diagonal is compiled in tests/ops/shared/test_every_op_registration.py
        ("zoh", False),
        ("foh", True),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in (("bilinear", False), ("foh", False), ("bilinear", True), ("zoh", True))
        ),
    ],
)
def test_compiled_without_graph_breaks(method, diagonal):
    torch.compiler.reset()  # compilations of one function are counted, and here are many
    A, B, dt = draw("Mamba") if diagonal else dense_system()

    def function(A, B, dt):
        A_bar, B_bar = discretize(A, B, torch.exp(dt), method, diagonal)
        return A_bar.square().sum() + B_bar.sin().sum()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(A, B, dt), function(A, B, dt))
    inputs = [x.requires_grad_() for x in (A, B, dt)]
    actual = torch.autograd.grad(compiled(*inputs), inputs)
    torch.testing.assert_close(actual, torch.autograd.grad(function(*inputs), inputs))


class Discretize(torch.nn.Module):
    def __init__(self, A, method):
        super().__init__()
        self.A = torch.nn.Parameter(A)
        self.method = method

    def forward(self, B, dt):
        return discretize(self.A, B, torch.exp(dt), self.method, diagonal=True)


@pytest.mark.parametrize("method", ["bilinear", "foh"])
def test_one_graph_serves_every_length(method):
    torch.compiler.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer = Discretize(torch.tensor([[-1.0, -2.0], [-0.5, -4.0], [-0.1, -3.0]]), method)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=count)
    for batch, length in ((5, 7), (5, 9), (6, 17), (4, 11)):
        inputs = torch.randn(batch, length, 1, 2), torch.rand(batch, length, 3)
        torch.testing.assert_close(compiled(*inputs), layer(*inputs))
    assert len(graphs) == 1


@pytest.mark.parametrize("method", ["bilinear", "foh"])
def test_exports_with_a_batch_and_a_length_of_any_size(method):
    layer = Discretize(torch.tensor([[-1.0, -2.0], [-0.5, -4.0], [-0.1, -3.0]]), method)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    sizes = {0: batch, 1: length}
    inputs = torch.randn(2, 5, 1, 2), torch.rand(2, 5, 3)
    exported = torch.export.export(layer, inputs, dynamic_shapes=(sizes, sizes)).module()
    for shape in ((2, 5), (3, 4), (7, 31)):
        inputs = torch.randn(*shape, 1, 2), torch.rand(*shape, 3)
        torch.testing.assert_close(exported(*inputs), layer(*inputs))
