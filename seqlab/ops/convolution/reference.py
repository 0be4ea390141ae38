"""The causal convolution in NumPy: the sum, the matrix that it is, the Fourier transform,
and the gradients; and a kernel of few parameters and long reach.

Shapes: B batch, L length, D channels, M taps. ``u`` is (B, L, D), ``K`` is (D, M), ``y``
is (B, L, D).
"""

import numpy as np


def causal_convolution(u, K):
    """y_t = K_0 u_t + K_1 u_{t-1} + ..., with nothing before the first time."""
    length = u.shape[1]
    y = np.zeros(u.shape)
    for j in range(min(K.shape[1], length)):
        y[:, j:] += K[:, j] * u[:, : length - j]  # eq. 6.3
    return y


def toeplitz(K, length):
    """The convolution as a matrix for each channel, (D, L, L): constant along diagonals,
    and zero above the main one, which is what makes it causal."""
    padded = np.zeros((len(K), length))
    padded[:, : K.shape[1]] = K[:, :length]
    lag = np.subtract.outer(np.arange(length), np.arange(length))
    return np.where(lag >= 0, padded[:, lag], 0)  # eq. 6.4


def causal_convolution_fft(u, K, n=None):
    """The same by Fourier transforms of n points. They convolve in a circle: n has to be
    L + M - 1 at least, or the end of y comes round to its beginning."""
    length = u.shape[1]
    n = length + K.shape[1] - 1 if n is None else n  # eq. 6.6
    spectrum = np.fft.rfft(u, n, axis=1) * np.fft.rfft(K, n).T  # eq. 6.5
    return np.fft.irfft(spectrum, n, axis=1)[:, :length]


def causal_convolution_right_angle(u, K, before):
    """The same as a right-angle convolution, by complex transforms of n = max(L, M) points,
    going on from the n inputs before (B, n, D). What comes round the circle is multiplied
    by -i. That makes imaginary what must not be seen, and real the inputs before, which
    stand there times i."""
    (_, length, _), taps = u.shape, K.shape[1]
    n = max(length, taps)
    turn = np.exp(-0.5j * np.pi * np.arange(n) / n)[:, None]
    z = 1j * before
    z[:, :length] += u
    spectrum = np.fft.fft(z * turn, axis=1) * np.fft.fft(K.T * turn[:taps], n, axis=0)
    return (np.fft.ifft(spectrum, axis=1) / turn).real[:, :length]


def causal_convolution_gradients(u, K, grad_y):
    """Gradients of a loss to u and K, given that to y: correlations."""
    length = u.shape[1]
    grad_u, grad_K = np.zeros_like(u), np.zeros_like(K)
    for j in range(min(K.shape[1], length)):
        grad_u[:, : length - j] += K[:, j] * grad_y[:, j:]
        grad_K[:, j] = (grad_y[:, j:] * u[:, : length - j]).sum((0, 1))  # eq. 6.7
    return grad_u, grad_K


def multiscale_kernel(scales, decay):
    """SGConv's kernel (D, M), of unit norm, from sub-kernels of d numbers each, scales (S,
    D, d): the first as it is, then each drawn out to d, 2 d, 4 d, ... taps and weighted by
    decay, decay^2, ... It is linear between samples, which lie in the middle of their
    taps, and constant beyond the first and the last."""
    d, parts = scales.shape[2], []
    for i, scale in enumerate(scales):
        factor = 2 ** max(0, i - 1)
        at = (np.arange(d * factor) + 0.5) / factor - 0.5
        drawn_out = [np.interp(at, np.arange(d), samples) for samples in scale]
        parts.append(decay**i * np.stack(drawn_out))
    K = np.concatenate(parts, axis=1)
    return K / np.linalg.norm(K, axis=1, keepdims=True)
