"""A pair of functions as a differentiable op: every way that leads to it gives the same, or a sentence."""

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from seqlab.ops.registration import register

calls = []


def scale(x: Tensor, y: Tensor | None, factor: float) -> tuple[Tensor, Tensor]:
    calls.append(torch.is_autocast_enabled("cpu"))
    return factor * x * (1 if y is None else y), factor * x


def scale_back(
    x: Tensor, y: Tensor | None, grad_product: Tensor | None, grad_scaled: Tensor | None, factor: float
) -> tuple[Tensor, Tensor]:
    calls.append((grad_product is None, grad_scaled is None))
    grad_product = torch.zeros_like(x) if grad_product is None else grad_product
    grad_scaled = torch.zeros_like(x) if grad_scaled is None else grad_scaled
    grad_x = factor * (grad_product * (1 if y is None else y) + grad_scaled)
    return grad_x, factor * grad_product * x


scaled_product = register(
    "scaled_product_for_tests",
    scale,
    scale_back,
    save=lambda arguments, outputs: arguments[:2],
    fake=lambda x, y, factor: (x.new_empty(x.shape), x.new_empty(x.shape)),
    fake_backward=lambda x, y, grad_product, grad_scaled, factor: (
        x.new_empty(x.shape),
        x.new_empty(x.shape),
    ),
)


@pytest.fixture
def leaves():
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(3, 4, dtype=torch.float64, generator=generator)  # noqa: E731
    return draw().requires_grad_(), draw().requires_grad_()


def plainly(x, y, factor=2.0):
    return factor * x * y, factor * x


def test_eager_gradients(leaves):
    assert torch.autograd.gradcheck(lambda *leaves: scaled_product(*leaves, 2.0), leaves)
    x, _ = leaves
    (grad,) = torch.autograd.grad(scaled_product(x, None, 2.0)[0].sum(), x)
    assert torch.equal(grad, torch.full_like(x, 2.0))


def test_a_gradient_that_nobody_sent_is_none(leaves):
    x, y = leaves
    product, scaled = scaled_product(x, y, 2.0)
    calls.clear()
    torch.autograd.grad(product.sum(), x, retain_graph=True)
    (grad,) = torch.autograd.grad(scaled.sum(), x)
    assert calls == [(False, True), (True, False)]
    assert torch.equal(grad, torch.full_like(x, 2.0))


def test_no_graph_is_recorded_where_no_gradient_is_asked_for(leaves):
    with torch.no_grad():
        product, _ = scaled_product(*leaves, 2.0)
    assert product.grad_fn is None


def square(x: Tensor) -> tuple[Tensor, Tensor]:
    """x squared, and its slope for backward."""
    calls.append("forward")
    return x * x, 2 * x


def square_alone(x: Tensor) -> tuple[Tensor, Tensor]:
    calls.append("inference")
    return x * x, x.new_empty(0)


def square_back(slope: Tensor, grad: Tensor, grad_slope: Tensor) -> tuple[Tensor]:
    return (slope * grad,)


squared = register(
    "square_for_tests",
    square,
    square_back,
    save=lambda arguments, outputs: outputs[1:],
    fake=lambda x: (x.new_empty(x.shape), x.new_empty(x.shape)),
    fake_backward=lambda slope, grad, grad_slope: (slope.new_empty(slope.shape),),
    inference=square_alone,
)


