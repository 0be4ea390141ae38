"""Tensors of more than 2^31 numbers: an index in 32 bits would wrap around and read or write elsewhere."""

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab import ops

pytestmark = pytest.mark.gpu

MOST_IN_32_BITS = 2**31
HEADROOM = 1.5  # what a call allocates over what it must move


def need(bytes_needed):
    """Skip where the GPU has too little free memory."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    if free < bytes_needed:
        pytest.skip(
            f"this needs {bytes_needed / 2**30:.0f} GiB of GPU memory, and {free / 2**30:.0f} are free"
        )


def numbers(x):
    """How many real numbers a kernel sees: a complex one counts twice."""
    return x.numel() * (2 if x.is_complex() else 1)


def relative(actual, expected):
    return float((actual - expected).norm() / expected.norm())


def test_the_last_entry_of_a_large_batch(pairing):
    """Batch entries do not meet, so that the last one alone must come out the same: values and gradients."""
    for workload in pairing.workloads:
        dtype = workload.dtypes[-1]
        base = pairing.workload_sizes["cuda"][0]

        def draw(batch, workload=workload, dtype=dtype, base=base):
            return workload.draw(torch.Generator("cuda").manual_seed(batch), {**base, "batch": batch}, dtype)

        one, two = draw(1), draw(2)
        batched = {
            key for key, x in one.items() if isinstance(x, Tensor) and len(x) == 1 and len(two[key]) == 2
        }
        if not batched:  # such as a system that is sampled once for all entries
            continue
        with torch.no_grad():
            results = pairing.op(**one)[: pairing.results]
        batch = MOST_IN_32_BITS // max(map(numbers, [*results, *(one[key] for key in batched)])) + 2
        need(HEADROOM * batch * sum(pairing.fewest_bytes(one)))
        arguments = draw(batch)
        alone = {key: x[-1:].clone() if key in batched else x for key, x in arguments.items()}

        whole, leaves = forward(pairing, arguments)
        last, last_leaves = forward(pairing, alone)
        assert max(map(numbers, [*whole, *leaves.values()])) > MOST_IN_32_BITS
        bound = 1e-5 if dtype.itemsize >= 4 else 1e-2
        gradients, last_gradients = [], []
        for x, y in zip(whole, last, strict=True):
            assert relative(x[-1:].detach(), y.detach()) < bound
            gradients.append(torch.zeros_like(x))
            last_gradients.append(torch.randn_like(y))
            gradients[-1][-1:] = last_gradients[-1]
        found = torch.autograd.grad(whole, list(leaves.values()), gradients)
        expected = torch.autograd.grad(last, list(last_leaves.values()), last_gradients)
        for key, x, y in zip(leaves, found, expected, strict=True):
            assert relative(x[-1:] if key in batched else x, y) < bound, (workload.name, key)
        del (
            x,
            y,
            whole,
            last,
            gradients,
            last_gradients,
            found,
            expected,
            arguments,
            alone,
            leaves,
            last_leaves,
        )


def forward(pairing, arguments):
    """The op's results, and its inputs that have gradients."""
    leaves = {
        key: arguments[key].detach().requires_grad_() for key in pairing.differentiable if key in arguments
    }
    return pairing.op(**{**arguments, **leaves})[: pairing.results], leaves


@pytest.mark.parametrize("varying", [False, True])
def test_the_end_of_a_long_sequence(varying):
    """One sequence with more numbers than 2^31: its last steps alone, from the state before them."""
    length, channels, tail = MOST_IN_32_BITS // 1024 + 300, 1024, 700
    count = length * channels
    assert count > MOST_IN_32_BITS
    need(HEADROOM * count * 2 * (5 if varying else 3))
    b = torch.randn(1, length, channels, device="cuda", dtype=torch.bfloat16)
    a = torch.rand((1, length, channels) if varying else channels, device="cuda", dtype=torch.bfloat16)
    a.mul_(0.5)
    a.requires_grad_()
    b.requires_grad_()
    h, last = ops.linear_scan(a, b)
    # Decays below a half forget within a hundred steps, so the tail may start from nothing.
    end_a, end_b = (a[:, -tail:] if varying else a).detach().requires_grad_(), b[:, -tail:].detach()
    end, end_last = ops.linear_scan(end_a, end_b.requires_grad_())
    assert relative(h[:, -500:].detach(), end[:, -500:].detach()) < 1e-3
    assert relative(last.detach(), end_last.detach()) < 1e-5
    gradient = torch.zeros_like(h)
    gradient[:, -500:] = torch.randn_like(h[:, -500:])
    grad_a, grad_b = torch.autograd.grad(h, (a, b), gradient)
    expected_a, expected_b = torch.autograd.grad(end, (end_a, end_b), gradient[:, -tail:])
    assert relative(grad_b[:, -500:], expected_b[:, -500:]) < 1e-2
    assert (
        relative(grad_a[:, -500:] if varying else grad_a, expected_a[:, -500:] if varying else expected_a)
        < 1e-2
    )


def test_the_last_channel_of_taps_far_longer_than_a_sequence():
    """Sums of a few taps, of channels that begin beyond 2^31."""
    channels, taps, length = 2049, 2**20, 40
    assert (channels - 1) * taps == MOST_IN_32_BITS
    need(HEADROOM * 4 * 2 * channels * taps)
    u, grad_y = torch.randn(2, 1, length, channels, device="cuda")
    K = torch.zeros(channels, taps, device="cuda")
    K[:, :length] = torch.randn(channels, length, device="cuda")
    of_last = [x.clone().requires_grad_() for x in (u[..., -1:], K[-1:, :length])]
    alone = ops.causal_convolution(*of_last)
    expected = torch.autograd.grad(alone, of_last, grad_y[..., -1:])
    y = ops.causal_convolution(u.requires_grad_(), K.requires_grad_())
    assert relative(y[..., -1:].detach(), alone.detach()) < 1e-6
    grad_u, grad_K = torch.autograd.grad(y, (u, K), grad_y)
    assert relative(grad_u[..., -1:], expected[0]) < 1e-6
    assert relative(grad_K[-1:, :length], expected[1]) < 1e-6
    assert not grad_K[-1, length:].any()


def test_a_signal_of_a_million_steps():
    """LegS, whose step count enters its equations: the end of a long signal, resumed from its middle."""
    length, order = 2**20 + 3, 64
    f = torch.from_numpy(np.random.default_rng(0).standard_normal((1, length, 1))).float().cuda()
    whole, state = ops.hippo_project(f, order, return_all=False)
    half = length // 2
    _, middle = ops.hippo_project(f[:, :half], order, return_all=False)
    end, last = ops.hippo_project(f[:, half:], order, state=middle, start=half, return_all=False)
    assert relative(end, whole) < 1e-5
    assert relative(last, state) < 1e-5
