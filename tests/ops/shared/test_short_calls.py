"""What a call on tiny tensors asks PyTorch and Triton for, which is what its caller waits for on a GPU.

The kernels are not run: tensors on the CPU say that they are on a GPU, and a launch is a note. So these bounds are on
how much is asked for, not on time, which ``benchmarks/host_time.py`` measures on a GPU and holds against ``a * b``.
"""

from pathlib import Path
from types import FunctionType, SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import seqlab
from seqlab.benchmark import plain_call
from seqlab.benchmark.implementation import tensors
from seqlab.catalogue import PAIRINGS
from seqlab.ops import kept
from seqlab.ops.backends import has_triton

if not has_triton():
    pytest.skip("Triton exists for Linux only", allow_module_level=True)

from triton import cdiv
from triton.runtime.jit import JITFunction

from seqlab.ops import interpreter

# Of each workload: operations and launches forward, and in the backward pass.
MOST = {
    ("linear_scan", "real varying"): (2, 1, 3, 1),
    ("linear_scan", "real fixed"): (2, 1, 4, 1),
    ("linear_scan", "complex varying"): (2, 1, 3, 1),
    ("linear_scan", "complex fixed"): (2, 1, 4, 1),
    ("decayed_logsumexp", "RWKV's denominator"): (3, 1, 5, 1),
    ("hippo_project", "legs, every coefficient"): (2, 1, 2, 1),
    ("hippo_project", "legs, last alone"): (6, 0, 5, 0),
    ("hippo_project", "legt, every coefficient"): (9, 0, 13, 0),
    ("discretize", "Mamba"): (2, 1, 6, 1),
    ("discretize", "S4D"): (2, 1, 3, 1),
    ("discretize_dense", "HiPPO-LegS"): (25, 0, 45, 0),
    ("ssm_scan", "complex fixed"): (3, 1, 8, 1),
    ("ssm_scan", "complex varying"): (3, 1, 7, 1),
    ("ssm_scan", "real varying"): (3, 1, 7, 1),
    ("ssm_convolution", "complex fixed"): (4, 1, 10, 1),
    ("ssm_mimo", "S5"): (18, 1, 34, 1),
    ("ssm_kernel", "complex"): (1, 1, 3, 1),
    ("ssm_kernel", "real"): (1, 1, 3, 1),
    ("causal_convolution", "a few taps"): (1, 1, 3, 2),
    ("causal_convolution", "as many taps as times"): (1, 1, 3, 2),
    ("dplr_kernel", "S4"): (68, 1, 184, 1),
    ("wkv", "RWKV-4"): (2, 1, 8, 1),
    ("gated_linear_attention", "a decay a channel"): (4, 3, 7, 3),
    ("gated_linear_attention", "a decay a head"): (3, 2, 6, 3),
    ("gated_linear_attention", "RWKV-6"): (4, 3, 9, 3),
    ("flashconv", "as many taps as times"): (3, 1, 11, 2),
    ("flashconv", "a system"): (4, 1, 10, 1),
    ("hyena", "order 2"): (4, 2, 10, 4),
    ("shift_ssm", "Mamba's convolution"): (2, 1, 3, 1),
    ("selective_scan", "Mamba"): (3, 2, 13, 3),
    ("selective_scan", "complex A"): (3, 1, 13, 3),
    ("h3", "head_dim = 1"): (11, 2, 29, 4),
    ("linear_attention", "a layer"): (11, 3, 24, 3),
    ("mlstm", "mLSTM"): (6, 3, 12, 5),
    ("slstm", "sLSTM"): (6, 1, 29, 1),
}  # fmt: skip


