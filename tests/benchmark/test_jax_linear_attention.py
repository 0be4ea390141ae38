"""The peer in JAX, on a JAX of PyTorch's tensors: what it is handed and what is made of its results. Its functions are
loops in float64 over what its documentation says that it computes, in its own names."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

import seqlab
from seqlab.benchmark import Absent, measurement
from seqlab.benchmark.problem import truth
from seqlab.catalogue import PAIRINGS, sizes

SIZES = {
    "gated_linear_attention": {"batch": 2, "length": 9, "heads": 2, "keys": 3, "values": 5},
    "mlstm": {"batch": 2, "length": 9, "heads": 2, "keys": 3, "values": 5},
    "selective_scan": sizes(2, 9, 4, states=3),
}


def gla(q, k, v, g):
    state, found = 0, []
    for t in range(q.shape[1]):
        decay = g[:, t].exp()
        kv = k[:, t, :, :, None] * v[:, t, :, None]
        state = (decay[..., None] if g.ndim == 4 else decay[..., None, None]) * state + kv
        found.append((q[:, t, ..., None] * state).sum(-2))
    return q.shape[-1] ** -0.5 * torch.stack(found, 1)


def mlstm(q, k, v, g, i, eps):
    """Unstabilised: q C / max(|q N|, 1), with q scaled, for a logarithm g of the forget gate."""
    assert eps == 0
    q = q.shape[-1] ** -0.5 * q
    memory, normaliser, found = 0, 0, []
    for t in range(q.shape[1]):
        forget, write = g[:, t].exp()[..., None], i[:, t].exp()[..., None]
        memory = forget[..., None] * memory + (write * k[:, t])[..., None] * v[:, t, :, None]
        normaliser = forget * normaliser + write * k[:, t]
        size = (q[:, t] * normaliser).sum(-1, keepdim=True).abs().clamp(min=1)
        found.append((q[:, t, ..., None] * memory).sum(-2) / size)
    return torch.stack(found, 1)


def mamba1(q, k, v, dt, a, d, z, dt_bias, dt_softplus):
    """q is C, k is B and v is u."""
    assert dt_softplus is True
    delta = torch.nn.functional.softplus(dt + dt_bias)
    h, found = 0, []
    for t in range(v.shape[1]):
        h = (delta[:, t, :, None] * a).exp() * h + (delta * v)[:, t, :, None] * k[:, t, None]
        found.append((h * q[:, t, None]).sum(-1) + d * v[:, t])
    return torch.stack(found, 1) * torch.nn.functional.silu(z)


def linear_attention(kind, *inputs, impl, **more):
    assert impl == "mosaic_gpu"
    assert kind != "gla" or more["g"].ndim == 4
    return {"gla": gla, "simple_gla": gla, "mlstm": mlstm, "mamba1": mamba1}[kind](*inputs, **more), None


class Jitted:
    """What jax.jit returns; a call of it is done where somebody waits for it."""

    made = 0

    def __init__(self, function):
        self.function = function
        Jitted.made += 1

    def __call__(self, *arguments):
        with torch.enable_grad():
            return self.function(*arguments)

    def lower(self, *arguments):
        stats = SimpleNamespace(temp_size_in_bytes=100 * len(arguments), output_size_in_bytes=7)
        return SimpleNamespace(compile=lambda: SimpleNamespace(memory_analysis=lambda: stats))


def vjp(function, *leaves):
    leaves = [x.detach().requires_grad_() for x in leaves]
    outputs = function(*leaves)
    return tuple(x.detach() for x in outputs), lambda given: torch.autograd.grad(outputs, leaves, given)


@pytest.fixture
def peer(monkeypatch):
    """The module, beside a JAX of which ``waited`` are the results that were waited for, where any tensor will do."""
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import jax_linear_attention as module

    jax, dlpack, nn, jla, ops = map(ModuleType, ("jax", "jax.dlpack", "jax.nn", "jla", "jla.ops"))
    module.waited = []
    jax.jit, jax.vjp, jax.block_until_ready = Jitted, vjp, module.waited.append
    dlpack.from_dlpack = torch.from_dlpack
    nn.log_sigmoid = torch.nn.functional.logsigmoid
    ops.linear_attention = linear_attention
    for each in (jax, dlpack, nn, jla, ops):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE")
    monkeypatch.setattr(module, "_need_hopper", lambda x, state: None)
    module._jitted.cache_clear()
    yield module
    module._jitted.cache_clear()


def drawn(op, workload, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    arguments = workload.draw(generator, SIZES[op], dtype)
    return {key: x.to(dtype) if isinstance(x, torch.Tensor) else x for key, x in arguments.items()}, generator


@pytest.mark.parametrize("op", SIZES)
def test_it_is_asked_for_the_op_and_its_gradients(op, peer):
    (own,) = [each for each in peer.PEERS if each.op == op]
    workloads = [each for each in PAIRINGS[op].workloads if "bonus" not in each.arguments]
    assert workloads
    for workload in workloads:
        arguments, generator = drawn(op, workload)
        cotangent, true = truth(PAIRINGS[op], arguments, generator)
        call = own.prepare(arguments)
        (alone,) = call.forward(*call.leaves)
        outputs, gradients = call.framework.both(call.leaves, call.cotangents(cotangent))
        found = {"output": call.output(outputs), **call.gradients(gradients)}
        assert torch.equal(alone, outputs[0])
        assert found.keys() == true.keys()
        for name, x in found.items():
            assert (x - true[name]).norm() < 1e-9 * true[name].norm(), (workload.name, name)


def test_it_is_timed_and_measured_by_its_own_framework(peer, monkeypatch):
    """Both clocks get its wait, memory is what was compiled, and all sets of inputs share one compiled function."""
    op = "selective_scan"
    pairing = PAIRINGS[op]
    arguments, generator = drawn(op, pairing.workloads[0])
    true = truth(pairing, arguments, generator)

    def clock(milliseconds):
        def time(calls, device, wait):
            wait(calls[1]())
            return milliseconds

        return time

    monkeypatch.setattr(measurement, "called_milliseconds", clock(3.0))
    monkeypatch.setattr(measurement, "queued_milliseconds", clock(2.0))
    monkeypatch.setattr(
        measurement, "peak_memory", lambda *_: pytest.fail("PyTorch does not see this memory")
    )
    before = Jitted.made
    found = measurement._measure(
        peer.PEERS[-1], [arguments, arguments], lambda: true, SimpleNamespace(type="cuda")
    )
    assert Jitted.made - before == 2  # forward, and both passes
    assert len(peer.waited) == 4
    assert [len(gradients) for _, gradients in peer.waited] == [0, 0, 8, 8]
    leaves = len(peer.SCANNED)
    for pass_, asked in (("forward", leaves), ("forward+backward", 2)):
        row = found[pass_]
        assert row["relative_error"] < 1e-9
        assert (row["called_milliseconds"], row["queued_milliseconds"]) == (3.0, 2.0)
        assert row["peak_memory_bytes"] == 100 * asked + 7
    assert peer.os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_what_it_does_not_compute_is_absent_with_its_reason(peer):
    gated, mlstm, scan = (each.prepare for each in peer.PEERS)
    for prepare, arguments, reason in (
        (gated, {"q": None, "bonus": torch.ones(1)}, "has no kernel with a bonus"),
        (gated, {"q": None, "log_decay": torch.ones(2, 3)}, "decays that change over time"),
        (mlstm, {"q": torch.ones(1)}, "takes 16-bit numbers only"),
        (scan, {"u": None, "A": torch.ones(1, dtype=torch.complex64)}, "takes a real A only"),
        (scan, {"u": None, "A": torch.ones(1), "discretization": "zoh"}, "takes Euler's step for B only"),
    ):
        with pytest.raises(Absent, match=reason):
            prepare(arguments)


def test_it_needs_a_hopper_gpu(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import jax_linear_attention as module

    for each in module.PEERS:
        arguments, _ = drawn(each.op, PAIRINGS[each.op].workloads[0], torch.float32)
        with pytest.raises(Absent, match="needs a CUDA GPU"):
            each.prepare(arguments)
    gpu = SimpleNamespace(is_cuda=True, device="cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(Absent, match="needs a Hopper GPU"):
        module._need_hopper(gpu, None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    module._need_hopper(gpu, None)
    with pytest.raises(Absent, match="without a first state"):
        module._need_hopper(gpu, torch.ones(1))
