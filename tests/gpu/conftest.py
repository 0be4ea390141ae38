"""What needs a real GPU: every test here is skipped, with the reason, where there is none."""

import pytest
from carries import ON_GPU

from seqlab.catalogue import PAIRINGS
from seqlab.ops import kept
from seqlab.verify import absent_backends


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


@pytest.fixture(autouse=True)
def own_room():
    """All the room for what ops keep is a test's own: the graphs that pinned some of it in others are gone."""
    for entries in kept._kept.values():
        for entry in entries.values():
            entry.pinned = False
