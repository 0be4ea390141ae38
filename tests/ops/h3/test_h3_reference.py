"""The NumPy listings of H3 and Hyena: each form is the step, and the products are the ones that the papers claim."""

from functools import partial

import numpy as np
import pytest

from seqlab.ops.h3 import reference
from seqlab.ops.vandermonde.reference import ssm_kernel


def draw(length, batch=2, channels=3, taps=4, modes=5, head_dim=1, imaginary=True, seed=0):
    generator = np.random.default_rng(seed)

    def normal(*shape, imaginary=False):
        x = generator.standard_normal(shape)
        return x + 1j * generator.standard_normal(shape) if imaginary else x

    heads = channels // head_dim
    A_bar = normal(heads, modes, imaginary=imaginary)
    A_bar = A_bar / np.maximum(np.abs(A_bar), 1)
    parameters = (normal(channels, taps), A_bar, *(normal(heads, modes, imaginary=imaginary) for _ in "BC"))
    state = (
        normal(batch, taps - 1, channels),
        normal(batch, channels * head_dim, modes, imaginary=imaginary),
    )
    return tuple(normal(batch, length, channels) for _ in "qkv"), parameters, normal(heads), state


def close(one, other, bound=1e-12):
    np.testing.assert_allclose(one, other, rtol=bound, atol=bound)


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("length", [1, 3, 17])
def test_steps_are_two_convolutions_and_two_products(length, imaginary):
    inputs, parameters, D_skip, state = draw(length, imaginary=imaginary)
    y, last = reference.h3(*inputs, *parameters, D_skip, state)
    other, other_last = reference.h3_convolution(*inputs, *parameters, D_skip, state)
    close(other, y)
    for x, expected in zip(other_last, last, strict=True):
        close(x, expected)


