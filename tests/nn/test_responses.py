"""What eigenvalues do to a signal, against SciPy and the recurrence itself."""

import numpy as np
import pytest
from scipy import signal

from seqlab.nn import responses
from seqlab.nn.eigenvalues import ring

LAM = ring(7, 0.5, 0.98, 2 * np.pi, np.random.default_rng(3))
WEIGHTS = responses.gamma(LAM)


def transfer_function(lam, weights):
    """(1/N) Σ_n w_n (1 - Re λ_n z^-1) / ((1 - λ_n z^-1)(1 - conj(λ_n) z^-1)) as b, a in powers of z^-1."""
    b, a = np.zeros(1), np.ones(1)
    for value, weight in zip(lam, weights, strict=True):
        numerator = weight / len(lam) * np.array([1, -value.real])
        denominator = np.array([1, -2 * value.real, abs(value) ** 2])
        left, right = np.convolve(b, denominator), np.convolve(numerator, a)
        b = np.zeros(max(len(left), len(right)))
        b[: len(left)] += left
        b[: len(right)] += right
        a = np.convolve(a, denominator)
    return b, a


def test_impulse_response_is_what_the_recurrence_does():
    h, outputs = np.zeros(7, dtype=complex), []
    for t in range(50):
        h = LAM * h + WEIGHTS * (t == 0)
        outputs.append(np.mean(h.real))
    np.testing.assert_allclose(responses.impulse_response(LAM, 50, WEIGHTS), outputs, atol=1e-15)


def test_impulse_response_is_scipys():
    b, a = transfer_function(LAM, WEIGHTS)
    impulse = np.eye(1, 60)[0]
    np.testing.assert_allclose(
        responses.impulse_response(LAM, 60, WEIGHTS), signal.lfilter(b, a, impulse), rtol=0, atol=1e-12
    )


def test_magnitude_response_is_scipys():
    omega = np.linspace(0, np.pi, 101)
    _, H = signal.freqz(*transfer_function(LAM, WEIGHTS), worN=omega)
    np.testing.assert_allclose(responses.magnitude_response(LAM, omega, WEIGHTS), np.abs(H), rtol=1e-9)


def test_magnitude_response_is_the_transform_of_the_impulse_response():
    K = responses.impulse_response(LAM, 4096)
    omega = 2 * np.pi * np.arange(2049) / 4096
    np.testing.assert_allclose(responses.magnitude_response(LAM, omega), np.abs(np.fft.rfft(K)), rtol=1e-11)


def test_half_life_halves():
    lam = np.array([0.5, -0.5j, 0.9, 0.999 * np.exp(2j)])
    np.testing.assert_allclose(np.abs(lam) ** responses.half_life(lam), 0.5)
    np.testing.assert_allclose(responses.half_life(lam)[:2], 1)
    np.testing.assert_array_equal(responses.half_life([0, 1, 1.2, 1j]), [0, np.inf, np.inf, np.inf])


def test_gradient_norm_is_that_of_the_jacobian():
    for k in (0, 1, 5, 30):
        jacobian = np.linalg.matrix_power(np.diag(LAM), k)
        rms, largest = responses.gradient_norm(LAM, [k])
        np.testing.assert_allclose(rms[0], np.linalg.norm(jacobian) / np.sqrt(7))
        np.testing.assert_allclose(largest[0], np.linalg.norm(jacobian, 2))


def test_gamma_keeps_white_noise_at_variance_one():
    # E|h|² = γ² Σ_t |λ|^{2t} = 1, summed until nothing is left.
    lam = np.array([0.0, 0.5, 0.9, 0.99])
    total = (np.abs(lam) ** (2 * np.arange(5000)[:, None])).sum(0)
    np.testing.assert_allclose(responses.gamma(lam) ** 2 * total, 1, rtol=1e-12)


def test_gamma_keeps_its_digits_near_the_circle():
    for exponent in (8, 12, 15):
        nu = 10.0**-exponent
        # |λ| = exp(-ν) in float64 knows ν only to 1e-16/ν; no more than that may be lost.
        assert abs(responses.gamma([np.exp(-nu)])[0] / np.sqrt(-np.expm1(-2 * nu)) - 1) < 2e-16 / nu
    assert responses.gamma([1.0])[0] == 0
    assert np.isnan(responses.gamma([1.01])[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: responses.impulse_response([], 5), r"eigenvalues: expected shape \(N,\) .* got \(0,\)"),
        (lambda: responses.impulse_response([0.5], 0), "length: expected at least 1 step, got 0"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
