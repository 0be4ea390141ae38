"""The op: values and gradients in every form, broadcasting, edges, wrong input, and its registration with PyTorch."""

import numpy as np
import pytest
import torch

from seqlab.ops import discretize
from seqlab.ops.backends import has_triton
from seqlab.ops.discretize import reference
from seqlab.ops.discretize.reference import METHODS

TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
BACKENDS = ["portable", pytest.param("triton", marks=TRITON)]
every_method = pytest.mark.parametrize("method", METHODS)
real_and_complex = pytest.mark.parametrize("complex_", [False, True])

FORMS = {
    # shapes of A, B and dt
    "Mamba": ((5, 3), (2, 3, 1, 3), (2, 3, 5)),
    "per channel": ((4, 3), (4, 3), (4,)),
    "one dt": ((4, 3), (4, 3), ()),
    "one system": ((3,), (3,), (2, 5)),
    "all vary": ((2, 3, 5, 3), (2, 3, 5, 3), (2, 3, 5)),
    "one rate a channel": ((5, 1), (2, 3, 1, 3), (2, 3, 5)),
    "one B a channel": ((5, 3), (5, 1), (2, 3, 5)),
    "B alone in time": ((5, 3), (2, 3, 1, 3), (5,)),
    "in halves": ((2, 1, 4, 3), (1, 3, 4, 3), (2, 3, 1)),
}
every_form = pytest.mark.parametrize("form", FORMS)


def options(method):
    return {"alpha": 0.3} if method == "gbt" else {}


def draw(form, complex_=False, dtype=None, seed=0):
    """Eigenvalues in the left half plane, with a zero among them, and steps from 0.05 to 2.5."""
    generator = torch.Generator().manual_seed(seed)
    real = dtype or torch.float64
    wide = torch.promote_types(real, torch.float32)
    kind = wide.to_complex() if complex_ else real
    A_shape, B_shape, dt_shape = FORMS[form]
    A = -torch.rand(A_shape, dtype=wide, generator=generator) * 2
    if complex_:
        A = torch.complex(A, torch.randn(A_shape, dtype=wide, generator=generator))
    A.view(-1)[0] = 0
    B = torch.randn(B_shape, dtype=wide.to_complex() if complex_ else wide, generator=generator)
    dt = torch.rand(dt_shape, dtype=wide, generator=generator) * 2.45 + 0.05
    return A.to(kind), B.to(kind), dt


def dense_system(complex_=False, columns=True, states=4):
    generator = torch.Generator().manual_seed(3)
    dtype = torch.complex128 if complex_ else torch.float64
    A = torch.randn(states, states, dtype=dtype, generator=generator) / 2 - torch.eye(states, dtype=dtype)
    B = torch.randn(states, *((2,) if columns else ()), dtype=dtype, generator=generator)
    return A, B, torch.tensor([[0.1, 0.5, 1.4], [0.0, 1e-9, 2.0]], dtype=torch.float64)


def widen(x):
    return x.detach().to(torch.promote_types(x.dtype, torch.float64))