@pytest.mark.parametrize("head_dim", [1, 2, 4])
def test_with_a_window_of_one_and_no_decay_it_is_linear_attention(head_dim):
    """Without features and without a normalizer: y_t = sum over s <= t of (q_t . k_s) v_s in each head."""
    (q, k, v), *_ = draw(9, channels=4)
    ones = np.ones((4 // head_dim, 1))
    y, _ = reference.h3(q, k, v, np.ones((4, 1)), ones, ones, ones, head_dim=head_dim)
    heads = (x.reshape(2, 9, -1, head_dim) for x in (q, k, v))
    q, k, v = (x.transpose(0, 2, 1, 3) for x in heads)
    expected = np.tril(q @ k.swapaxes(-1, -2)) @ v
    close(y, expected.transpose(0, 2, 1, 3).reshape(y.shape))


def test_layouts_of_the_official_code_are_one_permutation_apart():
    """Its slow path writes channels in the order (channel, head), its fast one, as here, in (head, channel)."""
    (q, k, v), (shift, A, B, C), D_skip, _ = draw(7, channels=6, head_dim=2)
    y, _ = reference.h3(q, k, v, shift, A, B, C, D_skip, head_dim=2)
    keys = reference.shift_ssm(k, shift)[0]
    K = ssm_kernel(A, B, C, 7)
    slow = np.zeros((2, 7, 2, 3))
    for head in range(3):
        for i in range(2):
            for j in range(2):
                kv = keys[..., 2 * head + i] * v[..., 2 * head + j]
                read = np.stack([np.convolve(K[head], one)[:7] for one in kv]) + D_skip[head] * kv
                slow[..., j, head] += q[..., 2 * head + i] * read
    slow = slow.reshape(2, 7, 6)
    fast = slow.reshape(2, 7, 2, 3).swapaxes(2, 3).reshape(2, 7, 6)
    close(y, fast)
    assert np.abs(y - slow).max() > 0.1


def test_gradients_are_slopes():
    inputs, parameters, D_skip, state = draw(5, batch=1, channels=2, modes=2)
    everything = [*inputs, *parameters, D_skip, *state]
    generator = np.random.default_rng(1)
    y, last = reference.h3(*everything[:8], tuple(everything[8:]))
    weights = [generator.standard_normal(x.shape) for x in (y, *last)]
    found = reference.h3_gradients(*everything[:8], tuple(everything[8:]), weights[0], tuple(weights[1:]))
    found = [*found[:-1], *found[-1]]

    def loss(arguments):
        y, last = reference.h3(*arguments[:8], tuple(arguments[8:]))
        return sum((w * x).real.sum() for w, x in zip(weights, (y, *last), strict=True))

    for i, x in enumerate(everything):
        direction = generator.standard_normal(x.shape)
        if np.iscomplexobj(x):
            direction = direction + 1j * generator.standard_normal(x.shape)
        ahead, behind = (
            loss([*everything[:i], x + step * direction, *everything[i + 1 :]]) for step in (1e-6, -1e-6)
        )
        slope = (found[i].conj() * direction).real.sum()
        assert (ahead - behind) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-7)


# The index of M_xy.


def system(N=4, seed=0):
    generator = np.random.default_rng(seed)
    A = 0.6 * generator.standard_normal((N, N)) / np.sqrt(N)
    return A, *generator.standard_normal((2, N)), generator.standard_normal(N)


@pytest.mark.parametrize("convention", ["current", "next"])
@pytest.mark.parametrize("chunk", [1, 2, 8, 37, 50])
def test_state_passing_is_exact_with_the_exponents_of_its_convention(chunk, convention):
    """With ragged chunks, chunks of one step and a first state that is not zero."""
    A, B, C, x = system()
    u = np.random.default_rng(1).standard_normal(37)
    expected, last = reference.dense_scan(A, B, C, u, x, convention)
    y, state = reference.state_passing(A, B, C, u, x, chunk, convention)
    close(y, expected, 1e-13)
    close(state, last, 1e-13)


@pytest.mark.parametrize(("convention", "other"), [("current", "next"), ("next", "current")])
def test_exponents_of_the_other_convention_are_off_in_every_chunk_but_the_first(convention, other):
    """From no state, the first chunk cannot show it; the error is that of the carried term, moved by one step."""
    A, B, C, x = system()
    u = np.random.default_rng(1).standard_normal(37)
    expected, _ = reference.dense_scan(A, B, C, u, 0 * x, convention)
    y, _ = reference.state_passing(A, B, C, u, 0 * x, 8, convention, M_xy_of=other)
    error = np.abs(y - expected)
    assert error[:8].max() < 1e-14
    assert min(error[start : start + 8].max() for start in range(8, 37, 8)) > 0.03
    carried = reference.dense_scan(A, B, C, u[:8], 0 * x, convention)[1]
    ours, theirs = (reference.state_passing_matrices(A, B, C, 8, c)[2] for c in (convention, other))
    close(y[8:16] - expected[8:16], (theirs - ours) @ carried)
    one, _ = reference.state_passing(A, B, C, u, 0 * x, 37, convention, M_xy_of=other)
    close(one, expected, 1e-13)  # a test of one chunk passes


@pytest.mark.parametrize("chunk", [1, 8, 37])
def test_the_printed_exponents_are_exact_for_a_state_that_is_one_step_ahead(chunk):
    A, B, C, x = system()
    u = np.random.default_rng(1).standard_normal(37)
    expected, last = reference.dense_scan(A, B, C, u, x)
    y, s = reference.state_passing_ahead(A, B, C, u, x, chunk)
    close(y, expected, 1e-13)
    close(s, A @ last, 1e-13)


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_a_long_convolution_in_pieces_is_one(chunk):
    generator = np.random.default_rng(0)
    u, taps = generator.standard_normal((2, 23, 3)), generator.standard_normal((3, 9))
    before = generator.standard_normal((2, 8, 3))
    whole = reference.causal_convolution(np.concatenate([before, u], axis=1), taps)[:, 8:]
    for form in (reference.flashconv, partial(reference.flashconv_chunked, chunk=chunk)):
        y, last = form(u, taps, before)
        close(y, whole)
        close(last, u[:, -8:])
    _, (_, A, B, C), _, (_, memory) = draw(1)
    y, last = reference.flashconv_chunked(u, (A, B, C), memory, chunk)
    expected, state = reference.ssm_convolution(A, B, C, u, memory)
    close(y, expected)
    close(last, state)


@pytest.mark.parametrize(("length", "taps"), [(23, 9), (9, 23), (1, 5), (4, 2), (6, 7)])
def test_a_state_costs_no_further_point_of_a_transform(length, taps):
    """On a circle that is as long as for a convolution without one, with more taps than times as well."""
    generator = np.random.default_rng(0)
    u, K = generator.standard_normal((2, length, 3)), generator.standard_normal((3, taps))
    state = generator.standard_normal((2, taps - 1, 3))
    for found, expected in zip(
        reference.flashconv_circle(u, K, state), reference.flashconv(u, K, state), strict=True
    ):
        close(found, expected)


@pytest.mark.parametrize(("N_1", "N_2"), [(1, 7), (4, 8), (6, 5), (32, 64)])
def test_the_block_transform_is_the_fourier_transform(N_1, N_2):
    x = np.random.default_rng(0).standard_normal(N_1 * N_2)
    np.testing.assert_allclose(reference.block_dft(x, N_1), np.fft.fft(x), rtol=0, atol=1e-11)


def rounded(x, bits):
    """The nearest number of so many significant bits, of each part of a complex one."""
    if np.iscomplexobj(x):
        return rounded(x.real, bits) + 1j * rounded(x.imag, bits)
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


@pytest.mark.parametrize(("bits", "least", "most"), [(11, 1e-4, 1e-3), (8, 1e-3, 8e-3)])
def test_matrix_units_round_the_factors_of_a_block_transform(bits, least, most):
    """To 11 bits as TF32 or to 8 as bfloat16, sums exact: errors of a few tenths of a thousandth, or some thousandths,
    of the result, and no more for longer transforms."""
    for N_1, N_2 in ((4, 8), (16, 32), (32, 128)):
        n, m = N_1 * N_2, np.arange(N_1)
        x = np.random.default_rng(0).standard_normal(n)
        F_1 = np.exp(-2j * np.pi * np.outer(m, m) / N_1)
        F_2 = np.exp(-2j * np.pi * np.outer(np.arange(N_2), np.arange(N_2)) / N_2)
        twiddle = np.exp(-2j * np.pi * np.outer(m, np.arange(N_2)) / n)
        inner = rounded(F_1, bits) @ rounded(x, bits).reshape(N_1, N_2)
        found = (rounded(inner * twiddle, bits) @ rounded(F_2, bits)).T.reshape(n)
        expected = reference.block_dft(x, N_1)
        assert least < np.linalg.norm(found - expected) / np.linalg.norm(expected) < most


# Hyena.


def test_hyena_is_a_product_of_triangular_matrices():
    (x_1, x_2, v), *_ = draw(8)
    filters = np.random.default_rng(2).standard_normal((2, 3, 8))
    matrix = reference.hyena_matrix((x_1, x_2), filters)
    assert np.abs(np.triu(matrix, 1)).max() == 0
    close(reference.hyena(v, (x_1, x_2), filters), np.einsum("bdij,bjd->bid", matrix, v))


def test_h3_is_hyena_of_order_two_with_the_responses_of_its_systems():
    """The first gate is H3's value: what goes through the first filter is the key."""
    (q, k, v), (shift, A, B, C), *_ = draw(12)
    response = ssm_kernel(A, B, C, 12)
    y, _ = reference.h3(q, k, v, shift, A, B, C)
    close(reference.hyena(k, (v, q), (shift, response)), y)


def test_the_published_code_of_hyena_has_one_convolution_fewer():
    """It gates first and then convolves, once for order 2: with a first filter of one tap. So H3 differs from it by the
    convolution of its shift."""
    (q, k, v), (shift, A, B, C), *_ = draw(12)
    response = ssm_kernel(A, B, C, 12)
    code = q * reference.causal_convolution(k * v, response)
    close(reference.hyena(k, (v, q), (np.ones((3, 1)), response)), code)
    h3, _ = reference.h3(q, k, v, shift, A, B, C)
    assert np.abs(h3 - code).max() > 0.1
    shifted = reference.causal_convolution(k, shift)
    close(q * reference.causal_convolution(shifted * v, response), h3)
