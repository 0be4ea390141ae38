"""A call on tiny tensors costs no more than a few times PyTorch's own a * b on the same machine."""

import pytest
import torch

import seqlab

pytestmark = [pytest.mark.gpu, pytest.mark.timing]


@pytest.fixture
def rows(name, monkeypatch):
    """What was measured of one op, a row for each workload and pass."""
    monkeypatch.syspath_prepend(seqlab.benchmark.ROOT)
    from benchmarks.host_time import rows

    return list(rows(name, torch.device("cuda")))


def test_a_tiny_call_costs_a_few_times_a_product(rows):
    from benchmarks.host_time import said

    slow = [row for row in rows if row["times_product"] > row["most_times_product"]]
    compiled = [row for row in rows if row["compiled_microseconds"] is not None]
    slow += [row for row in compiled if row["compiled_times_eager"] > row["most_compiled_times_eager"]]
    assert {row["pass"] for row in compiled} == {"forward", "forward+backward"}
    assert not slow, "\n".join(map(said, slow))