def gradients(outputs, inputs, weights):
    return torch.autograd.grad(
        outputs, inputs, [w.to(y.dtype) for w, y in zip(weights, outputs, strict=True)]
    )


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


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
@every_method
def test_a_step_of_no_time_changes_nothing(method, complex_, backend):
    A, B, _ = draw("per channel", complex_, dtype=torch.float32)
    A_bar, B_bar = discretize(A, B, 0.0, method, diagonal=True, backend=backend, **options(method))
    assert (A_bar == 1).all()
    assert (B_bar == 0).all()
    A_bar, B_bar = discretize(torch.diag(A[0]), B[0], 0.0, method, **options(method))
    torch.testing.assert_close(A_bar, torch.eye(3, dtype=A.dtype), rtol=0, atol=0)
    assert (B_bar == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_holds_keep_their_digits_at_tiny_and_zero_z(backend):
    """Where (e^z - 1) / z in float32 is off by 5% (z = 1e-6) or is 0 / 0."""
    A = torch.tensor([0.0, -1e-30, -1e-12, -1e-6, -1e-4, -1e-2])
    for imaginary in (False, True):
        rates = torch.complex(torch.zeros(6), A) if imaginary else A
        B_bar = discretize(rates, torch.ones(6), 1.0, "zoh", True, backend=backend)[1]
        z = widen(rates)
        series = 1 + z / 2 + z**2 / 6 + z**3 / 24 + z**4 / 120
        torch.testing.assert_close(widen(B_bar), series, rtol=2e-7, atol=1e-12)
        before, now = discretize(rates, torch.ones(6), 1.0, "foh", True, backend=backend)[1]
        torch.testing.assert_close(widen(now), 0.5 + z / 6 + z**2 / 24 + z**3 / 120, rtol=2e-7, atol=1e-9)
        torch.testing.assert_close(widen(before), 0.5 + z / 3 + z**2 / 8 + z**3 / 30, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_steps_forget_the_state_and_settle(backend):
    """e^z underflows to 0, and what is left is the steady state -B / A, in the values and in the gradients."""
    A = torch.tensor([-0.5, -3.0, -1e4]).requires_grad_()
    B = torch.tensor([1.0, -2.0, 5.0])
    A_bar, B_bar = discretize(A, B, 1e3, "zoh", True, backend=backend)
    assert (A_bar == 0).all()
    torch.testing.assert_close(B_bar, -B / A, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(B_bar.sum(), A)
    torch.testing.assert_close(gradient, B / A.detach() ** 2, rtol=1e-6, atol=0)
    before, now = discretize(A, B, 1e3, "foh", True, backend=backend)[1]
    z = 1e3 * A.double()
    torch.testing.assert_close(before.double(), 1e3 * B / z**2, rtol=1e-6, atol=0)
    torch.testing.assert_close(now.double(), -1e3 * B / z * (1 + 1 / z), rtol=1e-6, atol=0)
    stiff = discretize(A, B, 1e3, "bilinear", True, backend=backend)[0]
    torch.testing.assert_close(stiff[2].item(), -1.0, rtol=1e-6, atol=0)  # rings
    assert (discretize(A, B, 1e3, "backward_euler", True, backend=backend)[0] < 0.01).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fast_oscillation_keeps_its_phase(backend):
    """dt A is 1e5 radians, where float32 holds two digits behind the point."""
    A = 1j * torch.linspace(0.3, 1.0, 40)
    A_bar, B_bar = discretize(A, torch.ones(40), 1e5, "zoh", True, backend=backend)
    expected = reference.discretize(widen(A).numpy(), np.ones(40), 1e5, "zoh", True)
    np.testing.assert_allclose(A_bar, expected[0], atol=3e-7, rtol=0)
    np.testing.assert_allclose(B_bar, expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["zoh", "foh"])
@pytest.mark.parametrize("dt", [1e-9, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 0.0333, 0.049, 0.06, 0.1, 1.0])
def test_one_small_dense_system_keeps_its_digits(dt, method):
    """Where torch.matrix_exp of a single matrix is off by up to 5e-9."""
    A = torch.tensor([[-1.0]], dtype=torch.float64)
    step = torch.tensor(dt, dtype=torch.float64, requires_grad=True)
    A_bar, B_bar = discretize(A, torch.ones(1, dtype=torch.float64), step, method)
    held = B_bar if method == "zoh" else B_bar.sum(0)
    assert A_bar.item() == pytest.approx(np.exp(-dt), rel=1e-12)
    assert held.item() == pytest.approx(-np.expm1(-dt), rel=1e-12)
    (slope,) = torch.autograd.grad(held, step)
    assert slope.item() == pytest.approx(np.exp(-dt), rel=1e-12)


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


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
@pytest.mark.parametrize("method", ["zoh", "foh"])
def test_growth_up_to_the_end_of_float32(method, complex_, backend):
    """e^90 is none of its numbers; (e^90 - 1) / 90 and, for a small dt, what follows are."""
    for dt, largest in ((1.0, 92.0), (1e-6, 105.0)):
        z = torch.linspace(60.0, largest, 9, dtype=torch.float64)
        z = torch.complex(z, torch.linspace(-3.0, 3.0, 9, dtype=torch.float64)) if complex_ else z
        A = (z / dt).to(torch.complex64 if complex_ else torch.float32)
        inputs = [A, torch.ones_like(A), torch.tensor(dt)]
        wide = [widen(x).requires_grad_() for x in inputs]
        narrow = [x.requires_grad_() for x in inputs]
        expected = discretize(*wide, method, diagonal=True)[1]
        actual = discretize(*narrow, method, diagonal=True, backend=backend)[1]
        # float32 knows z to 4e-6 here
        torch.testing.assert_close(widen(actual), expected.detach(), rtol=1e-5, atol=0)
        weight = 1e-9 * torch.ones_like(expected)
        for x, y in zip(
            gradients([actual], narrow[:2], [weight]), gradients([expected], wide[:2], [weight]), strict=True
        ):
            torch.testing.assert_close(widen(x), y, rtol=1e-5, atol=0)


@real_and_complex
def test_growth_up_to_the_end_of_float64(complex_):
    z = np.linspace(690.0, 715.0, 6) + (0.5j if complex_ else 0)
    _, B_bar = discretize(torch.from_numpy(z), torch.ones(6, dtype=torch.float64), 1.0, diagonal=True)
    wide = z.astype(np.clongdouble if complex_ else np.longdouble)
    np.testing.assert_allclose(B_bar, ((np.exp(wide) - 1) / wide).astype(z.dtype), rtol=1e-12)


def test_numbers_of_numpy_are_numbers():
    A, B, _ = draw("per channel")
    for step in (np.float32(0.25), np.float64(0.25), 0.25):
        made = discretize(A, B, step, "gbt", diagonal=np.True_, alpha=np.float64(0.5))
        torch.testing.assert_close(made, discretize(A, B, 0.25, "bilinear", diagonal=True))
    torch.testing.assert_close(
        discretize(A, B, np.int64(2), diagonal=True), discretize(A, B, 2.0, diagonal=True)
    )


@pytest.mark.parametrize("backend", BACKENDS)
@real_and_complex
def test_a_pole_gives_no_finite_number(complex_, backend):
    A = torch.tensor([2.0, -1.0], dtype=torch.complex64 if complex_ else torch.float32)
    A_bar, B_bar = discretize(A, torch.ones(2), 1.0, "bilinear", True, backend=backend)
    assert not torch.isfinite(A_bar[0])
    assert not torch.isfinite(B_bar[0])
    torch.testing.assert_close(A_bar[1].real.item(), 1 / 3)
    rotation = torch.tensor([[0.0, 2.0], [2.0, 0.0]], dtype=A.dtype)  # eigenvalues 2 and -2
    A_bar, B_bar = discretize(rotation, torch.ones(2), 1.0, "bilinear")
    assert not torch.isfinite(A_bar).any()
    assert not torch.isfinite(B_bar).any()


@pytest.mark.parametrize("dt", [1e-8, 0.1, 1.0, 1e3])
def test_dense_float32_has_all_its_digits(dt):
    """The exponential is taken in float64: HiPPO-LegS has entries from 1 to 60 and eigenvalues down to -32."""
    n = torch.arange(32.0)
    A = -torch.tril(torch.sqrt((2 * n + 1)[:, None] * (2 * n + 1)), -1) - torch.diag(n + 1)
    B = torch.sqrt(2 * n + 1)
    for method in ("zoh", "foh", "bilinear"):
        actual = discretize(A, B, dt, method)
        step = torch.tensor(dt, dtype=torch.float32).double().numpy()
        expected = reference.discretize(A.double().numpy(), B.double().numpy(), step, method)
        for x, y in zip(actual, expected, strict=True):
            assert x.dtype == torch.float32
            assert np.linalg.norm(x.numpy() - y) <= 1e-7 * np.linalg.norm(y)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype, backend):
    A, B, dt = draw("Mamba", dtype=dtype)
    assert dt.dtype == torch.float32
    for step in (dt, dt.to(dtype)):
        actual = discretize(A, B, step, "zoh", diagonal=True, backend=backend)
        expected = discretize(A.double(), B.double(), step.double(), "zoh", diagonal=True)
        for x, y in zip(actual, expected, strict=True):
            assert x.dtype == dtype
            torch.testing.assert_close(x, y.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)


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


@pytest.mark.thorough  # one of these forms, and its gradient: tests/ops/shared/test_every_op.py
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
    [  # the forms that take most; zoh of a diagonal is compiled in tests/ops/shared/test_every_op.py
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


ONES = torch.ones(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"A": [1.0]}, TypeError, r"A: expected a torch.Tensor, got list"),
        ({"B": 1.0}, TypeError, r"B: expected a torch.Tensor, got float"),
        ({"dt": "0.1"}, TypeError, r"dt: expected a number, got str"),
        ({"dt": True}, TypeError, r"dt: expected a number, got bool"),
        ({"dt": None}, TypeError, r"dt: expected a number, got NoneType"),
        ({"dt": -1.0}, ValueError, r"dt: expected .* from 0 to 3.4\S*e\+38, got -1.0"),
        ({"dt": float("nan")}, ValueError, r"dt: expected a number from 0 .* got nan"),
        ({"dt": float("inf")}, ValueError, r"dt: expected a number from 0 .* got inf"),
        ({"dt": 10**400}, ValueError, r"dt: expected a number from 0 .* got inf"),
        ({"dt": 1e39}, ValueError, r"dt: expected a number from 0 .* got 1e\+39"),
        ({"diagonal": "no"}, TypeError, r"diagonal: expected True or False, got str"),
        ({"diagonal": None}, TypeError, r"diagonal: expected True or False, got NoneType"),
        ({"method": None}, ValueError, r"method: expected one of .* got None"),
        ({"A": ONES.int()}, TypeError, r"A: expected one of float16, .* got torch.int32"),
        (
            {"B": ONES.double()},
            TypeError,
            r"B: expected dtype torch.float32 or torch.complex64 for an A of torch.float32, got torch.float64",
        ),
        (
            {"dt": ONES.double()},
            TypeError,
            r"dt: expected dtype torch.float32 for an A of .*, got torch.float64",
        ),
        ({"dt": ONES * 1j}, TypeError, r"dt: expected dtype torch.float32 for .*, got torch.complex64"),
        (
            {"A": ONES.half(), "B": ONES.half(), "dt": ONES.double()},
            TypeError,
            r"dt: expected dtype torch.float16 or torch.float32 for",
        ),
        (
            {"A": torch.ones(2, 0), "B": torch.ones(0)},
            ValueError,
            r"A: expected every axis to be at least 1 long, got \(2, 0\)",
        ),
        ({"dt": torch.ones(0)}, ValueError, r"dt: expected every axis to be at least 1 long, got \(0,\)"),
        ({"B": torch.ones(3, device="meta")}, ValueError, r"B: expected device cpu like A, got meta"),
        ({"A": torch.ones(())}, ValueError, r"A: expected shape \(..., N\), got \(\)"),
        (
            {"A": torch.ones(4, 3), "dt": torch.ones(5)},
            ValueError,
            r"dt: expected a shape .* A's \(4, 3\), got \(5,\)",
        ),
        ({"B": torch.ones(4)}, ValueError, r"B: expected a shape that broadcasts with \(3,\).*, got \(4,\)"),
        (
            {"A": torch.ones(3, 2), "diagonal": False},
            ValueError,
            r"A: expected shape \(N, N\), got \(3, 2\)",
        ),
        ({"A": ONES, "diagonal": False}, ValueError, r"A: expected shape \(N, N\), got \(3,\)"),
        (
            {"A": torch.ones(3, 3), "B": torch.ones(4), "diagonal": False},
            ValueError,
            r"B: expected shape \(3,\) or \(3, M\) .*, got \(4,\)",
        ),
        (
            {"method": "tustin"},
            ValueError,
            r"method: expected one of 'euler', 'bilinear', .*, 'foh', got 'tustin'",
        ),
        ({"method": "gbt"}, TypeError, r"alpha: expected a number, got NoneType"),
        ({"method": "gbt", "alpha": 1.5}, ValueError, r"alpha: expected a number from 0 to 1, got 1.5"),
        ({"method": "gbt", "alpha": "half"}, TypeError, r"alpha: expected a number, got str"),
        (
            {"alpha": 0.5},
            ValueError,
            r"alpha: expected None, as method is 'zoh' and not 'gbt', got 0.5",
        ),
        ({"backend": "cuda"}, ValueError, r"backend: expected one of .*got 'cuda'"),
        (
            {"A": torch.ones(3, 3), "diagonal": False, "backend": "triton"},
            ValueError,
            r"backend: expected 'portable' or None for a dense A, got 'triton'",
        ),
        (
            {"A": torch.ones(3, 3), "diagonal": False, "backend": "cuda"},
            ValueError,
            r"backend: expected one of .*got 'cuda'",
        ),
    ],
)
def test_wrong_input_names_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        discretize(**{"A": ONES, "B": ONES, "dt": 0.1, "diagonal": True, **arguments})


@TRITON
def test_the_kernel_says_which_dtypes_it_computes():
    with pytest.raises(TypeError, match=r"backend: 'triton' computes .*float64 needs backend='portable'"):
        discretize(*draw("Mamba"), diagonal=True, backend="triton")


def test_without_triton_the_portable_form_still_runs(monkeypatch):
    monkeypatch.setattr("seqlab.ops.backends.has_triton", lambda: False)
    inputs = draw("Mamba", dtype=torch.float32)
    discretize(*inputs, diagonal=True)
    with pytest.raises(ValueError, match="backend: 'triton' needs the triton package"):
        discretize(*inputs, diagonal=True, backend="triton")
