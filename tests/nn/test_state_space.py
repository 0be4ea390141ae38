"""Layers with a state-space model: ways to run them agree, and models that are one agree."""

import numpy as np
import pytest
import torch
from scipy import signal
from scipy.special import ndtr

from seqlab.nn import DSS, GSS, S4, S4D, S5, DiagonalSSM, SequenceModel
from seqlab.nn import eigenvalues as lists
from seqlab.ops import causal_convolution, ssm_kernel
from seqlab.ops.discretize.reference import discretize
from seqlab.ops.ssm.reference import ssm_scan
from seqlab.ops.vandermonde.reference import dss_kernel

WIDTH, STATES = 3, 4
MODES = DiagonalSSM.modes
SLOW = {"dt_min": 0.01, "dt_max": 0.3}

LAYERS = {
    "S4": lambda: S4(WIDTH, STATES, **SLOW),
    **{
        f"S4D, {init}, {method}": lambda init=init, method=method: S4D(WIDTH, STATES, init, method, **SLOW)
        for init in ("lin", "inv", "legs", "real")
        for method in ("zoh", "bilinear")
    },
    "DSS, exp": lambda: DSS(WIDTH, STATES, "exp", **SLOW),
    "DSS, softmax": lambda: DSS(WIDTH, STATES, "softmax", length=50, **SLOW),
    "S5": lambda: S5(WIDTH, STATES, blocks=2, **SLOW),
    "GSS": lambda: GSS(WIDTH, STATES, inner=2, gated=5),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, dtype=torch.float64):
    torch.manual_seed(0)
    return LAYERS[name]().to(dtype)


def noise(length, batch=2, width=WIDTH, seed=1):
    return torch.randn(
        batch, length, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def in_mode(layer, mode, u, state=None):
    """The layer's outputs and state in one of its modes, and where it has no chunks, by its recurrence."""
    inner = getattr(layer, "ssm", layer)
    inner.mode = "recurrence" if isinstance(inner, S4 | S5) and mode == "chunks" else mode
    return layer(u, state)


def step_by_step(layer, u, state=None):
    outputs = []
    for u_t in u.unbind(1):
        y_t, state = layer.step(u_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1), state


@every_layer
def test_a_mode_that_there_is_none_of_is_refused_when_it_runs(name):
    with pytest.raises(ValueError, match=r"^mode: expected one of .*'recurrence'.*, got 'convolve'"):
        in_mode(make(name), "convolve", noise(3))


@every_layer
@pytest.mark.parametrize("length", [1, 7, 64, 203])
def test_every_mode_and_the_steps_agree(name, length):
    """Up to four chunks, the last a ragged one, from a carried state."""
    layer = make(name)
    _, carried = layer(noise(5, seed=2))
    for state in (None, carried):
        expected = step_by_step(layer, noise(length), state)
        for mode in MODES:
            found = in_mode(layer, mode, noise(length), state)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@every_layer
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_the_steps(name, mode):
    layer, u = make(name), noise(70).requires_grad_()
    leaves = [u, *layer.parameters()]
    weights = noise(70, seed=3)

    def gradients(y, state):
        loss = (weights * y).sum() + state.abs().square().sum()
        return torch.autograd.grad(loss, leaves, allow_unused=True)

    _, carried = layer(noise(5, seed=2))
    carried = carried.detach()
    found = gradients(*in_mode(layer, mode, u, carried))
    expected = gradients(*step_by_step(layer, u, carried))
    for x, y in zip(found, expected, strict=True):
        assert (x - y).norm() <= 1e-9 * y.norm() + 1e-12


@every_layer
@pytest.mark.parametrize("mode", MODES)
def test_in_pieces_each_from_the_state_before(name, mode):
    layer, u = make(name), noise(150)
    whole, last = in_mode(layer, mode, u)
    pieces, state = [], None
    for piece in u.split([1, 64, 0 + 70, 15], dim=1):
        y, state = in_mode(layer, mode, piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, last, rtol=1e-10, atol=1e-10)


@every_layer
@pytest.mark.parametrize("mode", MODES)
def test_no_output_depends_on_a_later_input(name, mode):
    layer, u = make(name), noise(100, batch=1).requires_grad_()
    (gradient,) = torch.autograd.grad(in_mode(layer, mode, u)[0][0, 40].sum(), u)
    later, earlier = gradient[0, 41:].abs().max(), gradient[0, :41].abs().amin(0).max()
    assert later <= 1e-14 * gradient.abs().max()
    assert earlier > 1e-9


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "GSS"])
@pytest.mark.parametrize("mode", MODES)
def test_it_is_linear_and_does_not_change_with_time(name, mode):
    layer, u, v = make(name), noise(90), noise(90, seed=2)
    y, z = (in_mode(layer, mode, x)[0] for x in (u, v))
    together = in_mode(layer, mode, 2.5 * u - 3 * v)[0]
    torch.testing.assert_close(together, 2.5 * y - 3 * z, rtol=0, atol=1e-11)
    later = torch.nn.functional.pad(u, (0, 0, 9, 0))[:, :90]
    moved = torch.nn.functional.pad(y, (0, 0, 9, 0))[:, :90]
    torch.testing.assert_close(in_mode(layer, mode, later)[0], moved, rtol=0, atol=1e-11)


