"""What needs a real GPU: every test here is skipped, with the reason, where there is none."""

import numpy as np
import pytest
import torch

from seqlab.catalogue import PAIRINGS
from seqlab.verify import absent_backends

ON_GPU = [name for name, pairing in PAIRINGS.items() if "cuda" in pairing.sizes]


@pytest.fixture(params=ON_GPU)
def name(request):
    """An op of the catalogue that has a kernel."""
    return request.param


@pytest.fixture
def pairing(name):
    """The op with all that the catalogue says of it."""
    return PAIRINGS[name]


@pytest.fixture(autouse=True)
def gpu():
    """Skips where kernels cannot be compiled and run."""
    if reason := absent_backends().get("cuda"):
        pytest.skip(reason)


@pytest.fixture
def cases():
    """cases(pairing) gives the arguments of each ordinary sample at the smallest size, on the GPU."""
    return draw


def draw(pairing, device="cuda"):
    smallest = min(pairing.sizes["cuda"], key=lambda sizes: int(np.prod(list(sizes.values()))))
    for sample in pairing.samples:
        if not sample.hard:
            arguments = sample.draw(np.random.default_rng(0), smallest)
            yield {
                key: single(value).to(device) if isinstance(value, np.ndarray) else value
                for key, value in arguments.items()
            }


def single(array):
    return torch.from_numpy(array).to(torch.complex64 if np.iscomplexobj(array) else torch.float32)
