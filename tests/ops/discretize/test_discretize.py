"""The op: values and gradients in every form and on every backend, broadcasting, dtypes and strides."""

import numpy as np
import pytest
import torch
from systems import (
    BACKENDS,
    TRITON,
    dense_system,
    draw,
    every_form,
    every_method,
    gradients,
    options,
    real_and_complex,
    widen,
)

from seqlab.ops import discretize
from seqlab.ops.discretize import reference


def close(actual, expected, bound):
    assert actual.shape == expected.shape
    size = torch.linalg.vector_norm(expected)
    return torch.linalg.vector_norm(widen(actual) - expected) <= bound * size


@every_form
@real_and_complex
@every_method
def test_diagonal_equals_the_reference(method, complex_, form):
    A, B, dt = draw(form, complex_)
    actual = discretize(A, B, dt, method, diagonal=True, **options(method))
    expected = reference.discretize(
        A.numpy(), B.numpy(), dt.numpy(), method, diagonal=True, **options(method)
    )
    for x, y in zip(actual, expected, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("columns", [False, True])
@real_and_complex
@every_method
def test_dense_equals_the_reference(method, complex_, columns):
    A, B, dt = dense_system(complex_, columns)
    actual = discretize(A, B, dt, method, **options(method))
    expected = reference.discretize(A.numpy(), B.numpy(), dt.numpy(), method, **options(method))
    for x, y in zip(actual, expected, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("form", "complex_"),  # sums over axes that a tensor lacks are the same for real and complex numbers
    [("Mamba", False), ("one dt", True), ("in halves", False), ("B alone in time", True)],
)
@every_method
def test_diagonal_gradients_are_those_of_finite_differences(method, complex_, form):
    inputs = [x.requires_grad_() for x in draw(form, complex_)]
    with torch.no_grad():
        inputs[0].view(-1)[1] *= 20  # away from the series of phi too
    assert torch.autograd.gradcheck(
        lambda *x: discretize(*x, method, diagonal=True, **options(method)), inputs, atol=1e-7, rtol=1e-6
    )


@real_and_complex
@every_method
def test_dense_gradients_are_those_of_finite_differences(method, complex_):
    inputs = [x.requires_grad_() for x in dense_system(complex_, states=3)]
    assert torch.autograd.gradcheck(lambda *x: discretize(*x, method, **options(method)), inputs)


@pytest.mark.parametrize(("method", "size"), [("zoh", 1), ("foh", 2)])
def test_gradients_of_the_reference_by_finite_differences(method, size):
    """The NumPy form itself, nudged, against the gradients written out."""
    inputs = [x.requires_grad_() for x in draw("per channel")]
    generator = torch.Generator().manual_seed(4)
    weights = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((4, 3), (4, 3))]
    weights[1] = weights[1] if size == 1 else torch.stack([weights[1], weights[0]])
    found = gradients(discretize(*inputs, method, diagonal=True), inputs, weights)
    arrays = [x.detach().numpy() for x in inputs]

    def loss(position, index, move):
        moved = [x.copy() for x in arrays]
        moved[position][index] += move
        outputs = reference.discretize(*moved, method, diagonal=True)
        return sum((w.numpy() * y).sum() for w, y in zip(weights, outputs, strict=True))

    for position, gradient in enumerate(found):
        for index in np.ndindex(tuple(gradient.shape)):
            slope = (loss(position, index, 1e-6) - loss(position, index, -1e-6)) / 2e-6
            assert slope == pytest.approx(gradient[index].item(), rel=1e-6, abs=1e-8)


@TRITON
@pytest.mark.parametrize("form", ["Mamba", "per channel", "one dt", "one system", "all vary", "in halves"])
@real_and_complex
@pytest.mark.parametrize("method", ["gbt", "zoh", "foh"])
def test_kernel_equals_the_portable_form_in_float64(method, complex_, form):
    """Values and gradients; A is scaled so that |z| lies on both sides of 1."""
    narrow = draw(form, complex_, dtype=torch.float32)
    narrow = [x.requires_grad_() for x in (narrow[0] * 2, *narrow[1:])]
    wide = [widen(x).requires_grad_() for x in narrow]
    expected = discretize(*wide, method, diagonal=True, **options(method))
    actual = discretize(*narrow, method, diagonal=True, backend="triton", **options(method))
    for x, y in zip(actual, expected, strict=True):
        assert close(x, y, 5e-7)
    # The same every time: a gradient to one dt is a sum, and some weights make it all but cancel.
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(y.shape, generator=generator, dtype=y.dtype) for y in expected]
    weights = [widen(w.to(x.dtype)) for w, x in zip(weights, actual, strict=True)]
    for x, y in zip(gradients(actual, narrow, weights), gradients(expected, wide, weights), strict=True):
        assert close(x, y, 2e-6)


