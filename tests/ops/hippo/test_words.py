"""Words that the programs of a launch send each other, and what they leave to the next launch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton, load_kernel
from seqlab.ops.hippo.reach import SMALL

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")

LENGTH = 3 * (SMALL + 4)  # chunks of 3 steps when interpreted: several groups of them
ORDER = 4


@pytest.fixture
def kernel(monkeypatch):
    """The kernels' module, interpreted, which keeps words as on a GPU's default stream."""
    kernel = load_kernel("hippo", torch.zeros(1))
    monkeypatch.setattr(kernel, "on_default_stream", lambda like: True)
    words = kernel._words
    words.cache_clear()
    yield kernel
    words.cache_clear()


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


@pytest.mark.parametrize("from_state", [False, True])
def test_launch_after_launch_finds_its_words_missing_and_sends_its_own(kernel, from_state):
    first = {"state": normal(2, 1, ORDER, seed=9), "start": 50} if from_state else {}
    for seed in range(2):
        f = normal(2, LENGTH, 1, seed=seed).requires_grad_()
        results = {}
        for backend in ("portable", "triton"):
            c, last = ops.hippo_project(f, ORDER, **first, backend=backend)
            results[backend] = [c, last, *torch.autograd.grad((c * c.detach()).sum() + last.sum(), f)]
        for found, expected in zip(results["triton"], results["portable"], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert kernel._words.cache_info().hits


def test_a_launch_leaves_one_set_of_words_there_and_the_other_missing(kernel, monkeypatch):
    made, make = [], kernel._words

    def words(*sizes):
        made.append(make(*sizes))
        return made[-1]

    monkeypatch.setattr(kernel, "_words", words)
    ops.hippo_project(normal(2, LENGTH, 1), ORDER, backend="triton")
    [(sent, turns)] = made
    assert (turns == 1).all()
    assert (sent[0] != kernel.MISSING.value).all()
    assert (sent[1] == kernel.MISSING.value).all()


def test_nans_with_the_bits_of_a_missing_word_arrive(kernel):
    f = normal(2, LENGTH, 1)
    f[1, 5] = torch.tensor(kernel.MISSING.value, dtype=torch.int32).view(torch.float32)
    c, last = ops.hippo_project(f, ORDER, backend="triton")
    assert c[0].isfinite().all()
    assert c[1, :5].isfinite().all()
    assert c[1, -1].isnan().all()
    assert last[1].isnan().all()


@pytest.mark.parametrize("tile", ["TILE", "TILE_BACK"])
def test_every_lane_has_words_of_its_own_to_wait_for(kernel, tile):
    for order in range(1, kernel.MOST_ORDER + 1):
        for rows in (1, 15, 40, 1000):
            memory = SimpleNamespace(order=order, method="bilinear")
            gpu = SimpleNamespace(is_cuda=True)
            _, constants = kernel._legs_tiling(gpu, rows, 64, memory, getattr(kernel, tile))
            words = constants["SLICES"] * constants["PAIRS"] * min(kernel.SLICE, kernel.LONG)
            assert words >= 32 * constants["num_warps"]
