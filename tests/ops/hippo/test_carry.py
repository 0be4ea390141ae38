"""States carried over many chunks, in groups of groups, and signals long enough to need that."""

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton, load_kernel
from seqlab.ops.hippo.jumps import GROUP, jumps_of

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")


@pytest.fixture
def kernel():
    """The kernels' module, interpreted."""
    return load_kernel("hippo", torch.zeros(1))


def normal(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape)).float()


@pytest.mark.parametrize("chunks", [1, GROUP, GROUP + 1, 3 * GROUP, GROUP * GROUP + 5])
@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("from_state", [False, True])
def test_a_carry_in_groups_is_a_loop_over_the_chunks(kernel, chunks, distinct, from_state):
    rows, order = 3, 5
    maps = 0.2 * normal(chunks if distinct else 1, order, order)
    first = normal(rows, order) if from_state else None
    add = normal(rows, chunks, order)
    before, last = kernel._carry(first, add, jumps_of(maps, chunks))
    state = torch.zeros(rows, order) if first is None else first
    for j in range(chunks):
        torch.testing.assert_close(before[:, j], state, rtol=1e-4, atol=1e-4)
        state = state @ maps[j % len(maps)] + add[:, j]
    torch.testing.assert_close(last, state, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("measure", ["legs", "legt"])
@pytest.mark.parametrize("return_all", [False, True])
@pytest.mark.parametrize("keeps_weights", [False, True])
def test_a_signal_of_many_chunks(kernel, monkeypatch, measure, return_all, keeps_weights):
    if not keeps_weights:
        monkeypatch.setattr(kernel, "MOST_WEIGHTS", 0)
    f, state = normal(2, 3 * 16 * 3 + 2, 3).requires_grad_(), normal(2, 3, 4).requires_grad_()
    options = {"measure": measure, "state": state, "start": 2, "dt": 0.01, "return_all": return_all}
    results = {}
    for backend in ("portable", "triton"):
        c, last = ops.hippo_project(f, 4, **options, backend=backend)
        results[backend] = [c, last, *torch.autograd.grad((c * c.detach()).sum() + last.sum(), (f, state))]
    for found, expected in zip(results["triton"], results["portable"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("measure", ["legs", "legt"])
def test_products_in_blocks_of_rows_orders_and_samples(kernel, monkeypatch, measure):
    """As on a GPU: several blocks each way, and factors in two parts."""

    def in_blocks(*arguments, tiling=kernel._product_tiling):
        return tiling(*arguments) | {"SPLIT": True, "BLOCK": 16, "COLUMNS": 16}

    def walk_in_blocks(*arguments, tiling=kernel._legs_tiling):
        grid, constants = tiling(*arguments)
        return grid, constants | {"SPLIT": True, "BLOCK": 16}

    monkeypatch.setattr(kernel, "_product_tiling", in_blocks)
    monkeypatch.setattr(kernel, "_legs_tiling", walk_in_blocks)
    f, state = normal(1, 52, 2).requires_grad_(), normal(1, 2, 20).requires_grad_()
    results = {}
    for backend in ("portable", "triton"):
        c, last = ops.hippo_project(f, 20, measure=measure, state=state, start=2, dt=0.01, backend=backend)
        results[backend] = [c, last, *torch.autograd.grad((c * c.detach()).sum() + last.sum(), (f, state))]
    for found, expected in zip(results["triton"], results["portable"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 15, 300])
def test_samples_are_weighed_in_spans(kernel, monkeypatch, length):
    monkeypatch.setattr(kernel, "SPAN", 100)
    f, weights = normal(2, length, 3), normal(length, 5)
    expected = torch.einsum("bld,ln->bdn", f, weights).flatten(0, 1)
    found = kernel._weigh(f, weights).sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_float32_keeps_its_digits_over_a_long_history():
    f = normal(2, 20_000, 1)
    for method in ("bilinear", "backward_euler"):
        c, _ = ops.hippo_project(f, 32, method=method, return_all=False)
        wide, _ = ops.hippo_project(f.double(), 32, method=method, return_all=False)
        assert (c - wide).norm() < 3e-6 * wide.norm()
