"""A NaN goes where the equation takes it, and nowhere else."""

import pytest
import torch
from systems import BACKENDS, dense_system, draw, every_method, options, real_and_complex

from seqlab.ops import discretize


def nan_at(x, *index):
    x = x.clone()
    x[index] = torch.nan
    return x


@every_method
def test_a_nan_in_a_dense_B_stays_in_its_column(method):
    A, B, dt = dense_system()
    A_bar, B_bar = discretize(A, nan_at(B, 1, 1), dt, method, **options(method))
    clean_A, clean_B = discretize(A, B, dt, method, **options(method))
    torch.testing.assert_close(A_bar, clean_A, rtol=0, atol=0)
    torch.testing.assert_close(B_bar[..., 0], clean_B[..., 0], rtol=0, atol=0)
    assert B_bar[..., 1, 1].isnan().all()


def test_a_nan_in_a_dense_A_stays_where_it_is_under_euler():
    A, B, dt = dense_system()
    A_bar, B_bar = discretize(nan_at(A, 2, 2), B, dt, "euler")
    assert A_bar.isnan().sum() == dt.numel()
    assert A_bar[..., 2, 2].isnan().all()
    assert B_bar.isfinite().all()


@every_method
def test_a_nan_in_one_dense_step_leaves_the_others(method):
    A, B, dt = dense_system()
    A_bar, B_bar = discretize(A, B, nan_at(dt, 0, 1), method, **options(method))
    for x in (A_bar, B_bar if method == "foh" else B_bar[None]):
        spread = x.isnan().flatten(-2).any(-1)
        assert torch.equal(spread, dt.new_tensor([[0, 1, 0], [0, 0, 0]]).bool().expand(spread.shape))


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
@every_method
def test_a_nan_goes_where_the_equation_takes_it(method, complex_, backend):
    """Every eigenvalue on its own; Euler's B_bar does not depend on A, nor its slope on B."""
    A, B, dt = draw("per channel", complex_, dtype=torch.float32)
    marked = torch.zeros(A.shape, dtype=torch.bool)
    marked[2, 1] = True
    nowhere = torch.zeros_like(marked)
    explicit = method == "euler"

    def nans(A, B):
        inputs = [x.clone().requires_grad_() for x in (A, B, dt)]
        outputs = discretize(*inputs, method, diagonal=True, backend=backend, **options(method))
        found = torch.autograd.grad(outputs, inputs, [torch.ones_like(x) for x in outputs])
        B_bar = outputs[1].detach()
        return [x.isnan() for x in (outputs[0], B_bar[0] if method == "foh" else B_bar, *found)]

    for actual, expected in zip(
        nans(nan_at(A, 2, 1), B),
        (marked, nowhere if explicit else marked, *2 * [nowhere if explicit else marked], marked.any(1)),
        strict=True,
    ):
        assert torch.equal(actual, expected)
    for actual, expected in zip(
        nans(A, nan_at(B, 2, 1)),
        (nowhere, marked, nowhere if explicit else marked, nowhere, marked.any(1)),
        strict=True,
    ):
        assert torch.equal(actual, expected)
