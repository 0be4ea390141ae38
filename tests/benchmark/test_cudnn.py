"""cuDNN's convolution as a peer, with a library that takes the arguments of its header and computes by PyTorch."""

import sys

import pytest
import torch
from torch.fft import irfft, rfft

import seqlab
from seqlab.benchmark import Absent

LENGTH = 128


@pytest.fixture
def peer(monkeypatch):
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.peers import cudnn

    return cudnn


def convolved(x, taps):
    return irfft(rfft(x, n=2 * LENGTH) * rfft(taps, n=2 * LENGTH), n=2 * LENGTH)[..., :LENGTH]


def gradients(x, taps, grad_y):
    leaves = [each.detach().requires_grad_() for each in (x, taps)]
    with torch.enable_grad():
        return torch.autograd.grad(convolved(*leaves), leaves, grad_y)


class Library:
    """What the header names, for tensors that are not yet addresses; ``names`` are the functions called."""

    def __init__(self):
        self.names = []

    def call(self, name, *arguments):
        self.names.append(name)
        getattr(self, name)(*arguments)

    def cudnnFFTCausalConv1dForward(self, stream, x, weight, y, batch, dim, seqLen, kernelSize, dataType):
        assert (*x.shape, weight.shape[1], 0) == (batch, dim, seqLen, kernelSize, dataType)
        y.copy_(convolved(x, weight))

    def cudnnFFTCausalConv1dBackward(
        self, stream, x, weight, dy, dx, dweight, batch, dim, seqLen, kernelSize, dataType
    ):
        assert (*x.shape, weight.shape[1], 0) == (batch, dim, seqLen, kernelSize, dataType)
        for place, found in zip((dx, dweight), gradients(x, weight, dy), strict=True):
            place.copy_(found)

    def cudnnLongFFTCausalConv1dGetBufferSizes(
        self, batch, dim, seqLen, kernelSize, dataType, workspace, reserve
    ):
        workspace._obj.value, reserve._obj.value = 3, 5

    def cudnnLongFFTCausalConv1dForward(
        self, stream, x, weight, y, batch, dim, seqLen, kernelSize, dataType, room, roomSize, kept, keptSize
    ):
        assert (*x.shape, weight.shape[1], 0) == (batch, dim, seqLen, kernelSize, dataType)
        self.found = x, weight, kept
        self.checked(room, roomSize, kept, keptSize)
        y.copy_(convolved(x, weight))

    def cudnnLongFFTCausalConv1dBackward(
        self,
        stream,
        dy,
        dx,
        dweight,
        batch,
        dim,
        seqLen,
        kernelSize,
        dataType,
        room,
        roomSize,
        kept,
        keptSize,
    ):
        x, weight, kept_before = self.found
        assert kept is kept_before or kept.data_ptr() == kept_before.data_ptr()
        self.checked(room, roomSize, kept, keptSize)
        for place, found in zip((dx, dweight), gradients(x, weight, dy), strict=True):
            place.copy_(found)

    def checked(self, room, roomSize, kept, keptSize):
        assert (room.numel(), roomSize.value, kept.numel(), keptSize.value) == (3, 3, 5, 5)


@pytest.mark.parametrize(("most", "word"), [(LENGTH, "cudnnFFT"), (LENGTH - 1, "cudnnLongFFT")])
def test_the_library_gets_what_its_header_asks_for(peer, monkeypatch, most, word):
    library = Library()
    monkeypatch.setattr(peer, "call", library.call)
    monkeypatch.setattr(peer, "stream", lambda: None)
    monkeypatch.setattr(peer, "MOST_TAPS", most)
    x, taps, grad_y = torch.randn(2, 3, LENGTH), torch.randn(3, LENGTH), torch.randn(2, 3, LENGTH)
    leaves = [each.requires_grad_() for each in (x, taps)]
    y = peer.Convolution.apply(*leaves)
    found = torch.autograd.grad(y, leaves, grad_y)
    torch.testing.assert_close(y.detach(), convolved(x, taps).detach())
    torch.testing.assert_close(found, gradients(x, taps, grad_y))
    assert library.names
    assert all(name.startswith(word) for name in library.names)


def test_it_is_absent_without_a_gpu_and_without_its_library(peer, monkeypatch):
    with pytest.raises(Absent, match="needs a CUDA GPU"):
        peer.convolve(torch.ones(1, 1, LENGTH), torch.ones(1, LENGTH))
    monkeypatch.setattr(sys, "path", [])
    peer.library.cache_clear()
    with pytest.raises(Absent, match="nvidia-cudnn-cu13"):
        peer.library()


def test_a_call_that_the_library_refuses_says_with_what_status(peer, monkeypatch):
    class Refusing:
        def cudnnFFTCausalConv1dForward(self, *arguments):
            return 3000

    monkeypatch.setattr(peer, "library", Refusing)
    with pytest.raises(Absent, match="status 3000"):
        peer.call("cudnnFFTCausalConv1dForward", None)
