"""What needs a real GPU: every test here is skipped, with the reason, where there is none."""

import functools

import numpy as np
import pytest
import torch

from seqlab.catalogue import PAIRINGS
from seqlab.verify import absent_backends

ON_GPU = [name for name, pairing in PAIRINGS.items() if "cuda" in pairing.sizes]
CASES = [
    pytest.param((name, number), id=f"{name}: {sample.name}")
    for name in ON_GPU
    for number, sample in enumerate(PAIRINGS[name].samples)
    if not sample.hard
]


@pytest.fixture(params=ON_GPU)
def name(request):
    """An op of the catalogue that has a kernel."""
    return request.param


@pytest.fixture
def pairing(name):
    """The op with all that the catalogue says of it."""
    return PAIRINGS[name]


@pytest.fixture(params=CASES)
def case(request):
    """An op with a kernel, and a function that draws one of its ordinary samples at the smallest size."""
    name, number = request.param
    pairing = PAIRINGS[name]
    return pairing, functools.partial(draw, pairing, pairing.samples[number])


@pytest.fixture(autouse=True)
def gpu():
    """Skips where kernels cannot be compiled and run."""
    if reason := absent_backends().get("cuda"):
        pytest.skip(reason)


def draw(pairing, sample, device="cuda"):
    smallest = min(pairing.sizes["cuda"], key=lambda sizes: int(np.prod(list(sizes.values()))))
    arguments = sample.draw(np.random.default_rng(0), smallest)
    return {
        key: single(value).to(device) if isinstance(value, np.ndarray) else value
        for key, value in arguments.items()
    }


def single(array):
    return torch.from_numpy(array).to(torch.complex64 if np.iscomplexobj(array) else torch.float32)