def test_only_where_no_gradient_can_be_asked_for_nothing_is_kept_for_it(leaves):
    x, _ = leaves

    def ways(function):
        calls.clear()
        found = function()
        return calls[0], found

    plain = x.detach()
    one_by_one = lambda x: torch.vmap(lambda row: squared(row)[0])(x)  # noqa: E731
    with torch.no_grad():
        assert ways(lambda: squared(x)[0].grad_fn) == ("inference", None)
        compiled = torch.compile(lambda x: squared(x)[0], backend="aot_eager", fullgraph=True)
        assert ways(lambda: torch.equal(compiled(x), x * x)) == ("forward", True)
    assert ways(lambda: torch.equal(squared(plain)[0], x * x)) == ("inference", True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ways(lambda: torch.equal(squared(plain)[0], x * x)) == ("inference", True)
    for gradient in (
        lambda: torch.autograd.grad(squared(x)[0].sum(), x)[0],
        lambda: torch.func.grad(lambda x: squared(x)[0].sum())(plain),
        lambda: torch.func.grad(lambda x: one_by_one(x).sum())(plain),
        lambda: torch.vmap(torch.func.grad(lambda row: squared(row)[0].sum()))(plain),
        lambda: torch.autograd.grad(one_by_one(x).sum(), x)[0],
        lambda: torch.autograd.grad(compiled(x).sum(), x)[0],
    ):
        first, found = ways(gradient)
        assert first == "forward"
        torch.testing.assert_close(found, 2 * plain)


@pytest.mark.parametrize("transform", ["grad", "vjp", "jacrev", "vmap", "per sample", "nested vmap"])
def test_function_transforms(leaves, transform):
    x, y = (leaf.detach() for leaf in leaves)
    run = {
        "grad": lambda f: torch.func.grad(lambda x: f(x, y)[0].square().sum())(x),
        "vjp": lambda f: torch.func.vjp(lambda x: f(x, y)[0], x)[1](y)[0],
        "jacrev": lambda f: torch.func.jacrev(lambda x: f(x, y)[0])(x),
        "vmap": lambda f: torch.vmap(lambda x: f(x, y[0])[0])(x),
        "nested vmap": lambda f: torch.vmap(torch.vmap(lambda x, y: f(x, y)[0]))(x, y),
        "per sample": lambda f: torch.vmap(
            torch.func.grad(lambda y, x: f(x, y)[0].square().sum()), in_dims=(None, 0)
        )(y[0], x),
    }[transform]
    torch.testing.assert_close(run(lambda x, y: scaled_product(x, y, 2.0)), run(plainly))


def by_jvp(x, y):
    return torch.func.jvp(lambda x: scaled_product(x, y, 2.0)[0], (x,), (x,))


def by_dual_numbers(x, y):
    with torch.autograd.forward_ad.dual_level():
        return scaled_product(torch.autograd.forward_ad.make_dual(x, x), y, 2.0)


@pytest.mark.parametrize("way", [by_jvp, by_dual_numbers, torch.no_grad()(by_dual_numbers)])
def test_forward_mode_is_refused_in_a_sentence(leaves, way):
    x, y = (leaf.detach() for leaf in leaves)
    with pytest.raises(
        NotImplementedError, match=r"scaled_product_for_tests: forward-mode .* reverse mode is"
    ):
        way(x, y)


def penalty(x, y):
    return scaled_product(x, y, 2.0)[0].square().sum()


def by_create_graph(x, y):
    (grad,) = torch.autograd.grad(penalty(x, y), x, create_graph=True)
    grad.sum().backward()


def by_nested_grad(x, y):
    x, y = x.detach(), y.detach()
    torch.func.grad(lambda x: torch.func.grad(lambda x: penalty(x, y))(x).sum())(x)


@pytest.mark.parametrize("way", [by_create_graph, by_nested_grad])
def test_second_derivatives_are_refused_in_a_sentence(leaves, way):
    with pytest.raises(NotImplementedError, match="scaled_product_for_tests: second derivatives"):
        way(*leaves)


def test_a_graph_of_gradients_that_nobody_differentiates_is_fine(leaves):
    x, y = leaves
    (grad,) = torch.autograd.grad(scaled_product(x, y, 2.0)[0].sum(), x, create_graph=True)
    assert torch.equal(grad.detach(), 2 * y.detach())


def test_the_ops_own_dtypes_hold_under_autocast(leaves):
    calls.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scaled_product(*leaves, 2.0)
    assert calls == [False]


def test_one_compiled_graph_for_all_lengths():
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x: scaled_product(x, x, 2.0)[0], backend=counter, fullgraph=True)
    for length in (5, 6, 9, 12):
        x = torch.randn(length, 3, requires_grad=True)
        (grad,) = torch.autograd.grad(compiled(x).sum(), x)
        torch.testing.assert_close(grad, 4 * x.detach())
    assert counter.frame_count <= 2  # the second length makes it dynamic


def test_opcheck(leaves):
    torch.library.opcheck(torch.ops.seqlab.scaled_product_for_tests.default, (*leaves, 2.0))
    torch.library.opcheck(torch.ops.seqlab.scaled_product_for_tests.default, (leaves[0], None, 2.0))


def test_a_traced_call_is_an_op_of_the_graph():
    traced = torch.jit.trace(lambda x: scaled_product(x, x, 2.0)[0], torch.ones(3))
    x = torch.arange(3.0)
    assert torch.equal(traced(x), 2 * x * x)
