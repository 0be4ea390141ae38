"""The NumPy listings: recurrence, convolution and chunks are one function, and SciPy's is the same one step later."""

import numpy as np
import pytest
from scipy.signal import dlsim

from seqlab.ops.ssm import reference

CHUNKS = [1, 2, 5, 16]


def draw(length, batch=2, channels=3, modes=4, imaginary=True, varying=False, seed=0):
    generator = np.random.default_rng(seed)

    def normal(*shape):
        x = generator.standard_normal(shape)
        return x + 1j * generator.standard_normal(shape) if imaginary else x

    shape = (batch, length, channels, modes) if varying else (channels, modes)
    A_bar = normal(*shape)
    A_bar = A_bar / np.maximum(np.abs(A_bar), 1)
    u = generator.standard_normal((batch, length, channels))
    return A_bar, normal(*shape), normal(channels, modes), u, normal(batch, channels, modes)


def close(one, other, bound=1e-12):
    for x, y in zip(one, other, strict=True):
        np.testing.assert_allclose(x, y, rtol=bound, atol=bound)


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("length", [1, 2, 16, 37])
def test_recurrence_convolution_and_chunks_are_one_function(length, imaginary):
    arguments = draw(length, imaginary=imaginary)
    expected = reference.ssm_scan(*arguments)
    close(reference.ssm_convolution(*arguments), expected)
    for chunk in CHUNKS:
        close(reference.ssm_scan_chunked(*arguments, chunk=chunk), expected)
        close(reference.ssm_convolution_chunked(*arguments, chunk=chunk), expected)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_recurrence_that_changes_in_time_is_its_chunks(chunk):
    arguments = draw(37, varying=True)
    close(reference.ssm_scan_chunked(*arguments, chunk=chunk), reference.ssm_scan(*arguments))


def test_the_carried_state_enters_decayed_once_in_every_chunk():
    """[C, C A, ...] in place of [C A, C A^2, ...] is the slip that one chunk alone does not show."""
    *system, u, _ = draw(12)
    A_bar, _, C = system
    expected = reference.ssm_scan(*system, u)[0]
    local, x = reference.ssm_scan(*system, u[:, :6])
    decay = np.stack([A_bar**j for j in range(7)])
    second = reference.ssm_scan(*system, u[:, 6:])[0]

    def joined(powers):
        return np.concatenate([local, second + np.einsum("tdn,bdn->btd", C * powers, x).real], 1)

    close([joined(decay[1:])], [expected])
    slipped = np.abs(joined(decay[:-1]) - expected).max(axis=(0, 2))
    assert (slipped[:6] < 1e-12).all()
    assert (slipped[6:] > 1e-3).all()


def test_scipy_reads_the_state_before_the_input_enters():
    """Its y_k is C x_k + D u_k with x_{k+1} = A x_k + B u_k: one step behind ours, which D = C B makes up for."""
    A_bar, B_bar, C, u, _ = draw(20, batch=1, channels=1, imaginary=False)
    ours = reference.ssm_scan(A_bar, B_bar, C, u)[0][0, :, 0]
    A, B = np.diag(A_bar[0]), B_bar.T
    _, behind, _ = dlsim((A, B, C, np.zeros((1, 1)), 1.0), u[0])
    assert behind[0, 0] == 0
    np.testing.assert_allclose(behind[1:, 0], ours[:-1], rtol=1e-12, atol=1e-12)
    _, level, _ = dlsim((A, B, C @ A, C @ B, 1.0), u[0])
    np.testing.assert_allclose(level[:, 0], ours, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("varying", [False, True])
def test_gradients_are_slopes(varying, imaginary):
    arguments = draw(7, imaginary=imaginary, varying=varying)
    y, last = reference.ssm_scan(*arguments)
    generator = np.random.default_rng(1)
    grad_y, grad_last = (
        generator.standard_normal(y.shape),
        1j * np.ones(last.shape) if imaginary else 1.0 + 0 * last,
    )

    def loss(arguments):
        y, last = reference.ssm_scan(*arguments)
        return (grad_y * y).sum() + (grad_last.conj() * last).sum().real

    gradients = reference.ssm_scan_gradients(*arguments, grad_y, grad_last)
    for i, gradient in enumerate(gradients):
        for direction in (1, 1j) if np.iscomplexobj(arguments[i]) else (1,):
            noise = direction * generator.standard_normal(arguments[i].shape)
            ahead, behind = (
                loss([x + s * noise if j == i else x for j, x in enumerate(arguments)]) for s in (1e-6, -1e-6)
            )
            np.testing.assert_allclose(
                (ahead - behind) / 2e-6, np.vdot(gradient, noise).real, rtol=1e-6, atol=1e-7
            )


def test_one_state_for_all_channels_is_a_bank_when_its_matrices_are_blocks():
    """S5 is S4D where each mode has one input and one output."""
    A_bar, B_bar, C, u, state = draw(15)
    channels, modes = A_bar.shape
    blocks = np.repeat(np.eye(channels), modes, axis=0)  # (D N, D)
    found = reference.ssm_mimo(
        A_bar.ravel(),
        blocks * B_bar.reshape(-1, 1),
        blocks.T * C.reshape(1, -1),
        u,
        state.reshape(len(u), -1),
    )
    y, last = reference.ssm_scan(A_bar, B_bar, C, u, state)
    close(found, (y, last.reshape(len(u), -1)))


def test_both_ways_is_a_run_and_a_run_of_the_reversed():
    A_bar, B_bar, C = draw(1, batch=1, channels=4, modes=3)[:3]
    u = np.random.default_rng(0).standard_normal((2, 9, 4))
    A_bar, B_bar = A_bar[0], B_bar.T
    found = reference.ssm_mimo(A_bar, B_bar, C, u, reverse=True)
    y, last = reference.ssm_mimo(A_bar, B_bar, C, u[:, ::-1])
    close(found, (y[:, ::-1], last))
