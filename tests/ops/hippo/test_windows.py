"""The fixed windows as matrix products: over many groups of chunks, to float32's digits, no NaN lost."""

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton
from seqlab.ops.hippo import reference, windows
from seqlab.ops.hippo.full_precision import in_parts, matmul

MEASURES = reference.MEASURES[1:]
every_measure = pytest.mark.parametrize("measure", MEASURES)


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@every_measure
@pytest.mark.parametrize("length", [1, 16, 63, 64, 65, 255, 256, 257, 700, 4100])
@pytest.mark.parametrize("return_all", [False, True])
def test_chunks_in_groups_of_groups(measure, length, return_all):
    f, state = normal(2, length, 3), normal(2, 3, 5, seed=1)
    options = {"theta": 0.8, "dt": 0.01, "state": state, "return_all": return_all}
    truth = reference.hippo_project(f.numpy(), 5, measure, **options | {"state": state.numpy()})
    found = ops.hippo_project(f, 5, measure, **options)
    for value, true in zip(found, truth, strict=True):
        np.testing.assert_allclose(value.numpy(), true, rtol=0, atol=1e-12 * np.abs(true).max())


@every_measure
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("return_all", [False, True])
def test_coefficients_have_the_dtype_of_the_signal(measure, dtype, return_all):
    f = normal(1, 20, 2).to(dtype).requires_grad_()
    c, last = ops.hippo_project(f, 5, measure, return_all=return_all)
    assert (c.dtype, last.dtype) == (dtype, torch.float32)
    [grad_f] = torch.autograd.grad(c.sum() + last.sum(), f)
    assert grad_f.dtype == dtype


@every_measure
@pytest.mark.parametrize("length", [3, 64, 200, 300, 4100])
@pytest.mark.parametrize("return_all", [False, True])
def test_gradients_are_the_transpose(measure, length, return_all):
    f, state = normal(2, length, 2).requires_grad_(), normal(2, 2, 5, seed=1).requires_grad_()
    g, other = normal(2, length, 2, seed=2), normal(2, 2, 5, seed=3)
    options = {"dt": 0.01, "return_all": return_all}
    results = ops.hippo_project(f, 5, measure, state=state, **options)
    weights = [normal(*x.shape, seed=4) for x in results]
    grad_f, grad_state = torch.autograd.grad(results, (f, state), weights)
    moved = ops.hippo_project(g, 5, measure, state=other, **options)
    forward = sum((w * x).sum() for w, x in zip(weights, moved, strict=True))
    torch.testing.assert_close((grad_f * g).sum() + (grad_state * other).sum(), forward)


@pytest.mark.parametrize("steps", [3, 8])
def test_large_orders_have_shorter_chunks(monkeypatch, steps):
    monkeypatch.setattr(windows, "MOST_WEIGHTS", steps * 25)
    ops.clear_cache()
    f = normal(1, 40, 2)
    truth, _ = reference.hippo_project(f.numpy(), 5, "legt", dt=0.01)
    c, _ = ops.hippo_project(f, 5, "legt", dt=0.01)
    ops.clear_cache()
    np.testing.assert_allclose(c.numpy(), truth, rtol=0, atol=1e-13)


def only_nan_differs(found, clean):
    """Whatever is not NaN is the number that comes out without it."""
    torch.testing.assert_close(torch.where(found.isnan(), clean, found), clean, rtol=0, atol=0)


@every_measure
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("length", [50, 90, 4500])
@pytest.mark.parametrize("return_all", [False, True])
def test_what_is_not_finite_reaches_all_later_coefficients_and_makes_none_wrong(
    measure, bad, length, return_all
):
    f, state = normal(2, length, 3), normal(2, 3, 5)
    options = {"dt": 0.01, "return_all": return_all}
    clean = ops.hippo_project(f, 5, measure, state=state, **options)
    time = length // 2
    f[0, time, 1], state[0, 2, 3] = bad, bad
    c, last = ops.hippo_project(f, 5, measure, state=state, **options)
    for channel, first in (1, time), (2, 0):
        reached = c[0, first:, channel] if return_all else c[0, channel]
        assert not reached.isfinite().any()
        assert not last[0, channel].isfinite().any()
        if return_all:
            only_nan_differs(c[0, :first, channel], clean[0][0, :first, channel])
    for found, true in zip((c, last), clean, strict=True):
        assert torch.equal(found[1], true[1])
        assert torch.equal(found[0, ..., 0, :], true[0, ..., 0, :])


@every_measure
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("where", ["c", "last"])
@pytest.mark.parametrize("length", [50, 90, 4500])
def test_a_gradient_that_is_not_finite_reaches_all_earlier_samples_and_makes_none_wrong(
    measure, bad, where, length
):
    f, state = normal(2, length, 2).requires_grad_(), normal(2, 2, 5).requires_grad_()
    results = ops.hippo_project(f, 5, measure, state=state, dt=0.01)
    weights = [normal(*x.shape) for x in results]
    clean = torch.autograd.grad(results, (f, state), weights, retain_graph=True)
    time = length // 2 if where == "c" else length - 1
    if where == "c":
        weights[0][0, time, 1, 3] = bad
    else:
        weights[1][0, 1, 3] = bad
    grad_f, grad_state = torch.autograd.grad(results, (f, state), weights)
    assert not grad_f[0, : time + 1, 1].isfinite().any()
    assert not grad_state[0, 1].isfinite().any()
    only_nan_differs(grad_f[0, time + 1 :, 1], clean[0][0, time + 1 :, 1])
    for found, true in zip((grad_f, grad_state), clean, strict=True):
        assert torch.equal(found[1], true[1])
    assert torch.equal(grad_f[0, :, 0], clean[0][0, :, 0])
    assert torch.equal(grad_state[0, 0], clean[1][0, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 32, 1), (2, 33, 1), (2, 32, 3)])
def test_results_are_whole_and_none_is_a_view_of_another(dtype, shape):
    results = ops.hippo_project(normal(*shape).to(dtype), 4, "legt")
    assert all(x.is_contiguous() for x in results)
    assert results[0].untyped_storage().data_ptr() != results[1].untyped_storage().data_ptr()


@pytest.mark.skipif(not has_triton(), reason="no Triton")
def test_a_kernel_for_fixed_windows_is_refused_in_a_sentence():
    with pytest.raises(
        ValueError, match=r"backend: the fixed windows have no kernel .* 'legt', got 'triton'"
    ):
        ops.hippo_project(torch.zeros(1, 3, 1), 4, "legt", backend="triton")


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_products_have_float32_digits_whatever_is_allowed(precision):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        x, y = normal(3, 40, 50).float(), normal(50, 60, seed=1).float()
        product = matmul(x, y)
    finally:
        torch.set_float32_matmul_precision(before)
    assert product.dtype == torch.float32
    truth = x.double() @ y.double()
    assert (product - truth).norm() < 3e-7 * truth.norm()


def test_products_of_parts_have_float32_digits_after_tf32_has_rounded_the_parts(monkeypatch):
    """As on a GPU: factors lose all but 11 binary digits."""
    product = torch.Tensor.__matmul__

    def tf32(x):
        return ((x.contiguous().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)

    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda x, y: product(tf32(x), tf32(y)))
    x, y = normal(40, 50).float(), normal(50, 60, seed=1).float()
    truth = product(x.double(), y.double())
    assert (in_parts(x, y) - truth).norm() < 5e-7 * truth.norm()
    assert (x @ y - truth).norm() > 1e-4 * truth.norm()
