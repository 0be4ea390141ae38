"""LegS over many chunks: carried in groups of groups, with transitions that are kept or made in the call."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops import kept
from seqlab.ops.backends import has_triton
from seqlab.ops.hippo.plan import page, plan

if not has_triton():
    pytest.skip("no Triton", allow_module_level=True)

from seqlab.ops.hippo import legs

ORDER = 4


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


@pytest.fixture(autouse=True)
def nothing_kept():
    ops.clear_cache()
    yield
    ops.clear_cache()


@pytest.fixture
def keeps(monkeypatch):
    """A function that says whether transitions are kept."""

    def say(keeps):
        monkeypatch.setattr(legs, "plan", lambda *shape: replace(plan(*shape), keeps=keeps))

    return say


def everything(backend, length, start=0, **options):
    """c, state and gradients."""
    f = normal(2, length, 1).requires_grad_()
    leaves = [f]
    if start:
        options |= {"start": start, "state": normal(2, 1, ORDER, seed=1).requires_grad_()}
        leaves.append(options["state"])
    c, last = ops.hippo_project(f, ORDER, backend=backend, **options)
    return [c, last, *torch.autograd.grad((c * c.detach()).sum() + last.sum(), leaves)]


def assert_close(found, expected):
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept_or_not", [False, True])
@pytest.mark.parametrize(("length", "start"), [(1, 0), (5, 0), (9, 3), (19, 0), (17, 1003)])
def test_chunks_in_groups_of_groups(keeps, monkeypatch, kept_or_not, length, start):
    monkeypatch.setattr(legs, "GROUP", 2)
    keeps(kept_or_not)
    assert_close(everything("triton", length, start), everything("portable", length, start))


@pytest.mark.parametrize("start", [0, 9])
def test_last_alone(start):
    alone = everything("triton", 23, start, return_all=False)
    assert_close(alone, everything("portable", 23, start, return_all=False))
    assert (ops.cache_bytes("cpu") > 0) == (start == 0)  # weights of the samples


@pytest.mark.parametrize("return_all", [False, True])
def test_nothing_is_kept_where_there_is_no_room(keeps, monkeypatch, return_all):
    keeps(True)
    monkeypatch.setattr(kept, "BUDGET", 0)
    found = everything("triton", 31, return_all=return_all)
    assert ops.cache_bytes("cpu") == 0
    assert_close(found, everything("portable", 31, return_all=return_all))


def test_lengths_and_directions_share_the_transitions(keeps):
    keeps(True)
    everything("triton", 25)
    size = ops.cache_bytes("cpu")
    everything("triton", 31)
    assert ops.cache_bytes("cpu") == size > 0


def test_short_pieces_keep_nothing():
    state = None
    for start in range(0, 60, 20):
        _, state = ops.hippo_project(normal(1, 20, 1), ORDER, state=state, start=start, backend="triton")
    assert ops.cache_bytes("cpu") == 0


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("order", [1, 64, 256, 1000])
def test_plans(order, compiled):
    assert plan(8, 40, order, True).size >= 40  # one launch
    assert not plan(4, 512, order, compiled).keeps or order > 256
    for rows in (1, 8, 1000):
        for length in (1, 65, 512, 4096, 10**6):
            planned = plan(rows, length, order, compiled)
            tile, warps = planned.tile(rows)
            assert planned.size & (planned.size - 1) == 0
            assert planned.lanes >= order
            assert tile * planned.lanes <= max(512 * warps, 4096)
            if compiled:
                assert length * order**2 <= planned.size * 2**25


def test_pages_hold_their_chunks_and_are_few():
    for first in range(0, 70, 7):
        for count in (1, 2, 3, 7, 16, 33):
            begin, length = page(first, first + count)
            assert begin <= first < first + count <= begin + length <= begin + 2 * count
    assert len({page(1, last) for last in range(2, 257)}) <= 3 * 8
    assert page(0, 512) == (0, 512)


def test_float32_keeps_its_digits_over_a_long_history():
    for method, length in {"bilinear": 20_000, "backward_euler": 5000, "zoh": 5000}.items():
        f = normal(2, length, 1)
        c, _ = ops.hippo_project(f, 32, method=method, return_all=False)
        wide, _ = ops.hippo_project(f.double(), 32, method=method, return_all=False)
        assert (c - wide).norm() < 3e-6 * wide.norm()
