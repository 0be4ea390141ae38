"""The causal convolution: its forms, its padding, and what makes it causal."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqlab.ops import causal_convolution
from seqlab.ops.backends import has_triton
from seqlab.ops.convolution import portable, reference

TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
every_backend = pytest.mark.parametrize("backend", ["portable", pytest.param("triton", marks=TRITON)])
LENGTHS = [(1, 1), (1, 9), (2, 2), (9, 1), (7, 3), (7, 7), (8, 20), (31, 17), (64, 64), (101, 99), (150, 151)]
every_length = pytest.mark.parametrize(("length", "taps"), LENGTHS)


def draw(length, taps, dtype=torch.float64, batch=2, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(batch, length, channels, dtype=torch.float64, generator=generator)
    return u.to(dtype), torch.randn(channels, taps, dtype=torch.float64, generator=generator).to(dtype)


@every_length
def test_the_sum_the_matrix_and_the_transform_are_one(length, taps):
    u, K = (x.numpy() for x in draw(length, taps))
    expected = reference.causal_convolution(u, K)
    matrix = np.einsum("dij,bjd->bid", reference.toeplitz(K, length), u)
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reference.causal_convolution_fft(u, K), expected, rtol=0, atol=1e-12)


@every_length
def test_sums_and_transforms_agree_with_their_gradients(length, taps):
    u, K = draw(length, taps)
    grad_y, _ = draw(length, taps, seed=1)
    expected = reference.causal_convolution(u.numpy(), K.numpy())
    true = reference.causal_convolution_gradients(u.numpy(), K.numpy(), grad_y.numpy())
    for short in (0, 1000):
        np.testing.assert_allclose(portable.convolve(u, K, short), expected, rtol=0, atol=1e-12)
        for x, y in zip(portable.gradients(u, K, grad_y, short), true, strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("length", "taps"), [(5, 3), (3, 5), (24, 23)])
def test_gradients_are_those_of_finite_differences(length, taps):
    leaves = [x.requires_grad_() for x in draw(length, taps)]
    assert torch.autograd.gradcheck(causal_convolution, leaves)


def test_too_few_points_wrap_around():
    """L points convolve in a circle, L + M - 1 do not, and one sample fewer already shows."""
    u, K = (x.numpy() for x in draw(20, 20))
    expected = reference.causal_convolution(u, K)
    for n, wrong in ((20, True), (38, True), (39, False), (40, False)):
        difference = np.abs(reference.causal_convolution_fft(u, K, n) - expected).max()
        assert (difference > 0.01) == wrong, (n, difference)


@pytest.mark.parametrize("length", [10, 200])
@every_backend
def test_no_output_depends_on_a_later_input(backend, length):
    """By gradient, on both sides of the change from sums to transforms; where there is a
    transform, to its rounding."""
    u, K = draw(length, length, torch.float32 if backend == "triton" else torch.float64, batch=1)
    u.requires_grad_()
    y = causal_convolution(u, K, backend=backend)
    (gradient,) = torch.autograd.grad(y[0, length // 2].sum(), u)
    later, earlier = gradient[0, length // 2 + 1 :], gradient[0, : length // 2 + 1]
    assert later.abs().max() <= 1e-6 * earlier.abs().max()
    torch.testing.assert_close(earlier, K[:, : length // 2 + 1].T.flip(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("taps", [4, 150])
def test_it_is_linear_and_does_not_change_with_time(taps):
    u, K = draw(160, taps)
    v, _ = draw(160, taps, seed=1)
    together = causal_convolution(2.5 * u - 3 * v, K)
    apart = 2.5 * causal_convolution(u, K) - 3 * causal_convolution(v, K)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-11)
    later = torch.nn.functional.pad(u, (0, 0, 7, 0))[:, :160]
    moved = torch.nn.functional.pad(causal_convolution(u, K), (0, 0, 7, 0))[:, :160]
    torch.testing.assert_close(causal_convolution(later, K), moved, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("length", "taps"), [(160, 4), (160, 150), (161, 4), (161, 149), (67, 67), (1, 150)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32(dtype, length, taps):
    """Inputs and outputs are rounded, and nothing between them is, at odd lengths and such as are no power of two too:
    no transform of 16-bit numbers would take these."""
    u, K = draw(length, taps, torch.float32)
    u = u.to(dtype)
    y = causal_convolution(u, K)
    assert y.dtype == dtype
    exact = causal_convolution(u.double(), K.double())
    rounded = exact.to(dtype).double()
    assert (y.double() - exact).norm() <= 1.01 * (rounded - exact).norm() + 1e-6 * exact.norm()
    with pytest.raises(TypeError, match=r"K: expected dtype torch\.float32 for a u of"):
        causal_convolution(u, K.to(dtype))


@TRITON
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (5, 9), (13, 3), (10, 8), (10, 9), (66, 100)])
def test_kernel_equals_the_reference_in_float64(monkeypatch, length, taps):
    """On both sides of the taps from which transforms take over."""
    from seqlab.ops.convolution import kernel

    monkeypatch.setattr(kernel, "SHORT", 8)
    u, K = (x.requires_grad_() for x in draw(length, taps, torch.float32))
    grad_y, _ = draw(length, taps, torch.float32, seed=1)
    y = causal_convolution(u, K, backend="triton")
    arrays = [x.detach().double().numpy() for x in (u, K)]
    expected = reference.causal_convolution(*arrays)
    true = reference.causal_convolution_gradients(*arrays, grad_y.double().numpy())
    for x, z in zip((y, *torch.autograd.grad(y, (u, K), grad_y)), (expected, *true), strict=True):
        assert np.linalg.norm(x.detach().numpy() - z) <= 1e-6 * np.linalg.norm(z)


def test_points_are_enough_and_few():
    for least in range(1, 3000):
        assert least <= portable.points(least) <= max(1.26 * least, least + 1)
    assert portable.points(65536 + 65535) == 131072


def test_a_small_late_output_keeps_its_digits_in_a_short_sum():
    """After an input of 1e8, an output of 1: the floor of a transform would swallow it."""
    u = torch.zeros(1, 60, 1)
    u[0, 0], u[0, 50] = 1e8, 1.0
    assert causal_convolution(u, torch.ones(1, 3))[0, 50:53].flatten().tolist() == [1, 1, 1]


def test_a_kernel_of_scales_by_hand():
    """Two samples a sub-kernel: as they are, weighed by a third, and drawn out to four taps, weighed by a ninth."""
    scales = np.array([[[3.0, 1.0]], [[6.0, 0.0]], [[9.0, 27.0]]])
    expected = np.array([3.0, 1.0, 2.0, 0.0, 1.0, 1.5, 2.5, 3.0])
    found = reference.multiscale_kernel(scales, 1 / 3)
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("length", "taps"), [(1, 1), (7, 3), (3, 7), (20, 20), (21, 19), (16, 16)])
def test_a_right_angle_keeps_what_comes_round_apart(length, taps):
    """Points for the longer of both are enough, from all inputs before as well."""
    u, K = (x.numpy() for x in draw(length, taps))
    n = max(length, taps)
    before = draw(n, 1, seed=1)[0].numpy()
    expected = reference.causal_convolution(np.concatenate([before, u], axis=1), K)[:, n:]
    found = reference.causal_convolution_right_angle(u, K, before)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@TRITON
def test_the_gradient_of_a_kernel_far_longer_than_a_sequence_takes_no_more_than_its_bytes():
    """Parts of times and batch entries have as many taps as there are times."""
    from seqlab.ops.convolution import kernel

    class Largest(TorchDispatchMode):
        nbytes = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            self.nbytes = max(self.nbytes, result.nbytes)
            return result

    (u, K), (grad_y, _) = (draw(12, 900, torch.float32, batch=3, seed=seed) for seed in (0, 1))
    with Largest() as watch:
        _, grad_K = kernel.gradients(u, K, grad_y)
    assert watch.nbytes == K.nbytes
    _, true = reference.causal_convolution_gradients(*(x.double().numpy() for x in (u, K, grad_y)))
    assert np.linalg.norm(grad_K.numpy() - true) <= 1e-6 * np.linalg.norm(true)


@TRITON
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (9, 9), (33, 31), (31, 40), (7, 40), (40, 7), (64, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transforms_equal_the_portable_form_in_float64(dtype, length, taps):
    """Of both kinds, from a state and without, of arguments with other strides too."""
    from seqlab.ops.convolution import transforms

    (u, K), (grad_y, _) = draw(length, taps), draw(length, taps, seed=1)
    state = draw(max(taps - 1, 1), 1, seed=2)[0][:, : taps - 1]
    u, state, grad_y, K = u.to(dtype), state.to(dtype), grad_y.to(dtype), K.float()
    for given in (None, state):
        for laid_out in (torch.clone, lambda x: x.mT.contiguous().mT, lambda x: torch._neg_view(-x)):
            moved = [None if x is None else laid_out(x) for x in (u, K, given, grad_y)]
            exact = [None if x is None else x.double() for x in (u, K, given, grad_y)]
            found = [transforms.convolve_by_transforms(*moved[:3])]
            found += transforms.gradients_by_transforms(*moved, torch.float32)
            true = [portable.convolve_by_transforms(*exact[:3])]
            true += portable.gradients_by_transforms(*exact, torch.float64)
            rounding = [4e-3 if dtype == torch.bfloat16 else 1e-6, 1e-6, 1e-6, 1e-6]
            for x, y, bound in zip(found, true, rounding, strict=True):
                assert (x is None) == (y is None)
                if x is not None:
                    assert x.is_contiguous()
                    assert (x.double() - y).norm() <= bound * y.norm()


@every_backend
@pytest.mark.parametrize(
    ("length", "taps"), [(40, 37), (40, 7)]
)  # complex transforms and real ones, in Triton
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 3e38])
def test_channels_and_batch_entries_do_not_meet_in_transforms(backend, length, taps, bad):
    """What one of them spreads or overflows from leaves all others as they are, to the bit."""
    from seqlab.ops.backends import kernel_of

    form = kernel_of("convolution", "transforms") if backend == "triton" else portable
    (u, K), (grad_y, _) = (draw(length, taps, torch.float32, seed=seed) for seed in (0, 1))
    given = [u, K, draw(taps - 1, 1, torch.float32, seed=2)[0], grad_y]

    def results(arguments):
        y = form.convolve_by_transforms(*arguments[:3])
        grad_u, grad_K, grad_state = form.gradients_by_transforms(*arguments, torch.float32)
        return grad_K, [y, grad_u, grad_state]

    grad_K, expected = results(given)
    for i, x in enumerate(given):
        spoilt = x.clone()
        spoilt[(1, 3, 2) if x.ndim == 3 else (2, 3)] = bad
        found_grad_K, found = results([*given[:i], spoilt, *given[i + 1 :]])
        assert torch.equal(found_grad_K[:2], grad_K[:2])
        assert not all(map(torch.equal, [found_grad_K, *found], [grad_K, *expected]))
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one[..., :2], other[..., :2])
            assert x.ndim == 2 or torch.equal(one[0], other[0])