class Operations(TorchDispatchMode):
    """Counts the operations that reach PyTorch's dispatcher, views and empty tensors among them."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.fixture
def launches(monkeypatch):
    """The names of kernels that are launched from here on, none of which runs."""
    names = []

    def compiled(kernel, *args, grid, warmup, **options):
        return SimpleNamespace(
            run=lambda *launch: names.append(kernel.__name__), function=None, packed_metadata=None
        )

    monkeypatch.setattr(JITFunction, "run", compiled)
    monkeypatch.setattr(interpreter, "_launchers", {})
    monkeypatch.setattr(kept, "_kept", {})  # what kernels that did not run have made
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: None)
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda device: 0, raising=False)
    return names


@pytest.fixture
def host_time(monkeypatch):
    monkeypatch.syspath_prepend(Path(seqlab.__file__).parent.parent)
    from benchmarks import host_time

    return host_time


def counted(call, launches, monkeypatch):
    """How many operations and launches the call makes, and what it returns."""
    launches.clear()
    with monkeypatch.context() as patch, Operations() as operations:
        # A call in a dispatch mode goes by way of torch.ops, where the mode would see one operation.
        patch.setattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
        result = call()
    return (len(operations.names), len(launches)), result


def tiny_call(op, workload, host_time, **sizes):
    pairing = PAIRINGS[op]
    generator = torch.Generator().manual_seed(0)
    arguments = workload.draw(generator, host_time.tiny(pairing) | sizes, workload.dtypes[0])
    call = plain_call(op, pairing.op, arguments)
    leaves = [x.detach().clone().requires_grad_() for x in call.leaves]
    outputs = call.forward(*leaves)
    grads = [torch.randn_like(x) for x in outputs]

    def backward(outputs):
        return torch.autograd.grad(outputs, leaves, grads)

    backward(outputs)
    with torch.no_grad():
        call.forward(*leaves)  # all that is planned once has been
    return lambda: call.forward(*leaves), backward, len(tensors(arguments))


WORKLOADS = [(op, workload) for op, pairing in PAIRINGS.items() for workload in pairing.workloads]
every_workload = pytest.mark.parametrize(
    ("op", "workload"), WORKLOADS, ids=[f"{op}, {workload.name}" for op, workload in WORKLOADS]
)


@every_workload
def test_a_short_call_asks_for_no_more_than_this(op, workload, launches, host_time, monkeypatch):
    forward, backward, gradients = tiny_call(op, workload, host_time)
    with torch.no_grad():
        found, _ = counted(forward, launches, monkeypatch)
    outputs = forward()
    back, _ = counted(lambda: backward(outputs), launches, monkeypatch)
    most = MOST.get((op, workload.name), (0, 0, 0, 0))
    # a * b is one operation, and two more backward.
    aims = host_time.most("forward", gradients), 3 * host_time.most("forward+backward", gradients)
    said = (
        f"{(*found, *back)} operations and launches forward and backward; "
        f"the aim is {aims[0]:g} of both forward, and {aims[1]:g} in all"
    )
    assert all(x <= bound for x, bound in zip((*found, *back), most, strict=True)), said


@pytest.mark.parametrize(
    ("op", "most"),
    [("ssm_convolution", (9, 6, 16, 9)), ("h3", (11, 6, 23, 9))],
    ids=["ssm_convolution", "h3"],
)
def test_a_call_of_whole_chunks_asks_for_no_more_than_this(op, most, launches, host_time, monkeypatch):
    """At a couple of thousand steps these two are over before the host has asked for all that it wants."""
    forward, backward, _ = tiny_call(op, PAIRINGS[op].workloads[0], host_time, length=2048)
    with torch.no_grad():
        found, _ = counted(forward, launches, monkeypatch)
    outputs = forward()
    back, _ = counted(lambda: backward(outputs), launches, monkeypatch)
    assert all(x <= bound for x, bound in zip((*found, *back), most, strict=True)), (*found, *back)


def test_every_bound_is_of_a_workload():
    assert MOST.keys() <= {(op, workload.name) for op, workload in WORKLOADS}


def test_an_operation_and_a_launch_more_are_counted(launches, host_time, monkeypatch):
    forward, _, _ = tiny_call("linear_scan", PAIRINGS["linear_scan"].workloads[0], host_time)
    with torch.no_grad():
        (operations, launched), _ = counted(forward, launches, monkeypatch)
        twice, (h, *_) = counted(lambda: (forward(), forward())[1], launches, monkeypatch)
        more, _ = counted(lambda: forward()[0] + h, launches, monkeypatch)
    assert twice == (2 * operations, 2 * launched)
    assert more == (operations + 1, launched)


@every_workload
def test_no_call_asks_triton_to_divide(op, workload, launches, host_time, monkeypatch):
    """``triton.cdiv`` takes ten microseconds on the host: ``seqlab/ops/sizes.py`` has what launches need."""
    forward, backward, _ = tiny_call(op, workload, host_time)
    calls, function = [], type(cdiv)
    if function is FunctionType:
        pytest.skip("a plain function in this Triton")
    before = function.__call__

    def call(self, *args, **kwargs):
        calls.append(self.__name__)
        return before(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(function, "__call__", call)
        backward(forward())
        assert not calls
        cdiv(3, 2)
        assert calls[-1] == "cdiv"