def test_a_gated_layer_is_not_linear():
    layer, u = make("GSS"), noise(9)
    assert (layer(2 * u)[0] - 2 * layer(u)[0]).norm() > 0.1 * layer(u)[0].norm()


@every_layer
@pytest.mark.parametrize("mode", MODES)
def test_generation_from_a_trained_layer_is_its_forward_pass(name, mode):
    """Trained at 33 steps, run at 33, fewer and many more: in float32, as a reader would."""
    torch.manual_seed(0)
    model = SequenceModel(lambda _: make(name, torch.float32), 1, WIDTH, 1, 1, pool=False)
    layer = model.blocks[0].layer
    getattr(layer, "ssm", layer).mode = "recurrence" if name in ("S4", "S5") and mode == "chunks" else mode
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    u = torch.randn(8, 33, 1, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        loss = (model(u) - u.cumsum(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for length in (5, 33, 100):
            v = noise(length).float()
            y, last = layer(v)
            steps, state = step_by_step(layer, v)
            assert (y - steps).norm() < 2e-5 * steps.norm()
            assert (last - state).norm() < 2e-5 * state.norm()


def numpy_system(layer):
    return [x.detach().numpy() for x in layer.system()]


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize("init", ["lin", "inv", "legs", "real"])
def test_s4d_is_its_equations_in_numpy(init, method):
    layer, u = make(f"S4D, {init}, {method}"), noise(20)
    names = {"lin": "s4d_lin", "inv": "s4d_inv", "legs": "hippo_legs_normal", "real": "s4d_real"}
    a = getattr(lists, names[init])(STATES)
    p = {name: x.detach().numpy() for name, x in layer.named_parameters()}
    A = np.broadcast_to(a, (WIDTH, STATES))
    A_bar, B_bar = discretize(A, np.ones_like(A), np.exp(p["log_dt"]), method, diagonal=True)
    C = 2 * (p["C_re"] + 1j * p["C_im"])
    y, last = ssm_scan(A_bar, B_bar, C, u.numpy())
    found, state = layer(u)
    # The parameters of a layer are made in float32.
    np.testing.assert_allclose(found.detach(), y + p["D"] * u.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(state.detach(), last, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_scipy_has_the_same_outputs_one_sample_earlier(method):
    """dlsim reads y from the state before the input enters: y_{t+1} there is y_t here, less D u_t."""
    layer = make(f"S4D, legs, {method}")
    A, B, C = (x[0] for x in numpy_system(layer))
    real = np.block([[np.diag(A.real), -np.diag(A.imag)], [np.diag(A.imag), np.diag(A.real)]])
    into, out = np.concatenate([B.real, B.imag])[:, None], np.concatenate([C.real, -C.imag])[None]
    u = noise(30, batch=1)
    y = (layer(u)[0] - layer.D * u)[0, :, 0].detach()
    _, theirs, _ = signal.dlsim(signal.StateSpace(real, into, out, np.zeros((1, 1)), dt=1), u[0, :, :1])
    np.testing.assert_allclose(theirs[1:, 0], y[:-1], rtol=0, atol=1e-12)
    assert np.abs(theirs[:, 0] - y.numpy()).max() > 0.01


def test_dss_is_s4d_with_its_c_rescaled():
    """Both normalizations: K by the paper's formulas, and the S4D that has the same kernel."""
    length = 50
    for name in ("DSS, exp", "DSS, softmax"):
        dss = make(name)
        Lambda, dt = dss.eigenvalues.detach(), dss.log_dt.detach().exp()
        W = torch.complex(dss.C_re, dss.C_im).detach()
        K = dss_kernel(Lambda.numpy(), W.numpy(), dt.numpy(), length, dss.normalization)
        K = torch.from_numpy(K)
        torch.testing.assert_close(dss.kernel(length), K, rtol=1e-9, atol=1e-9)
        rescaled = W if name == "DSS, exp" else W / (torch.exp(dt[:, None] * Lambda * length) - 1)
        s4d = make("S4D, legs, zoh")
        with torch.no_grad():
            s4d.A_log.copy_(torch.log(-Lambda.real))
            s4d.A_im.copy_(Lambda.imag)
            s4d.log_dt.copy_(dss.log_dt)
            s4d.C_re.copy_(rescaled.real / 2)
            s4d.C_im.copy_(rescaled.imag / 2)
        torch.testing.assert_close(s4d.kernel(length), K, rtol=1e-9, atol=1e-9)


def test_gss_is_its_equations():
    """In NumPy: a DSS of few channels, by its kernel and a sum over the past, within a gate."""
    layer, u = make("GSS"), noise(12)
    p = {name: x.detach().numpy() for name, x in layer.named_parameters()}

    def gelu(x):
        return x * ndtr(x)

    x = gelu(u.numpy() @ p["into.weight"].T)
    Lambda = -np.exp(p["ssm.Lambda_re"]) + 1j * p["ssm.Lambda_im"]
    K = dss_kernel(Lambda, p["ssm.C_re"] + 1j * p["ssm.C_im"], np.exp(p["ssm.log_dt"]), 12, "exp")
    s = np.stack([sum(K[:, j] * x[:, t - j] for j in range(t + 1)) for t in range(12)], axis=1)
    s = (s + p["ssm.D"] * x) @ p["read.weight"].T
    y = (gelu(u.numpy() @ p["gate.weight"].T) * s) @ p["out.weight"].T
    np.testing.assert_allclose(layer(u)[0].detach(), y, rtol=1e-9, atol=1e-12)


def test_the_softmax_bounds_a_kernel_that_would_grow():
    """Re Λ > 0: the sum of the kernel's moduli over its length stays that of W / Λ."""
    torch.manual_seed(0)
    layer = DSS(1, 1, "softmax", length=40, dt_min=0.5, dt_max=0.5).double()
    torch.nn.init.constant_(layer.Lambda_re, 1.0)
    torch.nn.init.constant_(layer.Lambda_im, 0.0)
    K = layer.kernel(40)
    torch.testing.assert_close(K.sum(), layer.C_re.sum(), rtol=1e-9, atol=0)
    assert K.abs().max() < layer.C_re.abs().sum()


def test_s5_is_a_bank_of_s4d_where_its_b_and_c_are_blocked():
    """Each channel feeds and reads modes of its own."""
    s4d = make("S4D, legs, zoh")
    torch.manual_seed(1)
    s5 = S5(WIDTH, WIDTH * STATES, blocks=WIDTH).double()
    channel = torch.arange(WIDTH).repeat_interleave(STATES)
    own = torch.nn.functional.one_hot(channel, WIDTH).double()
    with torch.no_grad():
        s5.A_log.copy_(s4d.A_log.flatten())
        s5.A_im.copy_(s4d.A_im.flatten())
        s5.log_dt.copy_(s4d.log_dt[channel])
        s5.B_re.copy_(own)
        s5.B_im.zero_()
        s5.C_re.copy_(own.T * s4d.C_re.flatten())
        s5.C_im.copy_(own.T * s4d.C_im.flatten())
        s5.D.copy_(s4d.D)
    u = noise(40)
    y, state = s4d(u)
    for mode in ("recurrence", "convolution"):
        found, last = in_mode(s5, mode, u)
        torch.testing.assert_close(found, y, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(last, state.flatten(1), rtol=1e-10, atol=1e-10)


def test_the_sign_of_the_frequencies_makes_no_difference():
    """Conjugating A and C changes no output, as the real part is taken."""
    layer, u = make("S4D, legs, zoh"), noise(30)
    y, state = layer(u)
    with torch.no_grad():
        layer.A_im.neg_()
        layer.C_im.neg_()
    found, conjugate = layer(u)
    torch.testing.assert_close(found, y, rtol=0, atol=1e-12)
    torch.testing.assert_close(conjugate, state.conj(), rtol=0, atol=1e-12)


def test_the_kernel_is_the_response_to_an_impulse():
    layer = make("S4D, inv, bilinear")
    impulse = torch.zeros(1, 60, WIDTH, dtype=torch.float64)
    impulse[:, 0] = 1
    y = layer(impulse)[0] - layer.D * impulse
    torch.testing.assert_close(y[0].T, layer.kernel(60), rtol=0, atol=1e-12)
    u = noise(60)
    y = causal_convolution(u, ssm_kernel(*layer.system(), 60)) + layer.D * u
    torch.testing.assert_close(layer(u)[0], y, rtol=0, atol=1e-11)


def test_s4d_starts_from_the_eigenvalues_of_a_reader():
    a = np.array([-0.5 + 3j, -2.0, -0.1 - 7j])
    layer = S4D.from_eigenvalues(2, a)
    assert layer.state_size == 3
    np.testing.assert_allclose(layer.eigenvalues.detach(), np.broadcast_to(a, (2, 3)), rtol=1e-6)
    for wrong in ([-1.0, 0.5], [0.0], [1j]):
        with pytest.raises(ValueError, match="eigenvalues: expected Re < 0 for all, got"):
            S4D.from_eigenvalues(2, wrong)


def test_steps_are_drawn_between_the_ends():
    log_dt = S4D(4000, 1, dt_min=1e-3, dt_max=1e-1).log_dt.detach()
    assert np.log(1e-3) <= log_dt.min() < -6.8
    assert -2.4 < log_dt.max() <= np.log(1e-1) + 1e-6
    assert abs(log_dt.mean() - np.log(1e-2)) < 0.1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: S4D(4, 4, init="lagt"), ValueError, "init: expected one of 'lin', 'inv', 'legs', 'real'"),
        (lambda: S4D(4, 4, discretization="euler"), ValueError, "discretization: expected one of"),
        (lambda: S4D(4, 4, mode="fft"), ValueError, "mode: expected one of 'chunks'"),
        (lambda: S4D(4, 4, dt_min=0), ValueError, "dt_min: expected a positive number"),
        (lambda: S4D(4, 4, dt_min=0.2), ValueError, "dt_min, dt_max: expected dt_min <= dt_max"),
        (lambda: DSS(4, 4, "softmax"), TypeError, "length: expected an integer"),
        (lambda: DSS(4, 4, "exp", length=8), ValueError, "length: expected None with 'exp', got 8"),
        (lambda: DSS(4, 4, "max"), ValueError, "normalization: expected one of"),
        (lambda: S4(4, 4, mode="chunks"), ValueError, "mode: expected one of 'convolution', 'recurrence'"),
        (lambda: S5(4, 6, blocks=4), ValueError, "blocks: expected a divisor of state_size = 6, got 4"),
        (lambda: S5(4, 6, mode="chunks"), ValueError, "mode: expected one of 'recurrence', 'convolution'"),
    ],
)
def test_bad_construction(make, error, message):
    with pytest.raises(error, match=message):
        make()
