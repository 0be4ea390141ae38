"""Long convolutions ask no more work of Fourier transforms than the same composed of ``torch.fft`` by hand, forward and
backward, and transform along an axis whose numbers are neighbors: for another one PyTorch copies its argument."""

from collections import Counter
from math import log2, prod

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import seqlab
from seqlab.benchmark import plain_call
from seqlab.catalogue import PAIRINGS, sizes
from seqlab.ops.backends import has_triton

NAME = "as many taps as times"
OPS = {"causal_convolution": NAME, "flashconv": NAME, "hyena": "order 2"}
TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
every_op = pytest.mark.parametrize("op", OPS)
every_backend = pytest.mark.parametrize("backend", ["portable", pytest.param("triton", marks=TRITON)])


class Transforms(TorchDispatchMode):
    """Counts what transforms work, n log2 n for one of n complex numbers and half of it for real ones."""

    def __init__(self):
        super().__init__()
        self.numbers, self.strided = Counter(), []

    @property
    def work(self):
        return sum(numbers * log2(n) / 2 for n, numbers in sorted(self.numbers.items()))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.name()
        if name.startswith("aten::_fft_"):
            x, (axis,) = args[0], args[1]
            real = result if name == "aten::_fft_c2r" else x
            n = real.shape[axis]
            self.numbers[n] += prod(real.shape) * (2 if name == "aten::_fft_c2c" else 1)
            if axis % x.ndim != x.ndim - 1 or not x.is_contiguous():
                self.strided.append((name, tuple(x.shape), x.stride(), axis))
        return result


@pytest.fixture
def by_hand(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import torch_convolutions

    return {peer.op: peer for peer in torch_convolutions.PEERS if "torch.fft" in peer.name}


def worked(call, grad_y, monkeypatch):
    """The transforms of a call, forward and in the backward pass."""
    leaves = [x.detach().requires_grad_() for x in call.leaves]
    with monkeypatch.context() as patch, Transforms() as ahead:
        # A call in a dispatch mode goes by way of torch.ops, where the mode would see one operation.
        patch.setattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
        outputs = call.forward(*leaves)
    cotangents = call.cotangents(grad_y)
    with monkeypatch.context() as patch, Transforms() as back:
        patch.setattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
        torch.autograd.grad(outputs, leaves, cotangents)
    return ahead, back


@every_op
@every_backend
@pytest.mark.parametrize("length", [128, 192])
def test_transforms_work_no_more_than_by_hand(op, backend, length, by_hand, monkeypatch):
    (workload,) = (each for each in PAIRINGS[op].workloads if each.name == OPS[op])
    generator = torch.Generator().manual_seed(0)
    arguments = workload.draw(generator, sizes(3, length, 2, states=2), torch.float32)
    grad_y = torch.randn(3, length, 2, generator=generator)
    ours = worked(plain_call(op, PAIRINGS[op].op, arguments, backend=backend), grad_y, monkeypatch)
    theirs = worked(by_hand[op].prepare(arguments), grad_y, monkeypatch)
    for found, expected in zip(ours, theirs, strict=True):
        assert 0 < found.work <= expected.work
        assert not found.strided


@TRITON
@pytest.mark.parametrize(("given", "n", "turned"), [
    ((128, 128), 128, True), ((8192, 8000), 8192, True), ((2000, 2000), 2048, True), ((7, 301), 320, False),
    ((8192, 200), 9216, False), ((8192, 4096), 12288, False),
])  # fmt: skip
def test_the_circle_is_the_one_that_moves_fewer_bytes(given, n, turned):
    from seqlab.ops.convolution.transforms import circle_of

    assert circle_of(*given) == (n, turned)


def test_a_transform_along_another_axis_is_noticed():
    with Transforms() as seen:
        torch.fft.rfft(torch.ones(2, 8, 3), dim=1)
    assert len(seen.strided) == 1
    assert seen.work == 2 * 3 * 8 * 3 / 2