@TRITON
def test_kernel_sums_over_many_tiles_and_spans():
    """More times, rows and columns than a tile of the interpreter has."""
    generator = torch.Generator().manual_seed(5)
    A = -torch.rand(9, 5, generator=generator)
    B = torch.randn(1, 7, 1, 5, generator=generator)
    dt = torch.rand(1, 7, 9, generator=generator)
    narrow = [x.requires_grad_() for x in (A, B, dt)]
    wide = [widen(x).requires_grad_() for x in narrow]
    outputs = [
        discretize(*x, diagonal=True, backend=backend)
        for x, backend in ((narrow, "triton"), (wide, "portable"))
    ]
    weights = [widen(torch.randn(1, 7, 9, 5, generator=generator)) for _ in range(2)]
    for x, y in zip(
        gradients(outputs[0], narrow, weights), gradients(outputs[1], wide, weights), strict=True
    ):
        assert close(x, y, 1e-6)


@every_form
@pytest.mark.parametrize("method", ["bilinear", "foh"])
def test_broadcasting_is_a_loop(method, form):
    A, B, dt = draw(form)
    A_bar, B_bar = discretize(A, B, dt, method, diagonal=True)
    shape = torch.broadcast_shapes(A.shape, (*dt.shape, 1))
    whole = torch.broadcast_shapes(shape, B.shape)
    assert A_bar.shape == shape
    assert B_bar.shape == ((2, *whole) if method == "foh" else whole)
    eigenvalue, gain, step = A.expand(whole), B.expand(whole), dt[..., None].expand(whole)
    for index in np.ndindex(tuple(whole)):
        one_A, one_B = discretize(
            eigenvalue[index][None], gain[index][None], step[index].item(), method, diagonal=True
        )
        torch.testing.assert_close(A_bar.expand(whole)[index], one_A[0], rtol=1e-14, atol=0)
        torch.testing.assert_close(B_bar[(..., *index)], one_B[..., 0], rtol=1e-14, atol=0)


@pytest.mark.parametrize("diagonal", [False, True])
def test_real_and_complex_mix(diagonal):
    rates = torch.tensor([-1.0, -0.5, -2.0])
    A = rates if diagonal else torch.diag(rates) + 0.1
    B = torch.tensor([1.0, 2.0, -1.0])
    real_A, real_B = discretize(A, B, 0.3, diagonal=diagonal)
    A_bar, B_bar = discretize(A, B * 1j, 0.3, diagonal=diagonal)
    assert (A_bar.dtype, B_bar.dtype) == (torch.float32, torch.complex64)
    torch.testing.assert_close(A_bar, real_A)
    torch.testing.assert_close(B_bar, real_B * 1j)
    A_bar, B_bar = discretize(A.to(torch.complex64), B, 0.3, diagonal=diagonal)
    assert (A_bar.dtype, B_bar.dtype) == (torch.complex64, torch.complex64)
    torch.testing.assert_close(A_bar.real, real_A)
    torch.testing.assert_close(B_bar.real, real_B)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensors_need_not_be_contiguous(backend):
    A, B, dt = draw("all vary", complex_=True, dtype=torch.float32)
    strided = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in (A.conj(), B, dt)]
    assert not strided[0].is_contiguous()
    for x, y in zip(
        discretize(*strided, diagonal=True, backend=backend),
        discretize(A.conj().resolve_conj(), B, dt, diagonal=True, backend=backend),
        strict=True,
    ):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tensor_whose_sign_is_still_to_be_turned(backend):
    """The imaginary part of a conjugate is a view with a flag."""
    A = torch.tensor([2j]).conj().imag
    assert A.is_neg()
    A_bar, _ = discretize(A, torch.ones(1), 0.5, diagonal=True, backend=backend)
    assert A_bar.item() == pytest.approx(np.exp(-1.0), rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_give_the_same_bits(backend):
    inputs = [x.requires_grad_() for x in draw("Mamba", dtype=torch.float32)]
    outputs = [discretize(*inputs, "foh", diagonal=True, backend=backend) for _ in range(2)]
    weights = [torch.randn_like(x) for x in outputs[0]]
    for x, y in zip(*(gradients(each, inputs, weights) for each in outputs), strict=True):
        assert torch.equal(x, y)
