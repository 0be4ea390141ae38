"""hippo_project as a PyTorch op: equal to its reference, resumable, causal, registered, strict about its input."""

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from seqlab import ops
from seqlab.ops.backends import has_triton
from seqlab.ops.hippo import reference
from seqlab.ops.hippo.reference import MEASURES, METHODS

every_measure = pytest.mark.parametrize("measure", MEASURES)
# Every measure has the portable form, and LegS a kernel.
FORMS = [(measure, "portable") for measure in MEASURES]
FORMS += [pytest.param("legs", "triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))]
every_form = pytest.mark.parametrize(("measure", "backend"), FORMS)


def signal(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@every_measure
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 26])
@pytest.mark.parametrize("return_all", [True, False])
def test_portable_form_is_the_reference(measure, method, length, return_all):
    f, state = signal(2, length, 3), signal(2, 3, 5, seed=1)
    options = {"theta": 0.8, "dt": 0.1, "start": 4, "return_all": return_all}
    expected = reference.hippo_project(f.numpy(), 5, measure, method, state=state.numpy(), **options)
    found = ops.hippo_project(f, 5, measure, method, state=state, **options)
    for value, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(value.numpy(), truth, rtol=1e-10, atol=1e-11 * np.abs(truth).max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("return_all", [True, False])
def test_portable_form_is_the_reference_at_high_order(method, return_all):
    """LegS then walks all steps as one chunk."""
    f, state = signal(1, 26, 2), signal(1, 2, 100, seed=1)
    options = {"method": method, "start": 4000, "return_all": return_all}
    expected = reference.hippo_project(f.numpy(), 100, state=state.numpy(), **options)
    found = ops.hippo_project(f, 100, state=state, **options)
    for value, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(value.numpy(), truth, rtol=1e-10, atol=1e-11 * np.abs(truth).max())


@every_form
def test_split_and_resume_is_whole(measure, backend):
    f = signal(2, 20, 2, dtype=torch.float32)
    options = {"measure": measure, "theta": 0.5, "dt": 0.05, "backend": backend}
    c, last = ops.hippo_project(f, 4, **options)
    first, state = ops.hippo_project(f[:, :7], 4, **options)
    second, end = ops.hippo_project(f[:, 7:], 4, state=state, start=7, **options)
    torch.testing.assert_close(torch.cat([first, second], dim=1), c, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(end, last, rtol=1e-5, atol=1e-6)


@every_measure
def test_last_alone_is_the_last_of_all(measure):
    f = signal(2, 37, 3)
    c, last = ops.hippo_project(f, 6, measure)
    alone, state = ops.hippo_project(f, 6, measure, return_all=False)
    torch.testing.assert_close(alone, c[:, -1])
    torch.testing.assert_close(state, last)


@every_measure
@pytest.mark.parametrize("method", METHODS)
def test_step_is_one_step(measure, method):
    f, state = signal(2, 5, 3), None
    c, _ = ops.hippo_project(f, 4, measure, method, theta=2.0, dt=0.3)
    for k in range(5):
        c_t, state = ops.hippo_project_step(f[:, k], 4, measure, method, 2.0, state, dt=0.3, start=k)
        torch.testing.assert_close(c_t, c[:, k], rtol=1e-10, atol=1e-11)


@every_form
def test_coefficients_depend_on_the_past_alone(measure, backend):
    f = signal(1, 12, 1, dtype=torch.float32).requires_grad_()
    c, _ = ops.hippo_project(f, 3, measure, backend=backend)
    for k in (0, 5, 11):
        (gradient,) = torch.autograd.grad(c[:, k].sum(), f, retain_graph=True)
        assert not gradient[:, k + 1 :].any()
        assert gradient[:, k].all()


@every_measure
@pytest.mark.parametrize("return_all", [True, False])
@pytest.mark.parametrize("length", [1, 2, 11])
def test_gradients_are_those_of_finite_differences(measure, return_all, length):
    f = signal(2, length, 2).requires_grad_()
    state = signal(2, 2, 4, seed=1).requires_grad_()

    def project(f, state):
        return ops.hippo_project(
            f, 4, measure, state=state, dt=0.1, theta=0.7, start=3, return_all=return_all
        )

    assert torch.autograd.gradcheck(project, (f, state))


@pytest.mark.parametrize("return_all", [True, False])
def test_gradients_are_the_transpose_at_high_order(return_all):
    f, state = signal(1, 11, 2).requires_grad_(), signal(1, 2, 100, seed=1).requires_grad_()
    g, other = signal(1, 11, 2, seed=2), signal(1, 2, 100, seed=3)
    c, last = ops.hippo_project(f, 100, state=state, start=3, return_all=return_all)
    weights = torch.randn_like(c), torch.randn_like(last)
    grad_f, grad_state = torch.autograd.grad((c, last), (f, state), weights)
    found = ops.hippo_project(g, 100, state=other, start=3, return_all=return_all)
    forward = sum((w * x).sum() for w, x in zip(weights, found, strict=True))
    torch.testing.assert_close((grad_f * g).sum() + (grad_state * other).sum(), forward)


@every_form
def test_projection_is_linear_in_signal_and_state(measure, backend):
    f, g = signal(1, 10, 2, dtype=torch.float32), signal(1, 10, 2, dtype=torch.float32, seed=1)
    s, t = signal(1, 2, 4, dtype=torch.float32, seed=2), signal(1, 2, 4, dtype=torch.float32, seed=3)
    options = {"measure": measure, "dt": 0.1, "start": 2, "backend": backend}
    both, _ = ops.hippo_project(2 * f - g, 4, state=2 * s - t, **options)
    one, _ = ops.hippo_project(f, 4, state=s, **options)
    other, _ = ops.hippo_project(g, 4, state=t, **options)
    torch.testing.assert_close(both, 2 * one - other, rtol=1e-4, atol=1e-5)


@every_form
def test_non_contiguous_signal_is_accepted(measure, backend):
    f = signal(2, 3, 9, dtype=torch.float32).transpose(1, 2)
    c, _ = ops.hippo_project(f, 4, measure, backend=backend)
    expected, _ = ops.hippo_project(f.contiguous(), 4, measure, backend=backend)
    torch.testing.assert_close(c, expected)


@every_form
def test_not_a_number_stays_from_where_it_is(measure, backend):
    f = torch.zeros(1, 12, 2)
    f[0, 6, 1] = torch.nan
    c, last = ops.hippo_project(f, 4, measure, backend=backend)
    if measure == "legs":  # the other measures are products of matrices
        assert torch.isfinite(c[:, :6]).all()
    assert torch.isfinite(c[..., 0, :]).all()
    assert torch.isnan(c[:, 6:, 1]).all()
    assert torch.isnan(last[:, 1]).all()


@every_form
def test_a_gradient_that_is_not_a_number_stays_before_where_it_is(measure, backend):
    f = signal(1, 9, 1, dtype=torch.float32).requires_grad_()
    c, _ = ops.hippo_project(f, 4, measure, dt=0.1, backend=backend)
    weights = torch.ones_like(c)
    weights[0, 3] = torch.nan
    (grad_f,) = torch.autograd.grad(c, f, weights)
    assert grad_f[0, :4].isnan().all()
    if measure == "legs":
        assert grad_f[0, 4:].isfinite().all()


@pytest.mark.thorough  # one of these forms, and its gradient: tests/ops/shared/test_every_op_registration.py
@pytest.mark.parametrize("return_all", [True, False])
@pytest.mark.parametrize("measure", ["legs", "fourier"])
def test_registration_passes_opcheck(measure, return_all):
    f, state = signal(2, 7, 2).requires_grad_(), signal(2, 2, 3, seed=1).requires_grad_()
    arguments = (f, state, 3, measure, "bilinear", 1.0, 0.1, 2, return_all, "portable")
    torch.library.opcheck(torch.ops.seqlab.hippo_project.default, arguments)


def test_the_registration_of_a_step_passes_opcheck():
    f_t, state = signal(2, 2).requires_grad_(), signal(2, 2, 3, seed=1).requires_grad_()
    arguments = (f_t, state, 3, "legs", "bilinear", 0.1, 2, "portable")
    torch.library.opcheck(torch.ops.seqlab.hippo_project_step.default, arguments)


@pytest.mark.parametrize("measure", ["legs", "legt"])
@pytest.mark.parametrize("dynamic", [None, True])
def test_one_graph_serves_all_lengths(measure, dynamic):
    """With dt of 1 / L too, which is no constant of the graph."""
    graphs = CompileCounter()
    compiled = torch.compile(
        lambda f: ops.hippo_project(f, 4, measure)[0], fullgraph=True, dynamic=dynamic, backend=graphs
    )
    for length in (8, 12, 20, 33, 50, 64):
        f = signal(2, length, 3)
        torch.testing.assert_close(compiled(f), ops.hippo_project(f, 4, measure)[0])
    assert graphs.frame_count <= 2


@every_measure
def test_a_compiled_step_goes_through_time_in_one_graph(measure):
    graphs = CompileCounter()
    compiled = torch.compile(
        lambda f_t, state, start: ops.hippo_project_step(f_t, 4, measure, state=state, start=start)[1],
        fullgraph=True,
        backend=graphs,
    )
    f, state = signal(2, 8, 3), signal(2, 3, 4)
    plain = fast = state
    for k in range(8):
        _, plain = ops.hippo_project_step(f[:, k], 4, measure, state=plain, start=k + 1)
        fast = compiled(f[:, k], fast, k + 1)
        torch.testing.assert_close(fast, plain)
    assert graphs.frame_count <= 2


@every_measure
def test_a_call_in_inference_mode_leaves_later_training_alone(measure):
    ops.clear_cache()
    f = signal(2, 6, 3)
    with torch.inference_mode():
        ops.hippo_project(f, 4, measure)
        ops.hippo_project_step(f[:, 0], 4, measure)
    leaf = f.clone().requires_grad_()
    c, _ = ops.hippo_project(leaf, 4, measure)
    c_t, state = ops.hippo_project_step(leaf[:, 0], 4, measure)
    (c.sum() + c_t.sum() + state.sum()).backward()
    assert leaf.grad.abs().sum() > 0


@every_measure
def test_a_step_returns_two_tensors(measure):
    f = signal(2, 3, dtype=torch.float32)
    c_t, state = ops.hippo_project_step(f, 4, measure)
    before = state.clone()
    c_t.zero_()
    assert torch.equal(state, before)


@pytest.mark.parametrize(
    ("measure", "order", "theta"), [("lagt", 16, 784.0), ("legt", 32, 1e4), ("fourier", 33, 1e4)]
)
def test_float32_steps_keep_their_digits_over_a_long_window(measure, order, theta):
    f, state = signal(1, 3000, 1), None
    truth, _ = reference.hippo_project(f.numpy(), order, measure, theta=theta, dt=1.0, return_all=False)
    for k, f_t in enumerate(f.float().unbind(1)):
        _, state = ops.hippo_project_step(f_t, order, measure, theta=theta, dt=1.0, state=state, start=k)
    whole, _ = ops.hippo_project(f.float(), order, measure, theta=theta, dt=1.0, return_all=False)
    for found in (state, whole):
        assert np.linalg.norm(found.numpy() - truth) < 1e-5 * np.linalg.norm(truth)


@every_measure
def test_autocast_changes_nothing(measure):
    f = signal(2, 9, 3, dtype=torch.float32)
    expected = *ops.hippo_project(f, 4, measure), *ops.hippo_project_step(f[:, 0], 4, measure)
    points = torch.linspace(0, 1, 5)
    seen = ops.hippo_reconstruct(expected[0], points, measure)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = *ops.hippo_project(f, 4, measure), *ops.hippo_project_step(f[:, 0], 4, measure)
        assert torch.equal(ops.hippo_reconstruct(expected[0], points, measure), seen)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        assert torch.equal(x, y)


@every_measure
def test_reconstruction_is_the_reference_and_differentiable(measure):
    c, s = signal(2, 3, 7), torch.rand(11, dtype=torch.float64)
    expected = reference.hippo_reconstruct(c.numpy(), s.numpy(), measure)
    np.testing.assert_allclose(ops.hippo_reconstruct(c, s, measure).numpy(), expected, rtol=1e-9, atol=1e-11)
    assert torch.autograd.gradcheck(
        lambda c, s: ops.hippo_reconstruct(c, s, measure), (c.requires_grad_(), s.requires_grad_())
    )


@every_measure
def test_transition_is_the_reference(measure):
    for value, truth in zip(
        ops.hippo_transition(measure, 9), reference.hippo_transition(measure, 9), strict=True
    ):
        np.testing.assert_array_equal(value.numpy(), truth)


@every_measure
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("order", [8, 128])
def test_reconstruction_in_half_precision(measure, dtype, order):
    c, s = signal(3, order, dtype=dtype), torch.linspace(0, 1, 101).to(dtype)
    expected = reference.hippo_reconstruct(c.double().numpy(), s.double().numpy(), measure)
    found = ops.hippo_reconstruct(c, s, measure)
    assert found.dtype == dtype
    assert np.linalg.norm(found.double().numpy() - expected) < 1e-2 * np.linalg.norm(expected)


def test_numbers_of_numpy_are_numbers():
    f = signal(1, 5, 2)
    expected, _ = ops.hippo_project(f, 4, "legt", theta=2.0, dt=0.5, start=3)
    numbers = {"theta": np.float32(2), "dt": np.float64(0.5), "start": np.int32(3), "return_all": np.True_}
    found, _ = ops.hippo_project(f, np.int64(4), "legt", **numbers)
    assert torch.equal(found, expected)


F, S = torch.zeros(2, 5, 3), torch.zeros(2, 3, 4)
WRONG = [
    (TypeError, "f: expected a torch.Tensor, got list", {"f": [1.0]}),
    (TypeError, "f: expected one of .* got torch.int64", {"f": F.long()}),
    (ValueError, r"f: expected shape \(batch, length, channels\), got \(5, 3\)", {"f": F[0]}),
    (ValueError, r"f: expected every axis to be at least 1 long, got \(2, 0, 3\)", {"f": F[:, :0]}),
    (TypeError, "N: expected an integer, got float", {"N": 4.0}),
    (ValueError, "N: expected an integer from 1 .*, got 0", {"N": 0}),
    (ValueError, "measure: expected one of .* got 'hermite'", {"measure": "hermite"}),
    (ValueError, "method: expected one of .* got 'foh'", {"method": "foh"}),
    (ValueError, "theta: expected a positive number, got 0", {"theta": 0.0}),
    (TypeError, "theta: expected a number, got str", {"theta": "1"}),
    (ValueError, "dt: expected a positive number, got -1", {"dt": -1.0}),
    (TypeError, "start: expected an integer, got float", {"start": 1.5}),
    (ValueError, "start: expected an integer from 0 .*, got -1", {"start": -1}),
    (ValueError, "start: expected less than 2.53", {"start": 2**60}),
    (TypeError, "return_all: expected True or False, got str", {"return_all": "no"}),
    (ValueError, "theta: expected a positive number, got inf", {"theta": 10**400}),
    (TypeError, "state: expected a torch.Tensor, got int", {"state": 3, "start": 1}),
    (TypeError, "state: expected dtype torch.float32 for", {"state": S.double(), "start": 1}),
    (ValueError, r"state: expected shape \(batch, channels, N\) = \(2, 3, 4\)", {"state": S[1:], "start": 1}),
    (ValueError, "state: expected device cpu like f, got meta", {"state": S.to("meta"), "start": 1}),
    (ValueError, "start: expected how many samples state has seen", {"state": S}),
    (ValueError, "dt: expected the time between two samples", {"state": S, "measure": "legt"}),
    (ValueError, "backend: expected one of", {"backend": "cuda"}),
]
if has_triton():
    WRONG += [
        (
            ValueError,
            "backend: 'triton' computes legs by one of .* 'zoh' needs",
            {"backend": "triton", "method": "zoh"},
        ),
        (
            TypeError,
            "backend: 'triton' computes .* torch.float64 needs",
            {"backend": "triton", "f": F.double()},
        ),
    ]


@pytest.mark.parametrize(("error", "message", "arguments"), WRONG)
def test_wrong_input_is_named(error, message, arguments):
    with pytest.raises(error, match=message):
        ops.hippo_project(**{"f": F, "N": 4, **arguments})


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "c: expected one of float16, ", {"c": torch.zeros(4, dtype=torch.int64)}),
        (TypeError, "c: expected one of float16, ", {"c": torch.zeros(4, dtype=torch.float8_e5m2)}),
        (ValueError, r"c: expected shape \(\.\.\., order\)", {"c": torch.zeros(())}),
        (ValueError, "c: expected every axis to be at least 1 long", {"c": torch.zeros(0, 3, 4)}),
        (ValueError, "points: expected every axis to be at least 1 long", {"points": torch.zeros(0)}),
        (
            ValueError,
            r"points: expected shape \(points,\) like c, got \(2, 2\)",
            {"points": torch.zeros(2, 2)},
        ),
        (TypeError, "points: expected dtype torch.float32 like c", {"points": torch.zeros(2).double()}),
        (TypeError, "points: expected a torch.Tensor, got list", {"points": [0.5]}),
        (ValueError, "measure: expected one of", {"measure": "legendre"}),
    ],
)
def test_wrong_input_of_the_reconstruction_is_named(error, message, arguments):
    with pytest.raises(error, match=message):
        ops.hippo_reconstruct(**{"c": torch.zeros(4), "points": torch.zeros(2), **arguments})


def test_step_names_its_own_argument():
    with pytest.raises(ValueError, match=r"f_t: expected shape \(batch, channels\), got \(2, 5, 3\)"):
        ops.hippo_project_step(F, 4)
    with pytest.raises(TypeError, match="dt: expected a number, got NoneType"):
        ops.hippo_project_step(F[:, 0], 4, dt=None)
    with pytest.raises(ValueError, match=r"state: expected shape .* = \(2, 3, 4\) like f_t, got \(2, 3, 5\)"):
        ops.hippo_project_step(F[:, 0], 4, state=torch.zeros(2, 3, 5), start=1)
