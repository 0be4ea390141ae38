"""A complex A: what its kernel has in common with the real one, and what only it can do."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.catalogue import PAIRINGS, Workload, sizes
from seqlab.ops.backends import has_triton

BACKENDS = ("portable", *(("triton",) if has_triton() else ()))
both = pytest.mark.parametrize("backend", BACKENDS)
with_kernel = pytest.mark.skipif(not has_triton(), reason="no Triton")
SIZES = sizes(2, 11, 3, states=3)
OF_MODES = ("A", "B", "C", "state")


def drawn(name, seed=0, **other):
    (sample,) = (sample for sample in PAIRINGS["selective_scan"].samples if sample.name == name)
    arguments = sample.draw(np.random.default_rng(seed), {**SIZES, **other})
    return {
        key: torch.from_numpy(x).to(torch.complex64 if np.iscomplexobj(x) else torch.float32)
        if isinstance(x, np.ndarray)
        else x
        for key, x in arguments.items()
    }


def outputs_and_gradients(arguments, backend, weigh=(1.0, 1.0)):
    """Both outputs, and the gradients of a real loss of them, ``weigh`` for each."""
    leaves = {key: x.clone().requires_grad_() for key, x in arguments.items() if isinstance(x, torch.Tensor)}
    y, last = ops.selective_scan(**{**arguments, **leaves}, backend=backend)
    random = torch.Generator().manual_seed(3)
    loss = 0
    for weight, x in zip(weigh, (y, last), strict=True):
        dx = torch.randn(x.shape, generator=random)
        loss = loss + weight * (dx * x.real).sum()
    return (y, last), dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def relative(found, true):
    return (found - true).norm() / true.norm()


@with_kernel
@pytest.mark.parametrize("name", ["all of it", "zero-order hold"])
def test_without_an_imaginary_part_it_is_the_real_kernel(name):
    real = drawn(name)
    as_complex = {key: x.to(torch.complex64) if key in OF_MODES else x for key, x in real.items()}
    expected, real_gradients = outputs_and_gradients(real, "triton")
    found, gradients = outputs_and_gradients(as_complex, "triton")
    for x, true in zip(found, expected, strict=True):
        assert relative(x, true) < 1e-6
    assert (found[1].imag == 0).all()
    for key, true in real_gradients.items():
        assert relative(gradients[key].real, true) < 2e-6, key


@both
def test_a_pair_of_conjugate_modes_is_a_real_system_of_second_order(backend):
    """With steps of one size, y_t = 2 Re(l) y_{t-1} - |l|^2 y_{t-2} + 2 dt (u_t - Re(l) u_{t-1}), l = e^{dt A}: the
    difference equation that has both modes, which knows no complex number."""
    length, dt, A = 40, 0.5, -0.1 + 2j
    u = np.random.default_rng(0).standard_normal(length)
    decay = np.exp(dt * A)
    y = np.zeros(length + 2)
    for t in range(length):
        before = u[t - 1] if t else 0.0
        drive = 2 * dt * (u[t] - decay.real * before)
        y[t + 2] = 2 * decay.real * y[t + 1] - abs(decay) ** 2 * y[t] + drive
    ones = torch.ones(1, length, 2, dtype=torch.complex64)
    found, last = ops.selective_scan(
        torch.from_numpy(u).float()[None, :, None],
        torch.full((1, length, 1), dt),
        torch.tensor([[A, np.conj(A)]], dtype=torch.complex64),
        ones,
        ones,
        backend=backend,
    )
    np.testing.assert_allclose(found[0, :, 0].numpy(), y[2:], rtol=0, atol=2e-6 * np.abs(y).max())
    assert torch.equal(last[..., 0], last[..., 1].conj())


@both
@pytest.mark.parametrize("name", ["complex A", "complex A, zero-order hold"])
def test_gradients_through_the_state_that_is_returned(backend, name):
    """Alone, and by a second call that goes on from it, which is one call of twice the length."""
    arguments = drawn(name)
    _, found = outputs_and_gradients(arguments, backend, weigh=(0.0, 1.0))
    wide = {key: x.to(torch.promote_types(x.dtype, torch.float64)) if isinstance(x, torch.Tensor) else x
            for key, x in arguments.items()}  # fmt: skip
    _, expected = outputs_and_gradients(wide, "portable", weigh=(0.0, 1.0))
    for key in ("u", "delta", "A", "B", "state"):
        assert relative(found[key], expected[key]) < 2e-6, key
    assert (found["C"] == 0).all()

    leaves = {key: x.clone().requires_grad_() for key, x in arguments.items() if isinstance(x, torch.Tensor)}
    rest = {key: x for key, x in arguments.items() if key not in leaves}
    whole, end = ops.selective_scan(**leaves, **rest, backend=backend)
    pieces = ({key: x[:, part] if x.ndim == 3 and key != "state" else x for key, x in leaves.items()}
              for part in (slice(5), slice(5, None)))  # fmt: skip
    first, between = ops.selective_scan(**next(pieces), **rest, backend=backend)
    second, after = ops.selective_scan(**{**next(pieces), "state": between}, **rest, backend=backend)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-5, atol=1e-5)
    sent = torch.randn(whole.shape, generator=torch.Generator().manual_seed(1))
    one, two = (
        torch.autograd.grad((sent * y).sum() + last.abs().square().sum(), list(leaves.values()))
        for y, last in ((whole, end), (torch.cat((first, second), 1), after))
    )
    for key, x, true in zip(leaves, two, one, strict=True):
        assert relative(x, true) < 5e-6, key


@both
def test_a_mode_that_turns_and_never_decays_counts_modulo_two(backend):
    """A = i pi and bits for steps, as in chapter 10, over several chunks: a 1 turns the state over, and nothing is
    lost of it."""
    bits = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (1, 61, 1))).float()
    ones = torch.ones(1, 61, 1, dtype=torch.complex64)
    y, last = ops.selective_scan(
        0 * bits, bits, torch.full((1, 1), 1j * np.pi), ones, ones, state=ones[:, :1], backend=backend
    )
    torch.testing.assert_close(y, 1 - 2 * (bits.cumsum(1) % 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(last.abs(), torch.ones(1, 1, 1), rtol=0, atol=1e-5)


@both
def test_huge_steps_turn_a_state_without_making_it_larger(backend):
    delta = torch.full((1, 13, 2), 1e9)
    ones = torch.ones(1, 13, 2, dtype=torch.complex64)
    A = torch.tensor([[1e3j, -7j], [3j, 1j]])
    _, last = ops.selective_scan(
        0 * delta, delta, A, ones, ones, state=torch.ones(1, 2, 2, dtype=torch.complex64), backend=backend
    )
    torch.testing.assert_close(last.abs(), torch.ones(1, 2, 2), rtol=0, atol=1e-5)


@with_kernel
def test_nan_comes_out_where_it_goes_in_and_before_it_nothing_changes():
    arguments = drawn("complex A", length=9)
    expected, _ = ops.selective_scan(**arguments, backend="triton")
    for key in ("u", "delta", "B", "C", "z"):
        bad = arguments[key].clone()
        bad[:, 5] = torch.nan
        y, last = ops.selective_scan(**{**arguments, key: bad}, backend="triton")
        assert y[:, 5].isnan().all()
        assert torch.equal(y[:, :5], expected[:, :5])
        lasts = key in ("u", "delta", "B")
        assert bool(last.isnan().all()) == lasts
        assert bool(y[:, 6:].isnan().any()) == lasts


@pytest.mark.slow
@with_kernel
@pytest.mark.parametrize("dtype", [torch.float16, pytest.param(torch.float32, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("complex A, zero-order hold", {}),
        ("complex A", {"cu_seqlens": torch.empty(4, dtype=torch.int64, device="meta")}),
    ],
)
def test_every_way_through_the_kernels_compiles_for_the_oldest_gpu(name, more, dtype):
    """Inputs of 16 bits beside a complex A too, which the catalogue has no sample of."""
    sys.path.append(str(Path(__file__).parents[1] / "shared"))
    from launches import GeneratorOnGPU, launches_of

    pairing = PAIRINGS["selective_scan"]
    (sample,) = (sample for sample in pairing.samples if sample.name == name)
    workload = Workload(name, sample.arguments, (dtype,), pairing.full_precision)
    drawn = (workload.draw(GeneratorOnGPU(), sizes, dtype) | more for sizes in (pairing.carry,))
    found = launches_of(pairing, drawn)
    own = {launch.name: launch for launch in found if launch.kernel.fn.__module__.endswith(".complex_kernel")}
    assert own.keys() == {"forward_kernel", "flow_kernel", "backward_kernel"}
    for launch in own.values():
        assert launch.compile(75).metadata.shared <= 64 * 1024
