"""What being parallel in time is worth on a CPU: a training step of the LRU against a loop over time."""

from time import perf_counter

import pytest
import torch

from seqlab.nn import LRU

BATCH, LENGTH, WIDTH = 8, 784, 64


def loop(layer, u):
    outputs, state = [], None
    for u_t in u.unbind(dim=1):
        y_t, state = layer.step(u_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1)


def scan(layer, u):
    return layer(u)[0]


def training_step(layer, u, run):
    """Seconds that a step took, and the gradients it used."""
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.0)
    started = perf_counter()
    run(layer, u).square().mean().backward()
    optimizer.step()
    seconds = perf_counter() - started
    gradients = {name: p.grad.clone() for name, p in layer.named_parameters()}
    layer.zero_grad()
    return seconds, gradients


@pytest.mark.slow
@pytest.mark.timing
def test_ten_times_a_loop_with_the_same_gradients():
    torch.manual_seed(0)
    layer, u = LRU(WIDTH, WIDTH, r_min=0.9, r_max=0.999), torch.randn(BATCH, LENGTH, WIDTH)
    # The best of several: what other programs do to the machine meanwhile is not the question.
    loops = [training_step(layer, u, loop) for _ in range(3)]
    scans = [training_step(layer, u, scan) for _ in range(10)]
    ratio = min(s for s, _ in loops) / min(s for s, _ in scans)
    print(f"batch {BATCH}, length {LENGTH}, width {WIDTH}: {ratio:.1f} times a loop over time")
    for name, gradient in loops[0][1].items():
        error = (scans[0][1][name] - gradient).norm() / gradient.norm()
        assert error < 2e-5, (name, error)
    assert ratio >= 10
